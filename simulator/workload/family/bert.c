/* SPDX-License-Identifier: MIT
 *
 * BERT and RoBERTa trained on masked words, as transformers 4.51 writes them: an
 * encoder whose norms come after each part, a head that turns the result and
 * compares it with the words. RoBERTa counts positions of words that are no
 * padding, from the number of the padding word on; its head knows GELU alone.
 */
#include "workload/family/bert.h"

#include <string.h>

#include "base/memory.h"
#include "workload/model/mask_4d.h"
#include "workload/model/masks.h"
#include "workload/model/shape_reader.h"

/* ---- modules ---- */

static const char *const not_modelled[] = {"is_decoder", "add_cross_attention",
                                           "output_hidden_states", "output_attentions"};

static ps_code refuse_others(ps_shape_reader *r)
{
    const char *positions = ps_shape_text(r, "position_embedding_type", "absolute");
    ps_shape_refuse(r, not_modelled, sizeof not_modelled / sizeof not_modelled[0]);
    PS_TRY(r->code);
    if (strcmp(positions, "absolute") != 0) {
        return ps_fail(r->err, PS_BAD_INPUT,
                       "position_embedding_type is \"%s\"; of BERT only absolute positions are "
                       "modelled",
                       positions);
    }
    int64_t chunk = 0;
    PS_TRY(ps_config_int(r->config, "chunk_size_feed_forward", 0, 0, INT32_MAX, &chunk, r->err));
    if (chunk != 0) {
        return ps_fail(r->err, PS_BAD_INPUT,
                       "chunk_size_feed_forward: parts of a feed-forward are not modelled");
    }
    return PS_OK;
}

/* Words of a RoBERTa begin at the position after the padding word's number. */
static ps_code read_padding(ps_shape_reader *r, ps_bert_shape *n)
{
    int64_t padding = 1;
    if (ps_config_is_null(r->config, "pad_token_id")) {
        return ps_fail(r->err, PS_BAD_INPUT,
                       "pad_token_id is null, and RoBERTa counts positions from it");
    }
    PS_TRY(ps_config_int(r->config, "pad_token_id", 1, 0, INT32_MAX, &padding, r->err));
    n->longest = n->positions - padding - 1;
    return PS_OK;
}

/* n->counts_words is known already */
static ps_code read_shape(const ps_model_config *config, ps_bert_shape *n, ps_error *err)
{
    ps_shape_reader r = {.config = config, .err = err};
    n->layers = ps_shape_size(&r, "num_hidden_layers", 12);
    n->hidden = ps_shape_size(&r, "hidden_size", 768);
    n->heads = ps_shape_size(&r, "num_attention_heads", 12);
    n->inner = ps_shape_size(&r, "intermediate_size", 3072);
    n->positions = ps_shape_size(&r, "max_position_embeddings", 512);
    n->types = ps_shape_size(&r, "type_vocab_size", 2);
    n->vocabulary = ps_shape_size(&r, "vocab_size", n->counts_words ? 50265 : 30522);
    n->longest = n->positions;
    n->hidden_dropout = ps_shape_share(&r, "hidden_dropout_prob", 0.1);
    n->attention_dropout = ps_shape_share(&r, "attention_probs_dropout_prob", 0.1);
    n->activation = ps_shape_activation(&r, "hidden_act", "gelu");
    n->is_tied = ps_shape_flag(&r, "tie_word_embeddings", true);
    n->looks_for_padding = !ps_config_is_null(config, "pad_token_id");
    ps_shape_divides(&r, "hidden_size", n->hidden, "num_attention_heads", n->heads);
    PS_TRY(r.code);
    PS_TRY(n->counts_words ? read_padding(&r, n) : PS_OK);
    return refuse_others(&r);
}

static void make_layer(ps_model *m, const ps_bert_shape *n, ps_bert_layer *made)
{
    made->query = ps_linear_make(m, "query", n->hidden, n->hidden, true);
    made->key = ps_linear_make(m, "key", n->hidden, n->hidden, true);
    made->value = ps_linear_make(m, "value", n->hidden, n->hidden, true);
    made->projection = ps_linear_make(m, "dense", n->hidden, n->hidden, true);
    made->after_attention = ps_norm_make(m, n->hidden);
    made->widen = ps_linear_make(m, "dense", n->hidden, n->inner, true);
    made->narrow = ps_linear_make(m, "dense", n->inner, n->hidden, true);
    made->after_mlp = ps_norm_make(m, n->hidden);
}

static void make_embeddings(ps_model *m, ps_bert *self)
{
    const ps_bert_shape *n = &self->shape;
    self->words = ps_model_matrix(m, n->vocabulary, n->hidden);
    self->positions = ps_model_matrix(m, n->positions, n->hidden);
    m->longest = n->longest;
    self->types = ps_model_matrix(m, n->types, n->hidden);
    self->embedded = ps_norm_make(m, n->hidden);
    self->position_ids = ps_model_buffer(m, n->positions, PS_DTYPE_I64);
    self->type_ids = ps_model_buffer(m, n->positions, PS_DTYPE_I64);
}

/* The bias of the words is the head's own parameter, and its decoder's. */
static void make_head(ps_model *m, ps_bert *self)
{
    const ps_bert_shape *n = &self->shape;
    const size_t place = ps_model_place(m);
    self->transform = ps_head_linear_make(m, "dense", n->hidden, n->hidden, true);
    self->transformed = ps_norm_make(m, n->hidden);
    self->decoder = (ps_linear){.in = n->hidden, .out = n->vocabulary};
    self->decoder.weight = n->is_tied ? self->words : ps_model_matrix(m, n->vocabulary, n->hidden);
    self->decoder.bias = ps_model_bias(m, n->vocabulary);
    ps_model_place_parameter(m, place);
}

