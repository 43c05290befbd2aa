/* SPDX-License-Identifier: MIT
 *
 * RMS norm of TransformerEngine: keeps its input, one over the root of the
 * mean square of each row, and its output for the linear layer behind it.
 */
#include "workload/megatron/parts.h"

void ps__meg_norm_forward(ps__meg *self, ps__meg_norm *kept, ps_tensor x, int64_t rows,
                          int64_t width)
{
    kept->input = ps_eager_hold(self->e, x);
    kept->spread = ps__meg_make_as(self, rows, PS_DTYPE_F32);
    kept->output = ps__meg_make(self, rows * width);
    ps__meg_kernel(self, "rms_norm", 2 * rows * width);
}

ps_tensor ps__meg_norm_backward(ps__meg *self, int64_t rows, int64_t width)
{
    const ps_tensor result = ps__meg_make(self, rows * width);
    ps_tensor weight = ps__meg_make(self, width); /* its gradient goes to the buffer at once */
    ps__meg_kernel(self, "rms_norm_backward", 3 * rows * width);
    ps_eager_clear(self->e, &weight);
    return result;
}

void ps__meg_norm_drop(ps__meg *self, ps__meg_norm *kept)
{
    ps_eager_clear(self->e, &kept->input);
    ps_eager_clear(self->e, &kept->spread);
    ps_eager_clear(self->e, &kept->output);
}
