/* SPDX-License-Identifier: MIT
 *
 * GPT-NeoX and what is built like it (Pythia), as transformers 4.51 writes
 * it: rotary positions on a part of each head, attention and feed-forward
 * beside each other.
 */
#include "base/memory.h"
#include "workload/eager/ops_matrix.h"
#include "workload/family/decoder.h"
#include "workload/model/model_pieces.h"
#include "workload/model/scores.h"

typedef struct shape {
    int64_t layers, hidden, heads, inner, vocabulary;
    int64_t head_width, turned_width; /* elements of a head, and those of them that turn */
    double hidden_dropout, attention_dropout;
    ps_activation activation;
    bool is_parallel, has_bias, is_tied, has_cache;
} shape;

typedef struct layer {
    ps_norm before_attention, before_mlp;
    ps_linear qkv, dense, widen, narrow;
} layer;

typedef struct gpt_neox {
    shape shape;
    ps_tensor words, head;
    layer *layer;
    ps_norm final;
} gpt_neox;

/* What a block is given besides its input. */
typedef struct pass {
    int64_t batch, length;
    ps_tensor mask, places;
    ps_rotary rotary;
    ps_tensor *keys, *values; /* NULL: no cache is kept */
} pass;

enum { QUERY, KEY, VALUE, PARTS };

/* ---- modules ---- */

static const char *const not_modelled[] = {"output_hidden_states", "output_attentions"};

static ps_code read_shape(const ps_model_config *config, shape *n, ps_error *err)
{
    ps_shape_reader r = {.config = config, .err = err};
    n->layers = ps_shape_size(&r, "num_hidden_layers", 44);
    n->hidden = ps_shape_size(&r, "hidden_size", 6144);
    n->heads = ps_shape_size(&r, "num_attention_heads", 64);
    n->inner = ps_shape_size(&r, "intermediate_size", 24576);
    n->vocabulary = ps_shape_size(&r, "vocab_size", 50432);
    n->hidden_dropout = ps_shape_share(&r, "hidden_dropout", 0.0);
    n->attention_dropout = ps_shape_share(&r, "attention_dropout", 0.0);
    n->activation = ps_shape_activation(&r, "hidden_act", "gelu");
    n->is_parallel = ps_shape_flag(&r, "use_parallel_residual", true);
    n->has_bias = ps_shape_flag(&r, "attention_bias", true);
    n->is_tied = ps_shape_flag(&r, "tie_word_embeddings", false);
    n->has_cache = ps_shape_flag(&r, "use_cache", true);
    const double share = ps_shape_share(&r, "rotary_pct", 0.25);
    ps_decoder_read_rotary(&r);
    ps_shape_refuse(&r, not_modelled, sizeof not_modelled / sizeof not_modelled[0]);
    ps_shape_divides(&r, "hidden_size", n->hidden, "num_attention_heads", n->heads);
    PS_TRY(r.code);
    n->head_width = n->hidden / n->heads;
    n->turned_width = (int64_t)((double)n->head_width * share);
    if (n->turned_width < 2 || n->turned_width % 2 != 0) {
        return ps_fail(err, PS_BAD_INPUT,
                       "rotary_pct leaves %lld of the %lld elements of a head to turn, "
                       "which are no pairs",
                       (long long)n->turned_width, (long long)n->head_width);
    }
    return PS_OK;
}

static void make_layer(ps_model *m, const shape *n, layer *made)
{
    made->before_attention = ps_norm_make(m, n->hidden);
    made->before_mlp = ps_norm_make(m, n->hidden);
    made->qkv = ps_linear_make(m, "query_key_value", n->hidden, 3 * n->hidden, n->has_bias);
    made->dense = ps_linear_make(m, "dense", n->hidden, n->hidden, n->has_bias);
    made->widen = ps_linear_make(m, "dense_h_to_4h", n->hidden, n->inner, true);
    made->narrow = ps_linear_make(m, "dense_4h_to_h", n->inner, n->hidden, true);
}

