#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Models' workloads against recordings of the same trainings and forward passes, as the section of
# docs/ACCURACY.md: agreement.sh BUILD [FOLDER]     FOLDER holds recordings as traces/models does
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
build=$(cd "${1:?usage: tests/accuracy/agreement.sh BUILD [FOLDER]}" && pwd)
folder=$(cd "${2:-$here/../../traces/models}" && pwd)
ninja -C "$build" accuracy_agreement accuracy_forward >/dev/null

cat <<'TRAININGS'
## Models and recordings of the same training

A workload that is built from a config.json and a recipe (`peakstep model`) against a recording of
that training in `traces/models`: real PyTorch 2.6 and transformers 4.51.3 under `peakstep record`,
on stand-ins for CUDA and CUPTI. Compared are every allocation and free in order and to the byte,
bytes live when the first forward begins and when the last step's phases end, the peak, what the
peak is made of (the recording's side is recovered from it), and launches of the last step by phase
and kind. "a / b" would be model / recorded; one figure stands for both where they are equal. The
test `model_agreement` holds them equal, the first step's too. What these recordings cannot tell:
which kernels a matrix product takes, for the stand-in counts one a call, and how long any lasts.
What is not in the table because phases differ: gradients that are clipped or unscaled, which the
recorder sees before the optimizer's step and the model within it.

TRAININGS
"$build/tests/accuracy/agreement/accuracy_agreement" "$folder/models.csv"
cat <<'FORWARD'
### Forward passes that others recorded

Inference on an H100 and an MI300X, from the profiler's traces of TraceLens. Only the layers
are compared: those programs ask for hidden states or logits, the model's script for a loss. Memory is in blocks of 512 bytes, above what was live when the first layer began. There is no
backward and no optimizer in them. On the H100 the only difference are counters that cuBLAS clears,
one fill a product; on the MI300X hipBLASLt takes memory of its own from the allocator for each
product with a bias, and there is one fill a layer.

FORWARD
"$here/forward.sh" "$build/tests/accuracy/agreement/accuracy_forward"
