#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The samples are those of MANIFEST.csv, no more and no fewer, and making them again gives the same:
# traces/check.sh BUILD_FOLDER [PYTHON [MODELS_PYTHON]]
# Traces are compared by their rows: another version of zstd may pack them into other bytes.
# The allocator pairs are made again only with PYTHON, an interpreter that has what
# tests/standin/record_allocator_pairs.py needs. Recordings of models hold times: made again,
# with MODELS_PYTHON, they need only agree with the models as these do.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
build=$(cd "${1:?usage: traces/check.sh BUILD_FOLDER [PYTHON]}" && pwd)
python=${2:-}
models_python=${3:-}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
"$root/traces/regenerate.sh" "$build" "$scratch" >/dev/null
if [ -n "$python" ]; then
    mkdir "$scratch/allocator-pairs"
    ninja -C "$build" standin_cuda >/dev/null
    "$python" "$root/tests/standin/record_allocator_pairs.py" \
        "$build/tests/standin/libstandin_cuda.so" "$scratch/allocator-pairs"
fi
if [ -n "$models_python" ]; then
    mkdir "$scratch/models"
    cp "$root/traces/models/models.csv" "$scratch/models"
    ninja -C "$build" peakstep peakstep_tracer standin_cupti accuracy_agreement >/dev/null
    "$models_python" "$root/tests/workload/record_models.py" "$build" "$scratch/models"
    "$build/tests/accuracy/agreement/accuracy_agreement" --check "$scratch/models/models.csv"
fi
while IFS=, read -r file digest _; do
    [ "$file" = file ] && continue
    echo "$digest  $root/traces/$file" | sha256sum --check --quiet
    case $file in
    models/*) ;;
    *.pstrace)
        for copy in "$root/traces" "$scratch"; do
            "$build/tools/peakstep" dump --format jsonl "$copy/$file" | sha256sum
        done | uniq | wc -l | grep -qx 1
        ;;
    *) [ -z "$python" ] || cmp "$root/traces/$file" "$scratch/$file" ;;
    esac || {
        echo "$file is not what its program makes"
        exit 1
    }
done <"$root/traces/MANIFEST.csv"
diff <(cut -d, -f1 "$root/traces/MANIFEST.csv" | tail -n +2 | sort) \
    <(cd "$root/traces" && find . -name '*.pstrace' -o -path './*/*' -type f | sed 's|^\./||' | sort)
echo "the samples are what MANIFEST.csv says"
