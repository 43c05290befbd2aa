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

#endif
