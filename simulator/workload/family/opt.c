/* SPDX-License-Identifier: MIT
 *
 * OPT as transformers 4.51 writes it. It makes an attention mask of ones where the caller gives
 * none: positions are counted by it.
 */
#include "workload/family/opt.h"

#include "base/memory.h"
#include "workload/model/masks.h"
#include "workload/model/shape_reader.h"

/* Rows of the table of positions that no position uses. */
#define POSITION_OFFSET 2

static ps_code read_shape(const ps_model_config *config, ps_opt_shape *n, ps_error *err)
{
    ps_shape_reader r = {.config = config, .err = err};
    n->layers = ps_shape_size(&r, "num_hidden_layers", 12);
    n->hidden = ps_shape_size(&r, "hidden_size", 768);
    n->heads = ps_shape_size(&r, "num_attention_heads", 12);
    n->inner = ps_shape_size(&r, "ffn_dim", 3072);
    n->positions = ps_shape_size(&r, "max_position_embeddings", 2048);
    n->vocabulary = ps_shape_size(&r, "vocab_size", 50272);
    n->words_width = ps_shape_size(&r, "word_embed_proj_dim", n->hidden);
    n->dropout = ps_shape_share(&r, "dropout", 0.1);
    n->attention_dropout = ps_shape_share(&r, "attention_dropout", 0.0);
    n->layer_dropout = ps_shape_share(&r, "layerdrop", 0.0);
    n->activation = ps_shape_activation(&r, "activation_function", "relu");
    n->has_bias = ps_shape_flag(&r, "enable_bias", true);
    n->has_norm_weights = ps_shape_flag(&r, "layer_norm_elementwise_affine", true);
    n->is_norm_first = ps_shape_flag(&r, "do_layer_norm_before", true);
    n->has_final_norm = n->is_norm_first && !ps_shape_flag(&r, "_remove_final_layer_norm", false);
    n->is_tied = ps_shape_flag(&r, "tie_word_embeddings", true);
    n->keeps_cache = ps_shape_outputs(&r);
    ps_shape_divides(&r, "hidden_size", n->hidden, "num_attention_heads", n->heads);
    return r.code;
}

/* ---- making ---- */

static ps_norm make_norm(ps_model *m, const ps_opt_shape *n)
{
    return n->has_norm_weights ? ps_norm_make(m, n->hidden) : (ps_norm){.width = n->hidden};
}

static void make_layer(ps_model *m, const ps_opt_shape *n, ps_opt_layer *made)
{
    made->key = ps_linear_make(m, "k_proj", n->hidden, n->hidden, n->has_bias);
    made->value = ps_linear_make(m, "v_proj", n->hidden, n->hidden, n->has_bias);
    made->query = ps_linear_make(m, "q_proj", n->hidden, n->hidden, n->has_bias);
    made->projection = ps_linear_make(m, "out_proj", n->hidden, n->hidden, n->has_bias);
    made->attention = make_norm(m, n);
    made->widen = ps_linear_make(m, "fc1", n->hidden, n->inner, n->has_bias);
    made->narrow = ps_linear_make(m, "fc2", n->inner, n->hidden, n->has_bias);
    made->final = make_norm(m, n);
}

static void make_modules(ps_model *m, ps_opt *self)
{
    const ps_opt_shape *n = &self->shape;
    self->words = ps_model_matrix(m, n->vocabulary, n->words_width);
    self->positions = ps_model_matrix(m, (n->positions + POSITION_OFFSET), n->hidden);
    m->longest = n->positions;
    if (n->words_width != n->hidden) {
        self->project_out = ps_linear_make(m, "project_out", n->hidden, n->words_width, false);
        self->project_in = ps_linear_make(m, "project_in", n->words_width, n->hidden, false);
    }
    if (n->has_final_norm) {
        self->final = make_norm(m, n);
    }
    for (int64_t i = 0; i < n->layers; i++) {
        ps_model_make_block(m, i);
        make_layer(m, n, &self->layer[i]);
    }
    ps_model_make_block(m, -1);
    self->head = n->is_tied ? self->words : ps_model_matrix(m, n->vocabulary, n->words_width);
}

static void destroy(ps_model *m)
{
    ps_opt *self = m->state;
    if (self != NULL) {
        ps_free(self->layer);
        ps_free(self->cache);
        ps_free(self);
    }
}

