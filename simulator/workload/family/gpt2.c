/* SPDX-License-Identifier: MIT
 *
 * GPT-2 and what is built like it (DistilGPT2, Cerebras-GPT), as transformers
 * 4.51 writes it.
 */
#include "workload/family/gpt2.h"

#include "base/memory.h"
#include "workload/model/mask_4d.h"
#include "workload/model/masks.h"
#include "workload/model/model_pieces.h"
#include "workload/model/shape_reader.h"

/* ---- modules ---- */

static ps_code read_shape(const ps_model_config *config, ps_gpt2_shape *n, ps_error *err)
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

static void make_layer(ps_model *m, const ps_gpt2_shape *n, ps_gpt2_layer *made)
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
    ps_gpt2 *self = m->state;
    if (self != NULL) {
        ps_free(self->layer);
        ps_free(self->cache);
        ps_free(self);
    }
}

static ps_code create(ps_model *m, const ps_model_config *config, ps_error *err)
{
    ps_gpt2 *self = m->state = ps_calloc(1, sizeof *self);
    if (self == NULL) {
        return ps_fail_nomem(err);
    }
    PS_TRY(read_shape(config, &self->shape, err));
    const ps_gpt2_shape *n = &self->shape;
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

/* ---- block ---- */

static ps_tensor mlp(ps_model *m, const ps_gpt2_layer *with, ps_tensor x)
{
    const ps_gpt2_shape *n = &ps_gpt2_of(m)->shape;
    const ps_plain_mlp of = {&with->widen, &with->narrow, n->activation, n->residual_dropout};
    return ps_plain_mlp_run(m, &of, x);
}

/* GPT2Block.forward */
static ps_tensor run_block(ps_model *m, const void *about, int64_t index, ps_tensor input)
{
    ps_eager *e = m->e;
    const ps_gpt2_layer *with = &ps_gpt2_of(m)->layer[index];
    ps_tensor hidden = ps_norm_run(m, &with->before_attention, input);
    ps_tensor attended = ps_model_attention(m, ps_gpt2_attend, about, 0, index, hidden);
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
    const ps_gpt2 *self = m->state;
    of->numbers = ps_op_plain(m->e, "arange", batch->length, PS_DTYPE_I64);
    of->words = ps_input_embedding_run(m, self->words, batch->ids, self->shape.hidden);
    of->places = ps_embedding_run(m, self->positions, of->numbers, self->shape.hidden);
    return ps_op_add(m->e, of->words, of->places);
}

static ps_tensor decode(ps_model *m, const ps_batch *batch, ps_tensor *cache)
{
    const ps_gpt2 *self = m->state;
    embedded of = {0};
    ps_tensor hidden = embed(m, batch, &of);
    ps_tensor mask = m->recipe->attention == PS_ATTENTION_EAGER
                         ? ps_mask_added(m, batch, m->recipe->parameters)
                         : ps_mask_4d_causal(m, batch, m->recipe->parameters);
    ps_eager_assign(m->e, &hidden, ps_dropout_run(m, hidden, self->shape.embedding_dropout));
    const ps_gpt2_pass about = {
        .batch = batch->batch, .length = batch->length, .mask = mask, .cache = cache};
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
    const ps_gpt2 *self = m->state;
    const size_t count = 2 * (size_t)self->shape.layers;
    ps_tensor *cache = m->recipe->has_no_cache ? NULL : self->cache;
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
}

const ps_family ps_family_gpt2 = {
    .model_type = "gpt2",
    .lora_target = {"c_attn"},
    .recomputes_attention = true,
    .create = create,
    .destroy = destroy,
    .forward = forward,
};
