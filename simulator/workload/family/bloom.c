/* SPDX-License-Identifier: MIT
 *
 * BLOOM as transformers 4.51 writes it: attention is always written out, with
 * positions as slopes in the product of scores.
 */
#include "base/memory.h"
#include "workload/eager/ops_matrix.h"
#include "workload/family/alibi.h"
#include "workload/family/bloom_gelu.h"
#include "workload/model/masks.h"
#include "workload/model/scores.h"
#include "workload/model/shape_reader.h"

typedef struct shape {
    int64_t layers, hidden, heads, vocabulary;
    double hidden_dropout, attention_dropout;
    bool is_tied, keeps_cache, has_residual_after_norm;
} shape;

typedef struct layer {
    ps_norm before_attention, before_mlp;
    ps_linear qkv, dense, widen, narrow;
} layer;

typedef struct bloom {
    shape shape;
    ps_tensor words, head;
    ps_norm first, final;
    layer *layer;
    ps_tensor *cache; /* values and keys of each layer, while a forward pass runs */
} bloom;

/* Tensors that a block is given, for a recomputation to keep. */
typedef enum given {
    ALIBI,
    MASK,
    RANGE, /* cache_position, which no block uses */
    GIVEN_COUNT,
} given;

/* What a block is given besides its input. */
typedef struct pass {
    ps_attention_shape heads;
    ps_tensor given[GIVEN_COUNT];
    ps_tensor *cache; /* NULL: none is kept */
} pass;

static ps_code read_shape(const ps_model_config *config, shape *n, ps_error *err)
{
    ps_shape_reader r = {.config = config, .err = err};
    n->layers = ps_shape_size_or(&r, "n_layer", "num_hidden_layers", 2);
    n->hidden = ps_shape_size_or(&r, "n_embed", "hidden_size", 64);
    n->heads = ps_shape_size_or(&r, "n_head", "num_attention_heads", 8);
    n->vocabulary = ps_shape_size(&r, "vocab_size", 250880);
    n->hidden_dropout = ps_shape_share(&r, "hidden_dropout", 0.0);
    n->attention_dropout = ps_shape_share(&r, "attention_dropout", 0.0);
    n->is_tied = ps_shape_flag(&r, "tie_word_embeddings", true);
    n->keeps_cache = ps_shape_outputs(&r);
    n->has_residual_after_norm =
        ps_shape_flag(&r, "apply_residual_connection_post_layernorm", false);
    ps_shape_divides(&r, "hidden_size", n->hidden, "n_head", n->heads);
    if (r.code == PS_OK && ps_shape_flag(&r, "slow_but_exact", false) &&
        ps_shape_size(&r, "pretraining_tp", 1) > 1) {
        return ps_fail(err, PS_BAD_INPUT,
                       "%s: \"slow_but_exact\" with \"pretraining_tp\" above 1 is not modelled",
                       ps_model_config_name(config));
    }
    return r.code;
}

/* ---- making ---- */

static void make_layer(ps_model *m, const shape *n, layer *made)
{
    made->before_attention = ps_norm_make(m, n->hidden);
    made->qkv = ps_linear_make(m, "query_key_value", n->hidden, 3 * n->hidden, true);
    made->dense = ps_linear_make(m, "dense", n->hidden, n->hidden, true);
    made->before_mlp = ps_norm_make(m, n->hidden);
    made->widen = ps_linear_make(m, "dense_h_to_4h", n->hidden, 4 * n->hidden, true);
    made->narrow = ps_linear_make(m, "dense_4h_to_h", 4 * n->hidden, n->hidden, true);
}

static void make_modules(ps_model *m, bloom *self)
{
    const shape *n = &self->shape;
    self->words = ps_model_matrix(m, n->vocabulary, n->hidden);
    self->first = ps_norm_make(m, n->hidden);
    for (int64_t i = 0; i < n->layers; i++) {
        ps_model_make_block(m, i);
        make_layer(m, n, &self->layer[i]);
    }
    ps_model_make_block(m, -1);
    self->final = ps_norm_make(m, n->hidden);
    self->head = n->is_tied ? self->words : ps_model_matrix(m, n->vocabulary, n->hidden);
}

static void destroy(ps_model *m)
{
    bloom *self = m->state;
    if (self != NULL) {
        ps_free(self->layer);
        ps_free(self->cache);
        ps_free(self);
    }
}

static ps_code create(ps_model *m, const ps_model_config *config, ps_error *err)
{
    bloom *self = m->state = ps_calloc(1, sizeof *self);
    if (self == NULL) {
        return ps_fail_nomem(err);
    }
    PS_TRY(read_shape(config, &self->shape, err));
    self->layer = ps_calloc((size_t)self->shape.layers, sizeof *self->layer);
    self->cache = ps_calloc(2 * (size_t)self->shape.layers, sizeof *self->cache);
    if (self->layer == NULL || self->cache == NULL) {
        return ps_fail_nomem(err);
    }
    make_modules(m, self);
    return PS_OK;
}

