/* SPDX-License-Identifier: MIT
 *
 * Operations that models are made of: matrices, embeddings, attention, loss.
 */
#include "workload/eager_parts.h"
#include "workload/ops.h"

/* ---- linear ---- */

enum { LINEAR_ROWS, LINEAR_IN, LINEAR_OUT };

static void multiply(ps_eager *self, ps_dtype dtype, int64_t m, int64_t n, int64_t k)
{
    ps_op_workspace(self);
    const uint64_t moved = (uint64_t)(m * k + k * n + m * n) * ps_dtype_bytes(dtype);
    ps_op_matmul(self, "mm", dtype, 2 * (uint64_t)m * (uint64_t)n * (uint64_t)k, moved);
}

ps_tensor ps_op_plain_product(ps_eager *self, int64_t elements, ps_dtype dtype)
{
    const ps_tensor out = ps_op_result(self, elements, dtype);
    multiply(self, dtype, elements, 1, 1);
    return out;
}

/* The weight's gradient comes first; both are seen through the views around the product. */
static void linear_backward(ps_eager *self, ps_node *node, const ps_tensor *grads, ps_tensor *out)
{
    const int64_t rows = node->number[LINEAR_ROWS], in = node->number[LINEAR_IN];
    const int64_t width = node->number[LINEAR_OUT];
    const ps_dtype dtype = ps_eager_dtype(self, grads[0]);
    if (ps_op_wants(node, 1)) {
        const ps_tensor product = ps_op_result(self, width * in, dtype);
        multiply(self, dtype, width, in, rows);
        out[1] = ps_op_view_of(self, product, width * in);
        ps_eager_drop(self, product);
    }
    if (ps_op_wants(node, 0)) {
        const ps_tensor product = ps_op_result(self, rows * in, dtype);
        multiply(self, dtype, rows, in, width);
        out[0] = ps_op_view_of(self, product, rows * in);
        ps_eager_drop(self, product);
    }
}

static const ps_node_ops linear_ops = {"MmBackward0", linear_backward};

ps_tensor ps_op_linear(ps_eager *self, ps_tensor x, ps_tensor weight, int64_t rows, int64_t in,
                       int64_t out)
{
    const ps_tensor inputs[] = {x, weight};
    ps_node *node = ps_op_record(self, &linear_ops, inputs, 2);
    if (node != NULL) {
        ps_op_save(self, node, ps_op_wants(node, 0) ? weight : 0);
        ps_op_save(self, node, ps_op_wants(node, 1) ? x : 0);
        node->number[LINEAR_ROWS] = rows;
        node->number[LINEAR_IN] = in;
        node->number[LINEAR_OUT] = out;
    }
    const ps_tensor result = ps_op_result(self, rows * out, ps_eager_dtype(self, x));
    multiply(self, ps_eager_dtype(self, x), rows, out, in);
    ps_op_output(self, node, result, 0);
    return result;
}

/* ---- flash attention ---- */

/* Tiles of the backward kernel: lengths are rounded up to 128 rows, widths to 32 elements. */
#define FLASH_ROWS 128
#define FLASH_WIDTH 32

enum { FLASH_BATCH, FLASH_HEADS, FLASH_KV_HEADS, FLASH_QUERIES, FLASH_KEYS, FLASH_HEAD };

static int64_t round_up(int64_t value, int64_t to)
{
    return (value + to - 1) / to * to;
}

static void flash_kernel(ps_eager *self, const char *name, const ps_node *node, ps_dtype dtype,
                         int64_t products)
{
    const int64_t *n = node->number;
    const int64_t cells = n[FLASH_BATCH] * n[FLASH_HEADS] * n[FLASH_QUERIES] * n[FLASH_KEYS];
    const int64_t rows = n[FLASH_BATCH] * (n[FLASH_QUERIES] + n[FLASH_KEYS]) * n[FLASH_HEADS];
    /* causal: half of the cells */
    ps_op_matmul(self, name, dtype, (uint64_t)(products * cells * n[FLASH_HEAD]),
                 (uint64_t)(rows * n[FLASH_HEAD]) * ps_dtype_bytes(dtype));
}

/*
 * Gradients of query, key and value, sums of rows, the query's gradient in 32 bits; and where
 * several heads share a key, the gradients of each before they are added up.
 */
