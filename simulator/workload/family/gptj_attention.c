/* SPDX-License-Identifier: MIT
 *
 * Attention of GPT-J and CodeGen: a part of each head is turned by position,
 * pair by pair; scores are written out, in 32 bits.
 */
#include "workload/family/gptj_attention.h"

#include "workload/model/scores.h"

ps_tensor ps_gptj_keep(ps_gptj_heads *own, ps_tensor owned)
{
    own->local[own->local_count++] = owned;
    return owned;
}

/* ---- turning ---- */

/* x[:, :, :, a:b]: each colon is a slice of its own, and fills a gradient of its own */
static ps_tensor columns(ps_eager *e, ps_tensor x, int64_t elements)
{
    ps_tensor part = ps_eager_hold(e, x);
    for (int i = 0; i < 3; i++) {
        ps_eager_assign(e, &part, ps_op_slice(e, part, ps_eager_elements(e, x)));
    }
    if (elements < ps_eager_elements(e, x)) { /* all columns: the tensor itself */
        ps_eager_assign(e, &part, ps_op_slice(e, part, elements));
    }
    return part;
}

/* rotate_every_two: stack((-odd, even)) */
static ps_tensor swap_pairs(ps_eager *e, ps_tensor x)
{
    const int64_t half = ps_eager_elements(e, x) / 2;
    ps_tensor even = columns(e, x, half), odd = columns(e, x, half);
    ps_tensor negative = ps_op_neg(e, odd);
    const ps_tensor out = ps_op_cat(e, negative, even);
    ps_op_in_place(e, "copy", even); /* neighbours are put together one input after the other */
    ps_eager_clear(e, &negative);
    ps_eager_clear(e, &even);
    ps_eager_clear(e, &odd);
    return out;
}

/* apply_rotary_pos_emb: x * cos + swapped(x) * sin, each number of the table for two columns */
static ps_tensor turn(ps_eager *e, ps_tensor x, int64_t table)
{
    ps_tensor sin = ps_op_plain(e, "copy", table, PS_DTYPE_F32);
    ps_tensor cos = ps_op_plain(e, "copy", table, PS_DTYPE_F32);
    ps_tensor straight = ps_op_mul(e, x, cos);
    ps_tensor swapped = swap_pairs(e, x);
    ps_tensor turned = ps_op_mul(e, swapped, sin);
    ps_eager_clear(e, &swapped);
    const ps_tensor out = ps_op_add(e, straight, turned);
    ps_eager_clear(e, &straight);
    ps_eager_clear(e, &turned);
    ps_eager_clear(e, &sin);
    ps_eager_clear(e, &cos);
    return out;
}

/* A head's turned columns and those left as they are: all sliced before the first is turned. */
typedef struct halves {
    ps_tensor turned, passed;
} halves;

static halves cut(ps_eager *e, ps_tensor x, const ps_gptj_pass *about, int64_t width)
{
    const ps_attention_shape *n = &about->heads;
    const int64_t turned = n->batch * n->queries * n->heads * width;
    return (halves){columns(e, x, turned), columns(e, x, ps_eager_elements(e, x) - turned)};
}

static void turn_heads(ps_model *m, const ps_gptj_pass *about, ps_gptj_heads *own)
{
    ps_eager *e = m->e;
    const int64_t width = ((const ps_gptj *)m->state)->shape.turned_width;
    const int64_t table = about->heads.queries * width;
    halves key = cut(e, own->key, about, width), query = cut(e, own->query, about, width);
    ps_eager_assign(e, &key.turned, turn(e, key.turned, table));
    ps_eager_assign(e, &query.turned, turn(e, query.turned, table));
    ps_eager_assign(e, &own->key, ps_op_cat(e, key.turned, key.passed));
    ps_eager_assign(e, &own->query, ps_op_cat(e, query.turned, query.passed));
    const ps_tensor local[] = {key.turned, key.passed, query.turned, query.passed};
    for (size_t i = 0; i < sizeof local / sizeof local[0]; i++) {
        (void)ps_gptj_keep(own, local[i]);
    }
}

/* ---- scores ---- */

/* The library of 2023: where(causal, scores, a number that comes from the host each time). */
static ps_tensor hide_later(ps_model *m, const ps_gptj_layer *with, ps_tensor scores)
{
    ps_tensor least = ps_op_from_host(m->e, 1, ps_eager_dtype(m->e, scores));
    const ps_tensor out = ps_op_where(m->e, with->causal, scores);
    ps_eager_clear(m->e, &least);
    return out;
}

