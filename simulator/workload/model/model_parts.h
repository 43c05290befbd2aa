/* SPDX-License-Identifier: MIT
 *
 * What modules share besides model.h (private to this folder).
 */
#ifndef PS_WORKLOAD_MODEL_PARTS_H
#define PS_WORKLOAD_MODEL_PARTS_H

#include "workload/model/model.h"

/** A trained matrix of an adapter, in 32 bits or in the weights' type, as the recipe says. */
ps_tensor ps_model_adapter(ps_model *m, int64_t rows, int64_t columns);

/** Lists a linear module; returns its number, from 1, or 0 after a failure. */
uint32_t ps_model_list_linear(ps_model *m, ps_tensor weight, int64_t in, int64_t out);

#endif
