#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The injected library in a real process: run.sh CASE
# The build passes the programs by environment: PEAKSTEP, TRACER, JOB, CONTROL_PAGE, CUPTI_FOLDER.
# Status 77: the machine cannot show this case.
set -euo pipefail

work=$(mktemp -d "${TMPDIR:-/tmp}/peakstep-tracer.XXXXXX")
trap 'rm -rf "$work"' EXIT
parts=$work/parts
mkdir "$parts"
"$CONTROL_PAGE" create "$parts"
unset LD_PRELOAD LD_LIBRARY_PATH
for name in $(compgen -e PEAKSTEP_ || true) $(compgen -e STANDIN_ || true); do
    unset "$name"
done

fail() {
    echo "FAILED: $1"
    echo "the problem told: $("$CONTROL_PAGE" problem "$parts")"
    exit 1
}

plain() { # the job without a recording
    "$JOB" "$@"
}

observed() { # the job with one
    PEAKSTEP_RECORD_DIR=$parts CUDA_INJECTION64_PATH=$TRACER PEAKSTEP_CUPTI=$cupti "$JOB" "$@"
}
cupti=$CUPTI_FOLDER/libcupti.so.13

# observed_as_plain ARGUMENT...: a recording changes neither output nor exit status
observed_as_plain() {
    local expected got expected_status=0 status=0
    expected=$(plain "$@") || expected_status=$?
    got=$(observed "$@") || status=$?
    [ "$expected" = "$got" ] || fail "\"$expected\" became \"$got\""
    [ "$expected_status" = "$status" ] || fail "exit status $expected_status became $status"
}

