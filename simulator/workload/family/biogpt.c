/* SPDX-License-Identifier: MIT
 *
 * BioGPT, as transformers 4.51 writes it: a decoder whose positions count the
 * tokens that the mask shows, and whose heads are copied apart.
 */
#include "base/memory.h"
#include "workload/eager/ops_matrix.h"
#include "workload/model/mask_4d.h"
#include "workload/model/masks.h"
#include "workload/model/scores.h"
#include "workload/model/shape_reader.h"

#define POSITION_OFFSET 2 /* rows of the table that no token has */

typedef struct shape {
    int64_t layers, hidden, heads, inner, positions, vocabulary;
    double hidden_dropout, attention_dropout, activation_dropout, layer_dropout;
    ps_activation activation;
    bool is_tied, has_cache;
} shape;

typedef struct layer {
    ps_linear key, value, query, projection, widen, narrow;
    ps_norm before_attention, before_mlp;
} layer;

typedef struct biogpt {
    shape shape;
    ps_tensor words, positions, head;
    layer *layer;
    ps_norm final;
} biogpt;

/* What a block is given besides its input. */
typedef struct pass {
    int64_t batch, length;
    ps_tensor mask;
    ps_tensor *cache; /* key and value of each layer; NULL: none is kept */
} pass;

enum { QUERY, KEY, VALUE, PARTS };

/* ---- modules ---- */

static const char *const not_modelled[] = {"output_hidden_states", "output_attentions"};

static ps_code read_shape(const ps_model_config *config, shape *n, ps_error *err)
{
    ps_shape_reader r = {.config = config, .err = err};
    n->layers = ps_shape_size(&r, "num_hidden_layers", 24);
    n->hidden = ps_shape_size(&r, "hidden_size", 1024);
    n->heads = ps_shape_size(&r, "num_attention_heads", 16);
    n->inner = ps_shape_size(&r, "intermediate_size", 4096);
    n->positions = ps_shape_size(&r, "max_position_embeddings", 1024);
    n->vocabulary = ps_shape_size(&r, "vocab_size", 42384);
    n->hidden_dropout = ps_shape_share(&r, "hidden_dropout_prob", 0.1);
    n->attention_dropout = ps_shape_share(&r, "attention_probs_dropout_prob", 0.1);
    n->activation_dropout = ps_shape_share(&r, "activation_dropout", 0.0);
    n->layer_dropout = ps_shape_share(&r, "layerdrop", 0.0);
    n->activation = ps_shape_activation(&r, "hidden_act", "gelu");
    n->is_tied = ps_shape_flag(&r, "tie_word_embeddings", true);
    n->has_cache = ps_shape_flag(&r, "use_cache", true);
    ps_shape_divides(&r, "hidden_size", n->hidden, "num_attention_heads", n->heads);
    ps_shape_refuse(&r, not_modelled, sizeof not_modelled / sizeof not_modelled[0]);
    return r.code;
}

static void make_layer(ps_model *m, const shape *n, layer *made)
{
    made->key = ps_linear_make(m, "k_proj", n->hidden, n->hidden, true);
    made->value = ps_linear_make(m, "v_proj", n->hidden, n->hidden, true);
    made->query = ps_linear_make(m, "q_proj", n->hidden, n->hidden, true);
    made->projection = ps_linear_make(m, "out_proj", n->hidden, n->hidden, true);
    made->before_attention = ps_norm_make(m, n->hidden);
    made->widen = ps_linear_make(m, "fc1", n->hidden, n->inner, true);
    made->narrow = ps_linear_make(m, "fc2", n->inner, n->hidden, true);
    made->before_mlp = ps_norm_make(m, n->hidden);
}

static void destroy(ps_model *m)
{
    biogpt *self = m->state;
    if (self != NULL) {
        ps_free(self->layer);
        ps_free(self);
    }
}

