/* SPDX-License-Identifier: MIT
 *
 * Attention of GPT-J and CodeGen (private to this folder).
 */
#ifndef PS_WORKLOAD_GPTJ_ATTENTION_H
#define PS_WORKLOAD_GPTJ_ATTENTION_H

#include "workload/family/gptj_decoder.h"

/** GPTJAttention.forward. */
ps_tensor ps_gptj_attend(ps_model *m, ps_gptj_layer *with, ps_tensor x, const ps_gptj_pass *about,
                         int64_t index);

#endif