static void destroy(ps_model *m)
{
    ps_bert *self = m->state;
    if (self != NULL) {
        ps_free(self->layer);
        ps_free(self);
    }
}

static ps_code create_any(ps_model *m, const ps_model_config *config, bool counts_words,
                          ps_error *err)
{
    ps_bert *self = m->state = ps_calloc(1, sizeof *self);
    if (self == NULL) {
        return ps_fail_nomem(err);
    }
    self->shape.counts_words = counts_words;
    PS_TRY(read_shape(config, &self->shape, err));
    PS_TRY(ps_model_check_positions(m, self->shape.longest, err));
    self->layer = ps_calloc((size_t)self->shape.layers, sizeof *self->layer);
    if (self->layer == NULL) {
        return ps_fail_nomem(err);
    }
    make_embeddings(m, self);
    for (int64_t i = 0; i < self->shape.layers; i++) {
        ps_model_make_block(m, i);
        make_layer(m, &self->shape, &self->layer[i]);
    }
    ps_model_make_block(m, -1);
    make_head(m, self);
    return PS_OK;
}

static ps_code create(ps_model *m, const ps_model_config *config, ps_error *err)
{
    return create_any(m, config, false, err);
}

static ps_code create_roberta(ps_model *m, const ps_model_config *config, ps_error *err)
{
    return create_any(m, config, true, err);
}

/* ---- model ---- */

/* Are first or last tokens padding, though no mask was given? */
static void look_for_padding(ps_model *m, const ps_batch *batch)
{
    ps_tensor columns = ps_op_plain(m->e, "copy", 2, PS_DTYPE_I64);
    ps_tensor ends = ps_op_plain(m->e, "index", 2 * batch->batch, PS_DTYPE_I64);
    ps_eager_clear(m->e, &columns);
    ps_tensor is_padding = ps_op_plain(m->e, "eq", 2 * batch->batch, PS_DTYPE_BOOL);
    ps_tensor is_any = ps_op_plain(m->e, "any", 1, PS_DTYPE_BOOL);
    ps_op_read_back(m->e, PS_DTYPE_BOOL);
    ps_eager_clear(m->e, &is_padding);
    ps_eager_clear(m->e, &is_any);
    ps_eager_clear(m->e, &ends);
}

static ps_tensor run_blocks(ps_model *m, const ps_bert_pass *about, ps_tensor embedded)
{
    const ps_block_call call = {ps_bert_run_block, about, sizeof *about, &about->mask, 1};
    ps_tensor hidden = ps_eager_hold(m->e, embedded);
    for (int64_t i = 0; i < ps_bert_of(m)->shape.layers; i++) {
        ps_eager_assign(m->e, &hidden, ps_model_block(m, &call, i, hidden));
    }
    return hidden;
}

/* BertModel.forward */
static ps_tensor encode(ps_model *m, const ps_batch *batch)
{
    ps_eager *e = m->e;
    const ps_bert *self = m->state;
    ps_bert_pass about = {.batch = batch->batch, .length = batch->length};
    if (batch->mask == 0 && self->shape.looks_for_padding) {
        look_for_padding(m, batch);
    }
    ps_tensor embedded = ps_bert_embed(m, batch);
    ps_batch shown = *batch;
    shown.mask = batch->mask != 0
                     ? ps_eager_hold(e, batch->mask)
                     : ps_op_plain(e, "fill", batch->batch * batch->length, PS_DTYPE_F32);
    about.mask = m->recipe->attention == PS_ATTENTION_EAGER
                     ? ps_mask_added(m, &shown, m->recipe->parameters)
                     : ps_mask_4d_full(m, &shown, ps_eager_dtype(e, embedded));
    const ps_tensor out = run_blocks(m, &about, embedded);
    ps_eager_clear(e, &shown.mask);
    ps_eager_clear(e, &embedded);
    ps_eager_clear(e, &about.mask);
    return out;
}

/* BertOnlyMLMHead.forward */
static ps_tensor predict(ps_model *m, ps_tensor x)
{
    const ps_bert *self = m->state;
    ps_tensor hidden = ps_linear_run(m, &self->transform, x);
    const ps_activation turn =
        self->shape.counts_words ? PS_ACTIVATION_GELU : self->shape.activation;
    ps_eager_assign(m->e, &hidden, ps_activation_run(m, turn, hidden));
    ps_eager_assign(m->e, &hidden, ps_norm_run(m, &self->transformed, hidden));
    ps_eager_assign(m->e, &hidden, ps_linear_run(m, &self->decoder, hidden));
    return hidden;
}

static void forward(ps_model *m, const ps_batch *batch, ps_model_output *out)
{
    const ps_bert *self = m->state;
    ps_tensor encoded = encode(m, batch);
    out->logits = predict(m, encoded);
    out->loss =
        ps_op_cross_entropy(m->e, out->logits, batch->labels != 0 ? batch->labels : batch->ids,
                            batch->batch * batch->length, self->shape.vocabulary);
    ps_eager_clear(m->e, &encoded);
}

const ps_family ps_family_bert = {
    .model_type = "bert",
    .lora_target = {"query", "value"},
    .create = create,
    .destroy = destroy,
    .forward = forward,
};

const ps_family ps_family_roberta = {
    .model_type = "roberta",
    .lora_target = {"query", "value"},
    .create = create_roberta,
    .destroy = destroy,
    .forward = forward,
};
