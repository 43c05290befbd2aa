/* SPDX-License-Identifier: MIT
 *
 * T5 and what is built like it (T5 v1.1, Flan-T5), as transformers 4.51
 * writes it: an encoder and a decoder of one kind of block, positions as a
 * bias on the scores, which the first block makes and all others share.
 *
 * What the library's model is given as labels is what the decoder has to say:
 * its inputs are the labels, shifted right.
 */
#include <string.h>

#include "base/memory.h"
#include "workload/model/mask_4d.h"
#include "workload/model/masks.h"
#include "workload/model/scores.h"

#define CACHED_A_LAYER 4 /* keys and values of the decoder's own, and of the encoder's */

typedef struct shape {
    int64_t encoders, decoders; /* layers */
    int64_t hidden, inner, heads, head_width, buckets, vocabulary;
    double dropout;
    ps_activation activation;
    bool is_gated, is_tied, has_cache;
} shape;

typedef struct scoring {
    ps_linear query, key, value, out;
    ps_tensor buckets; /* relative_attention_bias; 0 but in the first layer */
} scoring;

typedef struct layer {
    scoring own, cross;
    ps_linear gate, widen, narrow; /* wi_0 or none, wi or wi_1, wo */
    ps_tensor before_own, before_cross, before_feed;
} layer;

typedef struct stack {
    layer *layer;
    int64_t count;
    int64_t first_block; /* number of its first layer among both stacks' */
    bool is_decoder;
    ps_tensor final;
} stack;

typedef struct t5 {
    shape shape;
    ps_tensor words, head;
    stack encoder, decoder;
    ps_tensor bias[2]; /* what the last block returned besides its result */
} t5;

enum { OWN, CROSS };

/* What a block is given besides its input. */
typedef struct pass {
    const stack *of;
    int64_t batch, length;
    ps_tensor encoded; /* by the encoder; 0 in the encoder */
    ps_tensor places;  /* cache_position */
    ps_tensor mask[2]; /* to add to scores, for the block's own attention and across */
    ps_tensor bias[2]; /* position_bias and encoder_decoder_position_bias; 0: not yet made */
    ps_tensor *cache;  /* NULL: none is kept */
} pass;

/* ---- shape ---- */

/*
 * "relu", "gated-gelu": in the latter gelu stands for its approximation by tanh. Files that the
 * library wrote also say what it made of that; then that holds.
 */
static void read_activation(ps_shape_reader *r, shape *n)
{
    static const char gated[] = "gated-";
    const char *word = ps_shape_text(r, "feed_forward_proj", "relu");
    n->is_gated = strncmp(word, gated, sizeof gated - 1) == 0;
    if (n->is_gated) {
        word += sizeof gated - 1;
    }
    if (n->is_gated && strcmp(word, "gelu") == 0) {
        word = "gelu_new";
    }
    n->is_gated = ps_shape_flag(r, "is_gated_act", n->is_gated);
    n->activation = ps_config_has(r->config, "dense_act_fn")
                        ? ps_shape_activation(r, "dense_act_fn", word)
                        : ps_shape_activation_named(r, "feed_forward_proj", word);
}

static const char *const not_modelled[] = {"output_hidden_states", "output_attentions",
                                           "tie_encoder_decoder"};

static ps_code read_shape(const ps_model_config *config, shape *n, ps_error *err)
{
    ps_shape_reader r = {.config = config, .err = err};
    n->encoders = ps_shape_size_or(&r, "num_layers", "num_hidden_layers", 6);
    n->decoders = ps_shape_size(&r, "num_decoder_layers", n->encoders);
    n->hidden = ps_shape_size_or(&r, "d_model", "hidden_size", 512);
    n->inner = ps_shape_size(&r, "d_ff", 2048);
    n->heads = ps_shape_size_or(&r, "num_heads", "num_attention_heads", 8);
    n->head_width = ps_shape_size_or(&r, "d_kv", "head_dim", 64);
    n->buckets = ps_shape_size(&r, "relative_attention_num_buckets", 32);
    n->vocabulary = ps_shape_size(&r, "vocab_size", 32128);
    n->dropout = ps_shape_share(&r, "dropout_rate", 0.1);
    n->is_tied = ps_shape_flag(&r, "tie_word_embeddings", true);
    n->has_cache = ps_shape_flag(&r, "use_cache", true);
    read_activation(&r, n);
    ps_shape_refuse(&r, not_modelled, sizeof not_modelled / sizeof not_modelled[0]);
    return r.code;
}

