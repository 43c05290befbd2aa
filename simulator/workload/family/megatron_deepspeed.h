/* SPDX-License-Identifier: MIT
 *
 * Functions of Megatron-DeepSpeed whose backward is written by hand.
 */
#ifndef PS_WORKLOAD_MEGATRON_DEEPSPEED_H
#define PS_WORKLOAD_MEGATRON_DEEPSPEED_H

#include "workload/eager/ops.h"

/** Ranks that share matrices add up a tensor in place; parts 1: nothing. */
void ps_megatron_add_parts(ps_eager *e, ps_tensor x, int64_t parts);

/** The tensor itself; backward adds up its gradient over those ranks. */
ps_tensor ps_megatron_copy_to_parts(ps_eager *e, ps_tensor x, int64_t parts);

/** Scaled, masked softmax in one kernel; backward writes over the gradient. Keeps its result. */
ps_tensor ps_megatron_masked_softmax(ps_eager *e, ps_tensor scores);

/**
 * Cross entropy of logits in 32 bits, a number for each of `rows`: exponentials are kept, and
 * backward writes the gradient over them.
 */
ps_tensor ps_megatron_cross_entropy(ps_eager *e, ps_tensor logits, ps_tensor labels, int64_t rows);

/**
 * residual + dropout(x), a function in TorchScript. It is told to record for autograd, in a first pass
 * without it too, and then PyTorch makes a mask, 1 byte an element, and a copy of x even where nothing
 * is dropped, as here.
 *
 * @param mask  owned by the caller, who keeps it as long as the result's graph lives
 */
ps_tensor ps_megatron_drop_and_add(ps_eager *e, ps_tensor x, ps_tensor residual, ps_tensor *mask);

#endif
