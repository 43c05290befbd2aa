/* SPDX-License-Identifier: MIT
 *
 * Llama, line by line as the library writes it: every variable of the Python
 * code is held and dropped where Python does.
 */
#include "workload/llama.h"

#include "base/memory.h"
#include "workload/ops.h"

typedef struct layer {
    ps_tensor query, key, value, output, gate, up, down, norm, mlp_norm;
} layer;

struct ps_llama {
    ps_eager *e;
    ps_llama_shape shape;
    ps_tensor embedding, norm, head;
    layer *layer;
    ps_tensor *parameter;
    size_t parameter_count;
};

/* What a layer is given besides its input. */
typedef struct pass {
    int64_t batch, length, rows;
    ps_tensor cos, sin;
} pass;

static ps_tensor parameter(ps_llama *self, int64_t elements)
{
    const ps_tensor made = ps_eager_make(self->e, elements, self->shape.dtype, PS_ROLE_PARAMETER);
    if (made != 0) {
        ps_eager_require_grad(self->e, made);
        self->parameter[self->parameter_count++] = made;
    }
    return made;
}

static void make_layer(ps_llama *self, layer *made)
{
    const ps_llama_shape *n = &self->shape;
    made->query = parameter(self, n->hidden * n->heads * n->head_width);
    made->key = parameter(self, n->hidden * n->kv_heads * n->head_width);
    made->value = parameter(self, n->hidden * n->kv_heads * n->head_width);
    made->output = parameter(self, n->heads * n->head_width * n->hidden);
    made->gate = parameter(self, n->hidden * n->feed_forward);
    made->up = parameter(self, n->hidden * n->feed_forward);
    made->down = parameter(self, n->feed_forward * n->hidden);
    made->norm = parameter(self, n->hidden);
    made->mlp_norm = parameter(self, n->hidden);
}

ps_llama *ps_llama_create(ps_eager *eager, const ps_llama_shape *shape)
{
    ps_llama *self = ps_calloc(1, sizeof *self);
    if (self == NULL) {
        return NULL;
    }
    self->e = eager;
    self->shape = *shape;
    self->layer = ps_calloc((size_t)shape->layers, sizeof *self->layer);
    self->parameter = ps_calloc((size_t)shape->layers * 9 + 3, sizeof *self->parameter);
    if (self->layer == NULL || self->parameter == NULL) {
        ps_llama_destroy(self);
        return NULL;
    }
    self->embedding = parameter(self, shape->vocabulary * shape->hidden);
    for (int64_t i = 0; i < shape->layers; i++) {
        make_layer(self, &self->layer[i]);
    }
    self->norm = parameter(self, shape->hidden);
    /* inv_freq and its original: buffers follow the model's type */
    (void)ps_eager_make(eager, shape->head_width / 2, shape->dtype, PS_ROLE_PARAMETER);
    (void)ps_eager_make(eager, shape->head_width / 2, shape->dtype, PS_ROLE_PARAMETER);
    self->head =
        shape->is_tied ? self->embedding : parameter(self, shape->vocabulary * shape->hidden);
    return self;
}

void ps_llama_destroy(ps_llama *self)
{
    if (self != NULL) {
        ps_free(self->layer);
        ps_free(self->parameter);
        ps_free(self);
    }
}

const ps_tensor *ps_llama_parameters(const ps_llama *self, size_t *count)
{
    *count = self->parameter_count;
    return self->parameter;
}

/* LlamaRMSNorm.forward */
static ps_tensor rms_norm(ps_llama *self, ps_tensor input, ps_tensor weight, int64_t rows)
{
    ps_eager *e = self->e;
    ps_tensor hidden = ps_op_to(e, input, PS_DTYPE_F32);
    ps_tensor square = ps_op_square(e, hidden);
    ps_tensor variance = ps_op_mean(e, square, rows);
    ps_eager_clear(e, &square);
    ps_tensor sum = ps_op_add_number(e, variance);
    ps_tensor root = ps_op_rsqrt(e, sum);
    ps_eager_clear(e, &sum);
    ps_eager_assign(e, &hidden, ps_op_mul(e, hidden, root));
    ps_eager_clear(e, &root);
    ps_tensor narrow = ps_op_to(e, hidden, ps_eager_dtype(e, input));
    const ps_tensor out = ps_op_mul(e, weight, narrow);
    ps_eager_clear(e, &narrow);
    ps_eager_clear(e, &hidden);
    ps_eager_clear(e, &variance);
    return out;
}

/* rotate_half */
static ps_tensor rotate_half(ps_eager *e, ps_tensor x)
{
    const int64_t half = ps_eager_elements(e, x) / 2;
    ps_tensor first = ps_op_slice(e, x, half), second = ps_op_slice(e, x, half);
    ps_tensor negative = ps_op_neg(e, second);
    const ps_tensor out = ps_op_cat(e, negative, first);
    ps_eager_clear(e, &negative);
    ps_eager_clear(e, &first);
    ps_eager_clear(e, &second);
    return out;
}

