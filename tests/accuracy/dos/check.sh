#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Errors of dos.py within their limits: check.sh PEAKSTEP. Skips (77) without the table of runs.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
shared=${PS_SHARED:-$here/../../../../shared}
exec python3 "$here/dos.py" "$1" "$shared/truth/dos-runs.csv" --check