/* ---- modules ---- */

static scoring make_scoring(ps_model *m, const shape *n, bool has_buckets)
{
    const int64_t inner = n->heads * n->head_width;
    scoring made = {0};
    made.query = ps_linear_make(m, "q", n->hidden, inner, false);
    made.key = ps_linear_make(m, "k", n->hidden, inner, false);
    made.value = ps_linear_make(m, "v", n->hidden, inner, false);
    made.out = ps_linear_make(m, "o", inner, n->hidden, false);
    made.buckets = has_buckets ? ps_model_matrix(m, n->buckets, n->heads) : 0;
    return made;
}

static void make_layer(ps_model *m, const shape *n, const stack *of, int64_t index)
{
    layer *made = &of->layer[index];
    made->own = make_scoring(m, n, index == 0);
    made->before_own = ps_model_parameter(m, n->hidden);
    if (of->is_decoder) {
        made->cross = make_scoring(m, n, false);
        made->before_cross = ps_model_parameter(m, n->hidden);
    }
    if (n->is_gated) {
        made->gate = ps_linear_make(m, "wi_0", n->hidden, n->inner, false);
    }
    made->widen = ps_linear_make(m, n->is_gated ? "wi_1" : "wi", n->hidden, n->inner, false);
    made->narrow = ps_linear_make(m, "wo", n->inner, n->hidden, false);
    made->before_feed = ps_model_parameter(m, n->hidden);
}

static ps_code make_stack(ps_model *m, const shape *n, stack *made, ps_error *err)
{
    made->layer = ps_calloc((size_t)made->count, sizeof *made->layer);
    if (made->layer == NULL) {
        return ps_fail_nomem(err);
    }
    for (int64_t i = 0; i < made->count; i++) {
        ps_model_make_block(m, made->first_block + i);
        make_layer(m, n, made, i);
    }
    ps_model_make_block(m, -1);
    made->final = ps_model_parameter(m, n->hidden);
    return PS_OK;
}

static void destroy(ps_model *m)
{
    t5 *self = m->state;
    if (self != NULL) {
        ps_free(self->encoder.layer);
        ps_free(self->decoder.layer);
        ps_free(self);
    }
}

static ps_code create(ps_model *m, const ps_model_config *config, ps_error *err)
{
    t5 *self = m->state = ps_calloc(1, sizeof *self);
    if (self == NULL) {
        return ps_fail_nomem(err);
    }
    PS_TRY(read_shape(config, &self->shape, err));
    const shape *n = &self->shape;
    if (m->recipe->parameters == PS_DTYPE_F16) {
        return ps_fail(err, PS_BAD_INPUT,
                       "T5 with weights in fp16 is not modelled: the library keeps some in fp32");
    }
    if (m->recipe->quantize != PS_QUANTIZE_NONE) {
        return ps_fail(err, PS_BAD_INPUT,
                       "T5 with weights of 4 bits is not modelled: the library keeps some in fp32");
    }
    self->encoder = (stack){.count = n->encoders};
    self->decoder = (stack){.count = n->decoders, .first_block = n->encoders, .is_decoder = true};
    self->words = ps_model_matrix(m, n->vocabulary, n->hidden);
    PS_TRY(make_stack(m, n, &self->encoder, err));
    PS_TRY(make_stack(m, n, &self->decoder, err));
    self->head = n->is_tied ? self->words : ps_model_matrix(m, n->vocabulary, n->hidden);
    return PS_OK;
}

/* ---- norm: x / sqrt(mean of squares), in 32 bits, times a weight ---- */