static ps_code create(ps_model *m, const ps_model_config *config, ps_error *err)
{
    biogpt *self = m->state = ps_calloc(1, sizeof *self);
    if (self == NULL) {
        return ps_fail_nomem(err);
    }
    PS_TRY(read_shape(config, &self->shape, err));
    const shape *n = &self->shape;
    PS_TRY(ps_model_check_positions(m, n->positions, err));
    if (n->layer_dropout > 0.0 && !m->recipe->is_evaluating) {
        return ps_fail(err, PS_BAD_INPUT,
                       "layerdrop leaves out layers at random: such steps cannot be predicted");
    }
    self->layer = ps_calloc((size_t)n->layers, sizeof *self->layer);
    if (self->layer == NULL) {
        return ps_fail_nomem(err);
    }
    self->words = ps_model_matrix(m, n->vocabulary, n->hidden);
    self->positions = ps_model_matrix(m, n->positions + POSITION_OFFSET, n->hidden);
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

static ps_attention_call attention_call(const ps_model *m, const pass *about)
{
    const shape *n = &((const biogpt *)m->state)->shape;
    return (ps_attention_call){.shape = ps_attention_of_itself(about->batch, about->length,
                                                               n->heads, n->hidden / n->heads),
                               .mask = about->mask,
                               .is_causal = about->mask == 0 && about->length > 1,
                               .dropout = n->attention_dropout};
}

/* _shape: x.view(batch, length, heads, width).transpose(1, 2).contiguous() */
static void split_heads(ps_model *m, ps_tensor *x, const ps_attention_shape *heads, bool is_strided)
{
    ps_eager_assign(m->e, x, ps_op_view(m->e, *x, ps_eager_elements(m->e, *x), is_strided));
    if (ps_heads_lie_apart(heads)) {
        ps_eager_assign(m->e, x, ps_op_copy(m->e, *x));
    }
}

/* softmax of scores and mask */
static ps_tensor weigh(ps_model *m, const ps_tensor *part, const ps_attention_call *call)
{
    ps_eager *e = m->e;
    const ps_attention_shape *n = &call->shape;
    const ps_bmm_shape product = {n->batch * n->heads, n->queries, n->keys, n->head_width};
    ps_tensor scores = ps_op_matmul(e, part[QUERY], part[KEY], &product, PS_MATMUL_COPIES_NONE);
    ps_eager_assign(e, &scores, ps_op_add(e, scores, call->mask));
    ps_tensor wide = ps_op_widen(e, scores);
    ps_eager_assign(e, &scores, ps_op_softmax(e, wide));
    ps_eager_clear(e, &wide);
    return scores;
}

/* BioGptAttention.forward: products of heads that lie in rows; leaves keys and values in `part` */
static ps_tensor eager_attention(ps_model *m, const layer *with, ps_tensor x, const pass *about,
                                 ps_tensor *part)
{
    ps_eager *e = m->e;
    const ps_attention_call call = attention_call(m, about);
    const ps_attention_shape *n = &call.shape;
    const ps_bmm_shape product = {n->batch * n->heads, n->queries, n->head_width, n->keys};
    part[QUERY] = ps_linear_run(m, &with->query, x);
    ps_eager_assign(e, &part[QUERY], ps_op_mul_number(e, part[QUERY]));
    part[KEY] = ps_scores_project_key(m, &with->key, x, n);
    split_heads(m, &part[KEY], n, false);
    part[VALUE] = ps_linear_run(m, &with->value, x);
    split_heads(m, &part[VALUE], n, ps_heads_lie_apart(n));
    split_heads(m, &part[QUERY], n, ps_heads_lie_apart(n));
    ps_tensor weights = weigh(m, part, &call);
    ps_tensor shares = ps_dropout_run(m, weights, call.dropout);
    ps_tensor out = ps_op_matmul(e, shares, part[VALUE], &product, PS_MATMUL_COPIES_NONE);
    ps_eager_assign(e, &out, ps_op_view(e, out, ps_eager_elements(e, out), ps_heads_are_copied(n)));
    ps_heads_merge(m, &out, n);
    ps_eager_assign(e, &out, ps_linear_run(m, &with->projection, out));
    ps_eager_clear(e, &weights);
    ps_eager_clear(e, &shares);
    ps_eager_clear(e, &part[QUERY]);
    return out;
}

/* BioGptSdpaAttention.forward; leaves keys and values in `part` */
static ps_tensor kernel_attention(ps_model *m, const layer *with, ps_tensor x, const pass *about,
                                  ps_tensor *part)
{
    ps_eager *e = m->e;
    const ps_attention_call call = attention_call(m, about);
    part[QUERY] = ps_linear_run(m, &with->query, x);
    const ps_dtype dtype = ps_attention_dtype(m, part[QUERY]);
    part[KEY] = ps_kernel_project_key(m, &with->key, x, &call);
    split_heads(m, &part[KEY], &call.shape,
                ps_attention_returns_by_heads(m, dtype, &call, PS_ATTENTION_KEY));
    part[VALUE] = ps_linear_run(m, &with->value, x);
    split_heads(m, &part[VALUE], &call.shape,
                ps_attention_returns_by_heads(m, dtype, &call, PS_ATTENTION_VALUE));
    split_heads(m, &part[QUERY], &call.shape,
                ps_attention_returns_by_heads(m, dtype, &call, PS_ATTENTION_QUERY));
    ps_tensor out = ps_attention_run(m, part[QUERY], part[KEY], part[VALUE], &call);
    ps_eager_assign(e, &out, ps_linear_run(m, &with->projection, out));
    ps_eager_clear(e, &part[QUERY]);
    return out;
}

/* ---- blocks ---- */

static ps_tensor mlp(ps_model *m, const layer *with, ps_tensor x)
{
    ps_eager *e = m->e;
    const shape *n = &((const biogpt *)m->state)->shape;
    ps_tensor hidden = ps_norm_run(m, &with->before_mlp, x);
    ps_eager_assign(e, &hidden, ps_linear_run(m, &with->widen, hidden));
    ps_eager_assign(e, &hidden, ps_activation_run(m, n->activation, hidden));
    ps_eager_assign(e, &hidden, ps_dropout_run(m, hidden, n->activation_dropout));
    ps_eager_assign(e, &hidden, ps_linear_run(m, &with->narrow, hidden));
    ps_eager_assign(e, &hidden, ps_dropout_run(m, hidden, n->hidden_dropout));
    return hidden;
}

/* present_key_value is the block's until it returns, and then the cache's, if there is one */
static void keep(ps_model *m, const pass *about, int64_t index, ps_tensor *part)
{
    if (about->cache != NULL) {
        about->cache[2 * index] = part[KEY];
        about->cache[2 * index + 1] = part[VALUE];
        return;
    }
    ps_eager_clear(m->e, &part[KEY]);
    ps_eager_clear(m->e, &part[VALUE]);
}

/* BioGptDecoderLayer.forward */
static ps_tensor run_block(ps_model *m, const void *given, int64_t index, ps_tensor input)
{
    ps_eager *e = m->e;
    const biogpt *self = m->state;
    const layer *with = &self->layer[index];
    ps_tensor part[PARTS] = {0};
    ps_tensor hidden = ps_norm_run(m, &with->before_attention, input);
    ps_eager_assign(e, &hidden,
                    m->recipe->attention == PS_ATTENTION_EAGER
                        ? eager_attention(m, with, hidden, given, part)
                        : kernel_attention(m, with, hidden, given, part));
    ps_eager_assign(e, &hidden, ps_dropout_run(m, hidden, self->shape.hidden_dropout));
    ps_eager_assign(e, &hidden, ps_op_add(e, input, hidden));
    ps_tensor fed = mlp(m, with, hidden);
    ps_eager_assign(e, &hidden, ps_op_add(e, hidden, fed));
    ps_eager_clear(e, &fed);
    keep(m, given, index, part);
    return hidden;
}

/* ---- model ---- */

/* BioGptLearnedPositionalEmbedding.forward: (mask.cumsum() * mask).long() - 1 + offset */
static ps_tensor embed_positions(ps_model *m, const ps_batch *shown)
{
    ps_eager *e = m->e;
    const biogpt *self = m->state;
    const int64_t tokens = shown->batch * shown->length;
    ps_tensor mask = ps_op_to(e, shown->mask, PS_DTYPE_I64);
    ps_tensor count = ps_mask_count(m, mask, shown->batch);
    ps_tensor number = ps_op_plain(e, "mul", tokens, PS_DTYPE_I64);
    ps_eager_clear(e, &count);
    ps_eager_assign(e, &number, ps_op_plain(e, "sub", tokens, PS_DTYPE_I64));
    ps_tensor place = ps_op_plain(e, "add", tokens, PS_DTYPE_I64);
    const ps_tensor out = ps_embedding_run(m, self->positions, place, self->shape.hidden);
    ps_eager_clear(e, &place);
    ps_eager_clear(e, &mask);
    ps_eager_clear(e, &number);
    return out;
}

static ps_tensor embed_words(ps_model *m, const ps_batch *batch)
{
    const biogpt *self = m->state;
    ps_tensor words = ps_embedding_run(m, self->words, batch->ids, self->shape.hidden);
    ps_eager_assign(m->e, &words, ps_op_mul_number(m->e, words));
    if (m->recipe->begins_at_inputs) {
        ps_eager_begin_graph(m->e, words);
    }
    return words;
}

static ps_tensor run_blocks(ps_model *m, const pass *about, ps_tensor hidden)
{
    const biogpt *self = m->state;
    const ps_block_call call = {run_block, about, sizeof *about, &about->mask, 1};
    for (int64_t i = 0; i < self->shape.layers; i++) {
        ps_eager_assign(m->e, &hidden, ps_model_block(m, &call, i, hidden));
    }
    ps_eager_assign(m->e, &hidden, ps_norm_run(m, &self->final, hidden));
    return hidden;
}

/* BioGptModel.forward */
static ps_tensor decode(ps_model *m, const ps_batch *batch, ps_tensor *cache)
{
    ps_eager *e = m->e;
    pass about = {.batch = batch->batch, .length = batch->length, .cache = cache};
    ps_tensor words = embed_words(m, batch);
    ps_batch shown = *batch;
    shown.mask = batch->mask != 0
                     ? ps_eager_hold(e, batch->mask)
                     : ps_op_plain(e, "fill", batch->batch * batch->length, PS_DTYPE_BOOL);
    ps_tensor places = embed_positions(m, &shown);
    const ps_dtype dtype = ps_eager_dtype(e, words);
    about.mask = m->recipe->attention == PS_ATTENTION_EAGER ? ps_mask_4d_scores(m, &shown, dtype)
                                                            : ps_mask_4d_causal(m, &shown, dtype);
    ps_eager_clear(e, &shown.mask);
    ps_tensor hidden = ps_op_add(e, words, places);
    ps_eager_assign(e, &hidden,
                    ps_dropout_run(m, hidden, ((const biogpt *)m->state)->shape.hidden_dropout));
    hidden = run_blocks(m, &about, hidden);
    ps_eager_clear(e, &about.mask);
    ps_eager_clear(e, &words);
    ps_eager_clear(e, &places);
    return hidden;
}

static void forward(ps_model *m, const ps_batch *batch, ps_model_output *out)
{
    const biogpt *self = m->state;
    const shape *n = &self->shape;
    const size_t count = 2 * (size_t)n->layers;
    const bool has_cache = n->has_cache && !m->recipe->has_no_cache;
    ps_tensor *cache = has_cache ? ps_calloc(count, sizeof *cache) : NULL;
    ps_tensor hidden = decode(m, batch, cache);
    const ps_linear head = {.weight = self->head, .in = n->hidden, .out = n->vocabulary};
    out->logits = ps_linear_run(m, &head, hidden);
    out->loss = ps_causal_loss(m, out->logits, batch, n->vocabulary);
    ps_eager_clear(m->e, &hidden);
    for (size_t i = cache == NULL ? 0 : count; i > 0; i--) {
        ps_output_keep(m, out, cache[i - 1]);
    }
    ps_free(cache);
}

const ps_family ps_family_biogpt = {
    .model_type = "biogpt",
    .lora_target = {"q_proj", "v_proj"},
    .create = create,
    .destroy = destroy,
    .forward = forward,
};
