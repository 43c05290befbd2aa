/* SPDX-License-Identifier: MIT
 *
 * GPT-Neo as transformers 4.51 writes it: attention is always written out, with
 * scores in 32 bits, whatever the caller asks for.
 */
#include <stdio.h>

#include "base/memory.h"
#include "workload/model/masks.h"
#include "workload/model/model_pieces.h"
#include "workload/model/scores.h"
#include "workload/model/shape_reader.h"

typedef struct shape {
    int64_t layers, hidden, heads, inner, positions, vocabulary;
    double embedding_dropout, attention_dropout, residual_dropout;
    ps_activation activation;
    bool is_tied, keeps_cache;
} shape;

typedef struct layer {
    ps_norm before_attention, before_mlp;
    ps_linear key, value, query, projection, widen, narrow;
    ps_tensor causal; /* buffer: which keys a query sees; local attention hides distant ones */
} layer;

typedef struct gpt_neo {
    shape shape;
    ps_tensor words, positions, head;
    layer *layer;
    ps_norm final;
    ps_tensor *cache; /* values and keys of each layer, while a forward pass runs */
} gpt_neo;

/* What a block is given besides its input. */
typedef struct pass {
    int64_t batch, length;
    ps_tensor mask;
    ps_tensor *cache; /* NULL: none is kept */
} pass;

/*
 * attention_types says which blocks are local: [[["global", "local"], 6]]. That changes a buffer's
 * values alone, but there must be as many as blocks.
 */
static ps_code check_types(const ps_model_config *config, const shape *n, ps_error *err)
{
    int64_t blocks = 0;
    size_t groups, words;
    PS_TRY(ps_config_count(config, "attention_types", &groups, err));
    for (size_t i = 0; i < groups; i++) {
        char key[64];
        int64_t times;
        (void)snprintf(key, sizeof key, "attention_types.%zu.0", i);
        PS_TRY(ps_config_count(config, key, &words, err));
        (void)snprintf(key, sizeof key, "attention_types.%zu.1", i);
        PS_TRY(ps_config_need_int(config, key, 1, INT32_MAX, &times, err));
        blocks += (int64_t)words * times;
    }
    if (groups > 0 && blocks != n->layers) {
        return ps_fail(err, PS_BAD_INPUT,
                       "%s: \"attention_types\" has %lld layers, \"num_layers\" is %lld",
                       ps_model_config_name(config), (long long)blocks, (long long)n->layers);
    }
    return PS_OK;
}

static ps_code read_shape(const ps_model_config *config, shape *n, ps_error *err)
{
    ps_shape_reader r = {.config = config, .err = err};
    n->layers = ps_shape_size_or(&r, "num_layers", "num_hidden_layers", 24);
    n->hidden = ps_shape_size(&r, "hidden_size", 2048);
    n->heads = ps_shape_size_or(&r, "num_heads", "num_attention_heads", 16);
    n->inner = ps_shape_size(&r, "intermediate_size", 4 * n->hidden);
    n->positions = ps_shape_size(&r, "max_position_embeddings", 2048);
    n->vocabulary = ps_shape_size(&r, "vocab_size", 50257);
    n->embedding_dropout = ps_shape_share(&r, "embed_dropout", 0.0);
    n->attention_dropout = ps_shape_share(&r, "attention_dropout", 0.0);
    n->residual_dropout = ps_shape_share(&r, "resid_dropout", 0.0);
    n->activation = ps_shape_activation(&r, "activation_function", "gelu_new");
    n->is_tied = ps_shape_flag(&r, "tie_word_embeddings", true);
    n->keeps_cache = ps_shape_outputs(&r);
    ps_shape_divides(&r, "hidden_size", n->hidden, "num_heads", n->heads);
    PS_TRY(r.code);
    return check_types(config, n, err);
}

static void make_layer(ps_model *m, const shape *n, layer *made)
{
    made->before_attention = ps_norm_make(m, n->hidden);
    made->key = ps_linear_make(m, "k_proj", n->hidden, n->hidden, false);
    made->value = ps_linear_make(m, "v_proj", n->hidden, n->hidden, false);
    made->query = ps_linear_make(m, "q_proj", n->hidden, n->hidden, false);
    made->projection = ps_linear_make(m, "out_proj", n->hidden, n->hidden, true);
    made->causal = ps_model_buffer(m, n->positions * n->positions, PS_DTYPE_BOOL);
    (void)ps_model_buffer(m, 1, ps_model_loaded_type(m)); /* masked_bias */
    made->before_mlp = ps_norm_make(m, n->hidden);
    made->widen = ps_linear_make(m, "c_fc", n->hidden, n->inner, true);
    made->narrow = ps_linear_make(m, "c_proj", n->inner, n->hidden, true);
}

static void destroy(ps_model *m)
{
    gpt_neo *self = m->state;
    if (self != NULL) {
        ps_free(self->layer);
        ps_free(self->cache);
        ps_free(self);
    }
}

