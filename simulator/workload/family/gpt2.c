/* SPDX-License-Identifier: MIT
 *
 * GPT-2 and what is built like it (DistilGPT2, Cerebras-GPT), as transformers
 * 4.51 writes it.
 */
#include "base/memory.h"
#include "workload/eager/eager_parts.h"
#include "workload/model/mask_4d.h"
#include "workload/model/model_pieces.h"
#include "workload/model/shape_reader.h"

typedef struct shape {
    int64_t layers, hidden, heads, inner, positions, vocabulary;
    double embedding_dropout, attention_dropout, residual_dropout;
    ps_activation activation;
    bool is_tied;
    bool is_scaled, is_scaled_by_layer, is_upcast; /* scores, where the library writes them out */
} shape;

typedef struct layer {
    ps_norm before_attention, before_mlp;
    ps_linear qkv, projection, widen, narrow;
    ps_tensor causal; /* buffer: which keys a query sees */
} layer;

typedef struct gpt2 {
    shape shape;
    ps_tensor words, positions, head;
    layer *layer;
    ps_norm final;
} gpt2;

/* What a block is given besides its input. */
typedef struct pass {
    int64_t batch, length;
    ps_tensor mask;
    ps_tensor *cache; /* NULL: none is kept */
} pass;

static ps_code read_shape(const ps_model_config *config, shape *n, ps_error *err)
{
    ps_shape_reader r = {.config = config, .err = err};
    n->layers = ps_shape_size_or(&r, "n_layer", "num_hidden_layers", 12);
    n->hidden = ps_shape_size_or(&r, "n_embd", "hidden_size", 768);
    n->heads = ps_shape_size_or(&r, "n_head", "num_attention_heads", 12);
    n->inner = ps_shape_size(&r, "n_inner", 4 * n->hidden);
    n->positions = ps_shape_size_or(&r, "n_positions", "max_position_embeddings", 1024);
    n->vocabulary = ps_shape_size(&r, "vocab_size", 50257);
    n->embedding_dropout = ps_shape_share(&r, "embd_pdrop", 0.1);
    n->attention_dropout = ps_shape_share(&r, "attn_pdrop", 0.1);
    n->residual_dropout = ps_shape_share(&r, "resid_pdrop", 0.1);
    n->activation = ps_shape_activation(&r, "activation_function", "gelu_new");
    n->is_tied = ps_shape_flag(&r, "tie_word_embeddings", true);
    n->is_scaled = ps_shape_flag(&r, "scale_attn_weights", true);
    n->is_scaled_by_layer = ps_shape_flag(&r, "scale_attn_by_inverse_layer_idx", false);
    n->is_upcast = ps_shape_flag(&r, "reorder_and_upcast_attn", false);
    if (ps_shape_flag(&r, "add_cross_attention", false) && r.code == PS_OK) {
        r.code = ps_fail(err, PS_BAD_INPUT,
                         "add_cross_attention is true: attention to an encoder is not modelled");
    }
    ps_shape_divides(&r, "n_embd", n->hidden, "n_head", n->heads);
    return r.code;
}

static void make_layer(ps_model *m, const shape *n, layer *made)
{
    made->before_attention = ps_norm_make(m, n->hidden);
    made->qkv = ps_conv1d_make(m, "c_attn", n->hidden, 3 * n->hidden);
    made->projection = ps_conv1d_make(m, "c_proj", n->hidden, n->hidden);
    made->causal = ps_model_buffer(m, n->positions * n->positions, PS_DTYPE_BOOL);
    (void)ps_model_buffer(m, 1, ps_model_loaded_type(m)); /* masked_bias */
    made->before_mlp = ps_norm_make(m, n->hidden);
    made->widen = ps_conv1d_make(m, "c_fc", n->hidden, n->inner);
    made->narrow = ps_conv1d_make(m, "c_proj", n->inner, n->hidden);
}

static void destroy(ps_model *m)
{
    gpt2 *self = m->state;
    if (self != NULL) {
        ps_free(self->layer);
        ps_free(self);
    }
}

