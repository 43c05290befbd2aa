#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Keeps the tables of docs/FORMAT.md current: format_tables.sh [--check] PROGRAM
# PROGRAM is the built format_tables. With --check nothing is written; a page that differs from
# what the program prints is shown and fails.
set -euo pipefail

check=no
if [ "${1:-}" = --check ]; then
    check=yes
    shift
fi
if [ $# -ne 1 ] || [ ! -x "$1" ]; then
    echo "usage: $0 [--check] PROGRAM" >&2
    exit 2
fi
page=$(cd "$(dirname "$0")/../.." && pwd)/docs/FORMAT.md
new=$(mktemp)
trap 'rm -f "$new"' EXIT

"$1" | awk '
    FNR == NR { tables = tables $0 "\n"; next }
    /^<!-- begin generated/ { print; printf "\n%s\n", tables; skip = 1; next }
    /^<!-- end generated/ { skip = 0 }
    !skip' - "$page" >"$new"

if [ "$check" = no ]; then
    cat "$new" >"$page"
elif ! diff -u "$page" "$new"; then
    echo "docs/FORMAT.md is out of date: build format_tables and run tools/dev/format_tables.sh"
    exit 1
fi