static ps_tensor run_norm(ps_model *m, ps_tensor weight, ps_tensor x)
{
    ps_eager *e = m->e;
    const int64_t rows = ps_eager_elements(e, x) / ps_eager_elements(e, weight);
    ps_tensor wide = ps_op_to(e, x, PS_DTYPE_F32);
    ps_tensor square = ps_op_square(e, wide);
    ps_eager_clear(e, &wide);
    ps_tensor variance = ps_op_mean(e, square, rows);
    ps_eager_clear(e, &square);
    ps_tensor shifted = ps_op_add_number(e, variance);
    ps_tensor scale = ps_op_rsqrt(e, shifted);
    ps_eager_clear(e, &shifted);
    ps_tensor hidden = ps_op_mul(e, x, scale);
    ps_eager_clear(e, &scale);
    if (ps_eager_dtype(e, weight) != PS_DTYPE_F32) {
        ps_eager_assign(e, &hidden, ps_op_to(e, hidden, ps_eager_dtype(e, weight)));
    }
    const ps_tensor out = ps_op_mul(e, weight, hidden);
    ps_eager_clear(e, &hidden);
    ps_eager_clear(e, &variance);
    return out;
}

static ps_tensor norm(ps_model *m, ps_tensor weight, ps_tensor x)
{
    const ps_tensor own[PS_MODULE_OWN] = {weight};
    ps_tensor in = ps_model_use(m, own, x);
    const ps_tensor out = run_norm(m, weight, in);
    ps_model_unuse(m, own, out);
    ps_eager_clear(m->e, &in);
    return out;
}

/* ---- positions ---- */

static void become(ps_model *m, ps_tensor *x, const char *name, ps_dtype dtype)
{
    ps_eager_assign(m->e, x, ps_op_plain(m->e, name, ps_eager_elements(m->e, *x), dtype));
}

/* Distances beyond half of the buckets, by their logarithm. */
static ps_tensor far_buckets(ps_model *m, int64_t cells)
{
    ps_tensor far = ps_op_plain(m->e, "copy", cells, PS_DTYPE_F32);
    become(m, &far, "div", PS_DTYPE_F32);
    become(m, &far, "log", PS_DTYPE_F32);
    become(m, &far, "div", PS_DTYPE_F32);
    become(m, &far, "mul", PS_DTYPE_F32);
    become(m, &far, "copy", PS_DTYPE_I64);
    become(m, &far, "add", PS_DTYPE_I64);
    ps_tensor last = ps_op_plain(m->e, "fill", cells, PS_DTYPE_I64);
    become(m, &far, "minimum", PS_DTYPE_I64);
    ps_eager_clear(m->e, &last);
    return far;
}

/* Later keys have buckets of their own: an offset. */
static ps_tensor side_buckets(ps_model *m, int64_t cells)
{
    ps_tensor side = ps_op_plain(m->e, "gt", cells, PS_DTYPE_BOOL);
    become(m, &side, "copy", PS_DTYPE_I64);
    become(m, &side, "mul", PS_DTYPE_I64);
    become(m, &side, "add", PS_DTYPE_I64);
    return side;
}

/* Distances into the past; the future counts as 0. */
static ps_tensor past(ps_model *m, int64_t cells)
{
    ps_tensor zero = ps_op_plain(m->e, "fill", cells, PS_DTYPE_I64);
    ps_tensor distance = ps_op_plain(m->e, "minimum", cells, PS_DTYPE_I64);
    ps_eager_clear(m->e, &zero);
    become(m, &distance, "neg", PS_DTYPE_I64);
    return distance;
}

/* _relative_position_bucket */
static ps_tensor bucket(ps_model *m, int64_t cells, bool is_decoder)
{
    ps_eager *e = m->e;
    ps_tensor buckets = is_decoder ? 0 : side_buckets(m, cells);
    ps_tensor distance = is_decoder ? past(m, cells) : ps_op_plain(e, "abs", cells, PS_DTYPE_I64);
    ps_tensor is_near = ps_op_plain(e, "lt", cells, PS_DTYPE_BOOL);
    ps_tensor far = far_buckets(m, cells);
    ps_tensor chosen = ps_op_plain(e, "where", cells, PS_DTYPE_I64);
    if (buckets == 0) {
        buckets = ps_op_plain(e, "add", cells, PS_DTYPE_I64);
    } else {
        ps_op_in_place(e, "add", buckets);
    }
    ps_eager_clear(e, &chosen);
    ps_eager_clear(e, &distance);
    ps_eager_clear(e, &is_near);
    ps_eager_clear(e, &far);
    return buckets;
}

