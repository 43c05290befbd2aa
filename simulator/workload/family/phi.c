/* SPDX-License-Identifier: MIT
 *
 * Phi (1, 1.5 and 2), as transformers 4.51 writes it: attention and feed-forward
 * beside each other behind one norm, rotary positions on a part of each head,
 * biases everywhere, the head's too.
 */
#include "base/memory.h"
#include "workload/family/decoder.h"

typedef struct shape {
    int64_t layers, hidden, heads, kv_heads, inner, vocabulary;
    int64_t head_width, turned_width; /* elements of a head, and those of them that turn */
    double embedding_dropout, attention_dropout, residual_dropout;
    ps_activation activation;
    bool is_tied, keeps_cache, has_head_norms;
} shape;

typedef struct layer {
    ps_linear query, key, value, dense, widen, narrow;
    ps_norm query_norm, key_norm, norm;
} layer;

typedef struct phi {
    shape shape;
    ps_tensor words;
    ps_linear head;
    layer *layer;
    ps_norm final;
} phi;

/* What a block is given besides its input. */
typedef struct pass {
    ps_attention_call call;
    ps_rotary rotary;
    ps_tensor *cache; /* NULL: none is kept */
} pass;

static const shape *shape_of(const ps_model *m)
{
    return &((const phi *)m->state)->shape;
}

/* ---- making ---- */

static ps_code read_shape(const ps_model_config *config, shape *n, ps_error *err)
{
    ps_shape_reader r = {.config = config, .err = err};
    ps_decoder_shape common = {.layers = 24,
                               .hidden = 2048,
                               .heads = 32,
                               .inner = 8192,
                               .vocabulary = 51200,
                               .turned_width = 1};
    ps_decoder_read(&r, &common);
    n->layers = common.layers;
    n->hidden = common.hidden;
    n->heads = common.heads;
    n->kv_heads = common.kv_heads;
    n->inner = common.inner;
    n->vocabulary = common.vocabulary;
    n->head_width = common.head_width;
    n->attention_dropout = common.attention_dropout;
    n->is_tied = common.is_tied;
    n->keeps_cache = common.keeps_cache;
    n->embedding_dropout = ps_shape_share(&r, "embd_pdrop", 0.0);
    n->residual_dropout = ps_shape_share(&r, "resid_pdrop", 0.0);
    n->activation = ps_shape_activation(&r, "hidden_act", "gelu_new");
    n->has_head_norms = ps_shape_flag(&r, "qk_layernorm", false);
    n->turned_width = ps_decoder_read_turned(&r, &common, 0.5);
    ps_decoder_read_rotary(&r);
    return r.code;
}

static void make_layer(ps_model *m, const shape *n, layer *made)
{
    const int64_t width = n->heads * n->head_width, kv_width = n->kv_heads * n->head_width;
    made->query = ps_linear_make(m, "q_proj", n->hidden, width, true);
    made->key = ps_linear_make(m, "k_proj", n->hidden, kv_width, true);
    made->value = ps_linear_make(m, "v_proj", n->hidden, kv_width, true);
    made->dense = ps_linear_make(m, "dense", width, n->hidden, true);
    if (n->has_head_norms) {
        made->query_norm = ps_norm_make(m, n->head_width);
        made->key_norm = ps_norm_make(m, n->head_width);
    }
    made->widen = ps_linear_make(m, "fc1", n->hidden, n->inner, true);
    made->narrow = ps_linear_make(m, "fc2", n->inner, n->hidden, true);
    made->norm = ps_norm_make(m, n->hidden);
}

static void destroy(ps_model *m)
{
    phi *self = m->state;
    if (self != NULL) {
        ps_free(self->layer);
        ps_free(self);
    }
}

static ps_linear make_head(ps_model *m, const shape *n, ps_tensor words)
{
    ps_linear made = {.in = n->hidden, .out = n->vocabulary};
    made.weight = n->is_tied ? words : ps_model_matrix(m, n->vocabulary, n->hidden);
    made.bias = ps_model_bias(m, n->vocabulary);
    return made;
}

static ps_code create(ps_model *m, const ps_model_config *config, ps_error *err)
{
    phi *self = m->state = ps_calloc(1, sizeof *self);
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
    ps_rotary_make(m, n->turned_width);
    self->final = ps_norm_make(m, n->hidden);
    self->head = make_head(m, n, self->words);
    return PS_OK;
}

/* ---- attention ---- */

static ps_tensor project(ps_model *m, const ps_linear *with, ps_tensor x, bool is_by_heads)
{
    return ps_heads_split(m, ps_linear_run(m, with, x), is_by_heads);
}

