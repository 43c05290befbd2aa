/* SPDX-License-Identifier: MIT
 *
 * What modules share besides model.h (private to this folder).
 */
#ifndef PS_WORKLOAD_MODEL_PARTS_H
#define PS_WORKLOAD_MODEL_PARTS_H

#include "workload/model.h"

/** A trained parameter of an adapter, in 32 bits. */
ps_tensor ps_model_adapter(ps_model *m, int64_t elements);

#endif