/* ---- attention ---- */

#define PARTS 3 /* query, key, value */

/* dropout_add */
static ps_tensor add_dropped(ps_model *m, ps_tensor x, ps_tensor residual)
{
    const shape *n = &((const bloom *)m->state)->shape;
    ps_tensor dropped = ps_dropout_run(m, x, n->hidden_dropout);
    const ps_tensor out = ps_op_add(m->e, residual, dropped);
    ps_eager_clear(m->e, &dropped);
    return out;
}

/* fused[..., i, :].transpose(1, 2): a selection, then a slice of all there is */
static void take_apart(ps_model *m, ps_tensor packed, ps_tensor part[PARTS])
{
    const int64_t elements = ps_eager_elements(m->e, packed) / PARTS;
    for (int i = 0; i < PARTS; i++) {
        part[i] = ps_op_slice(m->e, packed, elements);
        ps_eager_assign(m->e, &part[i], ps_op_slice(m->e, part[i], elements));
    }
}

/* reshape(batch * heads, length, width) */
static void number_heads(ps_model *m, ps_tensor part[PARTS], const ps_attention_shape *n)
{
    for (int i = 0; i < PARTS && ps_heads_are_copied(n); i++) {
        ps_eager_assign(m->e, &part[i], ps_op_copy(m->e, part[i]));
    }
}

/* alibi.baddbmm(query, key); autocast makes its arguments narrow from the last to the first */
static ps_tensor make_scores(ps_model *m, const ps_tensor part[PARTS], const pass *about)
{
    ps_eager *e = m->e;
    const ps_attention_shape *n = &about->heads;
    const ps_bmm_shape product = {n->batch * n->heads, n->queries, n->keys, n->head_width};
    ps_tensor key = ps_op_narrow(e, part[1]), query = ps_op_narrow(e, part[0]);
    ps_tensor alibi = ps_op_narrow(e, about->given[ALIBI]);
    const ps_tensor out = ps_op_baddbmm(e, query, key, &product, n->head_width > 1);
    ps_op_in_place(e, "copy", out); /* the positions' part, to which the product is added */
    ps_eager_clear(e, &alibi);
    ps_eager_clear(e, &query);
    ps_eager_clear(e, &key);
    return out;
}

/* Softmax in 32 bits, in the type of the queries again. */
static ps_tensor make_shares(ps_model *m, ps_tensor scores, ps_dtype dtype)
{
    ps_eager *e = m->e;
    const shape *n = &((const bloom *)m->state)->shape;
    ps_tensor shares = ps_op_softmax_wide(e, scores);
    ps_eager_assign(e, &shares, ps_op_to(e, shares, dtype));
    ps_eager_assign(e, &shares, ps_dropout_run(m, shares, n->attention_dropout));
    return shares;
}

static ps_tensor mix(ps_model *m, ps_tensor shares, ps_tensor value, const ps_attention_shape *n)
{
    ps_eager *e = m->e;
    const ps_bmm_shape product = {n->batch * n->heads, n->queries, n->head_width, n->keys};
    ps_tensor out = ps_op_matmul(e, shares, value, &product, PS_MATMUL_COPIES_NONE);
    ps_eager_assign(e, &out, ps_op_view(e, out, ps_eager_elements(e, out), ps_heads_are_copied(n)));
    ps_heads_merge(m, &out, n);
    return out;
}

/* BloomAttention.forward: scores before and after the mask live as long as it */
static ps_tensor attention(ps_model *m, const layer *with, ps_tensor x, ps_tensor residual,
                           const pass *about, int64_t index)
{
    ps_eager *e = m->e;
    ps_tensor part[PARTS];
    ps_tensor packed = ps_linear_run(m, &with->qkv, x);
    take_apart(m, packed, part);
    if (about->cache != NULL) {
        about->cache[2 * index] = ps_eager_hold(e, part[2]);
        about->cache[2 * index + 1] = ps_eager_hold(e, part[1]);
    }
    number_heads(m, part, &about->heads);
    ps_tensor scores = make_scores(m, part, about);
    ps_tensor masked = ps_op_add(e, scores, about->given[MASK]);
    ps_tensor shares = make_shares(m, masked, ps_eager_dtype(e, part[0]));
    ps_tensor mixed = mix(m, shares, part[2], &about->heads);
    ps_tensor dense = ps_linear_run(m, &with->dense, mixed);
    const ps_tensor out = add_dropped(m, dense, residual);
    const ps_tensor local[] = {dense,  packed, part[0], part[1], part[2],
                               scores, masked, shares,  mixed};
    for (size_t i = 0; i < sizeof local / sizeof local[0]; i++) {
        ps_eager_drop(e, local[i]);
    }
    return out;
}

/* ---- block ---- */