static ps_code create(ps_model *m, const ps_model_config *config, ps_error *err)
{
    gpt2 *self = m->state = ps_calloc(1, sizeof *self);
    if (self == NULL) {
        return ps_fail_nomem(err);
    }
    PS_TRY(read_shape(config, &self->shape, err));
    const shape *n = &self->shape;
    self->layer = ps_calloc((size_t)n->layers, sizeof *self->layer);
    if (self->layer == NULL) {
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

/* Heads of several sequences do not lie one after the other: matmul and reshape copy them. */
static bool are_apart(const shape *n, const pass *about)
{
    return about->batch > 1 && n->heads > 1;
}

static ps_bmm_shape scores_shape(const shape *n, const pass *about)
{
    return (ps_bmm_shape){about->batch * n->heads, about->length, about->length,
                          n->hidden / n->heads};
}

/* scores / root of the width, and / number of the layer */
static ps_tensor plain_scores(ps_model *m, ps_tensor query, ps_tensor key, const pass *about)
{
    ps_eager *e = m->e;
    const shape *n = &((const gpt2 *)m->state)->shape;
    const ps_bmm_shape product = scores_shape(n, about);
    ps_tensor weights =
        ps_op_matmul(e, query, key, &product,
                     are_apart(n, about) ? PS_MATMUL_COPIES_BOTH : PS_MATMUL_COPIES_NONE);
    if (n->is_scaled) {
        ps_tensor scale = ps_op_plain(e, "fill", 1, ps_eager_dtype(e, weights));
        ps_eager_assign(e, &weights, ps_op_div(e, weights, scale));
        ps_eager_clear(e, &scale);
    }
    if (n->is_scaled_by_layer) {
        ps_eager_assign(e, &weights, ps_op_mul_number(e, weights)); /* a division by a number */
    }
    return weights;
}

/* Query and key of _upcast_and_reordered_attn: variables that live until it returns. */
typedef struct merged {
    ps_tensor query, key;
} merged;

static ps_tensor merge_heads(ps_model *m, ps_tensor x, const pass *about)
{
    const shape *n = &((const gpt2 *)m->state)->shape;
    return are_apart(n, about) ? ps_op_copy(m->e, x) : ps_eager_hold(m->e, x);
}

/* baddbmm in 32 bits, into memory made before, scaled within */
static ps_tensor upcast_scores(ps_model *m, ps_tensor query, ps_tensor key, const pass *about,
                               int64_t index, merged *of)
{
    ps_eager *e = m->e;
    const shape *n = &((const gpt2 *)m->state)->shape;
    const ps_bmm_shape product = scores_shape(n, about);
    const bool is_scaled = n->is_scaled || (n->is_scaled_by_layer && index > 0);
    ps_tensor room = ps_op_result(e, product.batch * product.m * product.n, PS_DTYPE_F32);
    *of = (merged){merge_heads(m, query, about), merge_heads(m, key, about)};
    ps_tensor wide[2] = {ps_op_to(e, of->query, PS_DTYPE_F32), ps_op_to(e, of->key, PS_DTYPE_F32)};
    const ps_tensor out = ps_op_baddbmm(e, wide[0], wide[1], &product, is_scaled);
    ps_eager_clear(e, &wide[1]);
    ps_eager_clear(e, &wide[0]);
    ps_eager_clear(e, &room);
    return out;
}

/* What hides keys, softmax, dropout. Takes the scores. */
static ps_tensor shares_of(ps_model *m, const layer *with, ps_tensor owned_scores, ps_dtype dtype,
                           const pass *about)
{
    ps_eager *e = m->e;
    const shape *n = &((const gpt2 *)m->state)->shape;
    ps_tensor weights = owned_scores;
    ps_eager_assign(e, &weights, ps_op_where(e, with->causal, weights));
    if (about->mask != 0) {
        ps_eager_assign(e, &weights, ps_op_add(e, weights, about->mask));
    }
    ps_tensor wide = ps_op_widen(e, weights);
    ps_eager_assign(e, &weights, ps_op_softmax(e, wide));
    ps_eager_clear(e, &wide);
    ps_eager_assign(e, &weights, ps_op_to(e, weights, dtype));
    ps_eager_assign(e, &weights, ps_dropout_run(m, weights, n->attention_dropout));
    return weights;
}

/* eager_attention_forward, or the one that computes scores in 32 bits; the shares are returned too */
static ps_tensor eager_attention(ps_model *m, const layer *with, const ps_tensor part[3],
                                 const pass *about, int64_t index, ps_tensor *shares)
{
    ps_eager *e = m->e;
    const shape *n = &((const gpt2 *)m->state)->shape;
    const ps_bmm_shape mixing = {about->batch * n->heads, about->length, n->hidden / n->heads,
                                 about->length};
    const bool is_apart = are_apart(n, about);
    merged of = {0, 0};
    ps_tensor weights =
        n->is_upcast
            ? upcast_scores(m, part[PS_ATTENTION_QUERY], part[PS_ATTENTION_KEY], about, index, &of)
            : plain_scores(m, part[PS_ATTENTION_QUERY], part[PS_ATTENTION_KEY], about);
    ps_tensor least = ps_op_plain(e, "fill", 1, ps_eager_dtype(e, weights));
    weights = shares_of(m, with, weights, ps_eager_dtype(e, part[PS_ATTENTION_VALUE]), about);
    ps_tensor out = ps_op_matmul(e, weights, part[PS_ATTENTION_VALUE], &mixing,
                                 is_apart ? PS_MATMUL_COPIES_SECOND : PS_MATMUL_COPIES_NONE);
    ps_eager_clear(e, &of.query);
    ps_eager_clear(e, &of.key);
    ps_eager_clear(e, &least);
    *shares = weights;
    /* transposed: its gradient has to be copied on the way back */
    ps_eager_assign(e, &out,
                    ps_op_view(e, out, ps_eager_elements(e, out), is_apart && about->length > 1));
    return out;
}

static ps_attention_call call_of(const ps_model *m, const pass *about)
{
    const shape *n = &((const gpt2 *)m->state)->shape;
    return (ps_attention_call){.shape = {.batch = about->batch,
                                         .heads = n->heads,
                                         .kv_heads = n->heads,
                                         .queries = about->length,
                                         .keys = about->length,
                                         .head_width = n->hidden / n->heads},
                               .mask = about->mask,
                               .is_causal = about->mask == 0,
                               .dropout = n->attention_dropout};
}

static ps_tensor kernel_attention(ps_model *m, ps_tensor query, ps_tensor key, ps_tensor value,
                                  const pass *about)
{
    const ps_attention_call call = call_of(m, about);
    /* parts of one tensor, side by side: contiguous() copies */
    ps_tensor own[3] = {ps_op_copy(m->e, query), ps_op_copy(m->e, key), ps_op_copy(m->e, value)};
    const ps_tensor out = ps_attention_run(m, own[0], own[1], own[2], &call);
    for (int i = 0; i < 3; i++) {
        ps_eager_clear(m->e, &own[i]);
    }
    return out;
}

/* Gradients of keys come transposed from a product of scores: they lie as they must. */
static bool comes_strided(const ps_model *m, ps_tensor packed, const pass *about, int part)
{
    if (m->recipe->attention == PS_ATTENTION_EAGER) {
        const shape *n = &((const gpt2 *)m->state)->shape;
        return part != PS_ATTENTION_KEY && n->heads > 1 && about->length > 1;
    }
    const ps_attention_call call = call_of(m, about);
    return ps_attention_returns_by_heads(m, ps_attention_dtype(m, packed), &call,
                                         (ps_attention_part)part);
}

static ps_tensor attention(ps_model *m, const layer *with, ps_tensor x, const pass *about,
                           int64_t index)
{
    ps_eager *e = m->e;
    const shape *n = &((const gpt2 *)m->state)->shape;
    const bool is_eager = m->recipe->attention == PS_ATTENTION_EAGER;
    ps_tensor part[3];
    ps_tensor packed = ps_linear_run(m, &with->qkv, x);
    ps_op_split(e, packed, part, 3);
    ps_eager_clear(e, &packed);
    for (int i = 0; i < 3; i++) {
        const bool is_strided = comes_strided(m, part[i], about, i);
        ps_eager_assign(e, &part[i],
                        ps_op_view(e, part[i], ps_eager_elements(e, part[i]), is_strided));
    }
    if (about->cache != NULL) {
        about->cache[2 * index] = ps_eager_hold(e, part[2]);
        about->cache[2 * index + 1] = ps_eager_hold(e, part[1]);
    }
    ps_tensor shares = 0;
    ps_tensor mixed = is_eager ? eager_attention(m, with, part, about, index, &shares)
                               : kernel_attention(m, part[0], part[1], part[2], about);
    if (is_eager && n->heads > 1 && about->length > 1) {
        ps_eager_assign(e, &mixed, ps_op_copy(e, mixed));
    }
    ps_eager_assign(e, &mixed, ps_linear_run(m, &with->projection, mixed));
    ps_eager_assign(e, &mixed, ps_dropout_run(m, mixed, n->residual_dropout));
    ps_eager_clear(e, &shares);
    for (int i = 0; i < 3; i++) {
        ps_eager_clear(e, &part[i]);
    }
    return mixed;
}

static ps_tensor mlp(ps_model *m, const layer *with, ps_tensor x)
{
    const shape *n = &((const gpt2 *)m->state)->shape;
    const ps_plain_mlp of = {&with->widen, &with->narrow, n->activation, n->residual_dropout};
    return ps_plain_mlp_run(m, &of, x);
}

static ps_tensor run_attention(ps_model *m, const void *about, int64_t index, ps_tensor hidden)
{
    return attention(m, &((const gpt2 *)m->state)->layer[index], hidden, about, index);
}

/* GPT2Block.forward */
static ps_tensor run_block(ps_model *m, const void *given, int64_t index, ps_tensor input)
{
    ps_eager *e = m->e;
    const pass *about = given;
    const layer *with = &((const gpt2 *)m->state)->layer[index];
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

/* Variables of forward that live until it returns. */
typedef struct embedded {
    ps_tensor numbers, words, places;
} embedded;

static ps_tensor embed(ps_model *m, const ps_batch *batch, embedded *of)
{
    const gpt2 *self = m->state;
    of->numbers = ps_op_plain(m->e, "arange", batch->length, PS_DTYPE_I64);
    of->words = ps_input_embedding_run(m, self->words, batch->ids, self->shape.hidden);
    of->places = ps_embedding_run(m, self->positions, of->numbers, self->shape.hidden);
    return ps_op_add(m->e, of->words, of->places);
}

static ps_tensor decode(ps_model *m, const ps_batch *batch, ps_tensor *cache)
{
    const gpt2 *self = m->state;
    embedded of = {0};
    ps_tensor hidden = embed(m, batch, &of);
    ps_tensor mask = m->recipe->attention == PS_ATTENTION_EAGER
                         ? ps_mask_added(m, batch, m->recipe->parameters)
                         : ps_mask_4d_causal(m, batch, m->recipe->parameters);
    ps_eager_assign(m->e, &hidden, ps_dropout_run(m, hidden, self->shape.embedding_dropout));
    const pass about = {batch->batch, batch->length, mask, cache};
    const ps_block_call call = {run_block, &about, sizeof about, &mask, 1};
    for (int64_t i = 0; i < self->shape.layers; i++) {
        ps_eager_assign(m->e, &hidden, ps_model_block(m, &call, i, hidden));
    }
    ps_eager_assign(m->e, &hidden, ps_norm_run(m, &self->final, hidden));
    ps_eager_clear(m->e, &mask);
    ps_eager_clear(m->e, &of.numbers);
    ps_eager_clear(m->e, &of.words);
    ps_eager_clear(m->e, &of.places);
    return hidden;
}

static void forward(ps_model *m, const ps_batch *batch, ps_model_output *out)
{
    const gpt2 *self = m->state;
    const size_t count = 2 * (size_t)self->shape.layers;
    ps_tensor *cache = m->recipe->has_no_cache ? NULL : ps_calloc(count, sizeof *cache);
    ps_tensor hidden = decode(m, batch, cache);
    const ps_linear head = {
        .weight = self->head, .in = self->shape.hidden, .out = self->shape.vocabulary};
    out->logits = ps_linear_run(m, &head, hidden);
    out->loss = ps_causal_loss(m, out->logits, batch, self->shape.vocabulary);
    ps_eager_clear(m->e, &hidden);
    for (size_t i = cache == NULL ? 0 : count; i >= 2; i -= 2) {
        ps_output_keep(m, out, cache[i - 2]);
        ps_output_keep(m, out, cache[i - 1]);
    }
    ps_free(cache);
}

const ps_family ps_family_gpt2 = {
    .model_type = "gpt2",
    .lora_target = {"c_attn"},
    .recomputes_attention = true,
    .create = create,
    .destroy = destroy,
    .forward = forward,
};
