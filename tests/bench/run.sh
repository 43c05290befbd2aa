#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Speed and size on a recording of two million events, as ratios to what the machine does with the
# same bytes in the same run: run.sh [BUILD]
#
# The recording is made of a real one below $PS_SHARED/traces/real (default: the folder "shared"
# beside the checkout). Everything runs on one core. Needs about 3 GB in the build folder, which
# are kept for the next run. Without the recording the bench is skipped.
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
build=${1:-$root/build/bench}
shared=${PS_SHARED:-$root/../shared}
events_wanted=${PS_BENCH_EVENTS:-2000000}
recording=$shared/traces/real/facebookresearch+HolisticTraceAnalysis/tests/data/df_index_resolver/df_index_resolver.json.gz

if [ ! -f "$recording" ]; then
    echo "skipped: the recording is not there"
    exit 0
fi

mkdir -p "$build"
if ! { cmake -S "$root" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release &&
    cmake --build "$build" --target peakstep bench bench_tracer; } >"$build/build.log" 2>&1; then
    tail -n 30 "$build/build.log"
    exit 1
fi
peakstep=$build/tools/peakstep
bench=$build/tests/bench/bench
data=$build/data
json=$data/$events_wanted.json
mkdir -p "$data"
if [ ! -f "$json.gz" ]; then
    "$root/tests/bench/make_input.py" "$recording" "$events_wanted" "$json.part"
    mv "$json.part" "$json"
    gzip -6 -k -c "$json" >"$json.gz.part"
    mv "$json.gz.part" "$json.gz"
fi

# the last core: the first one serves interrupts
core=$(($(nproc) - 1))
pinned() {
    taskset -c "$core" "$@"
}

# field KEY of a line of "key value" pairs
field() {
    awk -v key="$1" '{ for (i = 1; i < NF; i += 2) if ($i == key) print $(i + 1) }'
}

bytes_of() {
    stat -c %s "$1"
}

json_bytes=$(bytes_of "$json")
gz_bytes=$(bytes_of "$json.gz")

# the files' pages in memory, so that the disk is not what is measured
cat "$json" "$json.gz" >/dev/null

memcpy_s=$(pinned "$bench" memcpy 268435456 | field seconds)
zlib_s=$(pinned python3 -c '
import sys, time, zlib
packed = open(sys.argv[1], "rb").read()
best = 1e30
for _ in range(3):
    begin = time.monotonic()
    unpacker, at = zlib.decompressobj(31), 0
    while at < len(packed):
        unpacker.decompress(packed[at:at + 1048576])
        at += 1048576
    best = min(best, time.monotonic() - begin)
print(best)' "$json.gz")

plain=$(pinned "$bench" run "$peakstep" import "$json" -o "$data/plain.pstrace" 2>/dev/null)
packed=$(pinned "$bench" run "$peakstep" import "$json.gz" -o "$data/packed.pstrace" 2>/dev/null)
reading=$(pinned "$bench" read "$data/plain.pstrace")
events=$(field events <<<"$reading")
trace_bytes=$(bytes_of "$data/plain.pstrace")

row() { # NAME SECONDS INPUT_BYTES PEAK_MIB
    awk -v name="$1" -v s="$2" -v bytes="$3" -v peak="$4" -v events="$events" \
        -v memcpy="$memcpy_s" -v zlib="$zlib_s" -v json="$json_bytes" 'BEGIN {
            printf "%-22s %9.3f %12.0f %10.1f", name, s, events / s, bytes / s / 1e6
            printf " %12.4f %10.2f %9s\n", (bytes / s) / (268435456 / memcpy), zlib / s, peak
        }'
}

echo "$events events, $json_bytes bytes of JSON, $gz_bytes bytes of .json.gz"
echo
printf '%-22s %9s %12s %10s %12s %10s %9s\n' what seconds events/s MB/s "of memcpy" "of zlib" "peak MiB"
row "import .json" "$(field seconds <<<"$plain")" "$json_bytes" "$(field peak_mib <<<"$plain")"
row "import .json.gz" "$(field seconds <<<"$packed")" "$json_bytes" "$(field peak_mib <<<"$packed")"
row "read .pstrace" "$(field seconds <<<"$reading")" "$trace_bytes" -
simulated=$(pinned "$bench" run "$peakstep" simulate --json "$data/plain.pstrace" 2>/dev/null)
row "simulate .pstrace" "$(field seconds <<<"$simulated")" "$trace_bytes" \
    "$(field peak_mib <<<"$simulated")"
echo
awk -v memcpy="$memcpy_s" -v zlib="$zlib_s" -v json="$json_bytes" -v gz="$gz_bytes" \
    -v trace="$trace_bytes" -v events="$events" 'BEGIN {
        printf "baseline: memcpy %.1f GB/s, zlib inflates %.3f GB/s\n", 0.268435456 / memcpy, json / zlib / 1e9
        printf "size: %d bytes of .pstrace, %.3f bytes an event, %.1f %% of the .json.gz\n",
            trace, trace / events, 100 * trace / gz
    }'
tracer=$("$build/tests/bench/bench_tracer" "$data/tracer.pstrace" 10)
rm -f "$data/tracer.pstrace"
awk -v rate="$(field records_per_writer_s <<<"$tracer")" -v bytes="$(field bytes_per_record <<<"$tracer")" \
    -v peak="$(field peak_mib <<<"$tracer")" -v memcpy="$memcpy_s" 'BEGIN {
        printf "tracer: %.1f million records a second of its writer, %.2f bytes a record, ", rate / 1e6, bytes
        printf "%d MiB resident (budget 256), %.4f of memcpy\n", peak, rate * bytes / (268435456 / memcpy)
    }'
echo '"of memcpy": input bytes a second against copying memory; "of zlib": how often faster than'
echo 'inflating the same recording with zlib alone'