/* q_layernorm of heads seen through tokens */
static void norm_heads(ps_model *m, const ps_norm *with, ps_tensor *x, bool is_by_heads)
{
    ps_norm own = *with;
    own.takes_views = is_by_heads;
    if (own.weight != 0) {
        ps_eager_assign(m->e, x, ps_norm_run(m, &own, *x));
    }
}

static ps_rotary_parts part(ps_model *m, ps_tensor whole)
{
    return ps_rotary_part(m, whole, shape_of(m)->head_width, shape_of(m)->turned_width);
}

static void turn(ps_model *m, const ps_rotary *rotary, ps_rotary_parts *query, ps_rotary_parts *key)
{
    const ps_tensor turned_query = ps_rotary_turn(m, rotary, query->turning);
    const ps_tensor turned_key = ps_rotary_turn(m, rotary, key->turning);
    ps_eager_assign(m->e, &query->turning, turned_query);
    ps_eager_assign(m->e, &key->turning, turned_key);
}

static ps_tensor attend(ps_model *m, ps_heads_trio *of, const ps_attention_call *call)
{
    const ps_heads_call about = {.call = *call};
    return m->recipe->attention == PS_ATTENTION_EAGER ? ps_heads_eager_attention(m, of, &about)
                                                      : ps_heads_kernel_attention(m, of, &about);
}

static ps_tensor project_value(ps_model *m, const ps_linear *with, ps_tensor x,
                               const ps_attention_call *call)
{
    const ps_tensor flat = ps_linear_run(m, with, x);
    return ps_heads_split(m, flat, ps_heads_return_value_by_heads(m, flat, call));
}

/* PhiAttention.forward */
static ps_tensor attention(ps_model *m, const layer *with, ps_tensor x, const pass *about,
                           int64_t index)
{
    ps_eager *e = m->e;
    const ps_attention_shape *n = &about->call.shape;
    ps_heads_trio of;
    const bool queries_apart = !ps_heads_are_rows(n, n->heads);
    const bool keys_apart = !ps_heads_are_rows(n, n->kv_heads);
    of.query = project(m, &with->query, x, queries_apart);
    of.key = project(m, &with->key, x, keys_apart);
    of.value = project_value(m, &with->value, x, &about->call);
    norm_heads(m, &with->query_norm, &of.query, queries_apart);
    norm_heads(m, &with->key_norm, &of.key, keys_apart);
    ps_rotary_parts query = part(m, of.query), key = part(m, of.key);
    turn(m, &about->rotary, &query, &key);
    ps_eager_assign(e, &of.query, ps_op_cat(e, query.turning, query.passing));
    ps_eager_assign(e, &of.key, ps_op_cat(e, key.turning, key.passing));
    if (about->cache != NULL) {
        about->cache[2 * index] = ps_eager_hold(e, of.key);
        about->cache[2 * index + 1] = ps_eager_hold(e, of.value);
    }
    ps_tensor mixed = attend(m, &of, &about->call);
    const ps_tensor out = ps_linear_run(m, &with->dense, mixed);
    ps_eager_clear(e, &of.query);
    ps_eager_clear(e, &of.key);
    ps_eager_clear(e, &of.value);
    ps_rotary_drop_parts(m, &query);
    ps_rotary_drop_parts(m, &key);
    ps_eager_clear(e, &mixed);
    return out;
}

/* ---- blocks ---- */

static ps_tensor feed_forward(ps_model *m, const layer *with, ps_tensor x)
{
    ps_tensor hidden = ps_linear_run(m, &with->widen, x);
    ps_eager_assign(m->e, &hidden, ps_activation_run(m, shape_of(m)->activation, hidden));
    ps_eager_assign(m->e, &hidden, ps_linear_run(m, &with->narrow, hidden));
    return hidden;
}

/* PhiDecoderLayer.forward */
static ps_tensor run_attention(ps_model *m, const void *about, int64_t index, ps_tensor hidden)
{
    return attention(m, &((const phi *)m->state)->layer[index], hidden, about, index);
}

static ps_tensor run_block(ps_model *m, const void *given, int64_t index, ps_tensor input)
{
    ps_eager *e = m->e;
    const layer *with = &((const phi *)m->state)->layer[index];
    const double dropout = shape_of(m)->residual_dropout;
    ps_tensor normed = ps_norm_run(m, &with->norm, input);
    ps_tensor attended = ps_model_attention(m, run_attention, given, 0, index, normed);
    ps_eager_assign(e, &attended, ps_dropout_run(m, attended, dropout));
    ps_tensor fed = feed_forward(m, with, normed);
    ps_eager_assign(e, &fed, ps_dropout_run(m, fed, dropout));
    ps_tensor out = ps_op_add(e, attended, fed);
    ps_eager_assign(e, &out, ps_op_add(e, out, input));
    ps_eager_clear(e, &normed);
    ps_eager_clear(e, &attended);
    ps_eager_clear(e, &fed);
    return out;
}

