/* SPDX-License-Identifier: MIT
 *
 * What modules share besides model.h (private to this folder).
 */
#ifndef PS_WORKLOAD_MODEL_PARTS_H
#define PS_WORKLOAD_MODEL_PARTS_H

#include "workload/model/model.h"

/** A trained matrix of an adapter, in 32 bits. */
ps_tensor ps_model_adapter(ps_model *m, int64_t rows, int64_t columns);

#endif
