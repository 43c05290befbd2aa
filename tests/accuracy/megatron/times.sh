#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Step times of measured Megatron runs, with the gates of times.py: times.sh PEAKSTEP
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
truth=${PS_SHARED:-$here/../../../../shared}/truth/simumax-b200.csv
exec python3 "$here/times.py" "$1" "$truth" --gate
