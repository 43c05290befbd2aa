#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Section of docs/ACCURACY.md about jobs of several GPUs: many_gpus.sh BUILD_FOLDER
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
## Many GPUs

### All-reduces alone

Times of nccl-tests on eight A100 and on eight V100, predicted by NCCL's own choice of algorithm
and protocol and six (five) figures a machine, found by `tools/dev/calibrate_collectives.py` on the
rows called calibrated on. Sizes are those of the whole buffer.
HEAD
fenced python3 "$here/collectives.py" "$build/tests/accuracy/accuracy_collectives"

cat <<'MEMORY'

### Megatron on eight B200: memory of every rank

Measured peaks of `max_memory_allocated` and `max_memory_reserved`, published by SimuMax. Nothing is
fitted: the program in model asks for the same blocks in the same order. What misses is whole
segments as large as the logits (docs/MODEL.md, section 14).
MEMORY
fenced python3 "$here/megatron/megatron.py" "$build/tests/accuracy/megatron/accuracy_megatron" \
    "$truth/simumax-b200.csv"

cat <<'TIMES'

### Megatron on eight B200: step time

Three figures of the machine (`sustained-share`, `collective-delay`, `overlap-cost` in
`simulator/cluster/kernels.csv`) were found on the rows marked so by
`tools/dev/calibrate_training.py`; the others were not used. Rates of matrix products, attention and
cross entropy are the same source's measurements of single kernels. A further micro-batch of DeepSeek
V2 takes 1 to 4 % longer than predicted, of V3 4 to 6 % less; beside that, steps of two stages with
experts take some 25 ms more, which are not explained.
TIMES
fenced python3 "$here/megatron/times.py" "$peakstep" "$truth/simumax-b200.csv"

cat <<'VTRAIN'

### Megatron on 64 to 512 A100: iteration time

Two figures were found, by `tools/dev/calibrate_sustained.py`: `sustained-share` of the A100, on the
17 runs of 175 billion parameters, and `rail-change` of the cluster, on the five of 3.6 billion with 2
or 4 tensor ranks. Some runs are slow without a reason that others of the same layout share (a
micro-batch of 2 takes 1.8 times as long as one of 4; docs/MODEL.md, section 14).
VTRAIN
fenced python3 "$here/vtrain/vtrain.py" "$peakstep" "$truth/vtrain-multi.csv"

cat <<'LLMEM'

### LLMem's choice of a method

Which of LLMem's methods fit on four V100 of 16 GB, and which one its rule chooses, by the arithmetic
of its released estimator; the memory that lies under everything is one figure, found by
`llmem_choices.py --calibrate` on the rows marked.
LLMEM
fenced python3 "$here/llmem_choices.py" "$peakstep"

cat <<'TIMES'

### LLMem's methods: ratios of their times

How much longer LLMem's DP+TP and TP take than its ADP (or TP than DP+TP, where ADP does not fit), by
simulation of all three. Batches, lengths, the span of the seconds and the machine's links were not
published: `llmem_times.py` says what is assumed. Three figures were found by `llmem_times.py
--calibrate` on the rows marked: the length that batches are padded to, the host's time for an
operation on Colossal-AI's tensors, and how long a collective waits for the last rank.
TIMES
fenced python3 "$here/llmem_times.py" "$peakstep"
