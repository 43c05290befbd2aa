/* SPDX-License-Identifier: MIT
 *
 * Tensor parallelism by rows alone, as LLMem runs it with Colossal-AI: of each
 * linear module, the head too, a rank has the weights of its share of the
 * inputs, of each embedding its share of the columns.
 *
 *   linear     its share of x is copied out, multiplied, the full result summed over all ranks, and
 *              the bias added; backward gathers the gradient of x
 *   embedding  rows of its share, gathered; backward takes its share of the gradient
 *
 * Everything between linear modules is done by every rank on the full tensors: norms, attention,
 * activations, the loss. A tied head needs nothing of its own: the columns of the words are its inputs.
 */
#ifndef PS_WORKLOAD_ROW_PARALLEL_H
#define PS_WORKLOAD_ROW_PARALLEL_H

#include "workload/model/modules.h"

/** True when ranks share the modules of a model. */
bool ps_row_parallel_is_on(const ps_model *m);

/** This rank's part of `whole` columns; all of them when nobody shares. Fails the model (PS_USAGE)
 *  when ranks cannot share them evenly. */
int64_t ps_row_parallel_share(ps_model *m, int64_t whole);

/** A linear module: x of rows of with->in elements; the result is full. */
ps_tensor ps_row_parallel_linear(ps_model *m, const ps_linear *with, ps_tensor x);

/** Full rows of this rank's part of them, which is taken; the same when nobody shares. */
ps_tensor ps_row_parallel_gather(ps_model *m, ps_tensor owned);

#endif