/* x * cos + rotate_half(x) * sin */
static ps_tensor rotate(ps_eager *e, ps_tensor x, const pass *about)
{
    ps_tensor straight = ps_op_mul(e, x, about->cos);
    ps_tensor half = rotate_half(e, x);
    ps_tensor turned = ps_op_mul(e, half, about->sin);
    ps_eager_clear(e, &half);
    const ps_tensor out = ps_op_add(e, straight, turned);
    ps_eager_clear(e, &straight);
    ps_eager_clear(e, &turned);
    return out;
}

/* A projection seen by heads: q_proj(x).view(..).transpose(1, 2) */
static ps_tensor project(ps_llama *self, ps_tensor x, ps_tensor weight, int64_t width,
                         const pass *about)
{
    ps_tensor flat = ps_op_linear(self->e, x, weight, about->rows, self->shape.hidden, width);
    const ps_tensor out = ps_op_view(self->e, flat, about->rows * width, true);
    ps_eager_clear(self->e, &flat);
    return out;
}

/* LlamaAttention.forward; key and value stay in the cache */
static ps_tensor attention(ps_llama *self, const layer *with, ps_tensor x, const pass *about,
                           ps_tensor *cache)
{
    ps_eager *e = self->e;
    const ps_llama_shape *n = &self->shape;
    const int64_t width = n->heads * n->head_width, kv_width = n->kv_heads * n->head_width;
    ps_tensor query = project(self, x, with->query, width, about);
    ps_tensor key = project(self, x, with->key, kv_width, about);
    ps_tensor value = project(self, x, with->value, kv_width, about);
    const ps_tensor turned_query = rotate(e, query, about);
    const ps_tensor turned_key = rotate(e, key, about);
    ps_eager_assign(e, &query, turned_query);
    ps_eager_assign(e, &key, turned_key);
    cache[0] = ps_op_cat(e, key, 0);
    cache[1] = ps_op_cat(e, value, 0);
    ps_eager_assign(e, &key, ps_eager_hold(e, cache[0]));
    ps_eager_assign(e, &value, ps_eager_hold(e, cache[1]));
    const ps_attention_shape shape = {.batch = about->batch,
                                      .heads = n->heads,
                                      .kv_heads = n->kv_heads,
                                      .queries = about->length,
                                      .keys = about->length,
                                      .head_width = n->head_width};
    ps_tensor by_heads = ps_op_flash_attention(e, query, key, value, &shape);
    ps_tensor mixed = ps_op_view(e, by_heads, about->rows * width, false);
    ps_eager_clear(e, &by_heads);
    const ps_tensor out = ps_op_linear(e, mixed, with->output, about->rows, width, n->hidden);
    ps_eager_clear(e, &query);
    ps_eager_clear(e, &key);
    ps_eager_clear(e, &value);
    ps_eager_clear(e, &mixed);
    return out;
}

/* LlamaMLP.forward: down(silu(gate(x)) * up(x)) */
static ps_tensor feed_forward(ps_llama *self, const layer *with, ps_tensor x, const pass *about)
{
    ps_eager *e = self->e;
    const int64_t hidden = self->shape.hidden, width = self->shape.feed_forward;
    ps_tensor gate = ps_op_linear(e, x, with->gate, about->rows, hidden, width);
    ps_tensor active = ps_op_silu(e, gate);
    ps_eager_clear(e, &gate);
    ps_tensor up = ps_op_linear(e, x, with->up, about->rows, hidden, width);
    ps_tensor product = ps_op_mul(e, active, up);
    ps_eager_clear(e, &active);
    ps_eager_clear(e, &up);
    const ps_tensor out = ps_op_linear(e, product, with->down, about->rows, width, hidden);
    ps_eager_clear(e, &product);
    return out;
}

/* LlamaDecoderLayer.forward */
static ps_tensor run_layer(ps_llama *self, const layer *with, ps_tensor input, const pass *about,
                           ps_tensor *cache)
{
    ps_eager *e = self->e;
    ps_tensor residual = ps_eager_hold(e, input);
    ps_tensor hidden = rms_norm(self, input, with->norm, about->rows);
    ps_eager_assign(e, &hidden, attention(self, with, hidden, about, cache));
    ps_eager_assign(e, &hidden, ps_op_add(e, residual, hidden));
    ps_eager_assign(e, &residual, ps_eager_hold(e, hidden));
    ps_eager_assign(e, &hidden, rms_norm(self, hidden, with->mlp_norm, about->rows));
    ps_eager_assign(e, &hidden, feed_forward(self, with, hidden, about));
    ps_eager_assign(e, &hidden, ps_op_add(e, residual, hidden));
    ps_eager_clear(e, &residual);
    return hidden;
}

