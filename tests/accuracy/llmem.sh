#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# LLMem's second table as curves over the batch, which no source tells, as Markdown for
# docs/ACCURACY.md:
#
#   tests/accuracy/llmem.sh [BUILD_FOLDER]
#
# Models, GPU, options and measured peaks are those of llmem-table2.csv. Nothing is fitted: the
# batches that a measured peak can stand for are read off the two curves.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
peakstep=${1:-$root/build/gcc-release}/tools/peakstep
table=$here/llmem-table2.csv
most=256 # sequences; beyond what any of the models can do
[ -x "$peakstep" ] || { echo "llmem.sh: no $peakstep" >&2; exit 4; }

# The first figure of a name in a result, in whole MiB where it is bytes.
figure() {
    sed -n "s/^ *\"$1\": \([^,]*\),*\$/\1/p" <<<"$2" | head -1
}

mib() {
    echo $((($(figure "$1" "$2") + 524288) / 1048576))
}

# Sets live and device [MiB] of a model at a batch, on the GPU with memory without end.
look() {
    local result words
    read -ra words <<<"$options"
    result=$("$peakstep" simulate "$model" "${words[@]}" --batch "$1" --memory 4TiB --json --quiet)
    # shellcheck disable=SC2034 # conditions of first_batch read both
    live=$(($(mib peak_allocated_bytes "$result") + $(mib base_bytes "$result")))
    # shellcheck disable=SC2034
    device=$(mib peak_device_bytes "$result")
}

# The first batch for which a condition holds that holds for all larger ones.
first_batch() {
    local low=0 high=$most middle
    while [ $((high - low)) -gt 1 ]; do
        middle=$(((low + high) / 2))
        look "$middle"
        if eval "$1"; then high=$middle; else low=$middle; fi
    done
    echo "$high"
}

cat <<'HEAD'
### LLMem, one GPU: which batch a peak stands for

The peak was read by nvidia-smi on a card of 16384 MiB. "Live" is what tensors and the context need,
"device" what the allocator holds besides, had the card no end. Where the device curve passes the
end, the allocator gives cached memory back and the card reads full, up to the batch at which live
tensors alone pass it: every batch between the two gives one and the same reading.

| model | measured MiB | device reaches it at batch | last batch that live tensors allow | live MiB a sequence |
| --- | --- | --- | --- | --- |
HEAD
# one line a model: name, options without the batch, measured
sed '/^#/d; 1,/^case/{/^case/d}' "$table" |
    sed -E 's/^[^,]*,([^,]*),([^,]*),peak_device_bytes,([0-9]+),.*/\1|\2|\3/; s/--batch [0-9]+ //' |
    sort -u | while IFS='|' read -r model options measured; do
    reached=$(first_batch "[ \$device -ge $measured ]")
    beyond=$(first_batch "[ \$live -gt $measured ]")
    look 8; at_8=$live
    look 4; each=$(((at_8 - live + 2) / 4))
    printf '| %s | %s | %s | %s | %s |\n' "${model##*/}" "$measured" "$reached" "$((beyond - 1))" \
        "$each"
done
echo
