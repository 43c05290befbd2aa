/* SPDX-License-Identifier: MIT
 *
 * Attention of a decoder, line by line as transformers 4.51 writes LlamaAttention, and
 * Phi3Attention with its one projection for queries, keys and values.
 */
#include "workload/family/decoder_parts.h"

static const ps_decoder_shape *shape_of(const ps_model *m)
{
    return &((const ps_decoder *)m->state)->shape;
}

void ps_decoder_make_attention(ps_model *m, const ps_decoder_shape *n, ps_decoder_layer *made)
{
    const int64_t width = n->heads * n->head_width, kv_width = n->kv_heads * n->head_width;
    if (n->is_packed) {
        made->output = ps_linear_make(m, "o_proj", width, n->hidden, n->has_output_bias);
        made->packed =
            ps_linear_make(m, "qkv_proj", n->hidden, width + 2 * kv_width, n->has_qkv_bias);
        return;
    }
    made->query = ps_linear_make(m, "q_proj", n->hidden, width, n->has_qkv_bias);
    made->key = ps_linear_make(m, "k_proj", n->hidden, kv_width, n->has_qkv_bias);
    made->value = ps_linear_make(m, "v_proj", n->hidden, kv_width, n->has_qkv_bias);
    made->output = ps_linear_make(m, "o_proj", width, n->hidden, n->has_output_bias);
    if (n->has_head_norms) {
        made->query_norm = ps_rms_norm_make(m, n->head_width);
        made->key_norm = ps_rms_norm_make(m, n->head_width);
    }
    if (n->is_early) {
        ps_rotary_make(m, n->head_width);
    }
    if (n->table_positions > 0) {
        made->table = ps_rotary_table_make(m, n->table_positions, n->head_width);
    }
}

static ps_attention_call call_of(const ps_model *m, const ps_decoder_pass *about)
{
    const ps_decoder_shape *n = shape_of(m);
    return (ps_attention_call){.shape = {.batch = about->batch,
                                         .heads = n->heads,
                                         .kv_heads = n->kv_heads,
                                         .queries = about->length,
                                         .keys = about->length,
                                         .head_width = n->head_width},
                               .mask = about->mask,
                               .mask_pitch = about->mask_pitch,
                               .is_causal = about->mask == 0 && about->length > 1,
                               .lies_by_tokens = n->is_early && about->mask == 0,
                               .is_put_together = n->turned_width > 0,
                               .caps_scores = n->caps_scores,
                               .dropout = n->attention_dropout};
}

/* norm(x by heads); the norm passes a strided gradient on as it is */
static ps_tensor by_heads(ps_model *m, ps_tensor owned, const ps_rms_norm *norm, bool is_by_heads)
{
    ps_tensor seen = ps_heads_split(m, owned, is_by_heads);
    if (norm != NULL && norm->weight != 0) {
        ps_eager_assign(m->e, &seen, ps_rms_norm_run(m, norm, seen));
    }
    return seen;
}

static void see_query(ps_model *m, const ps_decoder_layer *with, const ps_attention_shape *n,
                      ps_heads_trio *of)
{
    of->query = by_heads(m, of->query, &with->query_norm, !ps_heads_are_rows(n, n->heads));
}

static void see_key(ps_model *m, const ps_decoder_layer *with, const ps_attention_shape *n,
                    ps_heads_trio *of)
{
    of->key = by_heads(m, of->key, &with->key_norm, !ps_heads_are_rows(n, n->kv_heads));
}

/* Values do not turn: their gradient lies as attention returns it. */
static void see_value(ps_model *m, const ps_attention_call *call, ps_heads_trio *of)
{
    of->value = by_heads(m, of->value, NULL, ps_heads_return_value_by_heads(m, of->value, call));
}

static ps_heads_trio project(ps_model *m, const ps_decoder_layer *with, ps_tensor x,
                             const ps_attention_call *call)
{
    const bool is_early = shape_of(m)->is_early;
    ps_heads_trio of = {.query = ps_linear_run(m, &with->query, x)};
    if (!is_early) {
        see_query(m, with, &call->shape, &of);
    }
    of.key = ps_linear_run(m, &with->key, x);
    if (!is_early) {
        see_key(m, with, &call->shape, &of);
    }
    of.value = ps_linear_run(m, &with->value, x);
    if (is_early) {
        see_query(m, with, &call->shape, &of);
        see_key(m, with, &call->shape, &of);
    }
    see_value(m, call, &of);
    return of;
}

