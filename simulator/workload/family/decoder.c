/* SPDX-License-Identifier: MIT
 *
 * A decoder, line by line as transformers 4.51 writes LlamaForCausalLM: every
 * variable of the Python code is held and dropped where Python does.
 */
#include "base/memory.h"
#include "workload/family/decoder_parts.h"

/* ---- making ---- */

static ps_rms_norm make_norm(ps_model *m, const ps_decoder_shape *n)
{
    ps_rms_norm made = ps_rms_norm_make(m, n->hidden);
    made.is_offset = n->has_offset_norms;
    return made;
}

static void make_norms(ps_model *m, const ps_decoder_shape *n, ps_decoder_layer *made)
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

static ps_code make_mlp(ps_model *m, const ps_decoder_shape *n, int64_t index,
                        ps_decoder_layer *made, ps_error *err)
{
    const ps_gated_mlp_shape mlp = {n->hidden, n->inner, n->activation, n->has_mlp_bias,
                                    n->is_packed};
    if (n->sparse.experts > 0 && (n->is_dense == NULL || !n->is_dense[index])) {
        return ps_sparse_mlp_make(m, &n->sparse, &made->sparse, err);
    }
    made->mlp = ps_gated_mlp_make(m, &mlp);
    return PS_OK;
}

static ps_code make_layer(ps_model *m, const ps_decoder_shape *n, int64_t index,
                          ps_decoder_layer *made, ps_error *err)
{
    ps_decoder_make_attention(m, n, made);
    PS_TRY(make_mlp(m, n, index, made, err));
    make_norms(m, n, made);
    return PS_OK;
}

void ps_decoder_destroy(ps_model *m)
{
    ps_decoder *self = m->state;
    if (self != NULL) {
        for (int64_t i = 0; self->layer != NULL && i < self->shape.layers; i++) {
            ps_sparse_mlp_release(&self->layer[i].sparse);
        }
        ps_free(self->shape.is_dense);
        ps_free(self->layer);
        ps_free(self);
    }
}

int64_t ps_decoder_turned_width(const ps_decoder_shape *n)
{
    return n->turned_width > 0 ? n->turned_width : n->head_width;
}

/* Of the model; where each attention has its own, it has none. */
static ps_longrope make_frequencies(ps_model *m, const ps_decoder_shape *n)
{
    const int64_t width = ps_decoder_turned_width(n);
    return (ps_longrope){.positions = n->short_positions,
                         .width = width,
                         .used = n->table_positions > 0 ? 0 : ps_rotary_make(m, width)};
}

ps_code ps_decoder_create(ps_model *m, const ps_decoder_shape *shape, ps_error *err)
{
    ps_decoder *self = m->state = ps_calloc(1, sizeof *self);
    if (self == NULL) {
        ps_free(shape->is_dense);
        return ps_fail_nomem(err);
    }
    self->shape = *shape;
    self->layer = ps_calloc((size_t)shape->layers, sizeof *self->layer);
    if (self->layer == NULL) {
        return ps_fail_nomem(err);
    }
    self->words = ps_model_matrix(m, shape->vocabulary, shape->hidden);
    for (int64_t i = 0; i < shape->layers; i++) {
        ps_model_make_block(m, i);
        PS_TRY(make_layer(m, shape, i, &self->layer[i], err));
    }
    ps_model_make_block(m, -1);
    self->final = make_norm(m, shape);
    self->frequencies = make_frequencies(m, shape);
    self->head =
        shape->is_tied ? self->words : ps_model_matrix(m, shape->vocabulary, shape->hidden);
    return PS_OK;
}

static const ps_decoder_shape *shape_of(const ps_model *m)
{
    return &((const ps_decoder *)m->state)->shape;
}

/* ---- blocks ---- */

/* x = norm(x), where there is such a norm */
static void norm_output(ps_model *m, const ps_rms_norm *with, ps_tensor *x)
{
    if (with->weight != 0) {
        ps_eager_assign(m->e, x, ps_rms_norm_run(m, with, *x));
    }
}

