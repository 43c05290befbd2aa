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
format=$(command -v clang-format-14 || command -v clang-format)
status=0
for file in "${files[@]}"; do
    if ! "$format" "${mode[@]}" "$file" 2>/dev/null; then
        echo "not formatted: $file"
        status=1
    fi
done
exit "$status"