static ps_code create(ps_model *m, const ps_model_config *config, ps_error *err)
{
    ps_opt *self = m->state = ps_calloc(1, sizeof *self);
    if (self == NULL) {
        return ps_fail_nomem(err);
    }
    PS_TRY(read_shape(config, &self->shape, err));
    const ps_opt_shape *n = &self->shape;
    if (n->layer_dropout > 0.0 && !m->recipe->is_evaluating) {
        return ps_fail(err, PS_BAD_INPUT,
                       "%s: \"layerdrop\" leaves layers out at random, which cannot be predicted",
                       ps_model_config_name(config));
    }
    self->layer = ps_calloc((size_t)n->layers, sizeof *self->layer);
    self->cache = ps_calloc(2 * (size_t)n->layers, sizeof *self->cache);
    if (self->layer == NULL || self->cache == NULL) {
        return ps_fail_nomem(err);
    }
    make_modules(m, self);
    return PS_OK;
}

/* ---- block ---- */

static void normalize(ps_model *m, const ps_norm *with, ps_tensor *hidden)
{
    ps_eager_assign(m->e, hidden, ps_norm_run(m, with, *hidden));
}

static void add_to_residual(ps_model *m, ps_tensor *residual, ps_tensor *hidden)
{
    const ps_opt_shape *n = &((const ps_opt *)m->state)->shape;
    ps_eager_assign(m->e, hidden, ps_dropout_run(m, *hidden, n->dropout));
    ps_eager_assign(m->e, hidden, ps_op_add(m->e, *residual, *hidden));
}

static void feed_forward(ps_model *m, const ps_opt_layer *with, ps_tensor *hidden)
{
    const ps_opt_shape *n = &((const ps_opt *)m->state)->shape;
    ps_eager_assign(m->e, hidden, ps_linear_run(m, &with->widen, *hidden));
    ps_eager_assign(m->e, hidden, ps_activation_run(m, n->activation, *hidden));
    ps_eager_assign(m->e, hidden, ps_linear_run(m, &with->narrow, *hidden));
}

/* OPTDecoderLayer.forward */
static ps_tensor run_attention(ps_model *m, const void *about, int64_t index, ps_tensor hidden)
{
    ps_tensor weights = 0;
    const ps_tensor out = ps_opt_attention(m, &((const ps_opt *)m->state)->layer[index], hidden,
                                           about, index, &weights);
    ps_model_leave_to_block(m, weights);
    return out;
}

ps_tensor ps_opt_run_block(ps_model *m, const void *about, int64_t index, ps_tensor input)
{
    ps_eager *e = m->e;
    const ps_opt *self = m->state;
    const ps_opt_layer *with = &self->layer[index];
    const bool is_norm_first = self->shape.is_norm_first;
    ps_tensor hidden = ps_eager_hold(e, input);
    ps_tensor residual = ps_eager_hold(e, input);
    if (is_norm_first) {
        normalize(m, &with->attention, &hidden);
    }
    ps_eager_assign(e, &hidden, ps_model_attention(m, run_attention, about, 0, index, hidden));
    add_to_residual(m, &residual, &hidden);
    if (!is_norm_first) {
        normalize(m, &with->attention, &hidden);
    }
    ps_eager_assign(e, &hidden, ps_op_view(e, hidden, ps_eager_elements(e, hidden), false));
    ps_eager_assign(e, &residual, ps_eager_hold(e, hidden));
    if (is_norm_first) {
        normalize(m, &with->final, &hidden);
    }
    feed_forward(m, with, &hidden);
    add_to_residual(m, &residual, &hidden);
    ps_eager_assign(e, &hidden, ps_op_view(e, hidden, ps_eager_elements(e, hidden), false));
    if (!is_norm_first) {
        normalize(m, &with->final, &hidden);
    }
    ps_eager_clear(e, &residual);
    return hidden;
}

/* ---- model ---- */

/* Tokens before each one that are not hidden: (mask.cumsum() * mask - 1).long() */
ps_tensor ps_opt_count_positions(ps_model *m, ps_tensor mask, int64_t batch)
{
    const int64_t elements = ps_eager_elements(m->e, mask);
    const ps_dtype dtype = ps_eager_dtype(m->e, mask);
    ps_tensor count = ps_mask_count(m, mask, batch);
    ps_tensor shown = ps_op_plain(m->e, "mul", elements, dtype);
    ps_tensor number = ps_op_plain(m->e, "sub", elements, dtype);
    ps_eager_clear(m->e, &shown);
    ps_eager_assign(m->e, &number, ps_op_to(m->e, number, PS_DTYPE_I64));
    ps_eager_clear(m->e, &count);
    return number;
}

