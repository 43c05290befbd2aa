/* SPDX-License-Identifier: MIT
 *
 * Gated feed-forward: norm and the two wide halves in one module, SwiGLU in
 * one kernel each way, a row-parallel layer.
 */
#include "workload/megatron/parts.h"

ps_tensor ps__meg_mlp_forward(ps__meg *self, ps__meg_mlp *kept, ps_tensor x)
{
    const int64_t ffn = self->ffn, rows = self->tokens;
    kept->wide = ps__meg_norm_linear(self, &kept->norm, x, self->shape->hidden, 2 * ffn);
    kept->active = ps__meg_make(self, rows * ffn);
    ps__meg_kernel(self, "swiglu", 3 * rows * ffn);
    return ps__meg_row_linear(self, ffn);
}

ps_tensor ps__meg_mlp_backward(ps__meg *self, ps__meg_mlp *kept, ps_tensor grad)
{
    const int64_t ffn = self->ffn, rows = self->tokens;
    ps_tensor active = ps__meg_row_linear_backward(self, grad, ffn);
    ps_eager_clear(self->e, &kept->active);
    const ps_tensor wide = ps__meg_make(self, rows * 2 * ffn);
    ps__meg_kernel(self, "swiglu_backward", 5 * rows * ffn);
    ps_eager_clear(self->e, &active);
    ps_eager_clear(self->e, &kept->wide);
    return ps__meg_norm_linear_backward(self, &kept->norm, wide, self->shape->hidden, 2 * ffn);
}
