/* SPDX-License-Identifier: MIT
 *
 * BERT and RoBERTa trained on masked words, as transformers 4.51 writes them: an
 * encoder whose norms come after each part, a head that turns the result and
 * compares it with the words. RoBERTa counts positions of words that are no
 * padding, from the number of the padding word on; its head knows GELU alone.
 */
#include <string.h>

#include "base/memory.h"
#include "workload/model/mask_4d.h"
#include "workload/model/masks.h"
#include "workload/model/row_parallel.h"
#include "workload/model/scores.h"

typedef struct shape {
    int64_t layers, hidden, heads, inner, positions, types, vocabulary;
    double hidden_dropout, attention_dropout;
    ps_activation activation;
    bool is_tied, looks_for_padding;
    bool counts_words; /* RoBERTa's positions */
    int64_t longest;   /* tokens that positions reach */
} shape;

typedef struct layer {
    ps_linear query, key, value, projection, widen, narrow;
    ps_norm after_attention, after_mlp;
} layer;

typedef struct bert {
    shape shape;
    ps_tensor words, positions, types;
    ps_tensor position_ids, type_ids; /* buffers */
    ps_norm embedded;
    layer *layer;
    ps_linear transform, decoder;
    ps_norm transformed;
} bert;

/* What a block is given besides its input. */
typedef struct pass {
    int64_t batch, length;
    ps_tensor mask;
} pass;

enum { QUERY, KEY, VALUE, PARTS };

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
static ps_code read_padding(ps_shape_reader *r, shape *n)
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
static ps_code read_shape(const ps_model_config *config, shape *n, ps_error *err)
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

static void make_layer(ps_model *m, const shape *n, layer *made)
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

static void make_embeddings(ps_model *m, bert *self)
{
    const shape *n = &self->shape;
    self->words = ps_model_matrix(m, n->vocabulary, n->hidden);
    self->positions = ps_model_matrix(m, n->positions, n->hidden);
    m->longest = n->longest;
    self->types = ps_model_matrix(m, n->types, n->hidden);
    self->embedded = ps_norm_make(m, n->hidden);
    self->position_ids = ps_model_buffer(m, n->positions, PS_DTYPE_I64);
    self->type_ids = ps_model_buffer(m, n->positions, PS_DTYPE_I64);
}

/* The bias of the words is the head's own parameter, and its decoder's. */
static void make_head(ps_model *m, bert *self)
{
    const shape *n = &self->shape;
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
    bert *self = m->state;
    if (self != NULL) {
        ps_free(self->layer);
        ps_free(self);
    }
}

