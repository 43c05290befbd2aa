#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The samples are those of MANIFEST.csv, and making them again gives the same rows:
# traces/check.sh BUILD_FOLDER. (Another version of zstd may pack the same rows into other bytes.)
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
build=$(cd "${1:?usage: traces/check.sh BUILD_FOLDER}" && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
"$root/traces/regenerate.sh" "$build" "$scratch" >/dev/null
while IFS=, read -r file digest _; do
    [ "$file" = file ] && continue
    echo "$digest  $root/traces/$file" | sha256sum --check --quiet
    for copy in "$root/traces" "$scratch"; do
        "$build/tools/peakstep" dump --format jsonl "$copy/$file" | sha256sum
    done | uniq | wc -l | grep -qx 1 || {
        echo "$file is not what its program makes"
        exit 1
    }
done <"$root/traces/MANIFEST.csv"
echo "the samples are what MANIFEST.csv says"