/* compute_bias, and position_bias[:, :, -length:, :] of it: four slices */
static ps_tensor compute_bias(ps_model *m, const scoring *with, const pass *about)
{
    ps_eager *e = m->e;
    const int64_t cells = about->length * about->length;
    ps_tensor places = ps_op_plain(e, "arange", about->length, PS_DTYPE_I64);
    ps_tensor distance = ps_op_plain(e, "sub", cells, PS_DTYPE_I64);
    ps_tensor buckets = bucket(m, cells, about->of->is_decoder);
    const int64_t heads = ((const t5 *)m->state)->shape.heads;
    /* (length, length, heads) to (heads, length, length) */
    const bool is_transposed = heads > 1 && cells > 1;
    const ps_tensor own[PS_MODULE_OWN] = {with->buckets};
    ps_tensor in = ps_model_use(m, own, buckets);
    ps_tensor bias = is_transposed ? ps_op_embedding_transposed(e, with->buckets, in, heads)
                                   : ps_op_embedding(e, with->buckets, in, heads);
    ps_model_unuse(m, own, bias);
    ps_eager_clear(e, &in);
    ps_eager_clear(e, &places);
    ps_eager_clear(e, &distance);
    ps_eager_clear(e, &buckets);
    for (int i = 0; i < 4; i++) {
        ps_eager_assign(e, &bias, ps_op_slice(e, bias, ps_eager_elements(e, bias)));
    }
    return bias;
}

/* The bias of a layer that is given none: by distance, or nothing; the mask is added to it. */
static ps_tensor make_bias(ps_model *m, const scoring *with, const pass *about, ps_dtype dtype,
                           ps_tensor mask)
{
    const int64_t heads = ((const t5 *)m->state)->shape.heads;
    const int64_t cells = heads * about->length * about->length;
    ps_tensor bias =
        with->buckets != 0 ? compute_bias(m, with, about) : ps_op_plain(m->e, "fill", cells, dtype);
    if (with->buckets == 0 && m->recipe->checkpoint_every > 0 && !m->recipe->is_evaluating) {
        ps_eager_begin_graph(m->e, bias); /* the library asks for a gradient nobody uses */
    }
    ps_eager_assign(m->e, &bias, ps_op_add_spread(m->e, bias, mask, about->batch * cells));
    return bias;
}

/* ---- attention ---- */

static ps_attention_shape attention_shape(const ps_model *m, const pass *about)
{
    const shape *n = &((const t5 *)m->state)->shape;
    return (ps_attention_shape){.batch = about->batch,
                                .heads = n->heads,
                                .kv_heads = n->heads,
                                .queries = about->length,
                                .keys = about->length,
                                .head_width = n->head_width};
}

/* softmax(scores.float()).type_as(scores), then dropout */
static ps_tensor weigh(ps_model *m, ps_tensor scores)
{
    ps_eager *e = m->e;
    ps_tensor wide = ps_op_to(e, scores, PS_DTYPE_F32);
    ps_tensor weights = ps_op_softmax(e, wide);
    ps_eager_clear(e, &wide);
    ps_eager_assign(e, &weights, ps_op_to(e, weights, ps_eager_dtype(e, scores)));
    ps_eager_assign(e, &weights, ps_dropout_run(m, weights, ((const t5 *)m->state)->shape.dropout));
    return weights;
}

/* What one attention looks at and hands on. */
typedef struct view {
    ps_tensor states; /* keys and values are made of it */
    int which;
    ps_tensor *bias;  /* made when there is none yet */
    ps_tensor *cache; /* key and value are kept here, unless NULL */
} view;

typedef struct heads_kv {
    ps_tensor key, value;
} heads_kv;

static heads_kv project_kv(ps_model *m, const scoring *with, const view *at,
                           const ps_attention_shape *heads)
{
    heads_kv out;
    out.key = ps_scores_project_key(m, &with->key, at->states, heads);
    out.value = ps_linear_run(m, &with->value, at->states);
    ps_heads_split_view(m, &out.key, heads, true);
    ps_heads_split_view(m, &out.value, heads, false);
    if (at->cache != NULL) {
        at->cache[0] = ps_eager_hold(m->e, out.key);
        at->cache[1] = ps_eager_hold(m->e, out.value);
    }
    return out;
}

