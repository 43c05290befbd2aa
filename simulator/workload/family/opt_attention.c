/* SPDX-License-Identifier: MIT
 *
 * OPT's attention as transformers 4.51 writes it: by itself, or by a kernel.
 */
#include "workload/family/opt.h"
#include "workload/model/scores.h"

typedef enum part {
    QUERY = PS_ATTENTION_QUERY,
    KEY = PS_ATTENTION_KEY,
    VALUE = PS_ATTENTION_VALUE,
    PART_COUNT,
} part;

static ps_attention_shape attention_shape(const ps_model *m, const ps_opt_pass *about)
{
    const ps_opt_shape *n = &((const ps_opt *)m->state)->shape;
    return ps_attention_of_itself(about->batch, about->length, n->heads, n->hidden / n->heads);
}

static void project(ps_model *m, const ps_opt_layer *with, ps_tensor x, const ps_opt_pass *about,
                    ps_tensor *own)
{
    const ps_attention_shape heads = attention_shape(m, about);
    own[QUERY] = ps_linear_run(m, &with->query, x);
    ps_eager_assign(m->e, &own[QUERY], ps_op_mul_number(m->e, own[QUERY]));
    ps_heads_split_view(m, &own[QUERY], &heads, false);
    own[KEY] = ps_scores_project_key(m, &with->key, x, &heads);
    own[VALUE] = ps_linear_run(m, &with->value, x);
    ps_heads_split_view(m, &own[KEY], &heads, true);
    ps_heads_split_view(m, &own[VALUE], &heads, false);
}

static ps_attention_call kernel_call(const ps_model *m, const ps_opt_pass *about)
{
    const ps_opt_shape *n = &((const ps_opt *)m->state)->shape;
    return (ps_attention_call){.shape = attention_shape(m, about),
                               .mask = about->given[PS_OPT_MASK],
                               .is_causal = about->given[PS_OPT_MASK] == 0 && about->length > 1,
                               .lies_by_tokens = true,
                               .dropout = n->attention_dropout};
}

static void split_for_kernel(ps_model *m, ps_tensor *own, part which, const ps_attention_call *call)
{
    const ps_dtype dtype = ps_attention_dtype(m, own[which]);
    ps_heads_split_view(m, &own[which], &call->shape,
                        !ps_attention_returns_by_heads(m, dtype, call, (ps_attention_part)which));
}

/* A kernel takes heads as they lie, and most give gradients that lie so. */
static void project_for_kernel(ps_model *m, const ps_opt_layer *with, ps_tensor x,
                               const ps_attention_call *call, ps_tensor *own)
{
    own[QUERY] = ps_linear_run(m, &with->query, x);
    split_for_kernel(m, own, QUERY, call);
    const ps_dtype dtype = ps_attention_dtype(m, own[QUERY]);
    own[KEY] = ps_attention_pick(m, dtype, call) == PS_ATTENTION_MATH
                   ? ps_scores_project_key(m, &with->key, x, &call->shape)
                   : ps_linear_run(m, &with->key, x);
    own[VALUE] = ps_linear_run(m, &with->value, x);
    split_for_kernel(m, own, KEY, call);
    split_for_kernel(m, own, VALUE, call);
}

/* Shares before dropout live as long as attention, those after it, returned, as long as the block. */
typedef struct shares {
    ps_tensor before, after;
} shares;

/* OPTAttention.forward up to its projection */
static ps_tensor eager_attention(ps_model *m, const ps_tensor *own, const ps_opt_pass *about,
                                 shares *kept)
{
    ps_eager *e = m->e;
    const ps_opt_shape *n = &((const ps_opt *)m->state)->shape;
    const ps_attention_shape heads = attention_shape(m, about);
    ps_tensor score = ps_scores_make(m, own[QUERY], own[KEY], &heads);
    ps_eager_assign(e, &score, ps_op_add(e, score, about->given[PS_OPT_MASK]));
    if (ps_model_is_of_2023(m)) { /* no score below the least number */
        ps_eager_assign(e, &score, ps_op_maximum_number(e, score));
    }
    ps_tensor soft = ps_op_softmax_wide(e, score);
    ps_eager_assign(e, &score, ps_op_to(e, soft, ps_eager_dtype(e, own[QUERY])));
    ps_eager_clear(e, &soft);
    *kept = (shares){score, ps_dropout_run(m, score, n->attention_dropout)};
    ps_tensor out = ps_scores_apply(m, kept->after, own[VALUE], &heads);
    ps_heads_merge(m, &out, &heads);
    return out;
}

ps_tensor ps_opt_attention(ps_model *m, const ps_opt_layer *with, ps_tensor x,
                           const ps_opt_pass *about, int64_t index, ps_tensor *weights)
{
    shares kept = {0};
    ps_eager *e = m->e;
    const bool is_eager = m->recipe->attention == PS_ATTENTION_EAGER;
    const ps_attention_call call = kernel_call(m, about);
    ps_tensor own[PART_COUNT];
    if (is_eager) {
        project(m, with, x, about, own);
    } else {
        project_for_kernel(m, with, x, &call, own);
    }
    if (about->cache != NULL) {
        about->cache[2 * index] = ps_eager_hold(e, own[VALUE]);
        about->cache[2 * index + 1] = ps_eager_hold(e, own[KEY]);
    }
    ps_tensor mixed = is_eager ? eager_attention(m, own, about, &kept)
                               : ps_attention_run(m, own[QUERY], own[KEY], own[VALUE], &call);
    ps_eager_assign(e, &mixed, ps_linear_run(m, &with->projection, mixed));
    for (part i = QUERY; i < PART_COUNT; i++) {
        ps_eager_clear(e, &own[i]);
    }
    ps_eager_clear(e, &kept.before);
    *weights = kept.after;
    return mixed;
}
