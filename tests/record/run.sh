#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Records real PyTorch on the stand-in for CUDA, end to end: run.sh PYTHON BUILD
# Exit status 77 when that python has no torch with CUDA.
set -euo pipefail

python=$(command -v "$1")
build=$(cd "$2" && pwd)
here=$(cd "$(dirname "$0")" && pwd)
peakstep=$build/tools/peakstep
standin=$build/tests/standin
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
"$python" -c 'import torch; assert torch.version.cuda' 2>/dev/null || exit 77

fail() {
    echo "not ok - $*"
    exit 1
}

# record NAME ARGUMENT...: a trace NAME.pstrace, the job's line in NAME.out
record() {
    local name=$1
    shift
    LD_PRELOAD=$standin/libstandin_cuda.so:$standin/cupti/libcupti.so.13 \
        "$peakstep" record -o "$name.pstrace" -- "$python" "$here/job.py" "$@" \
        >"$name.out" 2>"$name.err"
}

# fact NAME KEY: a fact of the trace
fact() {
    "$peakstep" dump --table meta "$1.pstrace" | awk -F, -v key="$2" '$1 == key { print $2 }'
}

# equal WHAT LEFT RIGHT
equal() {
    [ "$2" = "$3" ] || fail "$1: \"$2\" is not \"$3\""
    echo "ok - $1: $2"
}

# key FILE KEY: a number of a JSON document, wherever it stands first
key() {
    grep -o "\"$2\": *[0-9]*" "$1" | head -n 1 | grep -o '[0-9]*$'
}

# what every trace must hold against the job's own counters
hold_against() {
    local name=$1 steps allocated reserved
    read -r steps allocated reserved <"$name.out"
    "$peakstep" check "$name.pstrace" >"$name.check" || { cat "$name.check"; fail "$name: unsound"; }
    "$peakstep" simulate --json "$name.pstrace" >"$name.json"
    "$peakstep" info --json "$name.pstrace" >"$name.info"
    equal "$name: steps" "$(grep -c '"name": "ProfilerStep#' "$name.info")" "$steps"
    equal "$name: recorded peak allocated" "$(key "$name.info" peak_allocated_bytes)" "$allocated"
    equal "$name: simulated peak allocated" "$(key "$name.json" peak_allocated_bytes)" "$allocated"
    equal "$name: simulated peak reserved" "$(key "$name.json" peak_reserved_bytes)" "$reserved"
    equal "$name: torch's counter, as recorded" "$(fact "$name" torch-peak-allocated-bytes-0)" \
        "$allocated"
    equal "$name: segments the driver does not know" "$(fact "$name" join-segments-unseen)" 0
    [ "$(fact "$name" join-segments)" -gt 0 ] || fail "$name: no segment was joined"
    equal "$name: entries of the history lost" "$(fact "$name" history-losses)" 0
}

record plain 12 || fail "plain: $(cat plain.err)"
hold_against plain
record accumulated 4 --accumulate 3 || fail "accumulated: $(cat accumulated.err)"
hold_against accumulated
micro=$("$peakstep" dump --table range accumulated.pstrace | grep -c 'micro-batch#' || true)
equal "accumulated: micro-batches" "$micro" 12
record expandable 6 --expandable || fail "expandable: $(cat expandable.err)"
hold_against expandable

# killed: all but the last second is there, of the device and of the tensors
status=0
# shellcheck disable=SC2016  # the inner shell expands these
LD_PRELOAD=$standin/libstandin_cuda.so:$standin/cupti/libcupti.so.13 \
    "$peakstep" record --json -o killed.pstrace -- sh -c '
        "$0" "$1" 0 --forever & job=$!; sleep 6; date +%s%N >killed.at; kill -9 $job; wait $job' \
    "$python" "$here/job.py" >killed.report 2>killed.err || status=$?
equal "killed: status" "$status" 137
"$peakstep" check killed.pstrace >killed.check || { cat killed.check; fail "killed: unsound"; }
equal "killed: as the trace says" "$(fact killed ended)" killed
last() { # TABLE: how long before the kill its last row is [ms]
    "$peakstep" dump --table "$1" killed.pstrace | awk -F, -v at="$(cat killed.at)" \
        -v base="$(fact killed base-time-ns)" 'END { printf "%d", (at - base - $1) / 1e6 }'
}
for table in kernel memory; do
    lost=$(last $table)
    [ "$lost" -lt 1000 ] || fail "killed: the last $lost ms of table $table are missing"
    echo "ok - killed: $lost ms of table $table are missing"
done

# out of memory: the job's own failure, and a trace that knows the request
status=0
record oom 3 --oom || status=$?
equal "oom: the job's exit status" "$status" 1
"$peakstep" check oom.pstrace >/dev/null || fail "oom: unsound"
equal "oom: requests refused" "$("$peakstep" dump --table memory oom.pstrace | grep -c ',oom,')" 1
echo "all ok"
