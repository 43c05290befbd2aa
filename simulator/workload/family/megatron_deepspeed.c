/* SPDX-License-Identifier: MIT
 *
 * The decoder of Megatron-DeepSpeed with Llama's choices: RMS norms in one
 * kernel, rotary positions, few keys for many heads, a gated feed-forward,
 * scores written out in memory that is kept for ever, and a loss in 32 bits.
 *
 *   embedding ─► blocks ─► RMS norm ─► head of its own ─► loss
 *
 * "tensor_parallel" is how many ranks share each matrix: one rank's part is
 * built. They add up what each has after attention and feed-forward, and
 * gradients before them, and put the logits' figures together.
 */
#include "workload/family/megatron_deepspeed.h"

#include "base/memory.h"
#include "workload/eager/eager_parts.h"
#include "workload/eager/ops_matrix.h"
#include "workload/model/model_pieces.h"
#include "workload/model/shape_reader.h"

typedef struct shape {
    int64_t layers, hidden, heads, kv_heads, head_width, inner, vocabulary;
    int64_t parts; /* ranks that share each matrix */
} shape;

typedef struct layer {
    ps_tensor attention_norm, mlp_norm;
    ps_linear query, key_value, dense, gate_up, down;
} layer;

typedef struct decoder {
    shape shape;
    ps_tensor words, final_norm, head;
    ps_tensor scratch; /* scores of one layer: made by the first pass, kept */
    layer *layer;
} decoder;

typedef struct pass {
    int64_t batch, length;
    ps_rotary rotary;
} pass;

static decoder *own(const ps_model *m)
{
    return m->state;
}

static ps_code read_shape(const ps_model_config *config, shape *n, ps_error *err)
{
    ps_shape_reader r = {.config = config, .err = err};
    const int64_t parts = ps_shape_size(&r, "tensor_parallel", 1);
    n->layers = ps_shape_size(&r, "num_hidden_layers", 0);
    n->hidden = ps_shape_size(&r, "hidden_size", 0);
    n->heads = ps_shape_size(&r, "num_attention_heads", 0);
    n->kv_heads = ps_shape_size(&r, "num_key_value_heads", n->heads);
    n->inner = ps_shape_size(&r, "intermediate_size", 0);
    n->vocabulary = ps_shape_size(&r, "vocab_size", 0);
    ps_shape_divides(&r, "hidden_size", n->hidden, "num_attention_heads", n->heads);
    ps_shape_divides(&r, "num_attention_heads", n->heads, "num_key_value_heads", n->kv_heads);
    ps_shape_divides(&r, "num_key_value_heads", n->kv_heads, "tensor_parallel", parts);
    ps_shape_divides(&r, "intermediate_size", n->inner, "tensor_parallel", parts);
    ps_shape_divides(&r, "vocab_size", n->vocabulary, "tensor_parallel", parts);
    PS_TRY(r.code);
    n->parts = parts;
    n->head_width = n->hidden / n->heads;
    n->heads /= parts;
    n->kv_heads /= parts;
    n->inner /= parts;
    n->vocabulary /= parts;
    return PS_OK;
}

/* In the order of Module.parameters(), which cuts sub-groups. */
static void make_layer(ps_model *m, const shape *n, layer *made)
{
    const int64_t own_width = n->heads * n->head_width, shared = n->kv_heads * n->head_width;
    made->attention_norm = ps_model_parameter(m, n->hidden);
    made->query = ps_linear_make(m, "query", n->hidden, own_width, false);
    made->key_value = ps_linear_make(m, "key_value", n->hidden, 2 * shared, false);
    made->dense = ps_linear_make(m, "dense", own_width, n->hidden, false);
    made->mlp_norm = ps_model_parameter(m, n->hidden);
    made->gate_up = ps_linear_make(m, "dense_h_to_4h", n->hidden, 2 * n->inner, false);
    made->down = ps_linear_make(m, "dense_4h_to_h", n->inner, n->hidden, false);
}

static ps_code create(ps_model *m, const ps_model_config *config, ps_error *err)
{
    decoder *self = m->state = ps_calloc(1, sizeof *self);
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
    self->final_norm = ps_model_parameter(m, n->hidden);
    self->head = ps_model_matrix(m, n->vocabulary, n->hidden);
    m->tensor_ranks = n->parts;
    ps_eager_set_reentrant(m->e, true); /* its own checkpoint() runs a block to its end */
    m->external = self->head;           /* the model multiplies by it, not the module that has it */
    return PS_OK;
}

