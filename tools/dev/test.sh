#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Builds everything into build/gcc-release and runs the tests: test.sh [CTEST_OPTION...]
# What a change must pass before it goes in is more: .ci/run.
set -euo pipefail

cd "$(dirname "$0")/../.."
tools/dev/install_packages.sh
mkdir -p build
log=build/test.log
if ! { cmake --preset gcc-release -DPS_WERROR=OFF &&
    cmake --build --preset gcc-release; } >"$log" 2>&1; then
    tail -n 30 "$log"
    echo "the build failed; all of it is in $log"
    exit 1
fi
ctest --preset gcc-release --parallel "${CTEST_PARALLEL_LEVEL:-$(nproc)}" "$@"
