/* SPDX-License-Identifier: MIT
 *
 * A decoder, line by line as transformers 4.51 writes LlamaForCausalLM: every
 * variable of the Python code is held and dropped where Python does.
 */
#include "workload/decoder.h"

#include "base/memory.h"

typedef struct layer {
    ps_linear query, key, value, output;
    ps_rms_norm query_norm, key_norm; /* of each head */
    ps_gated_mlp mlp;
    ps_sparse_mlp sparse; /* in its place where there are experts */
    ps_rms_norm before_attention, after_attention, before_mlp, after_mlp;
} layer;

typedef struct decoder {
    ps_decoder_shape shape;
    ps_tensor words, head;
    layer *layer;
    ps_rms_norm final;
} decoder;

/* What a block is given besides its input. */
typedef struct pass {
    int64_t batch, length;
    ps_rotary rotary;
    ps_tensor mask;
    int64_t mask_pitch;
    ps_tensor *cache; /* NULL: none is kept */
} pass;

/* ---- making ---- */

static ps_rms_norm make_norm(ps_model *m, const ps_decoder_shape *n)
{
    ps_rms_norm made = ps_rms_norm_make(m, n->hidden);
    made.is_offset = n->has_offset_norms;
    return made;
}

static void make_norms(ps_model *m, const ps_decoder_shape *n, layer *made)
{
    made->before_attention = make_norm(m, n);
    if (n->has_output_norms) {
        made->after_attention = make_norm(m, n);
    }
    made->before_mlp = make_norm(m, n);
    if (n->has_output_norms) {
        made->after_mlp = make_norm(m, n);
    }
}

static ps_code make_mlp(ps_model *m, const ps_decoder_shape *n, layer *made, ps_error *err)
{
    const ps_gated_mlp_shape mlp = {n->hidden, n->inner, n->activation, n->has_mlp_bias};
    const ps_sparse_mlp_shape sparse = {n->hidden, n->inner, n->experts, n->experts_a_token,
                                        n->activation};
    if (n->experts > 0) {
        return ps_sparse_mlp_make(m, &sparse, &made->sparse, err);
    }
    made->mlp = ps_gated_mlp_make(m, &mlp);
    return PS_OK;
}

static ps_code make_layer(ps_model *m, const ps_decoder_shape *n, layer *made, ps_error *err)
{
    const int64_t width = n->heads * n->head_width, kv_width = n->kv_heads * n->head_width;
    made->query = ps_linear_make(m, "q_proj", n->hidden, width, n->has_qkv_bias);
    made->key = ps_linear_make(m, "k_proj", n->hidden, kv_width, n->has_qkv_bias);
    made->value = ps_linear_make(m, "v_proj", n->hidden, kv_width, n->has_qkv_bias);
    made->output = ps_linear_make(m, "o_proj", width, n->hidden, n->has_output_bias);
    if (n->has_head_norms) {
        made->query_norm = ps_rms_norm_make(m, n->head_width);
        made->key_norm = ps_rms_norm_make(m, n->head_width);
    }
    PS_TRY(make_mlp(m, n, made, err));
    make_norms(m, n, made);
    return PS_OK;
}

void ps_decoder_destroy(ps_model *m)
{
    decoder *self = m->state;
    if (self != NULL) {
        for (int64_t i = 0; self->layer != NULL && i < self->shape.layers; i++) {
            ps_sparse_mlp_release(&self->layer[i].sparse);
        }
        ps_free(self->layer);
        ps_free(self);
    }
}

ps_code ps_decoder_create(ps_model *m, const ps_decoder_shape *shape, ps_error *err)
{
    decoder *self = m->state = ps_calloc(1, sizeof *self);
    if (self == NULL) {
        return ps_fail_nomem(err);
    }
    self->shape = *shape;
    self->layer = ps_calloc((size_t)shape->layers, sizeof *self->layer);
    if (self->layer == NULL) {
        return ps_fail_nomem(err);
    }
    self->words = ps_model_parameter(m, shape->vocabulary * shape->hidden);
    for (int64_t i = 0; i < shape->layers; i++) {
        PS_TRY(make_layer(m, shape, &self->layer[i], err));
    }
    self->final = make_norm(m, shape);
    ps_rotary_make(m, shape->head_width);
    self->head =
        shape->is_tied ? self->words : ps_model_parameter(m, shape->vocabulary * shape->hidden);
    return PS_OK;
}

static const ps_decoder_shape *shape_of(const ps_model *m)
{
    return &((const decoder *)m->state)->shape;
}

/* ---- attention ---- */

static ps_attention_call call_of(const ps_model *m, const pass *about)
{
    const ps_decoder_shape *n = shape_of(m);
    return (ps_attention_call){.shape = {.batch = about->batch,
                                         .heads = n->heads,
                                         .kv_heads = n->kv_heads,
                                         .queries = about->length,
                                         .keys = about->length,
                                         .head_width = n->head_width},
                               .mask = about->mask,
                               .mask_pitch = about->mask_pitch,
                               .is_causal = about->mask == 0 && about->length > 1,
                               .caps_scores = n->caps_scores,
                               .dropout = n->attention_dropout};
}