static void destroy(ps_model *m)
{
    decoder *self = m->state;
    if (self != NULL) {
        ps_free(self->layer);
        ps_free(self);
    }
}

/* ---- a block ---- */

static ps_tensor norm(ps_model *m, ps_tensor weight, ps_tensor x)
{
    const ps_tensor of[PS_MODULE_OWN] = {weight};
    ps_tensor in = ps_model_use(m, of, x);
    const ps_tensor out =
        ps_op_layer_norm(m->e, in, weight, 0, ps_eager_elements(m->e, weight), false);
    ps_model_unuse(m, of, out);
    ps_eager_clear(m->e, &in);
    return out;
}

/* Each key stands for several heads: seen so often, then copied, then turned. */
static ps_tensor repeat(ps_model *m, ps_tensor owned, int64_t elements)
{
    ps_tensor x = owned;
    if (ps_eager_elements(m->e, x) < elements) {
        ps_eager_assign(m->e, &x, ps_op_expand(m->e, x, elements));
        ps_eager_assign(m->e, &x, ps_op_copy(m->e, x));
    }
    return x;
}

static void turn(ps_model *m, const pass *about, ps_tensor *x)
{
    ps_eager_assign(m->e, x, ps_rotary_turn(m, &about->rotary, *x));
}

static ps_tensor attend(ps_model *m, const pass *about, ps_tensor of[3])
{
    const shape *n = &own(m)->shape;
    const int64_t heads = about->batch * n->heads, length = about->length;
    const ps_bmm_shape up = {heads, length, length, n->head_width};
    const ps_bmm_shape down = {heads, length, n->head_width, length};
    if (own(m)->scratch == 0) {
        own(m)->scratch = ps_eager_make(m->e, heads * length * length, ps_eager_dtype(m->e, of[0]),
                                        PS_ROLE_WORKSPACE);
    }
    ps_tensor scores = ps_op_bmm(m->e, of[0], of[1], &up);
    ps_tensor shares = ps_megatron_masked_softmax(m->e, scores);
    ps_tensor mixed = ps_op_bmm(m->e, shares, of[2], &down);
    ps_eager_assign(m->e, &mixed, ps_op_copy(m->e, mixed)); /* by tokens */
    ps_eager_clear(m->e, &scores);
    ps_eager_clear(m->e, &shares);
    return mixed;
}

static ps_tensor run_attention(ps_model *m, const layer *with, const pass *about, ps_tensor x)
{
    ps_eager *e = m->e;
    enum { QUERY, KEY, VALUE, PARTS };
    ps_tensor of[PARTS], shared[2];
    ps_tensor in = ps_megatron_copy_to_parts(e, x, own(m)->shape.parts);
    of[QUERY] = ps_linear_run(m, &with->query, in);
    ps_tensor both = ps_linear_run(m, &with->key_value, in);
    ps_eager_clear(e, &in);
    const int64_t elements = ps_eager_elements(e, of[QUERY]);
    ps_op_split(e, both, shared, 2);
    of[KEY] = repeat(m, shared[0], elements);
    of[VALUE] = repeat(m, shared[1], elements);
    turn(m, about, &of[QUERY]);
    turn(m, about, &of[KEY]);
    ps_tensor mixed = attend(m, about, of);
    const ps_tensor out = ps_linear_run(m, &with->dense, mixed);
    for (int i = 0; i < PARTS; i++) {
        ps_eager_clear(e, &of[i]);
    }
    ps_eager_clear(e, &mixed);
    ps_eager_clear(e, &both);
    ps_megatron_add_parts(e, out, own(m)->shape.parts);
    return out;
}