/* T5Attention.forward */
static ps_tensor attend(ps_model *m, const scoring *with, ps_tensor x, const pass *about,
                        const view *at)
{
    ps_eager *e = m->e;
    const ps_attention_shape heads = attention_shape(m, about);
    ps_tensor query = ps_linear_run(m, &with->query, x);
    ps_heads_split_view(m, &query, &heads, false);
    heads_kv kv = project_kv(m, with, at, &heads);
    ps_tensor scores = ps_scores_make(m, query, kv.key, &heads);
    ps_tensor last = 0; /* cache_position[-1] + 1 */
    if (*at->bias == 0) {
        last = at->which == OWN ? ps_op_plain(e, "add", 1, PS_DTYPE_I64) : 0;
        *at->bias = make_bias(m, with, about, ps_eager_dtype(e, scores), about->mask[at->which]);
    }
    ps_eager_assign(e, &scores, ps_op_add_in_place(e, scores, *at->bias));
    ps_tensor weights = weigh(m, scores);
    ps_tensor out = ps_scores_apply(m, weights, kv.value, &heads);
    ps_heads_merge(m, &out, &heads);
    ps_eager_assign(e, &out, ps_linear_run(m, &with->out, out));
    ps_eager_clear(e, &query);
    ps_eager_clear(e, &kv.key);
    ps_eager_clear(e, &kv.value);
    ps_eager_clear(e, &scores);
    ps_eager_clear(e, &last);
    ps_eager_clear(e, &weights);
    return out;
}

/* x + dropout(of), where `of` is given up */
static ps_tensor add_dropped(ps_model *m, ps_tensor x, ps_tensor of)
{
    ps_tensor dropped = ps_dropout_run(m, of, ((const t5 *)m->state)->shape.dropout);
    const ps_tensor out = ps_op_add(m->e, x, dropped);
    ps_eager_clear(m->e, &dropped);
    ps_eager_drop(m->e, of);
    return out;
}

static ps_tensor run_own(ps_model *m, const layer *with, ps_tensor x, const pass *about,
                         ps_tensor *bias, ps_tensor *cache)
{
    ps_tensor normed = norm(m, with->before_own, x);
    const view at = {normed, OWN, bias, cache};
    const ps_tensor out = attend(m, &with->own, normed, about, &at);
    const ps_tensor sum = add_dropped(m, x, out);
    ps_eager_clear(m->e, &normed);
    return sum;
}

static ps_tensor run_cross(ps_model *m, const layer *with, ps_tensor x, const pass *about,
                           ps_tensor *bias, ps_tensor *cache)
{
    ps_tensor last = ps_op_plain(m->e, "add", 1, PS_DTYPE_I64); /* cache_position[-1] + 1 */
    ps_tensor normed = norm(m, with->before_cross, x);
    const view at = {about->encoded, CROSS, bias, cache};
    const ps_tensor out = attend(m, &with->cross, normed, about, &at);
    const ps_tensor sum = add_dropped(m, x, out);
    ps_eager_clear(m->e, &normed);
    ps_eager_clear(m->e, &last);
    return sum;
}

/* ---- feed forward ---- */

static ps_tensor activate(ps_model *m, const ps_linear *with, ps_tensor x)
{
    ps_tensor wide = ps_linear_run(m, with, x);
    const ps_tensor out = ps_activation_run(m, ((const t5 *)m->state)->shape.activation, wide);
    ps_eager_clear(m->e, &wide);
    return out;
}

/* T5DenseActDense, T5DenseGatedActDense */
static ps_tensor feed(ps_model *m, const layer *with, ps_tensor x)
{
    ps_eager *e = m->e;
    const shape *n = &((const t5 *)m->state)->shape;
    ps_tensor gate = n->is_gated ? activate(m, &with->gate, x) : 0;
    ps_tensor linear = n->is_gated ? ps_linear_run(m, &with->widen, x) : 0;
    ps_tensor hidden = n->is_gated ? ps_op_mul(e, gate, linear) : activate(m, &with->widen, x);
    ps_eager_assign(e, &hidden, ps_dropout_run(m, hidden, n->dropout));
    ps_eager_assign(e, &hidden, ps_op_to(e, hidden, ps_eager_dtype(e, with->narrow.weight)));
    ps_eager_assign(e, &hidden, ps_linear_run(m, &with->narrow, hidden));
    ps_eager_clear(e, &gate);
    ps_eager_clear(e, &linear);
    return hidden;
}

