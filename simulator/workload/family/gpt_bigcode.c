/* SPDX-License-Identifier: MIT
 *
 * GPTBigCode (SantaCoder, StarCoder) as transformers 4.51 writes it.
 */
#include "base/memory.h"
#include "workload/family/bigcode.h"
#include "workload/model/masks.h"
#include "workload/model/model_pieces.h"
#include "workload/model/shape_reader.h"

static ps_code read_shape(const ps_model_config *config, ps_bigcode_shape *n, ps_error *err)
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
    n->activation = ps_shape_activation(&r, "activation_function", "gelu_pytorch_tanh");
    n->is_tied = ps_shape_flag(&r, "tie_word_embeddings", true);
    n->keeps_cache = ps_shape_outputs(&r);
    ps_shape_refuse_flag(&r, "add_cross_attention");
    n->shares_keys = ps_shape_flag(&r, "multi_query", true);
    n->has_scale = ps_shape_flag(&r, "scale_attn_weights", true);
    n->has_wide_softmax = ps_shape_flag(&r, "attention_softmax_in_fp32", true);
    ps_shape_divides(&r, "n_embd", n->hidden, "n_head", n->heads);
    return r.code;
}

/* Under autocast a TorchScript function has types of its own. */
static ps_code refuse_script(const ps_recipe *r, const ps_bigcode_shape *n, ps_error *err)
{
    const bool is_cast = r->autocast != PS_DTYPE_F32;
    if (r->attention == PS_ATTENTION_EAGER && is_cast && n->has_wide_softmax) {
        return ps_fail(err, PS_BAD_INPUT,
                       "GPTBigCode's eager attention under autocast runs a kernel that TorchScript "
                       "makes, which is not modelled: choose another attention");
    }
    return PS_OK;
}

/* ---- making ---- */

static void make_layer(ps_model *m, const ps_bigcode_shape *n, ps_bigcode_layer *made)
{
    const int64_t keys = n->shares_keys ? n->hidden / n->heads : n->hidden;
    made->before_attention = ps_norm_make(m, n->hidden);
    made->qkv = ps_linear_make(m, "c_attn", n->hidden, n->hidden + 2 * keys, true);
    made->projection = ps_linear_make(m, "c_proj", n->hidden, n->hidden, true);
    made->before_mlp = ps_norm_make(m, n->hidden);
    made->widen = ps_linear_make(m, "c_fc", n->hidden, n->inner, true);
    made->narrow = ps_linear_make(m, "c_proj", n->inner, n->hidden, true);
}

static void make_modules(ps_model *m, ps_bigcode *self)
{
    const ps_bigcode_shape *n = &self->shape;
    self->words = ps_model_matrix(m, n->vocabulary, n->hidden);
    self->positions = ps_model_matrix(m, n->positions, n->hidden);
    m->longest = n->positions;
    for (int64_t i = 0; i < n->layers; i++) {
        ps_model_make_block(m, i);
        make_layer(m, n, &self->layer[i]);
    }
    ps_model_make_block(m, -1);
    self->final = ps_norm_make(m, n->hidden);
    self->causal = ps_model_buffer(m, n->positions * n->positions, PS_DTYPE_BOOL);
    self->head = n->is_tied ? self->words : ps_model_matrix(m, n->vocabulary, n->hidden);
}

static void destroy(ps_model *m)
{
    ps_bigcode *self = m->state;
    if (self != NULL) {
        ps_free(self->layer);
        ps_free(self->cache);
        ps_free(self);
    }
}

static ps_code create(ps_model *m, const ps_model_config *config, ps_error *err)
{
    ps_bigcode *self = m->state = ps_calloc(1, sizeof *self);
    if (self == NULL) {
        return ps_fail_nomem(err);
    }
    PS_TRY(read_shape(config, &self->shape, err));
    PS_TRY(refuse_script(m->recipe, &self->shape, err));
    self->layer = ps_calloc((size_t)self->shape.layers, sizeof *self->layer);
    self->cache = ps_calloc((size_t)self->shape.layers, sizeof *self->cache);
    if (self->layer == NULL || self->cache == NULL) {
        return ps_fail_nomem(err);
    }
    make_modules(m, self);
    return PS_OK;
}

/* ---- block ---- */

static ps_tensor mlp(ps_model *m, const ps_bigcode_layer *with, ps_tensor x)
{
    const ps_bigcode_shape *n = &((const ps_bigcode *)m->state)->shape;
    const ps_plain_mlp of = {&with->widen, &with->narrow, n->activation, n->residual_dropout};
    return ps_plain_mlp_run(m, &of, x);
}

/* GPTBigCodeBlock.forward */
static ps_tensor run_attention(ps_model *m, const void *about, int64_t index, ps_tensor hidden)
{
    return ps_bigcode_attend(m, &((const ps_bigcode *)m->state)->layer[index], hidden, about,
                             index);
}