/* Scores over the root of the width (a number on the host), with the mask before it or after. */
static ps_tensor masked_scores(ps_model *m, const ps_gptj_layer *with, const ps_tensor *wide,
                               const ps_gptj_pass *about)
{
    ps_eager *e = m->e;
    const bool is_masked_first =
        !ps_model_is_of_2023(m) && ((const ps_gptj *)m->state)->way->masks_before_scale;
    ps_tensor scores = ps_scores_make(m, wide[0], wide[1], &about->heads);
    if (is_masked_first) {
        ps_op_add_into(e, scores, about->mask);
    }
    ps_eager_assign(e, &scores, ps_op_mul_number(e, scores));
    if (ps_model_is_of_2023(m)) {
        ps_eager_assign(e, &scores, hide_later(m, with, scores));
    }
    if (!is_masked_first) {
        ps_eager_assign(e, &scores, ps_op_add(e, scores, about->mask));
    }
    return scores;
}

/* _attn; the weights are returned too, and live as long as attention runs */
static ps_tensor mix(ps_model *m, const ps_gptj_layer *with, ps_gptj_heads *own,
                     const ps_gptj_pass *about)
{
    ps_eager *e = m->e;
    const ps_gptj_shape *n = &((const ps_gptj *)m->state)->shape;
    ps_tensor wide[] = {ps_op_to(e, own->query, PS_DTYPE_F32), ps_op_to(e, own->key, PS_DTYPE_F32)};
    ps_tensor weights = masked_scores(m, with, wide, about);
    ps_tensor whole = ps_op_widen(e, weights);
    ps_eager_assign(e, &weights, ps_op_softmax(e, whole));
    ps_eager_clear(e, &whole);
    ps_eager_assign(e, &weights, ps_op_to(e, weights, ps_eager_dtype(e, own->value)));
    ps_eager_assign(e, &weights, ps_dropout_run(m, weights, n->attention_dropout));
    const ps_tensor out = ps_scores_apply(m, weights, own->value, &about->heads);
    ps_eager_clear(e, &wide[0]);
    ps_eager_clear(e, &wide[1]);
    (void)ps_gptj_keep(own, weights);
    return out;
}

static void remember(ps_model *m, const ps_gptj_pass *about, int64_t index, ps_dtype dtype,
                     ps_gptj_heads *own)
{
    if (about->cache == NULL) {
        return;
    }
    if (((const ps_gptj *)m->state)->way->casts_cached_key) {
        ps_eager_assign(m->e, &own->key, ps_op_to(m->e, own->key, dtype));
    }
    about->cache[2 * index] = ps_eager_hold(m->e, own->value);
    about->cache[2 * index + 1] = ps_eager_hold(m->e, own->key);
}

static void end(ps_model *m, ps_gptj_heads *own)
{
    ps_eager_clear(m->e, &own->query);
    ps_eager_clear(m->e, &own->key);
    ps_eager_clear(m->e, &own->value);
    for (size_t i = 0; i < own->local_count; i++) {
        ps_eager_clear(m->e, &own->local[i]);
    }
}

static void bring_table(ps_model *m, ps_gptj_layer *with)
{
    const ps_gptj_shape *n = &((const ps_gptj *)m->state)->shape;
    if (with->table == 0) {
        with->table = ps_model_buffer(m, n->positions * n->turned_width, PS_DTYPE_F32);
    }
}

ps_tensor ps_gptj_attend(ps_model *m, ps_gptj_layer *with, ps_tensor x, const ps_gptj_pass *about,
                         int64_t index)
{
    ps_eager *e = m->e;
    const ps_gptj *self = m->state;
    ps_gptj_heads own = {0};
    self->way->project(m, with, x, about, &own);
    bring_table(m, with);
    self->way->look_up(m, with, about, &own);
    turn_heads(m, about, &own);
    remember(m, about, index, ps_eager_dtype(e, x), &own);
    ps_tensor mixed = mix(m, with, &own, about);
    ps_heads_merge(m, &mixed, &about->heads);
    ps_eager_assign(e, &mixed, ps_linear_run(m, &with->projection, mixed));
    ps_eager_assign(e, &mixed, ps_dropout_run(m, mixed, self->shape.residual_dropout));
    end(m, &own);
    return mixed;
}