static ps_tensor run_feed(ps_model *m, const layer *with, ps_tensor x)
{
    ps_tensor forwarded = norm(m, with->before_feed, x);
    ps_eager_assign(m->e, &forwarded, feed(m, with, forwarded));
    return add_dropped(m, x, forwarded);
}

/* ---- stacks ---- */

/* What a block returns besides its result; a recomputation's goes nowhere. */
static void give_bias(ps_model *m, ps_tensor *bias)
{
    t5 *self = m->state;
    for (int i = 0; i < 2; i++) {
        if (ps_eager_phase_now(m->e) == PS_EAGER_BACKWARD) {
            ps_eager_clear(m->e, &bias[i]);
        } else {
            ps_eager_assign(m->e, &self->bias[i], bias[i]);
        }
    }
}

/* T5Block.forward */
static ps_tensor run_block(ps_model *m, const void *given, int64_t block, ps_tensor input)
{
    const pass *about = given;
    const int64_t index = block - about->of->first_block;
    const layer *with = &about->of->layer[index];
    ps_tensor *cache = about->cache == NULL ? NULL : &about->cache[CACHED_A_LAYER * index];
    ps_tensor bias[] = {ps_eager_hold(m->e, about->bias[OWN]),
                        ps_eager_hold(m->e, about->bias[CROSS])};
    /* the block keeps the outputs of its parts until it returns */
    ps_tensor own = run_own(m, with, input, about, &bias[OWN], cache);
    ps_tensor cross = about->of->is_decoder ? run_cross(m, with, own, about, &bias[CROSS],
                                                        cache == NULL ? NULL : cache + 2)
                                            : ps_eager_hold(m->e, own);
    const ps_tensor out = run_feed(m, with, cross);
    ps_eager_clear(m->e, &own);
    ps_eager_clear(m->e, &cross);
    give_bias(m, bias);
    return out;
}

static ps_tensor run_blocks(ps_model *m, pass *about, ps_tensor hidden)
{
    t5 *self = m->state;
    for (int64_t i = 0; i < about->of->count; i++) {
        const ps_tensor held[] = {about->mask[OWN], about->mask[CROSS], about->encoded,
                                  about->places,    about->bias[OWN],   about->bias[CROSS]};
        const ps_block_call call = {run_block, about, sizeof *about, held,
                                    sizeof held / sizeof held[0]};
        ps_eager_assign(m->e, &hidden,
                        ps_model_block(m, &call, about->of->first_block + i, hidden));
        about->bias[OWN] = self->bias[OWN];
        about->bias[CROSS] = self->bias[CROSS];
    }
    ps_eager_assign(m->e, &hidden, norm(m, about->of->final, hidden));
    ps_eager_assign(m->e, &hidden, ps_dropout_run(m, hidden, self->shape.dropout));
    for (int i = 0; i < 2; i++) {
        ps_eager_clear(m->e, &self->bias[i]);
        about->bias[i] = 0;
    }
    return hidden;
}

/* A mask that hides nothing, when the caller gave none. */
static ps_tensor ones(ps_model *m, const pass *about, ps_tensor given, ps_dtype dtype)
{
    return given != 0 ? ps_eager_hold(m->e, given)
                      : ps_op_plain(m->e, "fill", about->batch * about->length, dtype);
}

