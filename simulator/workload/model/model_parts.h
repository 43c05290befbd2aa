/* SPDX-License-Identifier: MIT
 *
 * What modules share besides model.h (private to this folder).
 *
 *   model.c             a model's life and what it returns
 *   model_parameters.c  parameters and buffers, in their lists
 *   model_block.c       blocks as they run, recomputed or watched
 */
#ifndef PS_WORKLOAD_MODEL_PARTS_H
#define PS_WORKLOAD_MODEL_PARTS_H

#include "workload/model/model.h"

/** Room for one more item of a list that has `count`; false: none, and the model has failed. */
bool ps_model_grow(ps_model *m, void **list, size_t *capacity, size_t count, size_t item_bytes);

/** A trained matrix of an adapter, in 32 bits or in the weights' type, as the recipe says. */
ps_tensor ps_model_adapter(ps_model *m, int64_t rows, int64_t columns);

/** Lists a linear module; returns its number, from 1, or 0 after a failure. */
uint32_t ps_model_list_linear(ps_model *m, ps_tensor weight, int64_t in, int64_t out);

#endif