static ps_code create(ps_model *m, const ps_model_config *config, ps_error *err)
{
    gpt_neo *self = m->state = ps_calloc(1, sizeof *self);
    if (self == NULL) {
        return ps_fail_nomem(err);
    }
    PS_TRY(read_shape(config, &self->shape, err));
    const shape *n = &self->shape;
    self->layer = ps_calloc((size_t)n->layers, sizeof *self->layer);
    self->cache = ps_calloc(2 * (size_t)n->layers, sizeof *self->cache);
    if (self->layer == NULL || self->cache == NULL) {
        return ps_fail_nomem(err);
    }
    self->words = ps_model_matrix(m, n->vocabulary, n->hidden);
    self->positions = ps_model_matrix(m, n->positions, n->hidden);
    m->longest = n->positions;
    for (int64_t i = 0; i < n->layers; i++) {
        ps_model_make_block(m, i);
        make_layer(m, n, &self->layer[i]);
    }
    ps_model_make_block(m, -1);
    self->final = ps_norm_make(m, n->hidden);
    self->head = n->is_tied ? self->words : ps_model_matrix(m, n->vocabulary, n->hidden);
    return PS_OK;
}

/* ---- attention ---- */

typedef enum part {
    QUERY,
    KEY,
    VALUE,
    PART_COUNT,
} part;

static ps_attention_shape attention_shape(const ps_model *m, const pass *about)
{
    const shape *n = &((const gpt_neo *)m->state)->shape;
    return ps_attention_of_itself(about->batch, about->length, n->heads, n->hidden / n->heads);
}

/* Scores in 32 bits; the causal mask and the caller's; weights in the type of the values. */
static ps_tensor weights_of(ps_model *m, const layer *with, const ps_tensor *wide, ps_dtype dtype,
                            const pass *about, ps_tensor *least)
{
    ps_eager *e = m->e;
    const shape *n = &((const gpt_neo *)m->state)->shape;
    const ps_attention_shape heads = attention_shape(m, about);
    ps_tensor weights = ps_scores_make(m, wide[QUERY], wide[KEY], &heads);
    *least = ps_op_from_host(e, 1, ps_eager_dtype(e, weights));
    ps_eager_assign(e, &weights, ps_op_where(e, with->causal, weights));
    ps_eager_assign(e, &weights, ps_op_add(e, weights, about->mask));
    ps_tensor whole = ps_op_widen(e, weights);
    const ps_tensor soft = ps_op_softmax(e, whole);
    ps_eager_clear(e, &whole);
    ps_eager_assign(e, &weights, soft);
    ps_eager_assign(e, &weights, ps_op_to(e, weights, dtype));
    ps_eager_assign(e, &weights, ps_dropout_run(m, weights, n->attention_dropout));
    return weights;
}

/* _attn */
static ps_tensor attend(ps_model *m, const layer *with, const ps_tensor *own, const pass *about,
                        ps_tensor *weights)
{
    ps_eager *e = m->e;
    const ps_attention_shape heads = attention_shape(m, about);
    ps_tensor wide[] = {ps_op_to(e, own[QUERY], PS_DTYPE_F32), ps_op_to(e, own[KEY], PS_DTYPE_F32)};
    ps_tensor least;
    *weights = weights_of(m, with, wide, ps_eager_dtype(e, own[VALUE]), about, &least);
    const ps_tensor out = ps_scores_apply(m, *weights, own[VALUE], &heads);
    ps_eager_clear(e, &wide[QUERY]);
    ps_eager_clear(e, &wide[KEY]);
    ps_eager_clear(e, &least);
    return out;
}

static ps_tensor attention(ps_model *m, const layer *with, ps_tensor x, const pass *about,
                           int64_t index)
{
    ps_eager *e = m->e;
    const shape *n = &((const gpt_neo *)m->state)->shape;
    ps_tensor own[PART_COUNT], weights;
    const ps_attention_shape heads = attention_shape(m, about);
    own[QUERY] = ps_linear_run(m, &with->query, x);
    own[KEY] = ps_scores_project_key(m, &with->key, x, &heads);
    own[VALUE] = ps_linear_run(m, &with->value, x);
    for (part i = QUERY; i < PART_COUNT; i++) {
        ps_heads_split_view(m, &own[i], &heads, i == KEY);
    }
    if (about->cache != NULL) {
        about->cache[2 * index] = ps_eager_hold(e, own[VALUE]);
        about->cache[2 * index + 1] = ps_eager_hold(e, own[KEY]);
    }
    ps_tensor mixed = attend(m, with, own, about, &weights);
    ps_heads_merge(m, &mixed, &heads);
    ps_eager_assign(e, &mixed, ps_linear_run(m, &with->projection, mixed));
    ps_eager_assign(e, &mixed, ps_dropout_run(m, mixed, n->residual_dropout));
    ps_eager_clear(e, &weights);
    for (part i = QUERY; i < PART_COUNT; i++) {
        ps_eager_clear(e, &own[i]);
    }
    return mixed;
}

/* ---- block ---- */

