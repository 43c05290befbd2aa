#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Rows of "One stream of requests under another allocator" in docs/ACCURACY.md:
# allocators.sh PROGRAM. Exit status 77 without the recordings, 1 when an allocator model errs.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
program=$1
fuzz=${PS_SHARED:-$root/../shared}/truth/allocator-fuzz
[ -d "$fuzz" ] || { echo "skipped: no recordings in $fuzz" >&2; exit 77; }

peak() {
    awk -F, -v f="$1.pickle" '{ n = NF; if ($1 == f) print $(n - 5) }' "$fuzz/truth.csv"
}
status=0
for seed in 2001 2003; do
    "$program" "$fuzz" \
        "" "default-$seed.pickle" "$(peak "default-$seed")" \
        "expandable_segments:True" "expandable-$seed.pickle" "$(peak "expandable-$seed")" \
        "roundup_power2_divisions:4" "roundup_4-$seed.pickle" "$(peak "roundup_4-$seed")" \
        "max_split_size_mb:21" "max_split_21-$seed.pickle" "$(peak "max_split_21-$seed")" ||
        status=$?
done
exit "$status"
