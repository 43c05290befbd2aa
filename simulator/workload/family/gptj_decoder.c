/* SPDX-License-Identifier: MIT
 *
 * GPT-J's model around its attention, and CodeGen's.
 */
#include "workload/family/gptj_decoder.h"

#include "base/memory.h"
#include "workload/family/gptj_attention.h"
#include "workload/model/masks.h"
#include "workload/model/model_pieces.h"
#include "workload/model/shape_reader.h"

static ps_code read_shape(const ps_model_config *config, ps_gptj_shape *n, ps_error *err)
{
    ps_shape_reader r = {.config = config, .err = err};
    n->layers = ps_shape_size_or(&r, "n_layer", "num_hidden_layers", 28);
    n->hidden = ps_shape_size_or(&r, "n_embd", "hidden_size", 4096);
    n->heads = ps_shape_size_or(&r, "n_head", "num_attention_heads", 16);
    n->inner = ps_shape_size(&r, "n_inner", 4 * n->hidden);
    n->positions = ps_shape_size_or(&r, "n_positions", "max_position_embeddings", 2048);
    n->vocabulary = ps_shape_size(&r, "vocab_size", 50400);
    n->turned_width = ps_shape_size(&r, "rotary_dim", 64);
    n->embedding_dropout = ps_shape_share(&r, "embd_pdrop", 0.0);
    n->attention_dropout = ps_shape_share(&r, "attn_pdrop", 0.0);
    n->residual_dropout = ps_shape_share(&r, "resid_pdrop", 0.0);
    n->activation = ps_shape_activation(&r, "activation_function", "gelu_new");
    n->is_tied = ps_shape_flag(&r, "tie_word_embeddings", false);
    n->keeps_cache = ps_shape_outputs(&r);
    ps_shape_divides(&r, "n_embd", n->hidden, "n_head", n->heads);
    return r.code;
}

static ps_code check_shape(const ps_model_config *config, const ps_gptj_shape *n, ps_error *err)
{
    if (ps_config_is_null(config, "rotary_dim")) {
        return ps_fail(err, PS_BAD_INPUT,
                       "%s: \"rotary_dim\" is null: positions as wide as the model fit no head",
                       ps_model_config_name(config));
    }
    if (n->turned_width % 2 != 0 || n->turned_width > n->hidden / n->heads) {
        return ps_fail(err, PS_BAD_INPUT,
                       "%s: \"rotary_dim\" is %lld, which is odd or more than the width of a head",
                       ps_model_config_name(config), (long long)n->turned_width);
    }
    return PS_OK;
}

/* ---- making ---- */

static void make_layer(ps_model *m, const ps_gptj *self, ps_gptj_layer *made)
{
    const ps_gptj_shape *n = &self->shape;
    made->norm = ps_norm_make(m, n->hidden);
    if (ps_model_is_of_2023(m)) {
        made->causal = ps_model_buffer(m, n->positions * n->positions, PS_DTYPE_BOOL);
    }
    self->way->make_projections(m, n, made);
    made->projection = ps_linear_make(m, "out_proj", n->hidden, n->hidden, false);
    made->widen = ps_linear_make(m, "fc_in", n->hidden, n->inner, true);
    made->narrow = ps_linear_make(m, "fc_out", n->inner, n->hidden, true);
}

static void make_modules(ps_model *m, ps_gptj *self)
{
    const ps_gptj_shape *n = &self->shape;
    self->words = ps_model_matrix(m, n->vocabulary, n->hidden);
    m->longest = n->positions;
    for (int64_t i = 0; i < n->layers; i++) {
        ps_model_make_block(m, i);
        make_layer(m, self, &self->layer[i]);
    }
    ps_model_make_block(m, -1);
    self->final = ps_norm_make(m, n->hidden);
    self->head = (ps_linear){.in = n->hidden, .out = n->vocabulary};
    self->head.weight = n->is_tied ? self->words : ps_model_matrix(m, n->vocabulary, n->hidden);
    self->head.bias = ps_model_bias(m, n->vocabulary);
}

void ps_gptj_destroy(ps_model *m)
{
    ps_gptj *self = m->state;
    if (self != NULL) {
        ps_free(self->layer);
        ps_free(self->cache);
        ps_free(self);
    }
}

ps_code ps_gptj_create(ps_model *m, const ps_gptj_way *way, const ps_model_config *config,
                       ps_error *err)
{
    ps_gptj *self = m->state = ps_calloc(1, sizeof *self);
    if (self == NULL) {
        return ps_fail_nomem(err);
    }
    self->way = way;
    PS_TRY(read_shape(config, &self->shape, err));
    PS_TRY(check_shape(config, &self->shape, err));
    self->layer = ps_calloc((size_t)self->shape.layers, sizeof *self->layer);
    self->cache = ps_calloc(2 * (size_t)self->shape.layers, sizeof *self->cache);
    if (self->layer == NULL || self->cache == NULL) {
        return ps_fail_nomem(err);
    }
    make_modules(m, self);
    return PS_OK;
}

