#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Regenerates every sample and compares its digest with MANIFEST.csv: traces/check.sh BUILD_FOLDER
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
"$root/traces/regenerate.sh" "${1:?usage: traces/check.sh BUILD_FOLDER}" "$scratch"
while IFS=, read -r file digest _; do
    [ "$file" = file ] && continue
    for copy in "$root/traces/$file" "$scratch/$file"; do
        echo "$digest  $copy" | sha256sum --check --quiet
    done
done <"$root/traces/MANIFEST.csv"
echo "samples are what MANIFEST.csv says"