static void destroy(ps_model *m)
{
    gpt_neox *self = m->state;
    if (self != NULL) {
        ps_free(self->layer);
        ps_free(self);
    }
}

static ps_code create(ps_model *m, const ps_model_config *config, ps_error *err)
{
    gpt_neox *self = m->state = ps_calloc(1, sizeof *self);
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
    for (int64_t i = 0; i < n->layers; i++) {
        ps_model_make_block(m, i);
        make_layer(m, n, &self->layer[i]);
    }
    ps_model_make_block(m, -1);
    self->final = ps_norm_make(m, n->hidden);
    ps_rotary_make(m, n->turned_width);
    self->head = n->is_tied ? self->words : ps_model_matrix(m, n->vocabulary, n->hidden);
    return PS_OK;
}

/* ---- attention ---- */

/* apply_rotary_pos_emb: what turns and what passes of queries and keys, then each put together */
static void turn(ps_model *m, const ps_rotary *rotary, ps_tensor *query, ps_tensor *key)
{
    ps_eager *e = m->e;
    const shape *n = &((const gpt_neox *)m->state)->shape;
    ps_tensor *const whole[] = {query, key};
    ps_tensor part[2], rest[2], turned[2];
    const int64_t turning = ps_eager_elements(e, *query) / n->head_width * n->turned_width;
    for (int i = 0; i < 2; i++) {
        /* x[..., :all] is an alias of x, and x[..., all:] an empty slice of it */
        part[i] = n->turned_width == n->head_width ? ps_op_view(e, *whole[i], turning, false)
                                                   : ps_op_slice(e, *whole[i], turning);
        rest[i] = ps_op_slice(e, *whole[i], ps_eager_elements(e, *whole[i]) - turning);
    }
    for (int i = 0; i < 2; i++) {
        turned[i] = ps_rotary_turn(m, rotary, part[i]);
    }
    for (int i = 0; i < 2; i++) {
        ps_eager_assign(e, &turned[i], ps_op_cat(e, turned[i], rest[i]));
    }
    for (int i = 0; i < 2; i++) {
        ps_eager_clear(e, &part[i]);
        ps_eager_clear(e, &rest[i]);
        ps_eager_assign(e, whole[i], turned[i]);
    }
}

static ps_attention_shape attention_shape(const ps_model *m, const pass *about)
{
    const shape *n = &((const gpt_neox *)m->state)->shape;
    return ps_attention_of_itself(about->batch, about->length, n->heads, n->head_width);
}

/*
 * eager_attention_forward; queries and keys lie in rows since they were put together. The weights
 * are the block's until it returns.
 */
static ps_tensor eager_attention(ps_model *m, const ps_tensor *part, const pass *about,
                                 ps_tensor *kept)
{
    ps_eager *e = m->e;
    const shape *n = &((const gpt_neox *)m->state)->shape;
    const ps_attention_shape about_heads = attention_shape(m, about);
    const ps_bmm_shape scores = {about->batch * n->heads, about->length, about->length,
                                 n->head_width};
    ps_tensor weights = ps_op_matmul(e, part[QUERY], part[KEY], &scores, PS_MATMUL_COPIES_NONE);
    ps_eager_assign(e, &weights, ps_op_mul_number(e, weights));
    ps_eager_assign(e, &weights, ps_op_add(e, weights, about->mask));
    ps_tensor soft = ps_op_softmax_wide(e, weights);
    ps_eager_assign(e, &soft, ps_op_to(e, soft, ps_eager_dtype(e, part[QUERY])));
    ps_eager_assign(e, &weights, soft);
    ps_eager_assign(e, &weights, ps_dropout_run(m, weights, n->attention_dropout));
    ps_tensor out = ps_scores_apply(m, weights, part[VALUE], &about_heads);
    ps_heads_merge(m, &out, &about_heads);
    *kept = weights;
    return out;
}