static ps_tensor run_block(ps_model *m, const void *about, int64_t index, ps_tensor input)
{
    ps_eager *e = m->e;
    ps_bigcode_layer *with = &((const ps_bigcode *)m->state)->layer[index];
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

/* ---- positions and masks ---- */

/* Numbers of the tokens that the caller's mask shows, 1 where it hides one. */
static ps_tensor number_positions(ps_model *m, const ps_batch *batch)
{
    if (batch->mask == 0) {
        return ps_op_plain(m->e, "arange", batch->length, PS_DTYPE_I64);
    }
    const int64_t elements = batch->batch * batch->length;
    ps_tensor count = ps_mask_count(m, batch->mask, batch->batch);
    const ps_tensor numbers = ps_op_plain(m->e, "sub", elements, PS_DTYPE_I64);
    ps_eager_clear(m->e, &count);
    ps_tensor is_hidden = ps_op_plain(m->e, "eq", elements, PS_DTYPE_BOOL);
    ps_eager_clear(m->e, &is_hidden);
    return numbers;
}

/* The causal buffer, times the caller's mask for each sequence. */
static ps_tensor make_truths(ps_model *m, const ps_batch *batch)
{
    const int64_t cells = batch->length * batch->length;
    if (batch->mask == 0) {
        return ps_op_view(m->e, ((const ps_bigcode *)m->state)->causal, cells, false);
    }
    ps_tensor shown = ps_op_plain(m->e, "copy", batch->batch * batch->length, PS_DTYPE_BOOL);
    const ps_tensor out = ps_op_plain(m->e, "mul", batch->batch * cells, PS_DTYPE_BOOL);
    ps_eager_clear(m->e, &shown);
    return out;
}

/* Truths become numbers to add to scores. */
static ps_tensor make_mask(ps_model *m, const ps_batch *batch)
{
    ps_tensor mask = make_truths(m, batch);
    if (m->recipe->attention == PS_ATTENTION_EAGER) {
        return mask;
    }
    const int64_t cells = ps_eager_elements(m->e, mask);
    ps_tensor zero = ps_op_plain(m->e, "fill", 1, m->recipe->parameters);
    ps_tensor least = ps_op_plain(m->e, "fill", 1, m->recipe->parameters);
    const ps_tensor numbers = ps_op_plain(m->e, "where", cells, m->recipe->parameters);
    ps_eager_clear(m->e, &zero);
    ps_eager_clear(m->e, &least);
    ps_eager_assign(m->e, &mask, numbers);
    if (batch->length > 1 && batch->mask != 0) {
        ps_eager_assign(m->e, &mask, ps_mask_show_hidden_rows(m, mask, batch->length));
    }
    return mask;
}

/* ---- model ---- */

static ps_tensor run_blocks(ps_model *m, const ps_bigcode_pass *about, ps_tensor embedded)
{
    const ps_bigcode *self = m->state;
    const ps_block_call call = {run_block, about, sizeof *about, &about->mask, 1};
    ps_tensor hidden = embedded;
    for (int64_t i = 0; i < self->shape.layers; i++) {
        ps_eager_assign(m->e, &hidden, ps_model_block(m, &call, i, hidden));
    }
    ps_eager_assign(m->e, &hidden, ps_norm_run(m, &self->final, hidden));
    return hidden;
}

static bool has_cache(const ps_model *m)
{
    return ((const ps_bigcode *)m->state)->shape.keeps_cache && !m->recipe->has_no_cache;
}

static ps_bigcode_pass begin_pass(const ps_model *m, const ps_batch *batch)
{
    const ps_bigcode *self = m->state;
    return (ps_bigcode_pass){.heads = {.batch = batch->batch,
                                       .heads = self->shape.heads,
                                       .kv_heads = self->shape.heads, /* a shared one is expanded */
                                       .queries = batch->length,
                                       .keys = batch->length,
                                       .head_width = self->shape.hidden / self->shape.heads},
                             .cache = has_cache(m) ? self->cache : NULL};
}

static ps_tensor decode(ps_model *m, const ps_batch *batch)
{
    const ps_bigcode *self = m->state;
    ps_bigcode_pass about = begin_pass(m, batch);
    ps_tensor numbers = number_positions(m, batch);
    about.mask = make_mask(m, batch);
    ps_tensor words = ps_input_embedding_run(m, self->words, batch->ids, self->shape.hidden);
    ps_tensor places = ps_embedding_run(m, self->positions, numbers, self->shape.hidden);
    ps_tensor hidden = ps_op_add(m->e, words, places);
    ps_eager_assign(m->e, &hidden, ps_dropout_run(m, hidden, self->shape.embedding_dropout));
    hidden = run_blocks(m, &about, hidden);
    ps_eager_clear(m->e, &numbers);
    ps_eager_clear(m->e, &about.mask);
    ps_eager_clear(m->e, &words);
    ps_eager_clear(m->e, &places);
    return hidden;
}

static void forward(ps_model *m, const ps_batch *batch, ps_model_output *out)
{
    const ps_bigcode *self = m->state;
    ps_tensor hidden = decode(m, batch);
    const ps_linear head = {
        .weight = self->head, .in = self->shape.hidden, .out = self->shape.vocabulary};
    out->logits = ps_linear_run(m, &head, hidden);
    out->loss = ps_causal_loss(m, out->logits, batch, self->shape.vocabulary);
    ps_eager_clear(m->e, &hidden);
    for (int64_t i = has_cache(m) ? self->shape.layers : 0; i > 0; i--) {
        ps_output_keep(m, out, self->cache[i - 1]);
    }
}

const ps_family ps_family_gpt_bigcode = {
    .model_type = "gpt_bigcode",
    .lora_target = {"c_attn"},
    .recomputes_attention = true,
    .create = create,
    .destroy = destroy,
    .forward = forward,
};
