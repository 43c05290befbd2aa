/* SPDX-License-Identifier: MIT
 *
 * Modules of the older Megatron's GPT.
 */
#ifndef PS_WORKLOAD_MEGATRON_GPT_H
#define PS_WORKLOAD_MEGATRON_GPT_H

#include "workload/megatron/parts.h"

void ps__meg_layer_norm(ps__meg *self, ps__meg_norm *kept, ps_tensor x);
/** Ends the record; the caller drops the gradient. */
ps_tensor ps__meg_layer_norm_backward(ps__meg *self, ps__meg_norm *kept);

/** Takes x. */
ps_tensor ps__meg_gpt_layer(ps__meg *self, ps__meg_layer *layer, ps_tensor x);
/** Takes the gradient. */
ps_tensor ps__meg_gpt_layer_backward(ps__meg *self, ps__meg_layer *layer, ps_tensor grad);

#endif