static ps_tensor mlp(ps_model *m, const layer *with, ps_tensor x, ps_tensor residual)
{
    ps_tensor hidden = ps_linear_run(m, &with->widen, x);
    ps_eager_assign(m->e, &hidden, ps_bloom_gelu(m, hidden));
    ps_tensor narrow = ps_linear_run(m, &with->narrow, hidden);
    const ps_tensor out = add_dropped(m, narrow, residual);
    ps_eager_clear(m->e, &hidden);
    ps_eager_clear(m->e, &narrow);
    return out;
}

/* BloomBlock.forward */
static ps_tensor run_block(ps_model *m, const void *about, int64_t index, ps_tensor input)
{
    ps_eager *e = m->e;
    const bloom *self = m->state;
    const layer *with = &self->layer[index];
    const bool is_after = self->shape.has_residual_after_norm;
    ps_tensor normed = ps_norm_run(m, &with->before_attention, input);
    ps_tensor residual = ps_eager_hold(e, is_after ? normed : input);
    ps_tensor attended = attention(m, with, normed, residual, about, index);
    ps_eager_assign(e, &normed, ps_norm_run(m, &with->before_mlp, attended));
    ps_eager_assign(e, &residual, ps_eager_hold(e, is_after ? normed : attended));
    const ps_tensor out = mlp(m, with, normed, residual);
    ps_eager_clear(e, &normed);
    ps_eager_clear(e, &residual);
    ps_eager_clear(e, &attended);
    return out;
}

/* ---- model ---- */

static ps_tensor run_blocks(ps_model *m, const pass *about, ps_tensor embedded)
{
    const bloom *self = m->state;
    const ps_block_call call = {run_block, about, sizeof *about, about->given, GIVEN_COUNT};
    ps_tensor hidden = embedded;
    for (int64_t i = 0; i < self->shape.layers; i++) {
        ps_eager_assign(m->e, &hidden, ps_model_block(m, &call, i, hidden));
    }
    ps_eager_assign(m->e, &hidden, ps_norm_run(m, &self->final, hidden));
    return hidden;
}

static bool has_cache(const ps_model *m)
{
    return ((const bloom *)m->state)->shape.keeps_cache && !m->recipe->has_no_cache;
}

static pass begin_pass(const ps_model *m, const ps_batch *batch)
{
    const bloom *self = m->state;
    return (pass){.heads = {.batch = batch->batch,
                            .heads = self->shape.heads,
                            .kv_heads = self->shape.heads,
                            .queries = batch->length,
                            .keys = batch->length,
                            .head_width = self->shape.hidden / self->shape.heads},
                  .cache = has_cache(m) ? self->cache : NULL};
}

static ps_tensor decode(ps_model *m, const ps_batch *batch)
{
    ps_eager *e = m->e;
    const bloom *self = m->state;
    pass about = begin_pass(m, batch);
    ps_tensor words = ps_input_embedding_run(m, self->words, batch->ids, self->shape.hidden);
    about.given[RANGE] = ps_op_plain(e, "arange", batch->length, PS_DTYPE_I64);
    const ps_tensor embedded = ps_norm_run(m, &self->first, words);
    ps_tensor shown = batch->mask != 0
                          ? ps_eager_hold(e, batch->mask)
                          : ps_op_plain(e, "fill", batch->batch * batch->length, PS_DTYPE_F32);
    about.given[ALIBI] =
        ps_alibi_make(m, shown, batch->batch, self->shape.heads, ps_eager_dtype(e, embedded));
    const ps_causal_mask mask = {.batch = batch->batch,
                                 .length = batch->length,
                                 .given = shown,
                                 .dtype = ps_eager_dtype(e, words)};
    about.given[MASK] = ps_causal_mask_make(m, &mask);
    const ps_tensor hidden = run_blocks(m, &about, embedded);
    ps_eager_clear(e, &shown);
    ps_eager_clear(e, &words);
    for (given i = ALIBI; i < GIVEN_COUNT; i++) {
        ps_eager_clear(e, &about.given[i]);
    }
    return hidden;
}

static void forward(ps_model *m, const ps_batch *batch, ps_model_output *out)
{
    const bloom *self = m->state;
    ps_tensor hidden = decode(m, batch);
    const ps_linear head = {
        .weight = self->head, .in = self->shape.hidden, .out = self->shape.vocabulary};
    out->logits = ps_linear_run(m, &head, hidden);
    out->loss = ps_causal_loss(m, out->logits, batch, self->shape.vocabulary);
    ps_eager_clear(m->e, &hidden);
    for (int64_t i = has_cache(m) ? self->shape.layers : 0; i > 0; i--) {
        ps_output_keep(m, out, self->cache[2 * i - 2]);
        ps_output_keep(m, out, self->cache[2 * i - 1]);
    }
}

const ps_family ps_family_bloom = {
    .model_type = "bloom",
    .lora_target = {"query_key_value"},
    .create = create,
    .destroy = destroy,
    .forward = forward,
};