static ps_tensor feed_forward(ps_model *m, const ps_decoder_layer *with, ps_tensor x, int64_t batch,
                              ps_tensor *logits)
{
    if (with->sparse.expert != NULL && with->sparse.shape.copies_tokens) {
        return ps_copied_experts_run(m, &with->sparse, x, batch);
    }
    return with->sparse.expert != NULL ? ps_sparse_mlp_run(m, &with->sparse, x, logits)
                                       : ps_gated_mlp_run(m, &with->mlp, x);
}

/* x = residual + dropout(x) */
static void add_residual(ps_model *m, ps_tensor residual, ps_tensor *x)
{
    ps_tensor dropped = ps_dropout_run(m, *x, shape_of(m)->residual_dropout);
    const ps_tensor sum = ps_op_add(m->e, residual, dropped);
    ps_eager_clear(m->e, &dropped);
    ps_eager_assign(m->e, x, sum);
}

static ps_tensor run_attention(ps_model *m, const void *about, int64_t index, ps_tensor hidden)
{
    return ps_decoder_attend(m, &((const ps_decoder *)m->state)->layer[index], hidden, about,
                             index);
}

/* LlamaDecoderLayer.forward */
static ps_tensor run_whole_block(ps_model *m, const ps_decoder_pass *about, int64_t index,
                                 ps_tensor input)
{
    ps_eager *e = m->e;
    ps_decoder_layer *with = &((ps_decoder *)m->state)->layer[index];
    ps_tensor residual = ps_eager_hold(e, input);
    ps_tensor hidden = ps_rms_norm_run(m, &with->before_attention, input);
    ps_eager_assign(e, &hidden,
                    ps_model_attention(m, run_attention, about, about->mask, index, hidden));
    norm_output(m, &with->after_attention, &hidden);
    add_residual(m, residual, &hidden);
    ps_eager_assign(e, &residual, ps_eager_hold(e, hidden));
    ps_eager_assign(e, &hidden, ps_rms_norm_run(m, &with->before_mlp, hidden));
    ps_tensor logits = 0;
    ps_eager_assign(e, &hidden, feed_forward(m, with, hidden, about->batch, &logits));
    norm_output(m, &with->after_mlp, &hidden);
    add_residual(m, residual, &hidden);
    ps_eager_clear(e, &residual);
    ps_eager_clear(e, &logits);
    return hidden;
}

/* Gemma2DecoderLayer.forward with a window: the block cuts its own mask, of all sequences. */
static ps_tensor run_windowed_block(ps_model *m, const ps_decoder_pass *about, int64_t index,
                                    ps_tensor input)
{
    ps_eager *e = m->e;
    const int64_t cells = about->batch * about->length * about->length;
    const ps_dtype dtype = ps_eager_dtype(e, about->mask);
    ps_tensor ones = ps_op_plain(e, "fill", cells, PS_DTYPE_BOOL);
    ps_tensor is_outside = ps_op_plain(e, "tril", cells, PS_DTYPE_BOOL);
    ps_eager_clear(e, &ones);
    ps_tensor least = ps_op_plain(e, "fill", 1, dtype);
    ps_decoder_pass own = *about;
    own.mask = ps_op_plain(e, "where", cells, dtype);
    own.mask_pitch = 0;
    ps_eager_clear(e, &least);
    const ps_tensor hidden = run_whole_block(m, &own, index, input);
    ps_eager_clear(e, &own.mask);
    ps_eager_clear(e, &is_outside);
    return hidden;
}

ps_tensor ps_decoder_run_block(ps_model *m, const void *about, int64_t index, ps_tensor input)
{
    return shape_of(m)->is_alternating && index % 2 == 0
               ? run_windowed_block(m, about, index, input)
               : run_whole_block(m, about, index, input);
}

/* ---- model ---- */