/* Slices of one projection, seen by heads. */
static ps_heads_trio project_packed(ps_model *m, const ps_decoder_layer *with, ps_tensor packed,
                                    const ps_attention_call *call)
{
    const ps_attention_shape *n = &call->shape;
    const int64_t rows = n->batch * n->queries * n->head_width;
    ps_heads_trio of;
    of.query = ps_op_slice(m->e, packed, rows * n->heads);
    of.key = ps_op_slice(m->e, packed, rows * n->kv_heads);
    of.value = ps_op_slice(m->e, packed, rows * n->kv_heads);
    see_query(m, with, n, &of);
    see_key(m, with, n, &of);
    see_value(m, call, &of);
    return of;
}

/* cat([turned, passed]) */
static ps_tensor turn_part(ps_model *m, const ps_rotary *rotary, const ps_rotary_parts *of)
{
    ps_tensor turned = ps_rotary_turn(m, rotary, of->turning);
    const ps_tensor out = ps_op_cat(m->e, turned, of->passing);
    ps_eager_clear(m->e, &turned);
    return out;
}

/* Phi-3's apply_rotary_pos_emb: parts of queries and keys are cut before any turns. */
static ps_heads_trio turn_parts(ps_model *m, const ps_rotary *rotary, const ps_heads_trio *of)
{
    const ps_decoder_shape *n = shape_of(m);
    ps_rotary_parts query = ps_rotary_part(m, of->query, n->head_width, n->turned_width);
    ps_rotary_parts key = ps_rotary_part(m, of->key, n->head_width, n->turned_width);
    ps_heads_trio turned = {.query = turn_part(m, rotary, &query)};
    turned.key = turn_part(m, rotary, &key);
    ps_rotary_drop_parts(m, &query);
    ps_rotary_drop_parts(m, &key);
    return turned;
}

/* apply_rotary_pos_emb */
static ps_heads_trio turn_whole(ps_model *m, const ps_rotary *rotary, const ps_heads_trio *of)
{
    ps_heads_trio turned = {.query = ps_rotary_turn(m, rotary, of->query)};
    turned.key = ps_rotary_turn(m, rotary, of->key);
    return turned;
}

static void turn(ps_model *m, const ps_rotary *rotary, ps_heads_trio *of)
{
    const ps_heads_trio turned =
        shape_of(m)->turned_width > 0 ? turn_parts(m, rotary, of) : turn_whole(m, rotary, of);
    ps_eager_assign(m->e, &of->query, turned.query);
    ps_eager_assign(m->e, &of->key, turned.key);
}

static ps_tensor attend(ps_model *m, ps_heads_trio *of, const ps_attention_call *call)
{
    const ps_heads_call about = {*call, shape_of(m)->is_early};
    return m->recipe->attention == PS_ATTENTION_EAGER ? ps_heads_eager_attention(m, of, &about)
                                                      : ps_heads_kernel_attention(m, of, &about);
}

/* By the model's cosines and sines, or those that this attention keeps. */
static void turn_at(ps_model *m, ps_decoder_layer *with, const ps_decoder_pass *about,
                    ps_heads_trio *of)
{
    if (with->table.width == 0) {
        turn(m, &about->rotary, of);
        return;
    }
    ps_rotary own =
        ps_rotary_table_take(m, &with->table, about->length, ps_eager_dtype(m->e, of->value));
    turn(m, &own, of);
    ps_rotary_end(m, &own);
}

ps_tensor ps_decoder_attend(ps_model *m, ps_decoder_layer *with, ps_tensor x,
                            const ps_decoder_pass *about, int64_t index)
{
    ps_eager *e = m->e;
    const ps_attention_call call = call_of(m, about);
    const bool is_packed = shape_of(m)->is_packed;
    ps_tensor packed = is_packed ? ps_linear_run(m, &with->packed, x) : 0;
    ps_heads_trio of =
        is_packed ? project_packed(m, with, packed, &call) : project(m, with, x, &call);
    turn_at(m, with, about, &of);
    if (about->cache != NULL) {
        about->cache[2 * index] = ps_eager_hold(e, of.key);
        about->cache[2 * index + 1] = ps_eager_hold(e, of.value);
    }
    ps_tensor mixed = attend(m, &of, &call);
    const ps_tensor out = ps_linear_run(m, &with->output, mixed);
    ps_eager_clear(e, &of.query);
    ps_eager_clear(e, &of.key);
    ps_eager_clear(e, &of.value);
    ps_eager_clear(e, &packed);
    ps_eager_clear(e, &mixed);
    return out;
}
