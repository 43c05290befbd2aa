/* SPDX-License-Identifier: MIT
 *
 * GPT-2's attention as transformers 4.51 writes it: one projection to queries,
 * keys and values, and back, around scores of its own or a kernel.
 */
#include "workload/family/gpt2.h"

static ps_attention_call call_of(const ps_model *m, const ps_gpt2_pass *about)
{
    const ps_gpt2_shape *n = &ps_gpt2_of(m)->shape;
    return (ps_attention_call){.shape = ps_attention_of_itself(about->batch, about->length,
                                                               n->heads, n->hidden / n->heads),
                               .mask = about->mask,
                               .is_causal = about->mask == 0,
                               .dropout = n->attention_dropout};
}

/* Parts of one tensor lie side by side: contiguous() copies them. */
static ps_tensor kernel_attention(ps_model *m, const ps_tensor part[], const ps_gpt2_pass *about)
{
    const ps_attention_call call = call_of(m, about);
    ps_tensor query = ps_op_copy(m->e, part[PS_ATTENTION_QUERY]);
    ps_tensor key = ps_op_copy(m->e, part[PS_ATTENTION_KEY]);
    ps_tensor value = ps_op_copy(m->e, part[PS_ATTENTION_VALUE]);
    const ps_tensor out = ps_attention_run(m, query, key, value, &call);
    ps_eager_clear(m->e, &query);
    ps_eager_clear(m->e, &key);
    ps_eager_clear(m->e, &value);
    return out;
}

static ps_tensor written_attention(ps_model *m, int64_t index, const ps_tensor part[],
                                   const ps_gpt2_pass *about, ps_tensor *shares)
{
    ps_tensor out = ps_gpt2_write_out(m, index, part, about, shares);
    if (ps_gpt2_of(m)->shape.heads > 1 && about->length > 1) {
        ps_eager_assign(m->e, &out, ps_op_copy(m->e, out));
    }
    return out;
}

/* Gradients of keys come transposed from a product of scores: they lie as they must. */
static bool comes_strided(const ps_model *m, ps_tensor packed, const ps_gpt2_pass *about,
                          ps_attention_part part)
{
    if (m->recipe->attention == PS_ATTENTION_EAGER) {
        return part != PS_ATTENTION_KEY && ps_gpt2_of(m)->shape.heads > 1 && about->length > 1;
    }
    const ps_attention_call call = call_of(m, about);
    return ps_attention_returns_by_heads(m, ps_attention_dtype(m, packed), &call, part);
}

/* Query, key and value, seen by heads. */
static void project(ps_model *m, const ps_gpt2_layer *with, ps_tensor x, const ps_gpt2_pass *about,
                    ps_tensor part[PS_ATTENTION_PART_COUNT])
{
    ps_eager *e = m->e;
    ps_tensor packed = ps_linear_run(m, &with->qkv, x);
    ps_op_split(e, packed, part, PS_ATTENTION_PART_COUNT);
    ps_eager_clear(e, &packed);
    for (ps_attention_part i = PS_ATTENTION_QUERY; i < PS_ATTENTION_PART_COUNT; i++) {
        const bool is_strided = comes_strided(m, part[i], about, i);
        ps_eager_assign(e, &part[i],
                        ps_op_view(e, part[i], ps_eager_elements(e, part[i]), is_strided));
    }
}

ps_tensor ps_gpt2_attend(ps_model *m, const void *given, int64_t index, ps_tensor x)
{
    ps_eager *e = m->e;
    const ps_gpt2 *self = m->state;
    const ps_gpt2_layer *with = &self->layer[index];
    const ps_gpt2_pass *about = given;
    ps_tensor part[PS_ATTENTION_PART_COUNT];
    project(m, with, x, about, part);
    if (about->cache != NULL) {
        about->cache[2 * index] = ps_eager_hold(e, part[PS_ATTENTION_VALUE]);
        about->cache[2 * index + 1] = ps_eager_hold(e, part[PS_ATTENTION_KEY]);
    }
    ps_tensor shares = 0;
    ps_tensor mixed = m->recipe->attention == PS_ATTENTION_EAGER
                          ? written_attention(m, index, part, about, &shares)
                          : kernel_attention(m, part, about);
    ps_eager_assign(e, &mixed, ps_linear_run(m, &with->projection, mixed));
    ps_eager_assign(e, &mixed, ps_dropout_run(m, mixed, self->shape.residual_dropout));
    ps_eager_clear(e, &shares);
    for (ps_attention_part i = PS_ATTENTION_QUERY; i < PS_ATTENTION_PART_COUNT; i++) {
        ps_eager_clear(e, &part[i]);
    }
    return mixed;
}
