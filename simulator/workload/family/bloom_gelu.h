/* SPDX-License-Identifier: MIT
 *
 * BLOOM's own GELU: a function with a backward of its own, in which every
 * step makes a tensor (private to this folder).
 */
#ifndef PS_WORKLOAD_BLOOM_GELU_H
#define PS_WORKLOAD_BLOOM_GELU_H

#include "workload/model/model.h"

/** BloomGelu: keeps its input alone; when the model is evaluated, operations with their graph. */
ps_tensor ps_bloom_gelu(ps_model *m, ps_tensor x);

#endif