ps_tensor ps_opt_embed_positions(ps_model *m, ps_tensor numbers)
{
    const ps_opt *self = m->state;
    ps_tensor rows = ps_op_plain(m->e, "add", ps_eager_elements(m->e, numbers), PS_DTYPE_I64);
    const ps_tensor out = ps_embedding_run(m, self->positions, rows, self->shape.hidden);
    ps_eager_clear(m->e, &rows);
    return out;
}

static ps_tensor run_blocks(ps_model *m, const ps_opt_pass *about, ps_tensor hidden)
{
    const ps_opt *self = m->state;
    const ps_block_call call = {ps_opt_run_block, about, sizeof *about, about->given,
                                PS_OPT_GIVEN_COUNT};
    for (int64_t i = 0; i < self->shape.layers; i++) {
        ps_eager_assign(m->e, &hidden, ps_model_block(m, &call, i, hidden));
    }
    if (self->shape.has_final_norm) {
        normalize(m, &self->final, &hidden);
    }
    if (self->project_out.weight != 0) {
        ps_eager_assign(m->e, &hidden, ps_linear_run(m, &self->project_out, hidden));
    }
    return hidden;
}

/* Locals of OPTDecoder.forward that live as long as it runs. */
typedef struct locals {
    ps_tensor shown, words, places;
} locals;

static ps_tensor embed(ps_model *m, const ps_batch *batch, locals *own, ps_opt_pass *about)
{
    const ps_opt *self = m->state;
    ps_eager *e = m->e;
    own->words = ps_input_embedding_run(m, self->words, batch->ids, self->shape.words_width);
    about->given[PS_OPT_RANGE] = ps_op_plain(e, "arange", batch->length, PS_DTYPE_I64);
    own->shown = batch->mask != 0
                     ? ps_eager_hold(e, batch->mask)
                     : ps_op_plain(e, "fill", batch->batch * batch->length, PS_DTYPE_F32);
    const ps_causal_mask mask = {.batch = batch->batch,
                                 .length = batch->length,
                                 .given = own->shown,
                                 .dtype = ps_eager_dtype(e, own->words),
                                 .is_for_kernel = m->recipe->attention != PS_ATTENTION_EAGER};
    about->given[PS_OPT_MASK] = ps_causal_mask_make(m, &mask);
    about->given[PS_OPT_NUMBERS] = ps_opt_count_positions(m, own->shown, batch->batch);
    own->places = ps_opt_embed_positions(m, about->given[PS_OPT_NUMBERS]);
    if (self->project_in.weight != 0) {
        ps_eager_assign(e, &own->words, ps_linear_run(m, &self->project_in, own->words));
    }
    return ps_op_add(e, own->words, own->places);
}

static ps_tensor decode(ps_model *m, const ps_batch *batch, ps_tensor *cache)
{
    locals own = {0};
    ps_opt_pass about = {.batch = batch->batch, .length = batch->length, .cache = cache};
    const ps_tensor embedded = embed(m, batch, &own, &about);
    const ps_tensor hidden = run_blocks(m, &about, embedded);
    ps_eager_clear(m->e, &own.shown);
    ps_eager_clear(m->e, &own.words);
    for (ps_opt_given i = PS_OPT_MASK; i < PS_OPT_GIVEN_COUNT; i++) {
        ps_eager_clear(m->e, &about.given[i]);
    }
    ps_eager_clear(m->e, &own.places);
    return hidden;
}

static void forward(ps_model *m, const ps_batch *batch, ps_model_output *out)
{
    const ps_opt *self = m->state;
    const bool has_cache = self->shape.keeps_cache && !m->recipe->has_no_cache;
    ps_tensor *cache = has_cache ? self->cache : NULL;
    ps_tensor hidden = decode(m, batch, cache);
    const ps_linear head = {
        .weight = self->head, .in = self->shape.words_width, .out = self->shape.vocabulary};
    out->logits = ps_linear_run(m, &head, hidden);
    out->loss = ps_causal_loss(m, out->logits, batch, self->shape.vocabulary);
    ps_eager_clear(m->e, &hidden);
    for (int64_t i = cache == NULL ? 0 : self->shape.layers; i > 0; i--) {
        ps_output_keep(m, out, cache[2 * i - 2]);
        ps_output_keep(m, out, cache[2 * i - 1]);
    }
}

const ps_family ps_family_opt = {
    .model_type = "opt",
    .lora_target = {"q_proj", "v_proj"},
    .recomputes_attention = true,
    .create = create,
    .destroy = destroy,
    .forward = forward,
    .dual = &ps_opt_dual,
};
