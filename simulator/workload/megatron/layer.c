/* SPDX-License-Identifier: MIT
 *
 * Megatron core over TransformerEngine: x + attention(norm(x)), then the same
 * with the feed-forward.
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

static bool is_latent(const ps__meg *self)
{
    return self->shape->latent.kv_rank > 0;
}

/* Whether a layer of the stage has experts. */
static bool is_mixture(const ps__meg *self, int64_t layer)
{
    const ps_megatron_experts *experts = &self->shape->experts;
    return experts->count > 0 && self->first_layer + layer >= experts->dense_layers;
}

static ps_tensor layer(ps__meg *self, ps__meg_layer *kept, ps_tensor x)
{
    x = add(self, x,
            is_latent(self) ? ps__meg_latent_forward(self, &kept->latent, x)
                            : ps__meg_attention_forward(self, &kept->attention, x));
    return add(self, x,
               is_mixture(self, self->layer) ? ps__meg_mixture_forward(self, &kept->mixture, x)
                                             : ps__meg_mlp_forward(self, &kept->mlp, x));
}

static ps_tensor layer_backward(ps__meg *self, ps__meg_layer *kept, ps_tensor grad)
{
    ps_tensor part = is_mixture(self, self->layer)
                         ? ps__meg_mixture_backward(self, &kept->mixture, grad)
                         : ps__meg_mlp_backward(self, &kept->mlp, grad);
    ps__meg_accumulate(self, &grad, part);
    part = is_latent(self) ? ps__meg_latent_backward(self, &kept->latent, grad)
                           : ps__meg_attention_backward(self, &kept->attention, grad);
    ps__meg_accumulate(self, &grad, part);
    return grad;
}

_Static_assert(sizeof(ps__meg_layer) % sizeof(ps_tensor) == 0, "a record of tensors alone");

void ps__meg_drop_layer(ps__meg *self, ps__meg_layer *kept)
{
    ps_tensor *tensor = (ps_tensor *)kept;
    for (size_t i = 0; i < sizeof *kept / sizeof *tensor; i++) {
        ps_eager_clear(self->e, &tensor[i]);
    }
}

/* ---- parameters ---- */

static void attention_parameters(ps__meg *self)
{
    const int64_t hidden = self->shape->hidden, head = self->shape->head;
    ps__meg_add_parameter(self, hidden, self->heads * head, false); /* projection comes first */
    ps__meg_add_parameter(self, 1, hidden, false);
    ps__meg_add_parameter(self, (self->heads + 2 * self->kv_heads) * head, hidden, false);
}

static void make_layer(ps__meg *self, int64_t number)
{
    const int64_t hidden = self->shape->hidden;
    if (is_latent(self)) {
        ps__meg_latent_parameters(self);
    } else {
        attention_parameters(self);
    }
    if (is_mixture(self, number)) {
        ps__meg_mixture_parameters(self);
        return;
    }
    ps__meg_add_parameter(self, 1, hidden, false);
    ps__meg_add_parameter(self, 2 * self->ffn, hidden, false);
    ps__meg_add_parameter(self, hidden, self->ffn, false);
}

static void make_beginning(ps__meg *self)
{
    if (self->is_first) {
        ps__meg_add_parameter(self, self->vocabulary, self->shape->hidden, false);
    }
    if (is_latent(self)) {
        return; /* each layer has its own table */
    }
    self->inverse_frequencies =
        ps_eager_make(self->e, self->shape->head / 2, PS_DTYPE_F32, PS_ROLE_WORKSPACE);
}

static void make_end(ps__meg *self)
{
    if (self->is_last) {
        ps__meg_add_parameter(self, 1, self->shape->hidden, false);
        ps__meg_add_parameter(self, self->vocabulary, self->shape->hidden, false);
    }
}

const ps__meg_program ps__meg_core = {.make_beginning = make_beginning,
                                      .make_layer = make_layer,
                                      .make_end = make_end,
                                      .embed = ps__meg_words,
                                      .embed_backward = ps__meg_words_backward,
                                      .layer = layer,
                                      .layer_backward = layer_backward,
                                      .head = ps__meg_head_forward,
                                      .head_backward = ps__meg_head_backward,
                                      .prepare = ps__meg_need_rope,
                                      .finish_gradients = ps__meg_sum_whole_gradients,
                                      .adds_document_end = true,
                                      .waits_for_transfers = true,
                                      .gradients = PS_DTYPE_F32};
