/* SPDX-License-Identifier: MIT
 *
 * Positions as a slope a head, added to scores (private to this folder).
 */
#ifndef PS_WORKLOAD_ALIBI_H
#define PS_WORKLOAD_ALIBI_H

#include "workload/model/model.h"

/**
 * build_alibi_tensor of transformers 4.51: (batch * heads, 1, length).
 *
 * @param mask   (batch, length): which tokens count
 * @param dtype  of the result
 */
ps_tensor ps_alibi_make(ps_model *m, ps_tensor mask, int64_t batch, int64_t heads, ps_dtype dtype);

#endif
