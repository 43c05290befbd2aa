#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Predictions beside the measured runs of every table here, as Markdown for docs/ACCURACY.md:
#
#   tests/accuracy/validate.sh [BUILD_FOLDER]
#
# The tables are made by scenarios.py and say in their first lines what stands for what. The
# recordings of traces.csv are looked for in $PS_SHARED (default: the folder "shared" beside the
# checkout). A table of which no row can be simulated is named and passed over.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
build=${1:-$root/build/gcc-release}
shared=${PS_SHARED:-$root/../shared}
peakstep=$build/tools/peakstep
[ -x "$peakstep" ] || { echo "validate.sh: no $peakstep" >&2; exit 4; }

# One table under its title, scored for each value of a column.
table() {
    local file=$here/$1 title=$2 group=$3 text counts
    text=$("$peakstep" validate "$file" --input-root "$shared" --quiet --summary --markdown \
        --group "$group" --keep-going --skip-missing)
    counts=$(tail -1 <<<"$text")
    printf '### %s\n\n' "$title"
    sed -n '/^#/!q; s/^# \{0,1\}//p' "$file"
    if [[ $counts == *": 0 evaluated"* ]]; then
        printf '\nNothing of it can be simulated: %s.\n\n' "$counts"
    else
        printf '\n%s.\n\n' "$text"
    fi
}

printf '## Measured runs\n\n'
# shellcheck disable=SC2016 # no expansion is meant
printf 'Each table lies in `tests/accuracy` and can be run again: `peakstep validate TABLE`. Errors are\n'
printf '(predicted - measured) / measured, statistics are of absolute errors, p90 is the nearest rank.\n\n'
table traces.csv 'Recordings as they were made' group
table allocator-pairs.csv 'One stream of requests under another allocator' recorded
table xmem.csv 'Fine-tunings of language models on three GPUs' group
table zo2.csv 'ZO2: zeroth order with layers streamed from the host' group
table mezo.csv 'MeZO and full fine-tuning' group
table llmem-table2.csv 'LLMem, one GPU' group
table colm.csv 'CoLM, the training part of a step' group
