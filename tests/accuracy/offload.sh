#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Section of docs/ACCURACY.md about work of the host beside the GPU: offload.sh BUILD_FOLDER
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
build=$1
truth=${PS_SHARED:-$here/../../../shared}/truth
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
layer of llama-7B, the link of the laptop from the row marked so. The rest is predicted. GPT-2 and Llama
are trained by published commands, which name modules and data: a batch of Alpaca's sentences is as long
as its longest (their mean is published, that they are spread exponentially is assumed), and
ZeRO-Offload lacks the flag for that baseline's order. Lengths that no command states are assumed as the
rows say.
LSP
fenced python3 "$here/lsp/lsp.py" "$peakstep"
cat <<'DOS'

### ZeRO-3 with the optimizer on the host: times and memory by phase

115 published runs on nodes of four A100 and of four H100: plain DeepSpeed, with gradients flushed
beside the computation, TwinFlow's ratio, Deep Optimizer States by stride, and both. Rates of memory,
cores, slots and pageable copies, what ports pass on and a hook's time were found on 21 rows by
`tools/dev/calibrate_offload.py` (called calibrated on); each machine is one kind of node, and how a run
was launched (threads bound or not) is a flag. Which mechanisms of time there are (collectives in line
with computation, copies that wait for what has just come up, rings far from all ports) was decided with
all rows in view. Peaks are the most of all iterations, the first one's included. Clean
rows are those on one node without tensor parallelism whose eight iterations were alike; all have nothing
left out. Reserved memory was published in whole GiB. The steps by stride are from published bars.
DOS
fenced python3 "$here/dos/dos.py" "$peakstep" "$truth/dos-runs.csv"
