#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Section of docs/ACCURACY.md about work of the host beside the GPU: offload.sh BUILD_FOLDER
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
build=$1
peakstep=$build/tools/peakstep

fenced() {
    printf '\n```text\n'
    "$@"
    printf '```\n'
}

cat <<'HEAD'
## Offloading
HEAD

cat <<'LSP'

### LSP-Offload and its baselines on a laptop and a workstation

Times that the scripts of its repository draw with, slow-downs and memory of its paper (docs/MODEL.md,
section 12). Two figures of the machines come from one published time each, by
`tests/accuracy/lsp/calibrate.py`: the rate of products of the workstation from the paper's time of a
layer of llama-7B, the link of the laptop from the row marked so. The rest is predicted. Lengths that no
command states are assumed as the rows say; GPT-2 is trained on sentences shorter than the limit that
is taken here.
LSP
fenced python3 "$here/lsp/lsp.py" "$peakstep"