/* LlamaRotaryEmbedding.forward, without a graph */
static void rotary(ps_llama *self, pass *about)
{
    ps_eager *e = self->e;
    const int64_t half = self->shape.head_width / 2, length = about->length;
    const bool is_wide = self->shape.dtype == PS_DTYPE_F32; /* then float() is the same tensor */
    ps_tensor expanded = is_wide ? 0 : ps_op_plain(e, "copy", half, PS_DTYPE_F32);
    ps_tensor positions = ps_op_plain(e, "copy", length, PS_DTYPE_F32);
    ps_tensor angles = ps_op_plain_product(e, length * half, PS_DTYPE_F32);
    ps_tensor both = ps_op_plain(e, "cat", 2 * length * half, PS_DTYPE_F32);
    ps_tensor raw = ps_op_plain(e, "cos", 2 * length * half, PS_DTYPE_F32);
    ps_tensor cos = ps_op_plain(e, "mul", 2 * length * half, PS_DTYPE_F32);
    ps_eager_clear(e, &raw);
    ps_eager_assign(e, &raw, ps_op_plain(e, "sin", 2 * length * half, PS_DTYPE_F32));
    ps_tensor sin = ps_op_plain(e, "mul", 2 * length * half, PS_DTYPE_F32);
    ps_eager_clear(e, &raw);
    about->cos = ps_op_to(e, cos, self->shape.dtype);
    about->sin = ps_op_to(e, sin, self->shape.dtype);
    ps_eager_clear(e, &expanded);
    ps_eager_clear(e, &positions);
    ps_eager_clear(e, &angles);
    ps_eager_clear(e, &both);
    ps_eager_clear(e, &cos);
    ps_eager_clear(e, &sin);
}

/* ForCausalLMLoss: in 32 bits, labels shifted by one */
static ps_tensor loss_of(ps_llama *self, ps_tensor logits, const pass *about)
{
    ps_eager *e = self->e;
    ps_tensor wide = ps_op_to(e, logits, PS_DTYPE_F32);
    ps_tensor padded = ps_op_plain(e, "pad", about->batch * (about->length + 1), PS_DTYPE_I64);
    ps_tensor shifted = ps_op_plain(e, "copy", about->rows, PS_DTYPE_I64);
    const ps_tensor loss =
        ps_op_cross_entropy(e, wide, shifted, about->rows, self->shape.vocabulary);
    ps_eager_clear(e, &wide);
    ps_eager_clear(e, &padded);
    ps_eager_clear(e, &shifted);
    return loss;
}

static ps_tensor decode(ps_llama *self, ps_tensor ids, pass *about, ps_llama_output *out)
{
    ps_eager *e = self->e;
    ps_tensor embedded = ps_op_embedding(e, self->embedding, ids, self->shape.hidden);
    ps_tensor range = ps_op_plain(e, "arange", about->length, PS_DTYPE_I64);
    ps_tensor positions = ps_op_plain(e, "add", about->length, PS_DTYPE_I64);
    ps_eager_clear(e, &range);
    rotary(self, about);
    ps_tensor hidden = ps_eager_hold(e, embedded);
    for (int64_t i = 0; i < self->shape.layers; i++) {
        ps_eager_assign(e, &hidden,
                        run_layer(self, &self->layer[i], hidden, about, &out->cache[2 * i]));
    }
    ps_eager_assign(e, &hidden, rms_norm(self, hidden, self->norm, about->rows));
    ps_eager_clear(e, &positions);
    ps_eager_clear(e, &embedded);
    ps_eager_clear(e, &about->cos);
    ps_eager_clear(e, &about->sin);
    return hidden;
}

void ps_llama_forward(ps_llama *self, ps_tensor ids, int64_t batch, int64_t length,
                      ps_llama_output *out)
{
    ps_eager *e = self->e;
    pass about = {.batch = batch, .length = length, .rows = batch * length};
    *out = (ps_llama_output){.cache_count = 2 * (size_t)self->shape.layers};
    out->cache = ps_calloc(out->cache_count, sizeof *out->cache);
    if (out->cache == NULL) {
        return;
    }
    ps_tensor hidden = decode(self, ids, &about, out);
    out->logits =
        ps_op_linear(e, hidden, self->head, about.rows, self->shape.hidden, self->shape.vocabulary);
    out->loss = loss_of(self, out->logits, &about);
    ps_eager_clear(e, &hidden);
}

void ps_llama_drop_output(ps_llama *self, ps_llama_output *out)
{
    ps_eager_clear(self->e, &out->loss);
    ps_eager_clear(self->e, &out->logits);
    for (size_t i = out->cache_count; i >= 2; i -= 2) {
        ps_eager_clear(self->e, &out->cache[i - 2]);
        ps_eager_clear(self->e, &out->cache[i - 1]);
    }
    ps_free(out->cache);
    *out = (ps_llama_output){0};
}
