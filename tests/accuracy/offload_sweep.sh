#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What the bandwidth of PCIe is worth to every policy of offload-policies.csv, as Markdown:
#
#   tests/accuracy/offload_sweep.sh [BUILD_FOLDER] > docs/OFFLOAD_SWEEP.md
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
build=$(cd "${1:-$here/../../build/gcc-release}" && pwd)
exec python3 "$here/offload_sweep.py" "$build/tools/peakstep"
