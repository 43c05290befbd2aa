#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Makes the sample traces again: traces/regenerate.sh BUILD_FOLDER [OUT_FOLDER]
# The bytes must be those of MANIFEST.csv; a test compares them.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
build=$(cd "${1:?usage: traces/regenerate.sh BUILD_FOLDER [OUT_FOLDER]}" && pwd)
out=$(cd "${2:-$root/traces}" && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
ninja -C "$build" make_finetune peakstep >/dev/null
"$build/tests/accuracy/make_finetune" >"$scratch/finetune.json"
(cd "$scratch" && "$build/tools/peakstep" import --quiet finetune.json -o "$out/finetune.pstrace")