static ps_tensor run_blocks(ps_model *m, const ps_decoder_pass *about, ps_tensor positions,
                            ps_tensor embedded)
{
    const ps_decoder *self = m->state;
    const ps_tensor held[] = {about->mask, positions, about->rotary.cos, about->rotary.sin};
    const ps_block_call call = {ps_decoder_run_block, about, sizeof *about, held,
                                sizeof held / sizeof held[0]};
    ps_tensor hidden =
        self->shape.scales_words ? ps_op_mul_number(m->e, embedded) : ps_eager_hold(m->e, embedded);
    for (int64_t i = 0; i < self->shape.layers; i++) {
        ps_eager_assign(m->e, &hidden, ps_model_block(m, &call, i, hidden));
    }
    ps_eager_assign(m->e, &hidden, ps_rms_norm_run(m, &self->final, hidden));
    return hidden;
}

int64_t ps_decoder_mask_pitch(const ps_batch *batch, const ps_mask_style *style)
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
    ps_decoder *self = m->state;
    const ps_decoder_shape *n = &self->shape;
    ps_decoder_pass about = {.batch = batch->batch, .length = batch->length, .cache = cache};
    ps_tensor embedded = ps_input_embedding_run(m, self->words, batch->ids, n->hidden);
    const ps_dtype dtype = ps_eager_dtype(e, embedded);
    ps_tensor positions = ps_op_plain(e, "arange", batch->length, PS_DTYPE_I64);
    about.mask = ps_batch_mask(m, batch, dtype, &n->mask);
    about.mask_pitch = ps_decoder_mask_pitch(batch, &n->mask);
    if (n->short_positions > 0) {
        ps_longrope_update(m, &self->frequencies, batch->length);
    }
    if (n->table_positions == 0) {
        about.rotary = ps_rotary_begin(m, batch->length, ps_decoder_turned_width(n), dtype);
    }
    const ps_tensor hidden = run_blocks(m, &about, positions, embedded);
    ps_eager_clear(e, &embedded);
    ps_eager_clear(e, &positions);
    ps_eager_clear(e, &about.mask);
    ps_rotary_end(m, &about.rotary);
    return hidden;
}

/* lm_head(hidden[:, -0:, :]): each of the three is a slice, though all is kept; DeepSeek's own code
 * has none */
static ps_tensor logits_of(ps_model *m, ps_tensor hidden)
{
    const ps_decoder *self = m->state;
    const ps_linear head = {
        .weight = self->head, .in = self->shape.hidden, .out = self->shape.vocabulary};
    ps_tensor last = ps_eager_hold(m->e, hidden);
    for (int i = 0; i < 3 && !self->shape.widens_logits; i++) {
        ps_eager_assign(m->e, &last, ps_op_slice(m->e, last, ps_eager_elements(m->e, hidden)));
    }
    const ps_tensor out = ps_linear_run(m, &head, last);
    ps_eager_clear(m->e, &last);
    return self->shape.caps_logits ? ps_soft_cap(m, out) : out;
}

void ps_decoder_forward(ps_model *m, const ps_batch *batch, ps_model_output *out)
{
    const ps_decoder *self = m->state;
    const size_t count = 2 * (size_t)self->shape.layers;
    const bool keeps = self->shape.keeps_cache && !m->recipe->has_no_cache;
    ps_tensor *cache = keeps ? ps_calloc(count, sizeof *cache) : NULL;
    ps_tensor hidden = decode(m, batch, cache);
    out->logits = logits_of(m, hidden);
    if (self->shape.widens_logits) {
        ps_eager_assign(m->e, &out->logits, ps_op_to(m->e, out->logits, PS_DTYPE_F32));
    }
    out->loss = (self->shape.widens_logits ? ps_shifted_loss : ps_causal_loss)(
        m, out->logits, batch, self->shape.vocabulary);
    ps_eager_clear(m->e, &hidden);
    for (size_t i = cache == NULL ? 0 : count; i >= 2; i -= 2) {
        ps_output_keep(m, out, cache[i - 2]);
        ps_output_keep(m, out, cache[i - 1]);
    }
    ps_free(cache);
}