/* ---- block ---- */

static ps_tensor mlp(ps_model *m, const ps_gptj_layer *with, ps_tensor x)
{
    const ps_gptj_shape *n = &((const ps_gptj *)m->state)->shape;
    const ps_plain_mlp of = {&with->widen, &with->narrow, n->activation, n->residual_dropout};
    return ps_plain_mlp_run(m, &of, x);
}

/* GPTJBlock.forward: attention + mlp + residual, from left to right */
static ps_tensor run_attention(ps_model *m, const void *about, int64_t index, ps_tensor hidden)
{
    return ps_gptj_attend(m, &((const ps_gptj *)m->state)->layer[index], hidden, about, index);
}

static ps_tensor run_block(ps_model *m, const void *about, int64_t index, ps_tensor input)
{
    ps_eager *e = m->e;
    const ps_gptj *self = m->state;
    ps_gptj_layer *with = &self->layer[index];
    ps_tensor hidden = ps_norm_run(m, &with->norm, input);
    ps_tensor attended = ps_model_attention(m, run_attention, about, 0, index, hidden);
    ps_tensor fed = mlp(m, with, hidden);
    ps_tensor both = ps_op_add(e, attended, fed);
    ps_eager_assign(e, &hidden, ps_op_add(e, both, input));
    ps_eager_clear(e, &both);
    ps_eager_clear(e, &attended);
    ps_eager_clear(e, &fed);
    return hidden;
}

/* ---- model ---- */

static ps_tensor run_blocks(ps_model *m, const ps_gptj_pass *about, ps_tensor embedded)
{
    const ps_gptj *self = m->state;
    const ps_tensor held[] = {about->mask, about->range};
    const ps_block_call call = {run_block, about, sizeof *about, held, 2};
    ps_tensor hidden = embedded;
    for (int64_t i = 0; i < self->shape.layers; i++) {
        ps_eager_assign(m->e, &hidden, ps_model_block(m, &call, i, hidden));
    }
    ps_eager_assign(m->e, &hidden, ps_norm_run(m, &self->final, hidden));
    return hidden;
}

static bool has_cache(const ps_model *m)
{
    return ((const ps_gptj *)m->state)->shape.keeps_cache && !m->recipe->has_no_cache;
}

static ps_gptj_pass begin_pass(const ps_model *m, const ps_batch *batch)
{
    const ps_gptj *self = m->state;
    const ps_gptj_shape *n = &self->shape;
    return (ps_gptj_pass){.heads = ps_attention_of_itself(batch->batch, batch->length, n->heads,
                                                          n->hidden / n->heads),
                          .cache = has_cache(m) ? self->cache : NULL};
}

static ps_tensor decode(ps_model *m, const ps_batch *batch)
{
    const ps_gptj *self = m->state;
    ps_gptj_pass about = begin_pass(m, batch);
    ps_tensor words = ps_input_embedding_run(m, self->words, batch->ids, self->shape.hidden);
    about.range = ps_op_plain(m->e, "arange", batch->length, PS_DTYPE_I64);
    const ps_causal_mask mask = {.batch = batch->batch,
                                 .length = batch->length,
                                 .given = batch->mask,
                                 .dtype = ps_eager_dtype(m->e, words)};
    about.mask = ps_causal_mask_make(m, &mask);
    const ps_tensor hidden =
        run_blocks(m, &about, ps_dropout_run(m, words, self->shape.embedding_dropout));
    ps_eager_clear(m->e, &words);
    ps_eager_clear(m->e, &about.range);
    ps_eager_clear(m->e, &about.mask);
    return hidden;
}

void ps_gptj_forward(ps_model *m, const ps_batch *batch, ps_model_output *out)
{
    const ps_gptj *self = m->state;
    ps_tensor hidden = decode(m, batch);
    out->logits = ps_linear_run(m, &self->head, hidden);
    ps_eager_assign(m->e, &out->logits, ps_op_to(m->e, out->logits, PS_DTYPE_F32));
    out->loss = ps_causal_loss(m, out->logits, batch, self->shape.vocabulary);
    ps_eager_assign(m->e, &out->loss, ps_op_to(m->e, out->loss, ps_eager_dtype(m->e, hidden)));
    ps_eager_clear(m->e, &hidden);
    for (int64_t i = has_cache(m) ? self->shape.layers : 0; i > 0; i--) {
        ps_output_keep(m, out, self->cache[2 * i - 2]);
        ps_output_keep(m, out, self->cache[2 * i - 1]);
    }
}
