#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# tools/dev/gpu_check.sh runs to its end without a GPU: run_standin.sh [BUILD]
# PS_PYTHON names a Python with PyTorch, transformers and peft. Status 77: there is none, or no
# stand-in for CUDA.
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
build=$(cd "${1:-$root/build/gcc-release}" && pwd)
python=${PS_PYTHON:-python3}
stand_in=$build/tests/standin/libstandin_cuda.so

if [ ! -f "$stand_in" ]; then
    echo "skipped: the stand-in for CUDA is not built"
    exit 77
fi
if ! "$python" -c 'import importlib.util, sys
sys.exit(not all(map(importlib.util.find_spec, ("torch", "transformers", "peft"))))'; then
    echo "skipped: $python has no PyTorch, transformers or peft"
    exit 77
fi

out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

check() {
    "$root/tools/dev/gpu_check.sh" --build "$build" --out "$out" --python "$python" \
        --stand-in "$stand_in" --matrix "$root/tests/gpu/matrix_tiny.csv" --rounds 2 "$@"
}

fail() {
    echo "FAILED: $1"
    exit 1
}

has() { # PART METRIC VALUE: some row says so
    awk -F, -v part="$1" -v metric="$2" -v value="$3" \
        '$6 == part && $8 == metric && $9 == value { found = 1 } END { exit !found }' \
        "$out/results.csv"
}

# a time box that is over before anything began leaves everything to the next run
check --minutes 0 >"$out/first.txt" || fail "with no time at all: $(cat "$out/first.txt")"
grep -q ' remain; ' "$out/first.txt" || fail "nothing remained"

# a part alone, then all: what was done is not done again
check --part snapshot >"$out/second.txt" || fail "snapshots: $(cat "$out/second.txt")"
check | tee "$out/third.txt" || fail "the whole matrix"
if grep -q 's  snapshot' "$out/third.txt"; then
    fail "snapshots were done twice"
fi
has snapshot peak_allocated_difference 0 || fail "peak allocated"
has snapshot peak_reserved_difference 0 || fail "peak reserved"
has snapshot check_passes 1 || fail "soundness"
has record check_passes 1 || fail "soundness of what was recorded"
has record recorded_peak_allocated_difference 0 || fail "peak allocated of what was recorded"
has record recorded_peak_reserved_difference 0 || fail "peak reserved of what was recorded"
has record segment_alloc_unseen_by_driver 0 || fail "segments of what was recorded"
has allocator default_as_other_peak_reserved_difference 0 || fail "the other allocator"
has replay order_violations 0 || fail "replay"
tar -tf "$out/recordings.tar" | grep snapshot >/dev/null || fail "no recording was kept"
if grep -n "$out\|$root" "$out/results.csv"; then
    fail "a path of this machine is in the results"
fi
echo "passed"