/* ---- model ---- */

static ps_tensor run_blocks(ps_model *m, const pass *about, ps_tensor positions, ps_tensor embedded)
{
    const phi *self = m->state;
    const ps_tensor held[] = {about->call.mask, positions, about->rotary.cos, about->rotary.sin};
    const ps_block_call call = {run_block, about, sizeof *about, held,
                                sizeof held / sizeof held[0]};
    ps_tensor hidden = ps_eager_hold(m->e, embedded);
    for (int64_t i = 0; i < self->shape.layers; i++) {
        ps_eager_assign(m->e, &hidden, ps_model_block(m, &call, i, hidden));
    }
    ps_eager_assign(m->e, &hidden, ps_norm_run(m, &self->final, hidden));
    return hidden;
}

static ps_attention_call call_of(const shape *n, const ps_batch *batch, ps_tensor mask)
{
    return (ps_attention_call){.shape = {.batch = batch->batch,
                                         .heads = n->heads,
                                         .kv_heads = n->kv_heads,
                                         .queries = batch->length,
                                         .keys = batch->length,
                                         .head_width = n->head_width},
                               .mask = mask,
                               .mask_pitch =
                                   batch->mask == 0 ? batch->length + PS_CAUSAL_MASK_SPARE_KEYS : 0,
                               .is_causal = mask == 0 && batch->length > 1,
                               .is_put_together = true,
                               .dropout = n->attention_dropout};
}

/* PhiModel.forward */
static ps_tensor decode(ps_model *m, const ps_batch *batch, ps_tensor *cache)
{
    ps_eager *e = m->e;
    const phi *self = m->state;
    const shape *n = &self->shape;
    ps_tensor embedded = ps_input_embedding_run(m, self->words, batch->ids, n->hidden);
    const ps_dtype dtype = ps_eager_dtype(e, embedded);
    ps_tensor positions = ps_op_plain(e, "arange", batch->length, PS_DTYPE_I64);
    ps_tensor mask = ps_batch_mask(m, batch, dtype, &(ps_mask_style){.window = 0});
    ps_eager_assign(e, &embedded, ps_dropout_run(m, embedded, n->embedding_dropout));
    pass about = {.call = call_of(n, batch, mask), .cache = cache};
    about.rotary = ps_rotary_begin(m, batch->length, n->turned_width, dtype);
    const ps_tensor hidden = run_blocks(m, &about, positions, embedded);
    ps_eager_clear(e, &embedded);
    ps_eager_clear(e, &positions);
    ps_eager_clear(e, &mask);
    ps_rotary_end(m, &about.rotary);
    return hidden;
}

/* lm_head(hidden[:, -0:, :]): each of the three is a slice, though all is kept */
static ps_tensor logits_of(ps_model *m, ps_tensor hidden)
{
    ps_tensor last = ps_eager_hold(m->e, hidden);
    for (int i = 0; i < 3; i++) {
        ps_eager_assign(m->e, &last, ps_op_slice(m->e, last, ps_eager_elements(m->e, hidden)));
    }
    const ps_tensor out = ps_linear_run(m, &((const phi *)m->state)->head, last);
    ps_eager_clear(m->e, &last);
    return out;
}

static void forward(ps_model *m, const ps_batch *batch, ps_model_output *out)
{
    const shape *n = shape_of(m);
    const size_t count = 2 * (size_t)n->layers;
    const bool keeps = n->keeps_cache && !m->recipe->has_no_cache;
    ps_tensor *cache = keeps ? ps_calloc(count, sizeof *cache) : NULL;
    ps_tensor hidden = decode(m, batch, cache);
    out->logits = logits_of(m, hidden);
    out->loss = ps_causal_loss(m, out->logits, batch, n->vocabulary);
    ps_eager_clear(m->e, &hidden);
    for (size_t i = cache == NULL ? 0 : count; i >= 2; i -= 2) {
        ps_output_keep(m, out, cache[i - 2]);
        ps_output_keep(m, out, cache[i - 1]);
    }
    ps_free(cache);
}

const ps_family ps_family_phi = {
    .model_type = "phi",
    .lora_target = {"q_proj", "v_proj", "fc1", "fc2"},
    .recomputes_attention = true,
    .create = create,
    .destroy = destroy,
    .forward = forward,
};