/* norm(projection(x)) by heads; the norm passes a strided gradient on as it is */
static ps_tensor project(ps_model *m, const ps_linear *with, const ps_rms_norm *norm, ps_tensor x,
                         const ps_attention_shape *by)
{
    ps_tensor by_heads = ps_heads_split(m, ps_linear_run(m, with, x),
                                        !ps_heads_are_rows(by, with->out / by->head_width));
    if (norm->weight != 0) {
        ps_eager_assign(m->e, &by_heads, ps_rms_norm_run(m, norm, by_heads));
    }
    return by_heads;
}

/* Values do not turn: their gradient lies as attention returns it. */
static ps_tensor project_value(ps_model *m, const ps_linear *with, ps_tensor x,
                               const ps_attention_call *call)
{
    const ps_tensor flat = ps_linear_run(m, with, x);
    return ps_heads_split(m, flat, ps_heads_return_value_by_heads(m, flat, call));
}

static ps_tensor attend(ps_model *m, ps_tensor query, ps_tensor key, ps_tensor value,
                        const ps_attention_call *call)
{
    return m->recipe->attention == PS_ATTENTION_EAGER
               ? ps_heads_eager_attention(m, query, key, value, call)
               : ps_heads_kernel_attention(m, query, key, value, call);
}

/* LlamaAttention.forward */
static ps_tensor attention(ps_model *m, const layer *with, ps_tensor x, const pass *about,
                           int64_t index)
{
    ps_eager *e = m->e;
    const ps_attention_call call = call_of(m, about);
    ps_tensor query = project(m, &with->query, &with->query_norm, x, &call.shape);
    ps_tensor key = project(m, &with->key, &with->key_norm, x, &call.shape);
    ps_tensor value = project_value(m, &with->value, x, &call);
    const ps_tensor turned_query = ps_rotary_turn(m, &about->rotary, query);
    const ps_tensor turned_key = ps_rotary_turn(m, &about->rotary, key);
    ps_eager_assign(e, &query, turned_query);
    ps_eager_assign(e, &key, turned_key);
    if (about->cache != NULL) {
        about->cache[2 * index] = ps_eager_hold(e, key);
        about->cache[2 * index + 1] = ps_eager_hold(e, value);
    }
    ps_tensor mixed = attend(m, query, key, value, &call);
    const ps_tensor out = ps_linear_run(m, &with->output, mixed);
    ps_eager_clear(e, &query);
    ps_eager_clear(e, &key);
    ps_eager_clear(e, &value);
    ps_eager_clear(e, &mixed);
    return out;
}

/* ---- blocks ---- */

/* x = norm(x), where there is such a norm */
static void norm_output(ps_model *m, const ps_rms_norm *with, ps_tensor *x)
{
    if (with->weight != 0) {
        ps_eager_assign(m->e, x, ps_rms_norm_run(m, with, *x));
    }
}

static ps_tensor feed_forward(ps_model *m, const layer *with, ps_tensor x, ps_tensor *logits)
{
    return with->sparse.expert != NULL ? ps_sparse_mlp_run(m, &with->sparse, x, logits)
                                       : ps_gated_mlp_run(m, &with->mlp, x);
}

/* LlamaDecoderLayer.forward */
static ps_tensor run_whole_block(ps_model *m, const pass *about, int64_t index, ps_tensor input)
{
    ps_eager *e = m->e;
    const layer *with = &((const decoder *)m->state)->layer[index];
    ps_tensor residual = ps_eager_hold(e, input);
    ps_tensor hidden = ps_rms_norm_run(m, &with->before_attention, input);
    ps_eager_assign(e, &hidden, attention(m, with, hidden, about, index));
    norm_output(m, &with->after_attention, &hidden);
    ps_eager_assign(e, &hidden, ps_op_add(e, residual, hidden));
    ps_eager_assign(e, &residual, ps_eager_hold(e, hidden));
    ps_eager_assign(e, &hidden, ps_rms_norm_run(m, &with->before_mlp, hidden));
    ps_tensor logits = 0;
    ps_eager_assign(e, &hidden, feed_forward(m, with, hidden, &logits));
    norm_output(m, &with->after_mlp, &hidden);
    ps_eager_assign(e, &hidden, ps_op_add(e, residual, hidden));
    ps_eager_clear(e, &residual);
    ps_eager_clear(e, &logits);
    return hidden;
}

