#!/bin/sh
# SPDX-License-Identifier: MIT
# The plan of one policy of policies.txt, and every dependency it can lose.
#
#   run.sh PEAKSTEP MUTATIONS NAME
set -eu
bin=$1 mutations=$2 name=$3
here=$(cd "$(dirname "$0")" && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
line=$(grep "^$name |" "$here/policies.txt")
field() { echo "$line" | cut -d'|' -f"$1"; }
cd "$here"
# shellcheck disable=SC2046
"$bin" simulate $(field 4) --save-plan "$scratch/plan.psplan" >/dev/null
# shellcheck disable=SC2046
"$mutations" "$scratch/plan.psplan" $(field 2) $(field 3)
