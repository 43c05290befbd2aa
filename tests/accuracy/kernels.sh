#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The cost model against recorded kernels of known shape: kernels.sh PROGRAM [check]
# Prints the tables of docs/ACCURACY.md. With check prints nothing and fails when
# an error of the half that nothing was fitted to is larger than documented.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
program=$1
shared=${PS_SHARED:-$root/../shared}
if [ ! -f "$shared/traces/real/MANIFEST.csv" ] || [ ! -d "$shared/truth/simumax" ]; then
    echo "skipped: no recordings in $shared" >&2
    exit 77
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 "$root/tests/accuracy/kernels.py" recordings "$shared/traces/real" >"$folder/recordings.csv"
python3 "$root/tests/accuracy/kernels.py" tables "$shared/truth/simumax" >"$folder/tables.csv"
python3 "$root/tests/accuracy/kernels.py" half "$shared/truth/simumax" >"$folder/half.csv"
{
    "$program" --formulas --machine "$root/tests/accuracy/machines.csv" "$folder/recordings.csv"
    "$program" --formulas "$folder/tables.csv" | sed 1,2d
    "$program" --formulas --shapes "$folder/half.csv" "$folder/tables.csv" | grep '^| check' |
        sed 's/ table |/ table, with its other half |/'
} >"$folder/all.md"

if [ "${2:-}" != check ]; then
    cat "$folder/all.md"
    exit
fi

# recording, operations, largest median error in percent
status=0
while IFS='|' read -r recording kind most; do
    found=$(awk -F' *[|] *' -v r="$recording" -v k="$kind" \
        '$2 == "check" && $3 == r && $4 == k { sub(" %", "", $6); print $6 }' "$folder/all.md")
    if [ -z "$found" ] || awk -v a="$found" -v b="$most" 'BEGIN { exit !(a > b) }'; then
        echo "$recording, $kind: median error ${found:-unknown} %, documented $most %" >&2
        status=1
    fi
done <<'LIMITS'
A100-PCIe-80 table|matmul|5
A100-PCIe-80 table|attention-forward|10
A100-PCIe-80 table|attention-backward|15
B200-SXM table|matmul|10
B200-SXM table|attention-forward|20
B200-SXM table|attention-backward|25
A100 Particle Transformer 16|matmul|15
A100 Particle Transformer 16|memory|15
A100-PCIe-80 table, with its other half|matmul|4
B200-SXM table, with its other half|matmul|8
B200-SXM table, with its other half|attention-forward|3
B200-SXM table, with its other half|attention-backward|3
H100 VGG-13|matmul|6
H100 VGG-13|memory|12
H100 ViT|matmul|30
V100 ResNet-50 workers 4|memory|15
T4 MLP amp|matmul|20
LIMITS
exit "$status"