static ps_tensor run_mlp(ps_model *m, const layer *with, ps_tensor x)
{
    ps_eager *e = m->e;
    ps_tensor part[2];
    ps_tensor in = ps_megatron_copy_to_parts(e, x, own(m)->shape.parts);
    ps_tensor both = ps_linear_run(m, &with->gate_up, in);
    ps_eager_clear(e, &in);
    ps_op_split(e, both, part, 2);
    ps_tensor active = ps_op_silu(e, part[0]);
    ps_tensor product = ps_op_mul(e, active, part[1]);
    ps_eager_clear(e, &active);
    ps_eager_clear(e, &part[0]);
    ps_eager_clear(e, &part[1]);
    ps_eager_clear(e, &both);
    const ps_tensor out = ps_linear_run(m, &with->down, product);
    ps_eager_clear(e, &product);
    ps_megatron_add_parts(e, out, own(m)->shape.parts);
    return out;
}

/* What forward() has in its variables lives until it returns. */
static ps_tensor run_block(ps_model *m, const void *about, int64_t index, ps_tensor input)
{
    ps_eager *e = m->e;
    const layer *with = &own(m)->layer[index];
    ps_tensor mask[2];
    ps_tensor x = norm(m, with->attention_norm, input);
    ps_tensor attended = run_attention(m, with, about, x);
    ps_tensor residual = ps_megatron_drop_and_add(e, attended, input, &mask[0]);
    ps_eager_assign(e, &x, norm(m, with->mlp_norm, residual));
    ps_tensor widened = run_mlp(m, with, x);
    const ps_tensor out = ps_megatron_drop_and_add(e, widened, residual, &mask[1]);
    ps_eager_clear(e, &attended);
    ps_eager_clear(e, &widened);
    ps_eager_clear(e, &residual);
    ps_eager_clear(e, &x);
    ps_eager_clear(e, &mask[0]);
    ps_eager_clear(e, &mask[1]);
    return out;
}

/* ---- model ---- */

static ps_tensor multiply_head(ps_model *m, ps_tensor x)
{
    const decoder *self = own(m);
    const ps_tensor of[PS_MODULE_OWN] = {self->head};
    const int64_t hidden = self->shape.hidden;
    ps_tensor in = ps_model_use(m, of, x);
    const ps_tensor out = ps_op_linear(m->e, in, self->head, ps_eager_elements(m->e, in) / hidden,
                                       hidden, self->shape.vocabulary);
    ps_model_unuse(m, of, out);
    ps_eager_clear(m->e, &in);
    return out;
}

static ps_tensor run_blocks(ps_model *m, const ps_batch *batch)
{
    ps_eager *e = m->e;
    decoder *self = own(m);
    pass about = {.batch = batch->batch, .length = batch->length};
    ps_tensor x = ps_input_embedding_run(m, self->words, batch->ids, self->shape.hidden);
    ps_megatron_add_parts(e, x, self->shape.parts);
    ps_eager_assign(e, &x, ps_op_copy(e, x)); /* the length outside */
    about.rotary = ps_rotary_begin(m, batch->length, self->shape.head_width, ps_eager_dtype(e, x));
    const ps_tensor held[] = {about.rotary.cos, about.rotary.sin};
    const ps_block_call call = {run_block, &about, sizeof about, held, 2};
    for (int64_t i = 0; i < self->shape.layers; i++) {
        ps_eager_assign(e, &x, ps_model_block(m, &call, i, x));
    }
    ps_rotary_end(m, &about.rotary);
    return x;
}

static void forward(ps_model *m, const ps_batch *batch, ps_model_output *out)
{
    ps_tensor last = run_blocks(m, batch);
    ps_tensor x = norm(m, own(m)->final_norm, last);
    ps_eager_assign(m->e, &x, ps_megatron_copy_to_parts(m->e, x, own(m)->shape.parts));
    ps_tensor logits = multiply_head(m, x);
    ps_tensor wide = ps_op_to(m->e, logits, PS_DTYPE_F32);
    ps_tensor losses =
        ps_megatron_cross_entropy(m->e, wide, batch->labels, batch->batch * batch->length);
    ps_eager_clear(m->e, &wide);
    out->loss = ps_op_mean(m->e, losses, 1);
    ps_eager_clear(m->e, &losses);
    ps_eager_clear(m->e, &logits);
    ps_eager_clear(m->e, &x);
    ps_eager_clear(m->e, &last);
}

const ps_family ps_family_megatron_deepspeed = {
    .model_type = "megatron_deepspeed",
    .lora_target = {"query", "key_value"},
    .create = create,
    .destroy = destroy,
    .forward = forward,
};
