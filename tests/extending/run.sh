#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Follows the walk-through "A family of models" of docs/EXTENDING.md in a copy of the sources: one
# file, one line, and a model of the new family trains. run.sh SOURCE_FOLDER
set -euo pipefail
source=$(cd "$1" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
page=$source/docs/EXTENDING.md

# text of the code block behind a marker
block() {
    awk -v marker="<!-- $1 -->" '
        $0 == marker { found = 1; next }
        found && /^```/ { if (inside) exit; inside = 1; next }
        inside' "$page"
}

mkdir "$work/source"
for entry in "$source"/*; do
    case ${entry##*/} in
    build | simulator) ;;
    *) ln -s "$entry" "$work/source/" ;;
    esac
done
cp -r "$source/simulator" "$work/source/simulator"
file=$(sed -n 's/^<!-- file: \(.*\) -->$/\1/p' "$page")
list=$(sed -n 's/^<!-- line: \(.*\) -->$/\1/p' "$page")
block "file: $file" >"$work/source/$file"
block "line: $list" >>"$work/source/$list"
block config >"$work/config.json"
[ -s "$work/source/$file" ] && [ -s "$work/config.json" ]

# neither optimised nor with debug information: the build is what this takes its time for
cmake -S "$work/source" -B "$work/build" -G Ninja -DCMAKE_BUILD_TYPE=None -DPS_WERROR=ON \
    -DPS_TESTS=OFF >"$work/log" 2>&1 || { tail -20 "$work/log"; exit 1; }
ninja -C "$work/build" peakstep >"$work/log" 2>&1 || { tail -20 "$work/log"; exit 1; }
peakstep=$work/build/tools/peakstep
"$peakstep" simulate "$work/config.json" --gpu rtx4090 --batch 4 --seq 512 >"$work/answer"
grep -q 'peak reserved' "$work/answer"
"$peakstep" simulate "$work/config.json" --gpu rtx4090 --batch 4 --seq 512 --dtype bf16 --lora 8 \
    --checkpoint full >"$work/answer"
grep -q 'every block recomputed' "$work/answer"

# a figure that is missing is told by name
printf '{"model_type": "mixer", "hidden_size": 256}' >"$work/config.json"
if "$peakstep" simulate "$work/config.json" --gpu rtx4090 2>"$work/error"; then
    echo "a configuration without layers was taken"
    exit 1
fi
grep -q num_hidden_layers "$work/error"
echo "the walk-through works"
