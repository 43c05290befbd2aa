/* SPDX-License-Identifier: MIT
 *
 * A transformer layer: x + attention(norm(x)), then the same with the
 * feed-forward.
 */
#include "workload/megatron/parts.h"

/* x + branch in a tensor of its own; takes both. */
static ps_tensor add(ps__meg *self, ps_tensor x, ps_tensor branch)
{
    const int64_t elements = self->slice * self->shape->hidden;
    const ps_tensor sum = ps__meg_make(self, elements);
    ps__meg_kernel(self, "add", 3 * elements);
    ps_eager_drop(self->e, branch);
    ps_eager_drop(self->e, x);
    return sum;
}

ps_tensor ps__meg_layer_forward(ps__meg *self, ps__meg_layer *kept, ps_tensor x)
{
    x = add(self, x, ps__meg_attention_forward(self, &kept->attention, x));
    return add(self, x, ps__meg_mlp_forward(self, &kept->mlp, x));
}

ps_tensor ps__meg_layer_backward(ps__meg *self, ps__meg_layer *kept, ps_tensor grad)
{
    ps_tensor part = ps__meg_mlp_backward(self, &kept->mlp, grad);
    ps__meg_accumulate(self, &grad, part);
    part = ps__meg_attention_backward(self, &kept->attention, grad);
    ps__meg_accumulate(self, &grad, part);
    return grad;
}