/* sdpa_attention_forward */
static ps_tensor kernel_attention(ps_model *m, const ps_tensor *part, const pass *about)
{
    const shape *n = &((const gpt_neox *)m->state)->shape;
    const ps_attention_call call = {.shape = attention_shape(m, about),
                                    .mask = about->mask,
                                    .is_causal = about->mask == 0,
                                    .dropout = n->attention_dropout};
    ps_tensor value = ps_op_copy(m->e, part[VALUE]);
    const ps_tensor out = ps_attention_run(m, part[QUERY], part[KEY], value, &call);
    ps_eager_clear(m->e, &value);
    return out;
}

static ps_tensor attention(ps_model *m, const layer *with, ps_tensor x, const pass *about,
                           int64_t index, ps_tensor *weights)
{
    ps_eager *e = m->e;
    const ps_attention_shape heads = attention_shape(m, about);
    ps_tensor part[PARTS];
    ps_tensor packed = ps_linear_run(m, &with->qkv, x);
    ps_heads_split_view(m, &packed, &heads, false);
    ps_op_split(e, packed, part, PARTS);
    turn(m, &about->rotary, &part[QUERY], &part[KEY]);
    if (about->keys != NULL) {
        about->keys[index] = ps_eager_hold(e, part[KEY]);
        about->values[index] = ps_eager_hold(e, part[VALUE]);
    }
    ps_tensor mixed = m->recipe->attention == PS_ATTENTION_EAGER
                          ? eager_attention(m, part, about, weights)
                          : kernel_attention(m, part, about);
    ps_eager_assign(e, &mixed, ps_linear_run(m, &with->dense, mixed));
    for (int i = 0; i < PARTS; i++) {
        ps_eager_clear(e, &part[i]);
    }
    ps_eager_clear(e, &packed);
    return mixed;
}

/* ---- blocks ---- */

static ps_tensor mlp(ps_model *m, const layer *with, ps_tensor x)
{
    const shape *n = &((const gpt_neox *)m->state)->shape;
    ps_tensor normed = ps_norm_run(m, &with->before_mlp, x);
    ps_tensor hidden = ps_linear_run(m, &with->widen, normed);
    ps_eager_assign(m->e, &hidden, ps_activation_run(m, n->activation, hidden));
    ps_eager_assign(m->e, &hidden, ps_linear_run(m, &with->narrow, hidden));
    ps_eager_clear(m->e, &normed);
    ps_eager_assign(m->e, &hidden, ps_dropout_run(m, hidden, n->hidden_dropout));
    return hidden;
}

/* GPTNeoXLayer.forward */
static ps_tensor run_attention(ps_model *m, const void *about, int64_t index, ps_tensor hidden)
{
    ps_tensor weights = 0;
    const ps_tensor out =
        attention(m, &((const gpt_neox *)m->state)->layer[index], hidden, about, index, &weights);
    ps_model_leave_to_block(m, weights);
    return out;
}

static ps_tensor run_block(ps_model *m, const void *given, int64_t index, ps_tensor input)
{
    ps_eager *e = m->e;
    const pass *about = given;
    const gpt_neox *self = m->state;
    const layer *with = &self->layer[index];
    ps_tensor normed = ps_norm_run(m, &with->before_attention, input);
    ps_tensor attended = ps_model_attention(m, run_attention, about, 0, index, normed);
    ps_eager_clear(e, &normed);
    ps_eager_assign(e, &attended, ps_dropout_run(m, attended, self->shape.hidden_dropout));
    if (!self->shape.is_parallel) {
        ps_eager_assign(e, &attended, ps_op_add(e, attended, input));
    }
    ps_tensor fed = mlp(m, with, self->shape.is_parallel ? input : attended);
    ps_tensor out = ps_op_add(e, fed, attended);
    if (self->shape.is_parallel) {
        ps_eager_assign(e, &out, ps_op_add(e, out, input));
    }
    ps_eager_clear(e, &attended);
    ps_eager_clear(e, &fed);
    return out;
}

