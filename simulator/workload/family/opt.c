/* SPDX-License-Identifier: MIT
 *
 * OPT as transformers 4.51 writes it. It makes an attention mask of ones where the caller gives
 * none: positions are counted by it.
 */
#include "base/memory.h"
#include "workload/model/masks.h"
#include "workload/model/model.h"
#include "workload/model/scores.h"
#include "workload/script/dual.h"

/* Rows of the table of positions that no position uses. */
#define POSITION_OFFSET 2

typedef struct shape {
    int64_t layers, hidden, heads, inner, positions, vocabulary, words_width;
    double dropout, attention_dropout, layer_dropout;
    ps_activation activation;
    bool has_bias, has_norm_weights, is_norm_first, has_final_norm, is_tied, keeps_cache;
} shape;

typedef struct layer {
    ps_linear key, value, query, projection, widen, narrow;
    ps_norm attention, final; /* before or after attention, before or after the MLP */
} layer;

typedef struct opt {
    shape shape;
    ps_tensor words, positions, head;
    ps_linear project_out, project_in; /* between widths of words and blocks; weight 0: none */
    ps_norm final;
    layer *layer;
    ps_tensor *cache; /* values and keys of each layer, while a forward pass runs */
} opt;

/* Tensors that a block is given, for a recomputation to keep. */
typedef enum given {
    MASK,
    NUMBERS, /* position_ids and cache_position, which no block uses */
    RANGE,
    GIVEN_COUNT,
} given;

/* What a block is given besides its input. */
typedef struct pass {
    int64_t batch, length;
    ps_tensor given[GIVEN_COUNT];
    ps_tensor *cache; /* NULL: none is kept */
} pass;

static ps_code read_shape(const ps_model_config *config, shape *n, ps_error *err)
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

static ps_norm make_norm(ps_model *m, const shape *n)
{
    return n->has_norm_weights ? ps_norm_make(m, n->hidden) : (ps_norm){.width = n->hidden};
}

static void make_layer(ps_model *m, const shape *n, layer *made)
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

static void make_modules(ps_model *m, opt *self)
{
    const shape *n = &self->shape;
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
    opt *self = m->state;
    if (self != NULL) {
        ps_free(self->layer);
        ps_free(self->cache);
        ps_free(self);
    }
}