static void flash_backward(ps_eager *self, ps_node *node, const ps_tensor *grads, ps_tensor *out)
{
    const int64_t *n = node->number;
    const ps_dtype dtype = ps_eager_dtype(self, grads[0]);
    const int64_t rows = round_up(n[FLASH_QUERIES], FLASH_ROWS);
    const int64_t width = round_up(n[FLASH_HEAD], FLASH_WIDTH);
    const int64_t lines = n[FLASH_BATCH] * n[FLASH_HEADS];
    ps_tensor shared[2] = {0, 0};
    for (uint32_t i = 0; i < 3; i++) {
        out[i] = ps_op_result(self, node->edge[i].elements, dtype);
    }
    ps_tensor sums = ps_op_result(self, lines * rows, PS_DTYPE_F32);
    ps_tensor query = ps_op_result(self, lines * rows * width, PS_DTYPE_F32);
    for (int i = 0; i < 2 && n[FLASH_HEADS] != n[FLASH_KV_HEADS]; i++) {
        shared[i] = ps_op_result(self, lines * n[FLASH_KEYS] * n[FLASH_HEAD], dtype);
    }
    flash_kernel(self, "flash_attention_backward", node, dtype, 5);
    ps_eager_drop(self, shared[1]);
    ps_eager_drop(self, shared[0]);
    ps_eager_clear(self, &query);
    ps_eager_clear(self, &sums);
}

static const ps_node_ops flash_ops = {"ScaledDotProductFlashAttentionBackward0", flash_backward};

ps_tensor ps_op_flash_attention(ps_eager *self, ps_tensor query, ps_tensor key, ps_tensor value,
                                const ps_attention_shape *shape)
{
    const ps_tensor inputs[] = {query, key, value};
    ps_node *node = ps_op_record(self, &flash_ops, inputs, 3);
    ps_node plain = {0};
    ps_node *about = node != NULL ? node : &plain;
    about->number[FLASH_BATCH] = shape->batch;
    about->number[FLASH_HEADS] = shape->heads;
    about->number[FLASH_KV_HEADS] = shape->kv_heads;
    about->number[FLASH_QUERIES] = shape->queries;
    about->number[FLASH_KEYS] = shape->keys;
    about->number[FLASH_HEAD] = shape->head_width;
    const ps_tensor out =
        ps_op_result(self, ps_eager_elements(self, query), ps_eager_dtype(self, query));
    const int64_t lines = shape->batch * shape->heads;
    const ps_tensor sums = ps_op_result(self, lines * shape->queries, PS_DTYPE_F32);
    const ps_tensor seed = ps_op_result(self, 2, PS_DTYPE_I64),
                    offset = ps_op_result(self, 1, PS_DTYPE_I64);
    flash_kernel(self, "flash_attention", about, ps_eager_dtype(self, query), 2);
    const ps_tensor saved[] = {key, query, value, sums, out, seed, offset};
    for (size_t i = 0; i < sizeof saved / sizeof saved[0]; i++) {
        ps_op_save(self, node, saved[i]);
    }
    ps_eager_drop(self, sums);
    ps_eager_drop(self, seed);
    ps_eager_drop(self, offset);
    ps_op_output(self, node, out, 0);
    return out;
}

/* ---- cross entropy: log_softmax, then the loss ---- */

static void softmax_backward(ps_eager *self, ps_node *node, const ps_tensor *grads, ps_tensor *out)
{
    (void)node;
    out[0] = ps_op_result(self, ps_eager_elements(self, grads[0]), ps_eager_dtype(self, grads[0]));
    ps_op_kernel(self, "log_softmax_backward", 3 * ps_eager_bytes(self, grads[0]));
}

static const ps_node_ops softmax_ops = {"LogSoftmaxBackward0", softmax_backward};

static void nll_backward(ps_eager *self, ps_node *node, const ps_tensor *grads, ps_tensor *out)
{
    (void)grads;
    out[0] = ps_op_result(self, node->edge[0].elements, node->edge[0].dtype);
    ps_op_kernel(self, "nll_loss_backward",
                 (uint64_t)node->edge[0].elements * ps_dtype_bytes(node->edge[0].dtype));
}

static const ps_node_ops nll_ops = {"NllLossBackward0", nll_backward};

ps_tensor ps_op_cross_entropy(ps_eager *self, ps_tensor logits, ps_tensor labels, int64_t rows,
                              int64_t classes)
{
    ps_node *softmax = ps_op_record(self, &softmax_ops, &logits, 1);
    ps_tensor scores = ps_op_result(self, rows * classes, ps_eager_dtype(self, logits));
    ps_op_kernel(self, "log_softmax", 2 * ps_eager_bytes(self, logits));
    ps_op_save(self, softmax, scores);
    ps_op_output(self, softmax, scores, 0);
    ps_node *nll = ps_op_record(self, &nll_ops, &scores, 1);
    const ps_tensor loss = ps_op_result(self, 1, ps_eager_dtype(self, logits));
    const ps_tensor weight = ps_op_result(self, 1, ps_eager_dtype(self, logits));
    ps_op_kernel(self, "nll_loss", (uint64_t)rows * 16);
    ps_op_save(self, nll, scores);
    ps_op_save(self, nll, labels);
    ps_op_save(self, nll, weight);
    ps_eager_drop(self, weight);
    ps_op_output(self, nll, loss, 0);
    ps_eager_clear(self, &scores);
    return loss;
}