/* ---- model ---- */

static ps_tensor run_blocks(ps_model *m, const pass *about, ps_tensor hidden)
{
    const gpt_neox *self = m->state;
    const ps_tensor held[] = {about->mask, about->places, about->rotary.cos, about->rotary.sin};
    const ps_block_call call = {run_block, about, sizeof *about, held, 4};
    for (int64_t i = 0; i < self->shape.layers; i++) {
        ps_eager_assign(m->e, &hidden, ps_model_block(m, &call, i, hidden));
    }
    ps_eager_assign(m->e, &hidden, ps_norm_run(m, &self->final, hidden));
    return hidden;
}

/* GPTNeoXModel.forward */
static ps_tensor decode(ps_model *m, const ps_batch *batch, pass *about)
{
    ps_eager *e = m->e;
    const gpt_neox *self = m->state;
    const shape *n = &self->shape;
    ps_tensor embedded = ps_input_embedding_run(m, self->words, batch->ids, n->hidden);
    about->places = ps_op_plain(e, "arange", batch->length, PS_DTYPE_I64);
    about->mask =
        ps_batch_mask(m, batch, ps_eager_dtype(e, embedded), &(ps_mask_style){.window = 0});
    ps_tensor hidden = ps_dropout_run(m, embedded, n->hidden_dropout);
    about->rotary = ps_rotary_begin(m, batch->length, n->turned_width, ps_eager_dtype(e, hidden));
    const ps_tensor out = run_blocks(m, about, hidden);
    ps_eager_clear(e, &embedded);
    ps_eager_clear(e, &about->places);
    ps_eager_clear(e, &about->mask);
    ps_rotary_end(m, &about->rotary);
    return out;
}

/* embed_out of hidden_states[:, slice_indices, :], which is three slices */
static void finish(ps_model *m, const ps_batch *batch, ps_tensor hidden, ps_model_output *out)
{
    const gpt_neox *self = m->state;
    const shape *n = &self->shape;
    const ps_linear head = {.weight = self->head, .in = n->hidden, .out = n->vocabulary};
    ps_tensor wanted = ps_eager_hold(m->e, hidden);
    for (int i = 0; i < 3; i++) {
        ps_eager_assign(m->e, &wanted, ps_op_slice(m->e, wanted, ps_eager_elements(m->e, wanted)));
    }
    out->logits = ps_linear_run(m, &head, wanted);
    ps_eager_clear(m->e, &wanted);
    out->loss = ps_causal_loss(m, out->logits, batch, n->vocabulary);
}

static void forward(ps_model *m, const ps_batch *batch, ps_model_output *out)
{
    const shape *n = &((const gpt_neox *)m->state)->shape;
    const size_t count = (size_t)n->layers;
    const bool has_cache = n->has_cache && !m->recipe->has_no_cache;
    ps_tensor *cache = has_cache ? ps_calloc(2 * count, sizeof *cache) : NULL;
    pass about = {.batch = batch->batch, .length = batch->length};
    about.keys = cache;
    about.values = cache == NULL ? NULL : cache + count;
    ps_tensor hidden = decode(m, batch, &about);
    finish(m, batch, hidden, out);
    ps_eager_clear(m->e, &hidden);
    for (size_t i = cache == NULL ? 0 : count; i > 0; i--) {
        ps_output_keep(m, out, about.keys[i - 1]);
    }
    for (size_t i = cache == NULL ? 0 : count; i > 0; i--) {
        ps_output_keep(m, out, about.values[i - 1]);
    }
    ps_free(cache);
}

const ps_family ps_family_gpt_neox = {
    .model_type = "gpt_neox",
    .lora_target = {"query_key_value"},
    .recomputes_attention = true,
    .create = create,
    .destroy = destroy,
    .forward = forward,
};