static ps_code create(ps_model *m, const ps_model_config *config, ps_error *err)
{
    opt *self = m->state = ps_calloc(1, sizeof *self);
    if (self == NULL) {
        return ps_fail_nomem(err);
    }
    PS_TRY(read_shape(config, &self->shape, err));
    const shape *n = &self->shape;
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

/* ---- attention ---- */

typedef enum part {
    QUERY = PS_ATTENTION_QUERY,
    KEY = PS_ATTENTION_KEY,
    VALUE = PS_ATTENTION_VALUE,
    PART_COUNT,
} part;

static ps_attention_shape attention_shape(const ps_model *m, const pass *about)
{
    const shape *n = &((const opt *)m->state)->shape;
    return (ps_attention_shape){.batch = about->batch,
                                .heads = n->heads,
                                .kv_heads = n->heads,
                                .queries = about->length,
                                .keys = about->length,
                                .head_width = n->hidden / n->heads};
}

static void project(ps_model *m, const layer *with, ps_tensor x, const pass *about, ps_tensor *own)
{
    const ps_attention_shape heads = attention_shape(m, about);
    own[QUERY] = ps_linear_run(m, &with->query, x);
    ps_eager_assign(m->e, &own[QUERY], ps_op_mul_number(m->e, own[QUERY]));
    ps_heads_split_view(m, &own[QUERY], &heads, false);
    own[KEY] = ps_scores_project_key(m, &with->key, x, &heads);
    own[VALUE] = ps_linear_run(m, &with->value, x);
    ps_heads_split_view(m, &own[KEY], &heads, true);
    ps_heads_split_view(m, &own[VALUE], &heads, false);
}

static ps_attention_call kernel_call(const ps_model *m, const pass *about)
{
    const shape *n = &((const opt *)m->state)->shape;
    return (ps_attention_call){.shape = attention_shape(m, about),
                               .mask = about->given[MASK],
                               .is_causal = about->given[MASK] == 0 && about->length > 1,
                               .lies_by_tokens = true,
                               .dropout = n->attention_dropout};
}

static void split_for_kernel(ps_model *m, ps_tensor *own, part which, const ps_attention_call *call)
{
    const ps_dtype dtype = ps_attention_dtype(m, own[which]);
    ps_heads_split_view(m, &own[which], &call->shape,
                        !ps_attention_returns_by_heads(m, dtype, call, (ps_attention_part)which));
}

/* A kernel takes heads as they lie, and most give gradients that lie so. */
static void project_for_kernel(ps_model *m, const layer *with, ps_tensor x,
                               const ps_attention_call *call, ps_tensor *own)
{
    own[QUERY] = ps_linear_run(m, &with->query, x);
    split_for_kernel(m, own, QUERY, call);
    const ps_dtype dtype = ps_attention_dtype(m, own[QUERY]);
    own[KEY] = ps_attention_pick(m, dtype, call) == PS_ATTENTION_MATH
                   ? ps_scores_project_key(m, &with->key, x, &call->shape)
                   : ps_linear_run(m, &with->key, x);
    own[VALUE] = ps_linear_run(m, &with->value, x);
    split_for_kernel(m, own, KEY, call);
    split_for_kernel(m, own, VALUE, call);
}

/* Shares before dropout live as long as attention, those after it, returned, as long as the block. */
typedef struct shares {
    ps_tensor before, after;
} shares;

/* OPTAttention.forward up to its projection */
static ps_tensor eager_attention(ps_model *m, const ps_tensor *own, const pass *about, shares *kept)
{
    ps_eager *e = m->e;
    const shape *n = &((const opt *)m->state)->shape;
    const ps_attention_shape heads = attention_shape(m, about);
    ps_tensor score = ps_scores_make(m, own[QUERY], own[KEY], &heads);
    ps_eager_assign(e, &score, ps_op_add(e, score, about->given[MASK]));
    if (ps_model_is_of_2023(m)) { /* no score below the least number */
        ps_eager_assign(e, &score, ps_op_maximum_number(e, score));
    }
    ps_tensor soft = ps_op_softmax_wide(e, score);
    ps_eager_assign(e, &score, ps_op_to(e, soft, ps_eager_dtype(e, own[QUERY])));
    ps_eager_clear(e, &soft);
    *kept = (shares){score, ps_dropout_run(m, score, n->attention_dropout)};
    ps_tensor out = ps_scores_apply(m, kept->after, own[VALUE], &heads);
    ps_heads_merge(m, &out, &heads);
    return out;
}

static ps_tensor attention(ps_model *m, const layer *with, ps_tensor x, const pass *about,
                           int64_t index, ps_tensor *weights)
{
    shares kept = {0};
    ps_eager *e = m->e;
    const bool is_eager = m->recipe->attention == PS_ATTENTION_EAGER;
    const ps_attention_call call = kernel_call(m, about);
    ps_tensor own[PART_COUNT];
    if (is_eager) {
        project(m, with, x, about, own);
    } else {
        project_for_kernel(m, with, x, &call, own);
    }
    if (about->cache != NULL) {
        about->cache[2 * index] = ps_eager_hold(e, own[VALUE]);
        about->cache[2 * index + 1] = ps_eager_hold(e, own[KEY]);
    }
    ps_tensor mixed = is_eager ? eager_attention(m, own, about, &kept)
                               : ps_attention_run(m, own[QUERY], own[KEY], own[VALUE], &call);
    ps_eager_assign(e, &mixed, ps_linear_run(m, &with->projection, mixed));
    for (part i = QUERY; i < PART_COUNT; i++) {
        ps_eager_clear(e, &own[i]);
    }
    ps_eager_clear(e, &kept.before);
    *weights = kept.after;
    return mixed;
}
/* ---- block ---- */

static void normalize(ps_model *m, const ps_norm *with, ps_tensor *hidden)
{
    ps_eager_assign(m->e, hidden, ps_norm_run(m, with, *hidden));
}

static void add_to_residual(ps_model *m, ps_tensor *residual, ps_tensor *hidden)
{
    const shape *n = &((const opt *)m->state)->shape;
    ps_eager_assign(m->e, hidden, ps_dropout_run(m, *hidden, n->dropout));
    ps_eager_assign(m->e, hidden, ps_op_add(m->e, *residual, *hidden));
}

static void feed_forward(ps_model *m, const layer *with, ps_tensor *hidden)
{
    const shape *n = &((const opt *)m->state)->shape;
    ps_eager_assign(m->e, hidden, ps_linear_run(m, &with->widen, *hidden));
    ps_eager_assign(m->e, hidden, ps_activation_run(m, n->activation, *hidden));
    ps_eager_assign(m->e, hidden, ps_linear_run(m, &with->narrow, *hidden));
}

/* OPTDecoderLayer.forward */
static ps_tensor run_attention(ps_model *m, const void *about, int64_t index, ps_tensor hidden)
{
    ps_tensor weights = 0;
    const ps_tensor out =
        attention(m, &((const opt *)m->state)->layer[index], hidden, about, index, &weights);
    ps_model_leave_to_block(m, weights);
    return out;
}

static ps_tensor run_block(ps_model *m, const void *about, int64_t index, ps_tensor input)
{
    ps_eager *e = m->e;
    const opt *self = m->state;
    const layer *with = &self->layer[index];
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
static ps_tensor count_positions(ps_model *m, ps_tensor mask, int64_t batch)
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

static ps_tensor embed_positions(ps_model *m, ps_tensor numbers)
{
    const opt *self = m->state;
    ps_tensor rows = ps_op_plain(m->e, "add", ps_eager_elements(m->e, numbers), PS_DTYPE_I64);
    const ps_tensor out = ps_embedding_run(m, self->positions, rows, self->shape.hidden);
    ps_eager_clear(m->e, &rows);
    return out;
}

static ps_tensor run_blocks(ps_model *m, const pass *about, ps_tensor hidden)
{
    const opt *self = m->state;
    const ps_block_call call = {run_block, about, sizeof *about, about->given, GIVEN_COUNT};
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

static ps_tensor embed(ps_model *m, const ps_batch *batch, locals *own, pass *about)
{
    const opt *self = m->state;
    ps_eager *e = m->e;
    own->words = ps_input_embedding_run(m, self->words, batch->ids, self->shape.words_width);
    about->given[RANGE] = ps_op_plain(e, "arange", batch->length, PS_DTYPE_I64);
    own->shown = batch->mask != 0
                     ? ps_eager_hold(e, batch->mask)
                     : ps_op_plain(e, "fill", batch->batch * batch->length, PS_DTYPE_F32);
    const ps_causal_mask mask = {.batch = batch->batch,
                                 .length = batch->length,
                                 .given = own->shown,
                                 .dtype = ps_eager_dtype(e, own->words),
                                 .is_for_kernel = m->recipe->attention != PS_ATTENTION_EAGER};
    about->given[MASK] = ps_causal_mask_make(m, &mask);
    about->given[NUMBERS] = count_positions(m, own->shown, batch->batch);
    own->places = embed_positions(m, about->given[NUMBERS]);
    if (self->project_in.weight != 0) {
        ps_eager_assign(e, &own->words, ps_linear_run(m, &self->project_in, own->words));
    }
    return ps_op_add(e, own->words, own->places);
}

static ps_tensor decode(ps_model *m, const ps_batch *batch, ps_tensor *cache)
{
    locals own = {0};
    pass about = {.batch = batch->batch, .length = batch->length, .cache = cache};
    const ps_tensor embedded = embed(m, batch, &own, &about);
    const ps_tensor hidden = run_blocks(m, &about, embedded);
    ps_eager_clear(m->e, &own.shown);
    ps_eager_clear(m->e, &own.words);
    for (given i = MASK; i < GIVEN_COUNT; i++) {
        ps_eager_clear(m->e, &about.given[i]);
    }
    ps_eager_clear(m->e, &own.places);
    return hidden;
}

static void forward(ps_model *m, const ps_batch *batch, ps_model_output *out)
{
    const opt *self = m->state;
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

/* ---- two passes side by side ---- */

enum { DUAL_WORDS = 2, DUAL_MASK = 3, DUAL_PLACES = 4 }; /* slots of a pass */
enum { DUAL_SHOWN = 0 };                                 /* of both */

static const opt *opt_of(const ps_model *m)
{
    return m->state;
}

static bool own_words(const ps_model *m, ps_tensor own[PS_DUAL_OWN])
{
    own[0] = opt_of(m)->words;
    return true;
}

static ps_tensor dual_words(ps_model *m, const ps_dual_pass *its)
{
    const opt *self = m->state;
    return ps_embedding_run(m, self->words, its->batch->ids, self->shape.words_width);
}

static ps_tensor dual_shown(ps_model *m, const ps_dual_pass *its)
{
    const ps_batch *batch = its->batch;
    return batch->mask != 0 ? ps_eager_hold(m->e, batch->mask)
                            : ps_op_plain(m->e, "fill", batch->batch * batch->length, PS_DTYPE_F32);
}

static ps_tensor dual_mask(ps_model *m, const ps_dual_pass *its)
{
    const ps_causal_mask mask = {.batch = its->batch->batch,
                                 .length = its->batch->length,
                                 .given = its->shared[DUAL_SHOWN],
                                 .dtype = ps_eager_dtype(m->e, its->slot[DUAL_WORDS]),
                                 .is_for_kernel = m->recipe->attention != PS_ATTENTION_EAGER};
    return ps_causal_mask_make(m, &mask);
}

static bool own_places(const ps_model *m, ps_tensor own[PS_DUAL_OWN])
{
    own[0] = opt_of(m)->positions;
    return true;
}

static ps_tensor dual_places(ps_model *m, const ps_dual_pass *its)
{
    ps_tensor numbers = count_positions(m, its->shared[DUAL_SHOWN], its->batch->batch);
    const ps_tensor out = embed_positions(m, numbers);
    ps_eager_clear(m->e, &numbers);
    return out;
}

static bool own_project_in(const ps_model *m, ps_tensor own[PS_DUAL_OWN])
{
    own[0] = opt_of(m)->project_in.weight;
    return own[0] != 0;
}

static ps_tensor dual_project_in(ps_model *m, const ps_dual_pass *its)
{
    return ps_linear_run(m, &opt_of(m)->project_in, its->slot[DUAL_WORDS]);
}

static ps_tensor dual_add(ps_model *m, const ps_dual_pass *its)
{
    return ps_op_add(m->e, its->slot[DUAL_WORDS], its->slot[DUAL_PLACES]);
}

static ps_tensor dual_block(ps_model *m, const ps_dual_pass *its, int64_t index)
{
    const pass about = {.batch = its->batch->batch,
                        .length = its->batch->length,
                        .given = {[MASK] = its->slot[DUAL_MASK]}};
    return run_block(m, &about, index, its->slot[PS_DUAL_HIDDEN]);
}

static int64_t dual_block_count(const ps_model *m)
{
    return opt_of(m)->shape.layers;
}

static bool own_final(const ps_model *m, ps_tensor own[PS_DUAL_OWN])
{
    const opt *self = m->state;
    own[0] = self->final.weight;
    own[1] = self->final.bias;
    return self->shape.has_final_norm;
}

static ps_tensor dual_final(ps_model *m, const ps_dual_pass *its)
{
    return ps_norm_run(m, &opt_of(m)->final, its->slot[PS_DUAL_HIDDEN]);
}

static bool own_project_out(const ps_model *m, ps_tensor own[PS_DUAL_OWN])
{
    own[0] = opt_of(m)->project_out.weight;
    return own[0] != 0;
}

static ps_tensor dual_project_out(ps_model *m, const ps_dual_pass *its)
{
    return ps_linear_run(m, &opt_of(m)->project_out, its->slot[PS_DUAL_HIDDEN]);
}

static bool own_head(const ps_model *m, ps_tensor own[PS_DUAL_OWN])
{
    own[0] = opt_of(m)->head;
    return true;
}

static ps_tensor dual_head(ps_model *m, const ps_dual_pass *its)
{
    const opt *self = m->state;
    const ps_linear head = {
        .weight = self->head, .in = self->shape.words_width, .out = self->shape.vocabulary};
    return ps_linear_run(m, &head, its->slot[PS_DUAL_HIDDEN]);
}

static const ps_dual_stage dual_before[] = {
    {.run = dual_words, .own = own_words, .slot = DUAL_WORDS},
    {.run = dual_shown, .slot = DUAL_SHOWN, .is_shared = true},
    {.run = dual_mask, .slot = DUAL_MASK},
    {.run = dual_places, .own = own_places, .slot = DUAL_PLACES},
    {.run = dual_project_in, .own = own_project_in, .slot = DUAL_WORDS},
    {.run = dual_add, .slot = PS_DUAL_HIDDEN},
};

static const ps_dual_stage dual_after[] = {
    {.run = dual_final, .own = own_final, .slot = PS_DUAL_HIDDEN},
    {.run = dual_project_out, .own = own_project_out, .slot = PS_DUAL_HIDDEN},
};

static const ps_dual_ops dual_ops = {
    .before = dual_before,
    .before_count = sizeof dual_before / sizeof dual_before[0],
    .block = dual_block,
    .block_count = dual_block_count,
    .after = dual_after,
    .after_count = sizeof dual_after / sizeof dual_after[0],
    .head = {.run = dual_head, .own = own_head, .slot = PS_DUAL_LOGITS},
};

const ps_family ps_family_opt = {
    .model_type = "opt",
    .lora_target = {"q_proj", "v_proj"},
    .recomputes_attention = true,
    .create = create,
    .destroy = destroy,
    .forward = forward,
    .dual = &dual_ops,
};
