#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Formats the C files of the tree by .clang-format: format.sh [--check] [FILE...]
# With --check changes nothing, names the files that would change, and fails if there are any.
set -euo pipefail

cd "$(dirname "$0")/../.."
mode=(-i)
if [ "${1:-}" = --check ]; then
    mode=(--dry-run --Werror)
    shift
fi
files=("$@")
if [ ${#files[@]} -eq 0 ]; then
    # tables of X-macros keep their own alignment
    mapfile -t files < <(find formats simulator replay tracer tools tests -name '*.[ch]' \
        ! -name columns.h 2>/dev/null | sort)
fi
log=$(mktemp)
trap 'rm -f "$log"' EXIT
format=$(command -v clang-format-14 || command -v clang-format)
# a batch of files a process, as many processes as cores; the warnings name what would change
if ! printf '%s\0' "${files[@]}" | xargs -0 -n 50 -P "$(nproc)" "$format" "${mode[@]}" >"$log" 2>&1; then
    sed -n 's/:[0-9]*:[0-9]*: error: .*//p' "$log" | sort -u | sed 's/^/not formatted: /' | grep . ||
        cat "$log"
    exit 1
fi
