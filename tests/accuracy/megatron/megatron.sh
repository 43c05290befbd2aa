#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# megatron.sh PROGRAM: memory of every rank of the measured Megatron runs beside the checkout, held to
# the gates of megatron.py; skipped (77) where the runs are not there.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
truth=${PS_SHARED:-$here/../../../../shared}/truth/simumax-b200.csv
exec python3 "$here/megatron.py" "$1" "$truth" --gate
