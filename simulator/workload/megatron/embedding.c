/* SPDX-License-Identifier: MIT
 *
 * The model's beginning: words of this rank's part of the vocabulary, summed
 * over tensor ranks, and the table of rotary positions.
 */
#include "workload/megatron/parts.h"

void ps__meg_need_rope(ps__meg *self)
{
    if (self->rope != 0 || self->shape->latent.kv_rank > 0) {
        return;
    }
    const int64_t sequence = self->recipe->sequence, head = self->shape->head;
    ps_tensor places = ps__meg_make_as(self, sequence, PS_DTYPE_F32);
    ps__meg_bytes(self, "arange", sequence * 4);
    ps_tensor angles = ps__meg_make_as(self, sequence * head / 2, PS_DTYPE_F32);
    ps__meg_bytes(self, "outer", sequence * head / 2 * 4);
    ps_eager_clear(self->e, &places);
    ps_tensor whole = ps_eager_make(self->e, sequence * head, PS_DTYPE_F32, PS_ROLE_WORKSPACE);
    ps__meg_bytes(self, "cat", sequence * head * 8);
    self->rope = whole;
    if (self->recipe->context > 1) { /* the rank keeps its part of the sequence */
        const int64_t part = sequence * head / self->recipe->context;
        self->rope = ps_eager_make(self->e, part, PS_DTYPE_F32, PS_ROLE_WORKSPACE);
        ps__meg_bytes(self, "index", part * 8);
        ps_eager_drop(self->e, whole);
    }
    ps_eager_clear(self->e, &angles);
}

ps_tensor ps__meg_words(ps__meg *self, ps__meg_micro *micro)
{
    const int64_t rows = self->tokens, hidden = self->shape->hidden;
    ps_tensor outside = 0;
    if (self->recipe->tensor > 1) {
        outside = ps__meg_make_as(self, rows, PS_DTYPE_BOOL);
        ps__meg_bytes(self, "compare", 9 * rows);
        ps_eager_assign(self->e, &micro->ids, ps__meg_make_as(self, rows, PS_DTYPE_I64));
        ps__meg_bytes(self, "subtract", 16 * rows);
    }
    const ps_tensor words = ps__meg_make(self, rows * hidden);
    ps__meg_kernel(self, "embedding", 2 * rows * hidden);
    if (self->recipe->tensor == 1) {
        return words;
    }
    ps__meg_bytes(self, "fill_outside", 2 * rows);
    const ps_tensor sum = ps__meg_reduce(self, words, hidden);
    ps_eager_clear(self->e, &outside);
    return sum;
}

void ps__meg_words_backward(ps__meg *self, ps__meg_micro *micro, ps_tensor grad)
{
    const int64_t rows = self->tokens, hidden = self->shape->hidden;
    if (self->recipe->tensor > 1) {
        ps_eager_assign(self->e, &grad, ps__meg_gather(self, grad, hidden));
        ps_eager_assign(self->e, &grad, ps__meg_make(self, rows * hidden));
        ps__meg_kernel(self, "copy", 2 * rows * hidden);
    }
    ps_tensor weight = ps_op_embedding_gradient(self->e, grad, self->vocabulary, hidden);
    ps_eager_clear(self->e, &grad);
    ps_eager_clear(self->e, &micro->ids);
    ps__meg_bytes(
        self, "add",
        self->vocabulary * hidden *
            (int64_t)(ps_dtype_bytes(self->dtype) + 2 * ps_dtype_bytes(self->grad_dtype)));
    ps_eager_clear(self->e, &weight);
}
