#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# From a fresh Debian machine to a first answer: installs what is missing, builds peakstep into
# build/gcc-release and simulates the sample trace.
set -euo pipefail

cd "$(dirname "$0")/../.."
tools/dev/install_packages.sh
mkdir -p build
log=build/quickstart.log
if ! { cmake --preset gcc-release -DPS_WERROR=OFF &&
    cmake --build --preset gcc-release --target peakstep; } >"$log" 2>&1; then
    tail -n 30 "$log"
    echo "the build failed; all of it is in $log"
    exit 1
fi
echo "built build/gcc-release/tools/peakstep"
build/gcc-release/tools/peakstep simulate traces/finetune.pstrace