static ps_code create_any(ps_model *m, const ps_model_config *config, bool counts_words,
                          ps_error *err)
{
    bert *self = m->state = ps_calloc(1, sizeof *self);
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

/* ---- attention ---- */

static ps_attention_shape attention_shape(const ps_model *m, const pass *about)
{
    const shape *n = &((const bert *)m->state)->shape;
    return (ps_attention_shape){.batch = about->batch,
                                .heads = n->heads,
                                .kv_heads = n->heads,
                                .queries = about->length,
                                .keys = about->length,
                                .head_width = n->hidden / n->heads};
}

/* BertSelfAttention.forward */
static ps_tensor eager_attention(ps_model *m, const layer *with, ps_tensor x, const pass *about)
{
    ps_eager *e = m->e;
    const ps_attention_shape heads = attention_shape(m, about);
    ps_tensor query = ps_linear_run(m, &with->query, x);
    ps_tensor key = ps_scores_project_key(m, &with->key, x, &heads);
    ps_heads_split_view(m, &key, &heads, true);
    ps_tensor value = ps_linear_run(m, &with->value, x);
    ps_heads_split_view(m, &value, &heads, false);
    ps_heads_split_view(m, &query, &heads, false);
    ps_tensor scores = ps_scores_make(m, query, key, &heads);
    ps_eager_assign(e, &scores, ps_op_mul_number(e, scores)); /* divided by a number */
    ps_eager_assign(e, &scores, ps_op_add(e, scores, about->mask));
    ps_tensor wide = ps_op_widen(e, scores);
    ps_tensor weights = ps_op_softmax(e, wide);
    ps_eager_clear(e, &wide);
    ps_eager_assign(e, &weights,
                    ps_dropout_run(m, weights, ((const bert *)m->state)->shape.attention_dropout));
    ps_tensor out = ps_scores_apply(m, weights, value, &heads);
    ps_heads_merge(m, &out, &heads);
    ps_eager_clear(e, &query);
    ps_eager_clear(e, &key);
    ps_eager_clear(e, &value);
    ps_eager_clear(e, &scores);
    ps_eager_clear(e, &weights);
    return out;
}

/* BertSdpaSelfAttention.forward: heads are given as they lie */
static ps_tensor kernel_attention(ps_model *m, const layer *with, ps_tensor x, const pass *about)
{
    ps_eager *e = m->e;
    const ps_linear *const project[] = {&with->query, &with->key, &with->value};
    const ps_attention_call call = {.shape = attention_shape(m, about),
                                    .mask = about->mask,
                                    .lies_by_tokens = true,
                                    .dropout = ((const bert *)m->state)->shape.attention_dropout};
    ps_tensor part[PARTS];
    for (int i = 0; i < PARTS; i++) {
        part[i] = i == KEY ? ps_kernel_project_key(m, project[i], x, &call)
                           : ps_linear_run(m, project[i], x);
        const bool is_by_heads = ps_attention_returns_by_heads(m, ps_attention_dtype(m, part[i]),
                                                               &call, (ps_attention_part)i);
        ps_eager_assign(e, &part[i],
                        ps_op_view(e, part[i], ps_eager_elements(e, part[i]), is_by_heads));
    }
    const ps_tensor out = ps_attention_run(m, part[QUERY], part[KEY], part[VALUE], &call);
    for (int i = 0; i < PARTS; i++) {
        ps_eager_clear(e, &part[i]);
    }
    return out;
}

/* ---- blocks ---- */

/* norm(dropout(dense(x)) + residual): BertSelfOutput, BertOutput */
static ps_tensor join(ps_model *m, const ps_linear *dense, const ps_norm *after, ps_tensor x,
                      ps_tensor residual)
{
    ps_eager *e = m->e;
    ps_tensor hidden = ps_linear_run(m, dense, x);
    ps_eager_assign(e, &hidden,
                    ps_dropout_run(m, hidden, ((const bert *)m->state)->shape.hidden_dropout));
    ps_tensor sum = ps_op_add(e, hidden, residual);
    ps_eager_assign(e, &hidden, ps_norm_run(m, after, sum));
    ps_eager_clear(e, &sum);
    return hidden;
}

/* BertLayer.forward */
static ps_tensor run_block(ps_model *m, const void *given, int64_t index, ps_tensor input)
{
    ps_eager *e = m->e;
    const bert *self = m->state;
    const layer *with = &self->layer[index];
    ps_tensor mixed = m->recipe->attention == PS_ATTENTION_EAGER
                          ? eager_attention(m, with, input, given)
                          : kernel_attention(m, with, input, given);
    ps_tensor attended = join(m, &with->projection, &with->after_attention, mixed, input);
    ps_eager_clear(e, &mixed);
    ps_tensor wide = ps_linear_run(m, &with->widen, attended);
    ps_eager_assign(e, &wide, ps_activation_run(m, self->shape.activation, wide));
    const ps_tensor out = join(m, &with->narrow, &with->after_mlp, wide, attended);
    ps_eager_clear(e, &wide);
    ps_eager_clear(e, &attended);
    return out;
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

/* cumsum of numbers of 32 bits: it is given them in the result's 64 */
static ps_tensor running_sum(ps_model *m, const ps_batch *batch)
{
    ps_eager *e = m->e;
    const int64_t elements = batch->batch * batch->length;
    const ps_tensor out = ps_eager_make(e, elements, PS_DTYPE_I64, PS_ROLE_ACTIVATION);
    ps_tensor wide = ps_op_plain(e, "copy", elements, PS_DTYPE_I64);
    if (batch->batch == 1) {
        ps_mask_scan_row(m, PS_DTYPE_I64);
    }
    ps_op_in_place(e, "cumsum", out);
    ps_eager_clear(e, &wide);
    return out;
}

/* create_position_ids_from_input_ids: a running count of words that are no padding */
static ps_tensor count_words(ps_model *m, const ps_batch *batch)
{
    ps_eager *e = m->e;
    const int64_t tokens = batch->batch * batch->length;
    ps_tensor is_word = ps_op_plain(e, "ne", tokens, PS_DTYPE_BOOL);
    ps_tensor word = ps_op_plain(e, "copy", tokens, PS_DTYPE_F32); /* whole, of 32 bits */
    ps_eager_clear(e, &is_word);
    ps_tensor count = running_sum(m, batch);
    ps_eager_assign(e, &count, ps_op_plain(e, "copy", tokens, PS_DTYPE_F32));
    ps_eager_assign(e, &count, ps_op_plain(e, "add", tokens, PS_DTYPE_F32));
    ps_eager_assign(e, &count, ps_op_plain(e, "mul", tokens, PS_DTYPE_F32));
    ps_tensor wide = ps_op_plain(e, "copy", tokens, PS_DTYPE_I64);
    const ps_tensor out = ps_op_plain(e, "add", tokens, PS_DTYPE_I64);
    ps_eager_clear(e, &wide);
    ps_eager_clear(e, &word);
    ps_eager_clear(e, &count);
    return out;
}

static ps_tensor places_of(ps_model *m, const ps_batch *batch)
{
    const bert *self = m->state;
    return self->shape.counts_words ? count_words(m, batch)
                                    : ps_op_view(m->e, self->position_ids, batch->length, false);
}

/* BertEmbeddings.forward */
static ps_tensor embed(ps_model *m, const ps_batch *batch)
{
    ps_eager *e = m->e;
    const bert *self = m->state;
    const int64_t width = self->shape.hidden;
    ps_tensor types = ps_op_view(e, self->type_ids, batch->length, false);
    ps_tensor places = places_of(m, batch);
    ps_tensor words = ps_input_embedding_run(m, self->words, batch->ids, width);
    const ps_tensor own[PS_MODULE_OWN] = {self->types};
    ps_tensor shown = ps_model_use(m, own, types);
    ps_tensor kinds = ps_row_parallel_gather(
        m, ps_op_embedding_repeated(e, self->types, shown, batch->batch * batch->length,
                                    ps_row_parallel_share(m, width)));
    ps_model_unuse(m, own, kinds);
    ps_eager_clear(e, &shown);
    ps_tensor hidden = ps_op_add(e, words, kinds);
    ps_tensor positions = ps_embedding_run(m, self->positions, places, width);
    ps_eager_assign(e, &hidden, ps_op_add_in_place(e, hidden, positions));
    ps_eager_assign(e, &hidden, ps_norm_run(m, &self->embedded, hidden));
    ps_eager_assign(e, &hidden, ps_dropout_run(m, hidden, self->shape.hidden_dropout));
    ps_eager_clear(e, &types);
    ps_eager_clear(e, &places);
    ps_eager_clear(e, &words);
    ps_eager_clear(e, &kinds);
    ps_eager_clear(e, &positions);
    return hidden;
}

static ps_tensor run_blocks(ps_model *m, const pass *about, ps_tensor embedded)
{
    const ps_block_call call = {run_block, about, sizeof *about, &about->mask, 1};
    ps_tensor hidden = ps_eager_hold(m->e, embedded);
    for (int64_t i = 0; i < ((const bert *)m->state)->shape.layers; i++) {
        ps_eager_assign(m->e, &hidden, ps_model_block(m, &call, i, hidden));
    }
    return hidden;
}

/* BertModel.forward */
static ps_tensor encode(ps_model *m, const ps_batch *batch)
{
    ps_eager *e = m->e;
    const bert *self = m->state;
    pass about = {.batch = batch->batch, .length = batch->length};
    if (batch->mask == 0 && self->shape.looks_for_padding) {
        look_for_padding(m, batch);
    }
    ps_tensor embedded = embed(m, batch);
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
    const bert *self = m->state;
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
    const bert *self = m->state;
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
