/* SPDX-License-Identifier: MIT
 *
 * Grouped-query attention of Megatron core: q, k and v in one product, rotary
 * positions, TransformerEngine's fused kernel of cuDNN, a row-parallel layer.
 */
#include "workload/megatron/parts.h"

/* State of the generator that a fused attention keeps, in numbers of 64 bits. */
#define RANDOM_NUMBERS 2

typedef struct widths {
    int64_t q, kv, all; /* elements of a token */
} widths;

static widths widths_of(const ps__meg *self)
{
    const int64_t head = self->shape->head;
    const widths w = {self->heads * head, self->kv_heads * head,
                      (self->heads + 2 * self->kv_heads) * head};
    return w;
}

void ps__meg_tell_attention(ps__meg *self, int64_t head, int64_t elements, bool is_backward)
{
    const uint64_t sequence = (uint64_t)self->recipe->sequence;
    const uint64_t heads =
        (uint64_t)(self->recipe->micro_batch * self->heads / self->recipe->context);
    const uint64_t products = is_backward ? 5 : 2;
    const uint64_t pairs = sequence * sequence / 2; /* that causality leaves */
    const ps_eager_kernel kernel = {.name = is_backward ? "attention_backward" : "attention",
                                    .kind = PS_KERNEL_ATTENTION,
                                    .dtype = self->dtype,
                                    .flop = products * 2 * heads * pairs * (uint64_t)head,
                                    .moved_bytes =
                                        products * (uint64_t)elements * ps_dtype_bytes(self->dtype),
                                    .batch = heads,
                                    .m = sequence,
                                    .n = sequence,
                                    .k = (uint64_t)head,
                                    .launches = 1};
    ps_op_tell(self->e, &kernel);
}

ps_tensor ps__meg_query_sums(ps__meg *self, int64_t elements)
{
    return ps_eager_make(self->e, elements, PS_DTYPE_F32, PS_ROLE_TEMPORARY);
}

static void attend(ps__meg *self, ps__meg_attention *kept)
{
    const widths w = widths_of(self);
    kept->out = ps__meg_make(self, self->tokens * w.q);
    kept->random = ps__meg_make_as(self, RANDOM_NUMBERS, PS_DTYPE_I64);
    kept->statistics = ps__meg_make_as(self, self->tokens * self->heads, PS_DTYPE_F32);
    ps__meg_tell_attention(self, self->shape->head, self->tokens * (w.q + w.kv), false);
}

/* Over the whole sequence, for this context rank's part of the heads; borrows q and k. */
static void attend_exchanged(ps__meg *self, ps__meg_attention *kept)
{
    const widths w = widths_of(self);
    ps_tensor all[3];
    ps__meg_exchange(self, (int64_t[]){w.q, w.kv, w.kv}, 3, true, all);
    ps_eager_assign(self->e, &kept->q, all[0]);
    ps_eager_assign(self->e, &kept->k, all[1]);
    attend(self, kept);
    ps__meg_exchange(self, &w.q, 1, false, &kept->exchanged);
    ps_eager_assign(self->e, &kept->v, all[2]);
}

/* Heads of q, which do not follow one another where there are several of k. */
static ps_tensor heads_of_q(ps__meg *self)
{
    const int64_t elements = self->tokens * widths_of(self).q;
    if (self->kv_heads == 1) {
        return 0;
    }
    const ps_tensor q = ps__meg_make(self, elements);
    ps__meg_kernel(self, "copy", 2 * elements);
    return q;
}

ps_tensor ps__meg_attention_forward(ps__meg *self, ps__meg_attention *kept, ps_tensor x)
{
    const widths w = widths_of(self);
    const int64_t rows = self->tokens;
    ps_tensor joined = ps__meg_norm_linear(self, &kept->norm, x, self->shape->hidden, w.all);
    ps_tensor plain = heads_of_q(self);
    ps_tensor q = ps__meg_make(self, rows * w.q);
    ps__meg_kernel(self, "rotary", 2 * rows * w.q);
    ps_eager_clear(self->e, &plain);
    ps_tensor k = ps__meg_make(self, rows * w.kv);
    ps__meg_kernel(self, "rotary", 2 * rows * w.kv);
    kept->q = ps_eager_hold(self->e, q);
    kept->k = ps_eager_hold(self->e, k);
    kept->v = ps__meg_make(self, rows * w.kv);
    ps__meg_kernel(self, "copy", 2 * rows * w.kv);
    if (self->recipe->context > 1) {
        attend_exchanged(self, kept);
    } else {
        attend(self, kept);
    }
    const ps_tensor result = ps__meg_row_linear(self, w.q);
    ps_eager_clear(self->e, &joined);
    ps_eager_clear(self->e, &q);
    ps_eager_clear(self->e, &k);
    return result;
}

/* A rotated gradient turns back, in a tensor of its own. */
static void turn_back(ps__meg *self, ps_tensor *grad, int64_t width)
{
    const ps_tensor turned = ps__meg_make(self, self->tokens * width);
    ps__meg_kernel(self, "rotary_backward", 2 * self->tokens * width);
    ps_eager_assign(self->e, grad, turned);
}

/* Takes the gradient of the output; grads receives those of q, k and v. */
static void attend_backward(ps__meg *self, ps_tensor out, ps_tensor grads[3])
{
    const widths w = widths_of(self);
    const int64_t width[] = {w.q, w.kv, w.kv};
    const bool is_exchanged = self->recipe->context > 1;
    ps_tensor whole = 0;
    if (is_exchanged) {
        ps__meg_exchange(self, &w.q, 1, true, &whole);
    }
    for (int i = 0; i < 3; i++) {
        grads[i] = ps__meg_make(self, self->tokens * width[i]);
    }
    ps_tensor sums = ps__meg_query_sums(self, self->tokens * w.q);
    ps__meg_tell_attention(self, self->shape->head, self->tokens * (w.q + w.kv), true);
    ps_eager_clear(self->e, &sums);
    if (is_exchanged) {
        ps_tensor own[3];
        ps__meg_exchange(self, width, 3, false, own);
        for (int i = 0; i < 3; i++) {
            ps_eager_assign(self->e, &grads[i], own[i]);
        }
    }
    ps_eager_clear(self->e, &whole);
    ps_eager_clear(self->e, &out);
}

ps_tensor ps__meg_attention_backward(ps__meg *self, ps__meg_attention *kept, ps_tensor grad)
{
    const widths w = widths_of(self);
    const int64_t rows = self->tokens;
    ps_tensor grads[3];
    ps_tensor out = ps__meg_row_linear_backward(self, grad, w.q);
    ps_eager_clear(self->e, &kept->exchanged);
    attend_backward(self, out, grads);
    ps_eager_clear(self->e, &kept->q);
    ps_eager_clear(self->e, &kept->k);
    ps_eager_clear(self->e, &kept->v);
    ps_eager_clear(self->e, &kept->out);
    ps_eager_clear(self->e, &kept->random);
    ps_eager_clear(self->e, &kept->statistics);
    turn_back(self, &grads[1], w.kv);
    turn_back(self, &grads[0], w.q);
    const ps_tensor joined = ps__meg_make(self, rows * w.all);
    ps__meg_kernel(self, "cat", 2 * rows * w.all);
    for (int i = 0; i < 3; i++) {
        ps_eager_clear(self->e, &grads[i]);
    }
    return ps__meg_norm_linear_backward(self, &kept->norm, joined, self->shape->hidden, w.all);
}
