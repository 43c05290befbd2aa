#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Records real fine-tunings on this machine's GPU, holds peakstep against PyTorch's and the driver's
# own figures, and answers questions about the driver: gpu_check.sh [OPTION...]
#
#   --build DIR       where peakstep is: build/gpu as gpu_bundle.sh makes it, else build/gcc-release
#   --out DIR         results.csv, summary.txt, recordings.tar, log.txt, state/done.jsonl
#                     (default: build/gpu-results)
#   --python PROGRAM  one that has PyTorch, transformers and peft (default: python3)
#   --stand-in LIB    run without a GPU, with libstandin_cuda.so in its place; times mean nothing
#   --part NAME,...   reference, snapshot, profiler, record, overhead, questions, allocator, replay
#   --minutes N       the time box (default: 8)
#   --matrix, --rounds, --max-bytes, --state, --fresh, --retry: see tests/gpu/check.py --help
#
# Needs no network and no development packages. What is done is remembered in the state folder: the
# same command again goes on. The exit status is 0 when nothing failed and every figure that was
# taken is as it should be, 1 when not, 2 when it could not begin.
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
build=
out=$root/build/gpu-results
python=python3
stand_in=
options=()

need() {
    [ $# -gt 1 ] || {
        echo "$1 needs a value" >&2
        exit 2
    }
}

while [ $# -gt 0 ]; do
    case $1 in
    --build) need "$@" && build=$2 && shift ;;
    --out) need "$@" && out=$2 && shift ;;
    --python) need "$@" && python=$2 && shift ;;
    --stand-in) need "$@" && stand_in=$2 && shift ;;
    -h | --help)
        sed -n '3,/^set /{/^set /d;s/^# \{0,1\}//p}' "$0"
        exit 0
        ;;
    *) options+=("$1") ;;
    esac
    shift
done

if [ -z "$build" ]; then
    build=$root/build/gpu
    [ -x "$build/tools/peakstep" ] || build=$root/build/gcc-release
fi
peakstep=$build/tools/peakstep
if ! "$peakstep" --version >/dev/null; then
    echo "peakstep does not run: $peakstep; tools/dev/gpu_bundle.sh collects what it needs" >&2
    exit 2
fi
# found, not imported, which would take seconds
if ! "$python" -c 'import importlib.util, sys
sys.exit(not all(map(importlib.util.find_spec, ("torch", "transformers", "peft"))))'; then
    echo "$python has no PyTorch, transformers or peft; --python names another" >&2
    exit 2
fi
if [ -n "$stand_in" ]; then
    if [ ! -f "$stand_in" ]; then
        echo "there is no $stand_in" >&2
        exit 2
    fi
    options+=(--stand-in "$stand_in")
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$out"
probe=$build/libcupti_probe.so
if [ ! -f "$probe" ]; then
    probe=$work/libcupti_probe.so
    cc -std=c17 -O2 -fvisibility=hidden -shared -fPIC "$root/tests/gpu/cupti_probe.c" \
        -o "$probe" -ldl -pthread || echo "the probe is not built: some questions stay open"
fi

status=0
"$python" "$root/tests/gpu/check.py" --out "$out" --work "$work/work" --python "$python" \
    --peakstep "$peakstep" --probe "$probe" ${options[@]+"${options[@]}"} || status=$?
if [ -d "$out/recordings" ]; then
    # one file, whatever there is; a later run adds to it
    tar -C "$out" -rf "$out/recordings.tar" recordings
    rm -r "$out/recordings"
fi
echo "results: $out"
exit "$status"
