#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Fuzzes each target for a while: run.sh SECONDS [TARGET...]
# Without targets: all of them. Prints one line a target; what crashes is kept beside the build,
# and the exit status is 1. New inputs go to the build folder, never into the tree.
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
build=${PS_FUZZ_BUILD:-$root/build/fuzz}

if [ $# -lt 1 ] || ! [[ $1 =~ ^[0-9]+$ ]] || [ "$1" -eq 0 ]; then
    echo "usage: $0 SECONDS [TARGET...]" >&2
    exit 2
fi
seconds=$1
shift

targets=("$@")
if [ ${#targets[@]} -eq 0 ]; then
    for source in "$root"/tests/fuzz/fuzz_*.c; do
        name=$(basename "$source" .c)
        targets+=("${name#fuzz_}")
    done
fi

cd "$root"
mkdir -p "$build"
if ! { cmake --preset fuzz -B "$build" && cmake --build "$build" --target fuzzers; } \
    >"$build/build.log" 2>&1; then
    cat "$build/build.log" >&2
    exit 1
fi

failed=0
for name in "${targets[@]}"; do
    work=$build/found/$name
    log=$work.log
    mkdir -p "$work/corpus" "$work/crashes"
    status=ok
    "$build/tests/fuzz/fuzz_$name" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=3072 \
        -print_final_stats=1 -artifact_prefix="$work/crashes/" \
        "$work/corpus" "tests/fuzz/corpus/$name" >"$log" 2>&1 || status=FAILED
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log" | tail -1)
    edges=$(grep -o 'cov: [0-9]*' "$log" | tail -1 | cut -d' ' -f2 || true)
    echo "$status $name: ${runs:-0} runs, ${edges:-0} edges, log $log"
    if [ "$status" != ok ]; then
        failed=1
        grep -E 'ERROR|SUMMARY|does not hold|Test unit written' "$log" | sed 's/^/    /' || true
    fi
done
exit "$failed"