/* T5Stack.forward; `given` is the caller's mask of the encoder's inputs */
static ps_tensor run_stack(ps_model *m, pass *about, ps_tensor ids, ps_tensor given)
{
    ps_eager *e = m->e;
    const t5 *self = m->state;
    const bool is_decoder = about->of->is_decoder;
    ps_tensor embedded = ps_input_embedding_run(m, self->words, ids, self->shape.hidden);
    const ps_dtype dtype = ps_eager_dtype(e, embedded);
    about->places = ps_op_plain(e, "arange", about->length, PS_DTYPE_I64);
    ps_batch own = {.batch = about->batch, .length = about->length}, cross = own;
    own.mask = ones(m, about, is_decoder ? 0 : given, PS_DTYPE_F32);
    if (is_decoder) {
        const ps_causal_mask causal = {
            .batch = about->batch, .length = about->length, .given = own.mask, .dtype = dtype};
        about->mask[OWN] = ps_causal_mask_make(m, &causal);
        cross.mask = ones(m, about, given, PS_DTYPE_I64);
        about->mask[CROSS] = ps_mask_added(m, &cross, dtype);
    } else {
        about->mask[OWN] = ps_mask_added(m, &own, dtype);
    }
    const ps_tensor out = run_blocks(m, about, ps_dropout_run(m, embedded, self->shape.dropout));
    ps_eager_clear(e, &own.mask);
    ps_eager_clear(e, &cross.mask);
    ps_eager_clear(e, &embedded);
    ps_eager_clear(e, &about->places);
    ps_eager_clear(e, &about->mask[OWN]);
    ps_eager_clear(e, &about->mask[CROSS]);
    return out;
}

/* ---- model ---- */

/* _shift_right */
static ps_tensor shift_right(ps_model *m, const ps_batch *batch)
{
    const int64_t tokens = batch->batch * batch->length;
    const ps_tensor shifted = ps_op_plain(m->e, "fill", tokens, PS_DTYPE_I64);
    if (batch->length > 1) {
        ps_tensor rest = ps_op_plain(m->e, "copy", tokens - batch->batch, PS_DTYPE_I64);
        ps_op_in_place(m->e, "copy", rest);
        ps_eager_clear(m->e, &rest);
    }
    ps_op_in_place(m->e, "fill", shifted);
    ps_tensor is_ignored = ps_op_plain(m->e, "eq", tokens, PS_DTYPE_BOOL);
    ps_op_in_place(m->e, "masked_fill", shifted);
    ps_eager_clear(m->e, &is_ignored);
    return shifted;
}

/* The head on the decoder's result; labels are compared as they are. */
static void finish(ps_model *m, const ps_batch *batch, ps_tensor decoded, ps_model_output *out)
{
    ps_eager *e = m->e;
    const t5 *self = m->state;
    const shape *n = &self->shape;
    const ps_linear head = {.weight = self->head, .in = n->hidden, .out = n->vocabulary};
    const ps_tensor labels = batch->labels != 0 ? batch->labels : batch->ids;
    ps_tensor scaled = n->is_tied ? ps_op_mul_number(e, decoded) : ps_eager_hold(e, decoded);
    out->logits = ps_linear_run(m, &head, scaled);
    out->loss =
        ps_op_cross_entropy(e, out->logits, labels, batch->batch * batch->length, n->vocabulary);
    ps_eager_clear(e, &scaled);
}

static void forward(ps_model *m, const ps_batch *batch, ps_model_output *out)
{
    ps_eager *e = m->e;
    const t5 *self = m->state;
    const size_t count = CACHED_A_LAYER * (size_t)self->shape.decoders;
    const bool has_cache = self->shape.has_cache && !m->recipe->has_no_cache;
    ps_tensor *cache = has_cache ? ps_calloc(count, sizeof *cache) : NULL;
    pass about = {.of = &self->encoder, .batch = batch->batch, .length = batch->length};
    const ps_tensor encoded = run_stack(m, &about, batch->ids, batch->mask);
    ps_tensor shifted = shift_right(m, batch);
    about.of = &self->decoder;
    about.encoded = encoded;
    about.cache = cache;
    ps_tensor decoded = run_stack(m, &about, shifted, batch->mask);
    finish(m, batch, decoded, out);
    ps_eager_clear(e, &decoded);
    ps_eager_clear(e, &shifted);
    for (size_t i = has_cache ? count : 0; i > 0; i--) {
        ps_output_keep(m, out, cache[i - 1]);
    }
    ps_output_keep(m, out, encoded);
    ps_free(cache);
}

const ps_family ps_family_t5 = {
    .model_type = "t5",
    .lora_target = {"q", "v"},
    .create = create,
    .destroy = destroy,
    .forward = forward,
};