/* Gemma2DecoderLayer.forward with a window: the block cuts its own mask, of all sequences. */
static ps_tensor run_windowed_block(ps_model *m, const pass *about, int64_t index, ps_tensor input)
{
    ps_eager *e = m->e;
    const int64_t cells = about->batch * about->length * about->length;
    const ps_dtype dtype = ps_eager_dtype(e, about->mask);
    ps_tensor ones = ps_op_plain(e, "ones_like", cells, PS_DTYPE_BOOL);
    ps_tensor is_outside = ps_op_plain(e, "tril", cells, PS_DTYPE_BOOL);
    ps_eager_clear(e, &ones);
    ps_tensor least = ps_op_plain(e, "fill", 1, dtype);
    pass own = *about;
    own.mask = ps_op_plain(e, "where", cells, dtype);
    own.mask_pitch = 0;
    ps_eager_clear(e, &least);
    const ps_tensor hidden = run_whole_block(m, &own, index, input);
    ps_eager_clear(e, &own.mask);
    ps_eager_clear(e, &is_outside);
    return hidden;
}

static ps_tensor run_block(ps_model *m, const void *about, int64_t index, ps_tensor input)
{
    return shape_of(m)->is_alternating && index % 2 == 0
               ? run_windowed_block(m, about, index, input)
               : run_whole_block(m, about, index, input);
}

/* ---- model ---- */

static ps_tensor run_blocks(ps_model *m, const pass *about, ps_tensor positions, ps_tensor embedded)
{
    const decoder *self = m->state;
    const ps_tensor held[] = {about->mask, positions, about->rotary.cos, about->rotary.sin};
    const ps_block_call call = {run_block, about, sizeof *about, held,
                                sizeof held / sizeof held[0]};
    ps_tensor hidden =
        self->shape.scales_words ? ps_op_mul_number(m->e, embedded) : ps_eager_hold(m->e, embedded);
    for (int64_t i = 0; i < self->shape.layers; i++) {
        ps_eager_assign(m->e, &hidden, ps_model_block(m, &call, i, hidden));
    }
    ps_eager_assign(m->e, &hidden, ps_rms_norm_run(m, &self->final, hidden));
    return hidden;
}

/* From row to row of a mask that all sequences see, and that may have room for more keys. */
static int64_t pitch_of(const ps_batch *batch, const ps_mask_style *style)
{
    if (batch->mask != 0) {
        return 0;
    }
    return batch->length + (style->is_always_made ? 0 : PS_CAUSAL_MASK_SPARE_KEYS);
}

/* LlamaModel.forward */
static ps_tensor decode(ps_model *m, const ps_batch *batch, ps_tensor *cache)
{
    ps_eager *e = m->e;
    const decoder *self = m->state;
    const ps_decoder_shape *n = &self->shape;
    pass about = {.batch = batch->batch, .length = batch->length, .cache = cache};
    ps_tensor embedded = ps_input_embedding_run(m, self->words, batch->ids, n->hidden);
    const ps_dtype dtype = ps_eager_dtype(e, embedded);
    ps_tensor positions = ps_op_plain(e, "arange", batch->length, PS_DTYPE_I64);
    about.mask = ps_batch_mask(m, batch, dtype, &n->mask);
    about.mask_pitch = pitch_of(batch, &n->mask);
    about.rotary = ps_rotary_begin(m, batch->length, n->head_width, dtype);
    const ps_tensor hidden = run_blocks(m, &about, positions, embedded);
    ps_eager_clear(e, &embedded);
    ps_eager_clear(e, &positions);
    ps_eager_clear(e, &about.mask);
    ps_rotary_end(m, &about.rotary);
    return hidden;
}

/* lm_head(hidden[:, -0:, :]): each of the three is a slice, though all is kept */
static ps_tensor logits_of(ps_model *m, ps_tensor hidden)
{
    const decoder *self = m->state;
    const ps_linear head = {
        .weight = self->head, .in = self->shape.hidden, .out = self->shape.vocabulary};
    ps_tensor last = ps_eager_hold(m->e, hidden);
    for (int i = 0; i < 3; i++) {
        ps_eager_assign(m->e, &last, ps_op_slice(m->e, last, ps_eager_elements(m->e, hidden)));
    }
    const ps_tensor out = ps_linear_run(m, &head, last);
    ps_eager_clear(m->e, &last);
    return self->shape.caps_logits ? ps_soft_cap(m, out) : out;
}

void ps_decoder_forward(ps_model *m, const ps_batch *batch, ps_model_output *out)
{
    const decoder *self = m->state;
    const size_t count = 2 * (size_t)self->shape.layers;
    const bool keeps = self->shape.keeps_cache && !m->recipe->has_no_cache;
    ps_tensor *cache = keeps ? ps_calloc(count, sizeof *cache) : NULL;
    ps_tensor hidden = decode(m, batch, cache);
    out->logits = logits_of(m, hidden);
    out->loss = ps_causal_loss(m, out->logits, batch, self->shape.vocabulary);
    ps_eager_clear(m->e, &hidden);
    for (size_t i = cache == NULL ? 0 : count; i >= 2; i -= 2) {
        ps_output_keep(m, out, cache[i - 2]);
        ps_output_keep(m, out, cache[i - 1]);
    }
    ps_free(cache);
}
