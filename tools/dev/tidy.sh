#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Runs clang-tidy over the C files of the product: tidy.sh [--fast] BUILD [FILE...]
# --fast leaves out the path-sensitive analyser, which takes most of the time.
# BUILD is a configured build folder (its compile_commands.json and generated headers are used).
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
checks=
if [ "${1:-}" = --fast ]; then
    checks='-clang-analyzer-*'
    shift
fi
if [ $# -lt 1 ] || [ ! -f "$1/compile_commands.json" ]; then
    echo "usage: $0 [--fast] BUILD [FILE...]" >&2
    exit 2
fi
build=$(cd "$1" && pwd)
shift
cd "$root"

tidy=$(command -v clang-tidy-14 || command -v clang-tidy)
files=("$@")
if [ ${#files[@]} -eq 0 ]; then
    # only what the build compiles: a file in no target has no flags to check it with
    mapfile -t files < <(sed -n 's/^ *"file": "\(.*\)",*$/\1/p' "$build/compile_commands.json" |
        sort -u | grep -E "^$root/(formats|simulator|replay|tracer|tools)/.*\.c$")
fi

if [ ${#files[@]} -eq 0 ]; then
    echo "clang-tidy: $build compiles no file of $root" >&2
    exit 2
fi

# One file a process: checkers of version 14 carry state from file to file.
# shellcheck disable=SC2317  # called through xargs
check() {
    local file=$1 model=("--extra-arg=-include$root/tools/dev/tidy_model.h")
    if [[ $file == */base/status.c ]]; then
        model=()
    fi
    "$tidy" -p "$build" --quiet --checks="$checks" "${model[@]}" "$file" 2>/dev/null
}
export -f check
export root tidy build checks

log=$(mktemp)
trap 'rm -f "$log"' EXIT
status=0
# shellcheck disable=SC2016  # $1 is for the inner shell
printf '%s\0' "${files[@]}" |
    xargs -0 -n 1 -P "$(nproc)" bash -c 'check "$1"' _ >"$log" || status=1
# a header's finding is reported once for every file that includes it
grep -aE '(warning|error):' "$log" | sed "s|^$root/||" | sort -u || true
echo "clang-tidy: ${#files[@]} files, $([ "$status" -eq 0 ] && echo passed || echo FAILED)"
exit "$status"
