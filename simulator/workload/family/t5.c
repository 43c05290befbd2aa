/* SPDX-License-Identifier: MIT
 *
 * T5 and what is built like it (T5 v1.1, Flan-T5), as transformers 4.51
 * writes it: an encoder and a decoder of one kind of block, positions as a
 * bias on the scores, which the first block makes and all others share.
 *
 * What the library's model is given as labels is what the decoder has to say:
 * its inputs are the labels, shifted right.
 */
#include "workload/family/t5.h"

#include <string.h>

#include "base/memory.h"
#include "workload/model/mask_4d.h"
#include "workload/model/masks.h"
#include "workload/model/shape_reader.h"

/* ---- shape ---- */

/*
 * "relu", "gated-gelu": in the latter gelu stands for its approximation by tanh. Files that the
 * library wrote also say what it made of that; then that holds.
 */
static void read_activation(ps_shape_reader *r, ps_t5_shape *n)
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

static ps_code read_shape(const ps_model_config *config, ps_t5_shape *n, ps_error *err)
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

static ps_t5_scoring make_scoring(ps_model *m, const ps_t5_shape *n, bool has_buckets)
{
    const int64_t inner = n->heads * n->head_width;
    ps_t5_scoring made = {0};
    made.query = ps_linear_make(m, "q", n->hidden, inner, false);
    made.key = ps_linear_make(m, "k", n->hidden, inner, false);
    made.value = ps_linear_make(m, "v", n->hidden, inner, false);
    made.out = ps_linear_make(m, "o", inner, n->hidden, false);
    made.buckets = has_buckets ? ps_model_matrix(m, n->buckets, n->heads) : 0;
    return made;
}

static void make_layer(ps_model *m, const ps_t5_shape *n, const ps_t5_stack *of, int64_t index)
{
    ps_t5_layer *made = &of->layer[index];
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

static ps_code make_stack(ps_model *m, const ps_t5_shape *n, ps_t5_stack *made, ps_error *err)
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
    ps_t5 *self = m->state;
    if (self != NULL) {
        ps_free(self->encoder.layer);
        ps_free(self->decoder.layer);
        ps_free(self);
    }
}

static ps_code create(ps_model *m, const ps_model_config *config, ps_error *err)
{
    ps_t5 *self = m->state = ps_calloc(1, sizeof *self);
    if (self == NULL) {
        return ps_fail_nomem(err);
    }
    PS_TRY(read_shape(config, &self->shape, err));
    const ps_t5_shape *n = &self->shape;
    if (m->recipe->parameters == PS_DTYPE_F16) {
        return ps_fail(err, PS_BAD_INPUT,
                       "T5 with weights in fp16 is not modelled: the library keeps some in fp32");
    }
    if (m->recipe->quantize != PS_QUANTIZE_NONE) {
        return ps_fail(err, PS_BAD_INPUT,
                       "T5 with weights of 4 bits is not modelled: the library keeps some in fp32");
    }
    self->encoder = (ps_t5_stack){.count = n->encoders};
    self->decoder =
        (ps_t5_stack){.count = n->decoders, .first_block = n->encoders, .is_decoder = true};
    self->words = ps_model_matrix(m, n->vocabulary, n->hidden);
    PS_TRY(make_stack(m, n, &self->encoder, err));
    PS_TRY(make_stack(m, n, &self->decoder, err));
    self->head = n->is_tied ? self->words : ps_model_matrix(m, n->vocabulary, n->hidden);
    return PS_OK;
}

/* ---- stacks ---- */

static ps_tensor run_blocks(ps_model *m, ps_t5_pass *about, ps_tensor hidden)
{
    ps_t5 *self = m->state;
    for (int64_t i = 0; i < about->of->count; i++) {
        const ps_tensor held[] = {about->mask[PS_T5_OWN], about->mask[PS_T5_CROSS],
                                  about->encoded,         about->places,
                                  about->bias[PS_T5_OWN], about->bias[PS_T5_CROSS]};
        const ps_block_call call = {ps_t5_run_block, about, sizeof *about, held,
                                    sizeof held / sizeof held[0]};
        ps_eager_assign(m->e, &hidden,
                        ps_model_block(m, &call, about->of->first_block + i, hidden));
        about->bias[PS_T5_OWN] = self->bias[PS_T5_OWN];
        about->bias[PS_T5_CROSS] = self->bias[PS_T5_CROSS];
    }
    ps_eager_assign(m->e, &hidden, ps_t5_norm(m, about->of->final, hidden));
    ps_eager_assign(m->e, &hidden, ps_dropout_run(m, hidden, self->shape.dropout));
    for (int i = 0; i < 2; i++) {
        ps_eager_clear(m->e, &self->bias[i]);
        about->bias[i] = 0;
    }
    return hidden;
}

/* A mask that hides nothing, when the caller gave none. */
static ps_tensor ones(ps_model *m, const ps_t5_pass *about, ps_tensor given, ps_dtype dtype)
{
    return given != 0 ? ps_eager_hold(m->e, given)
                      : ps_op_plain(m->e, "fill", about->batch * about->length, dtype);
}

/* T5Stack.forward; `given` is the caller's mask of the encoder's inputs */
static ps_tensor run_stack(ps_model *m, ps_t5_pass *about, ps_tensor ids, ps_tensor given)
{
    ps_eager *e = m->e;
    const ps_t5 *self = m->state;
    const bool is_decoder = about->of->is_decoder;
    ps_tensor embedded = ps_input_embedding_run(m, self->words, ids, self->shape.hidden);
    const ps_dtype dtype = ps_eager_dtype(e, embedded);
    about->places = ps_op_plain(e, "arange", about->length, PS_DTYPE_I64);
    ps_batch own = {.batch = about->batch, .length = about->length}, cross = own;
    own.mask = ones(m, about, is_decoder ? 0 : given, PS_DTYPE_F32);
    if (is_decoder) {
        const ps_causal_mask causal = {
            .batch = about->batch, .length = about->length, .given = own.mask, .dtype = dtype};
        about->mask[PS_T5_OWN] = ps_causal_mask_make(m, &causal);
        cross.mask = ones(m, about, given, PS_DTYPE_I64);
        about->mask[PS_T5_CROSS] = ps_mask_added(m, &cross, dtype);
    } else {
        about->mask[PS_T5_OWN] = ps_mask_added(m, &own, dtype);
    }
    const ps_tensor out = run_blocks(m, about, ps_dropout_run(m, embedded, self->shape.dropout));
    ps_eager_clear(e, &own.mask);
    ps_eager_clear(e, &cross.mask);
    ps_eager_clear(e, &embedded);
    ps_eager_clear(e, &about->places);
    ps_eager_clear(e, &about->mask[PS_T5_OWN]);
    ps_eager_clear(e, &about->mask[PS_T5_CROSS]);
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
    const ps_t5 *self = m->state;
    const ps_t5_shape *n = &self->shape;
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
    const ps_t5 *self = m->state;
    const size_t count = PS_T5_CACHED_A_LAYER * (size_t)self->shape.decoders;
    const bool has_cache = self->shape.has_cache && !m->recipe->has_no_cache;
    ps_tensor *cache = has_cache ? ps_calloc(count, sizeof *cache) : NULL;
    ps_t5_pass about = {.of = &self->encoder, .batch = batch->batch, .length = batch->length};
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