# The one trace there is.
trace() {
    local files=("$parts"/*.device.pstrace)
    if [ ${#files[@]} -ne 1 ] || [ ! -f "${files[0]}" ]; then
        fail "there is not one trace: ${files[*]}"
    fi
    echo "${files[0]}"
}

rows() { # TABLE [PATTERN]: rows of the trace, of those that match
    "$PEAKSTEP" dump "$(trace)" --table "$1" --quiet | tail -n +2 | grep -c -- "${2:-}" || true
}

expect_rows() { # COUNT TABLE [PATTERN]
    local count
    count=$(rows "${@:2}")
    [ "$count" = "$1" ] || fail "$count rows of ${*:2}, expected $1"
}

figure() { # KEY: a number of peakstep info --json, its first occurrence
    "$PEAKSTEP" info "$(trace)" --json | sed -n "s/^ *\"$1\": \([0-9a-z]*\),\{0,1\}\$/\1/p" | head -n 1
}

expect_figure() { # KEY VALUE
    local value
    value=$(figure "$1")
    [ "$value" = "$2" ] || fail "$1 is $value, expected $2"
}

# expect_all STEPS THREADS: the trace holds exactly what standin_job --leak-free did
expect_all() {
    local steps=$(($1 * $2)) threads=$2
    "$PEAKSTEP" check --quiet --strict "$(trace)" || fail "peakstep check"
    expect_figure is_finished true
    expect_figure kernel $((2 * steps))
    expect_figure memcpy $((2 * steps))
    expect_figure memset "$steps"
    expect_figure sync $((3 * steps + threads))
    # 7 calls begin, 12 are a step, 8 end; polls and last errors make no rows
    expect_figure cuda_runtime $((12 * steps + 15 * threads))
    expect_rows "$steps" kernel job_forward
    expect_rows "$steps" kernel job_backward
    expect_rows $((steps + 2 * threads)) driver_memory ,alloc,device,
    expect_rows $((steps + 2 * threads)) driver_memory ,free,device,
    expect_rows "$threads" driver_memory ,alloc,pinned,
    expect_rows "$threads" driver_memory ,free,pinned,
    expect_rows "$steps" memcpy ,htod,
    expect_rows "$steps" memcpy ,dtoh,
    expect_rows "$steps" sync ,stream-wait,
    # every wait for an event knows the recording it waits for
    expect_rows 0 sync ',stream-wait,[0-9]*,,'
    expect_rows 0 sync ',event,[0-9]*,,'
    expect_rows 1 device 'Stand-in GPU'
    expect_rows 0 loss
}

layout() { # NUMBER
    export STANDIN_CUPTI_LAYOUT=$1
    [ "$1" != 11 ] || cupti=$CUPTI_FOLDER/libcupti.so.11.8
    observed_as_plain 20 200 --leak-free
    [ -z "$("$CONTROL_PAGE" problem "$parts")" ] || fail "a problem was told"
    expect_all 20 1
}

# expect_no_device SENTENCE: the job ran, and the page says why there are no device records
expect_no_device() {
    local problem
    observed_as_plain 5 100 --exit 3
    problem=$("$CONTROL_PAGE" problem "$parts")
    case $problem in
    *"$1"*) ;;
    *) fail "expected to be told: $1" ;;
    esac
    "$PEAKSTEP" check --quiet "$(trace)" || fail "peakstep check"
    expect_figure kernel 0
    expect_rows 1 meta 'device-records,missing'
}

# The folder takes no trace; the job's id is known beforehand because the shell becomes the job.
case_folder() {
    local status=0 got
    got=$(
        mkdir "$parts/$BASHPID.device.pstrace"
        PEAKSTEP_RECORD_DIR=$parts CUDA_INJECTION64_PATH=$TRACER PEAKSTEP_CUPTI=$cupti \
            exec "$JOB" 5 100 --exit 3
    ) || status=$?
    [ "$status" = 3 ] || fail "exit status $status"
    [ "$got" = "$(plain 5 100)" ] || fail "the job says \"$got\""
    "$CONTROL_PAGE" problem "$parts" | grep -q 'device.pstrace' || fail "nothing was told"
}

# No page, no folder: whoever recorded is gone, and the variables were inherited.
case_gone() {
    rm -r "$parts"
    observed_as_plain 5 100 --exit 3
    mkdir "$parts"
    observed_as_plain 5 100
    [ -z "$(ls -A "$parts")" ] || fail "something was written"
    "$CONTROL_PAGE" create "$parts"
}

# Some seconds of recording, written in several goes of together some 200 KiB.
long_job=(1500 1000 --threads 2 --exit 3)

expect_cut_short() { # WORD: the disk refused: what was written before is sound, and it is said
    "$PEAKSTEP" check --quiet "$(trace)" || fail "peakstep check"
    [ "$(figure kernel)" -gt 0 ] || fail "everything is lost"
    "$CONTROL_PAGE" problem "$parts" | grep -q "$1" || fail "nothing was told"
}

# The file may not grow: the kernel answers with a signal whose default is death.
case_file_limit() {
    ulimit -S -f 64
    observed_as_plain "${long_job[@]}"
    ulimit -S -f unlimited
    expect_cut_short 'large'
}

case_disk_full() {
    if ! mount -t tmpfs -o size=64k none "$parts" 2>"$work/mount.txt"; then
        if [ -z "${IN_NAMESPACE:-}" ] && unshare -rm true 2>>"$work/mount.txt"; then
            IN_NAMESPACE=1 unshare -rm "$0" disk_full
            return
        fi
        echo "skipped: no file system can be mounted: $(cat "$work/mount.txt")"
        exit 77
    fi
    trap 'umount "$parts"; rm -rf "$work"' EXIT
    "$CONTROL_PAGE" create "$parts"
    observed_as_plain "${long_job[@]}"
    expect_cut_short 'space'
}

# Work on two devices: every row names its own.
case_devices() {
    export STANDIN_DEVICES=2
    observed_as_plain 30 100 --threads 4 --devices 2 --leak-free
    "$PEAKSTEP" check --quiet --strict "$(trace)" || fail "peakstep check"
    expect_figure kernel 240
    expect_rows 2 device 'Stand-in GPU'
    local device
    for device in 0 1; do
        expect_rows 120 kernel "^[^,]*,[^,]*,$device,"
        expect_rows 60 memset "^[^,]*,[^,]*,$device,"
        expect_rows 182 sync "^[^,]*,[^,]*,$device,"
        expect_rows 64 driver_memory ",alloc,device,$device,"
        expect_rows 1 meta "device-$device-pcie-lanes,16"
    done
}

# The program ends while its threads go on: no crash, no hang, a whole file.
case_abandon() {
    local i
    for i in 1 2 3 4 5; do
        rm -f "$parts"/*.device.pstrace
        observed_as_plain 2000 100 --threads 6 --abandon --exit "$i"
        "$PEAKSTEP" check --quiet "$(trace)" || fail "peakstep check"
        expect_figure is_finished true
        [ "$(figure kernel)" -gt 0 ] || fail "no kernels"
    done
}

case_fork() {
    observed_as_plain 50 100 --fork --leak-free
    expect_all 50 1
}

case_threads() {
    observed_as_plain 100 50 --threads 8 --leak-free
    expect_all 100 8
    # each row names its thread
    [ "$("$PEAKSTEP" dump "$(trace)" --table call --quiet | tail -n +2 | cut -d, -f4 | sort -u |
        wc -l)" = 8 ] || fail "threads"
}

# The process ends without a word: the file lacks its end, and at most the last period.
case_os_exit() {
    local kernels
    observed_as_plain 100 10000 --os-exit --exit 7
    "$PEAKSTEP" check --quiet "$(trace)" || fail "peakstep check"
    expect_figure is_finished false
    kernels=$(figure kernel)
    if [ "$kernels" -eq 0 ] || [ "$kernels" -gt 200 ]; then
        fail "$kernels kernels"
    fi
}

case_signals() {
    local signal
    for signal in 6 11 15 10; do # abort, fault, terminate, user's
        rm -f "$parts"/*.device.pstrace
        observed_as_plain 60 10000 --die "$signal" 2>"$work/shell.txt"
        "$PEAKSTEP" check --quiet "$(trace)" || fail "peakstep check after signal $signal"
    done
}

# Records nothing that was not asked for: no variables, nothing written.
case_unasked() {
    local got
    got=$(CUDA_INJECTION64_PATH=$TRACER PEAKSTEP_CUPTI=$cupti "$JOB" 5 100)
    [ "$got" = "$(plain 5 100)" ] || fail "the job says \"$got\""
    [ "$(ls "$parts")" = control ] || fail "something was written"
}

case_budget() { # little memory: rows may be lost, many times over, and are counted
    local lost
    export PEAKSTEP_BUDGET_BYTES=1MiB
    observed_as_plain 1500 0 --threads 4 --leak-free
    "$PEAKSTEP" check --quiet "$(trace)" || fail "peakstep check"
    lost=$(rows loss dropped-records)
    echo "$(figure kernel) of 12000 kernels, $lost losses"
    [ "$(figure kernel)" = 12000 ] || [ "$lost" -gt 0 ] || fail "a silent loss"
}

case_max_bytes() {
    export PEAKSTEP_MAX_BYTES=20KiB
    observed_as_plain 1000 1000 --threads 2
    "$PEAKSTEP" check --quiet "$(trace)" || fail "peakstep check"
    expect_rows 1 meta 'stopped-by,max-bytes'
    [ "$(stat -c %s "$(trace)")" -lt 200000 ] || fail "the file is larger"
}

case_pauses() { # PEAKSTEP_STEPS that begin later: device work is not recorded, memory is
    export PEAKSTEP_STEPS=5:6
    observed_as_plain 20 100 --leak-free
    "$PEAKSTEP" check --quiet "$(trace)" || fail "peakstep check"
    expect_figure kernel 0
    expect_rows 22 driver_memory ,alloc,device,
}

case $1 in
layout_*)
    layout "${1#layout_}"
    ;;
cupti_missing)
    cupti=$work/libcupti.so.13
    expect_no_device 'cannot load'
    ;;
cupti_incomplete) # some other library
    cupti=$TRACER
    expect_no_device 'too old'
    ;;
cupti_old)
    export STANDIN_CUPTI_VERSION=12
    expect_no_device 'API version 12'
    ;;
cupti_busy)
    export STANDIN_CUPTI_BUSY=1
    expect_no_device 'another CUPTI client'
    ;;
*)
    "case_$1"
    ;;
esac
echo "passed"
