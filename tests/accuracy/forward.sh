#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Forward passes recorded by others against models: forward.sh PROGRAM [check]
# With "check": the table must be forward.md. Exit status 77 when the recordings are not there.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
recordings=$here/../../../shared/traces/real/AMD-AGI+TraceLens/tests/traces
[ -d "$recordings" ] || exit 77
table() {
    "$1" "$here/forward.csv" "$here/models" "$recordings"
}
if [ "${2:-}" = check ]; then
    table "$1" | diff "$here/forward.md" -
else
    table "$1"
fi
