#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Rows of "One stream of requests under another allocator" in docs/ACCURACY.md:
# allocators.sh PROGRAM training|drivers|fuzz. Exit status 1 when an allocator model errs.
#
#   training  the recordings of traces/allocator-pairs; each peak must be equal cold
#   drivers   the same, with what they would be on drivers that place segments at random
#   fuzz      random histories beside the checkout, skipped (77) where they are not
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
program=$1
what=$2
pairs=$root/traces/allocator-pairs
fuzz=${PS_SHARED:-$root/../shared}/truth/allocator-fuzz
status=0

# the rows of peaks.csv, one program at a time
training() {
    local model
    for model in gpt2 llama-lora llama-mixed; do
        local arguments=()
        while IFS=, read -r file conf _ _ _ _ reserved; do
            case $file in
            "$model"-*) arguments+=("$conf" "$file" "$reserved") ;;
            esac
        done <"$pairs/peaks.csv"
        [ ${#arguments[@]} -eq 12 ] || { echo "$model: not four recordings" >&2; status=3; }
        "$program" "$1" "$pairs" "${arguments[@]}" || status=$?
    done
}

peak() {
    awk -F, -v f="$1.pickle" '{ n = NF; if ($1 == f) print $(n - 5) }' "$fuzz/truth.csv"
}
random() {
    local seed
    for seed in 2001 2003; do
        "$program" "$fuzz" \
            "" "default-$seed.pickle" "$(peak "default-$seed")" \
            "expandable_segments:True" "expandable-$seed.pickle" "$(peak "expandable-$seed")" \
            "roundup_power2_divisions:4" "roundup_4-$seed.pickle" "$(peak "roundup_4-$seed")" \
            "max_split_size_mb:21" "max_split_21-$seed.pickle" "$(peak "max_split_21-$seed")" ||
            status=$?
    done
}

case $what in
training) training --cold ;;
drivers) training --drivers ;;
fuzz)
    [ -d "$fuzz" ] || { echo "skipped: no recordings in $fuzz" >&2; exit 77; }
    random
    ;;
*) echo "allocators.sh: $what" >&2; exit 2 ;;
esac
exit "$status"