static ps_tensor mlp(ps_model *m, const layer *with, ps_tensor x)
{
    const shape *n = &((const gpt_neo *)m->state)->shape;
    const ps_plain_mlp of = {&with->widen, &with->narrow, n->activation, n->residual_dropout};
    return ps_plain_mlp_run(m, &of, x);
}

/* GPTNeoBlock.forward */
static ps_tensor run_attention(ps_model *m, const void *about, int64_t index, ps_tensor hidden)
{
    return attention(m, &((const gpt_neo *)m->state)->layer[index], hidden, about, index);
}

static ps_tensor run_block(ps_model *m, const void *given, int64_t index, ps_tensor input)
{
    ps_eager *e = m->e;
    const pass *about = given;
    const layer *with = &((const gpt_neo *)m->state)->layer[index];
    ps_tensor hidden = ps_norm_run(m, &with->before_attention, input);
    ps_tensor attended = ps_model_attention(m, run_attention, about, 0, index, hidden);
    ps_eager_assign(e, &hidden, ps_op_add(e, attended, input));
    ps_tensor residual = ps_eager_hold(e, hidden);
    ps_eager_assign(e, &hidden, ps_norm_run(m, &with->before_mlp, hidden));
    ps_tensor fed = mlp(m, with, hidden);
    ps_eager_assign(e, &hidden, ps_op_add(e, residual, fed));
    ps_eager_clear(e, &residual);
    ps_eager_clear(e, &attended);
    ps_eager_clear(e, &fed);
    return hidden;
}

/* ---- model ---- */

static ps_tensor run_blocks(ps_model *m, const pass *about, ps_tensor hidden)
{
    const gpt_neo *self = m->state;
    const ps_block_call call = {run_block, about, sizeof *about, &about->mask, 1};
    for (int64_t i = 0; i < self->shape.layers; i++) {
        ps_eager_assign(m->e, &hidden, ps_model_block(m, &call, i, hidden));
    }
    ps_eager_assign(m->e, &hidden, ps_norm_run(m, &self->final, hidden));
    return hidden;
}

static ps_tensor decode(ps_model *m, const ps_batch *batch, ps_tensor *cache)
{
    const gpt_neo *self = m->state;
    ps_tensor words = ps_input_embedding_run(m, self->words, batch->ids, self->shape.hidden);
    ps_tensor numbers = ps_op_plain(m->e, "arange", batch->length, PS_DTYPE_I64);
    const ps_causal_mask mask = {.batch = batch->batch,
                                 .length = batch->length,
                                 .given = batch->mask,
                                 .dtype = ps_eager_dtype(m->e, words)};
    pass about = {batch->batch, batch->length, ps_causal_mask_make(m, &mask), cache};
    ps_tensor places = ps_embedding_run(m, self->positions, numbers, self->shape.hidden);
    ps_tensor hidden = ps_op_add(m->e, words, places);
    ps_eager_assign(m->e, &hidden, ps_dropout_run(m, hidden, self->shape.embedding_dropout));
    hidden = run_blocks(m, &about, hidden);
    ps_eager_clear(m->e, &words);
    ps_eager_clear(m->e, &about.mask);
    ps_eager_clear(m->e, &numbers);
    ps_eager_clear(m->e, &places);
    return hidden;
}

/* The loss is computed in 32 bits, and goes back to the type of the hidden states. */
static void lose(ps_model *m, const ps_batch *batch, ps_dtype dtype, ps_model_output *out)
{
    const gpt_neo *self = m->state;
    ps_eager_assign(m->e, &out->logits, ps_op_to(m->e, out->logits, PS_DTYPE_F32));
    out->loss = ps_causal_loss(m, out->logits, batch, self->shape.vocabulary);
    ps_eager_assign(m->e, &out->logits, ps_op_to(m->e, out->logits, dtype));
    ps_eager_assign(m->e, &out->loss, ps_op_to(m->e, out->loss, dtype));
}

static void forward(ps_model *m, const ps_batch *batch, ps_model_output *out)
{
    const gpt_neo *self = m->state;
    const bool has_cache = self->shape.keeps_cache && !m->recipe->has_no_cache;
    ps_tensor *cache = has_cache ? self->cache : NULL;
    ps_tensor hidden = decode(m, batch, cache);
    const ps_linear head = {
        .weight = self->head, .in = self->shape.hidden, .out = self->shape.vocabulary};
    out->logits = ps_linear_run(m, &head, hidden);
    lose(m, batch, ps_eager_dtype(m->e, hidden), out);
    ps_eager_clear(m->e, &hidden);
    for (int64_t i = cache == NULL ? 0 : self->shape.layers; i > 0; i--) {
        ps_output_keep(m, out, cache[2 * i - 2]);
        ps_output_keep(m, out, cache[2 * i - 1]);
    }
}

const ps_family ps_family_gpt_neo = {
    .model_type = "gpt_neo",
    .lora_target = {"q_proj", "v_proj"},
    .recomputes_attention = true,
    .create = create,
    .destroy = destroy,
    .forward = forward,
};
