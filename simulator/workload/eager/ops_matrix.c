/* SPDX-License-Identifier: MIT
 *
 * Matrix products. Gradients are computed in the order of PyTorch's generated
 * code: by the name of the argument (mat1, mat2, self).
 */
#include "workload/eager/ops_matrix.h"

#include "workload/eager/eager_parts.h"
#include "workload/eager/ops.h"

/* Memory that one call of cuBLAS with a bias works in, PyTorch's default. */
#define BIAS_WORKSPACE_BYTES ((int64_t)1 << 20)

enum { LINEAR_ROWS, LINEAR_IN, LINEAR_OUT, LINEAR_IS_FLAT };

static void multiply(ps_eager *self, ps_dtype dtype, ps_operand_layout layout, int64_t m, int64_t n,
                     int64_t k)
{
    const int64_t size[3] = {m, n, k};
    ps_op_workspace(self);
    ps_op_product(self, "mm", dtype, layout, size, 1);
}

ps_tensor ps_op_plain_product(ps_eager *self, int64_t elements, ps_dtype dtype)
{
    const ps_tensor out = ps_op_result(self, elements, dtype);
    multiply(self, dtype, PS_OPERANDS_UNKNOWN, elements, 1, 1);
    return out;
}

/* A product seen through the views around it: nobody may add to it in place. */
static ps_tensor product_of(ps_eager *self, ps_dtype dtype, ps_operand_layout layout, int64_t m,
                            int64_t n, int64_t k)
{
    const ps_tensor product = ps_op_result(self, m * n, dtype);
    multiply(self, dtype, layout, m, n, k);
    const ps_tensor view = ps_op_view_of(self, product, m * n);
    ps_eager_drop(self, product);
    return view;
}

static ps_tensor weight_gradient(ps_eager *self, const ps_node *node, ps_tensor grad)
{
    return product_of(self, ps_eager_dtype(self, grad), PS_OPERANDS_NT, node->number[LINEAR_OUT],
                      node->number[LINEAR_IN], node->number[LINEAR_ROWS]);
}

static ps_tensor input_gradient(ps_eager *self, const ps_node *node, ps_tensor grad)
{
    const int64_t *n = node->number;
    const ps_dtype dtype = ps_eager_dtype(self, grad);
    /* a function that a library has put in gives the tensor itself on */
    if (n[LINEAR_IS_FLAT] == 0 && !ps_eager_inputs_first(self)) {
        return product_of(self, dtype, PS_OPERANDS_NN, n[LINEAR_ROWS], n[LINEAR_IN], n[LINEAR_OUT]);
    }
    const ps_tensor product = ps_op_result(self, n[LINEAR_ROWS] * n[LINEAR_IN], dtype);
    multiply(self, dtype, PS_OPERANDS_NN, n[LINEAR_ROWS], n[LINEAR_IN], n[LINEAR_OUT]);
    return product;
}

/* ---- without bias: mm ---- */

static void mm_backward(ps_eager *self, ps_node *node, const ps_tensor *grads, ps_tensor *out)
{
    const bool inputs_first = ps_eager_inputs_first(self);
    if (ps_op_wants(node, 0) && inputs_first) {
        out[0] = input_gradient(self, node, grads[0]);
    }
    if (ps_op_wants(node, 1)) {
        out[1] = weight_gradient(self, node, grads[0]);
    }
    if (ps_op_wants(node, 0) && !inputs_first) {
        out[0] = input_gradient(self, node, grads[0]);
    }
}

static const ps_node_ops mm_ops = {"MmBackward0", mm_backward};

static void note_shape(ps_node *node, int64_t rows, int64_t in, int64_t out)
{
    node->number[LINEAR_ROWS] = rows;
    node->number[LINEAR_IN] = in;
    node->number[LINEAR_OUT] = out;
}

static ps_tensor linear(ps_eager *self, ps_tensor x, ps_tensor weight, const int64_t size[3],
                        bool is_flat)
{
    const int64_t rows = size[0], in = size[1], out = size[2];
    const ps_tensor inputs[] = {x, weight};
    ps_node *node = ps_op_record(self, &mm_ops, inputs, 2);
    if (node != NULL) {
        ps_op_save(self, node, ps_op_wants(node, 0) ? weight : 0);
        ps_op_save(self, node, ps_op_wants(node, 1) ? x : 0);
        note_shape(node, rows, in, out);
        node->number[LINEAR_IS_FLAT] = is_flat;
    }
    const ps_tensor result = ps_op_result(self, rows * out, ps_eager_dtype(self, x));
    multiply(self, ps_eager_dtype(self, x), PS_OPERANDS_TN, rows, out, in);
    ps_op_output(self, node, result, 0);
    return result;
}

ps_tensor ps_op_linear(ps_eager *self, ps_tensor x, ps_tensor weight, int64_t rows, int64_t in,
                       int64_t out)
{
    const int64_t size[3] = {rows, in, out};
    return linear(self, x, weight, size, false);
}

ps_tensor ps_op_linear_flat(ps_eager *self, ps_tensor x, ps_tensor weight, int64_t rows, int64_t in,
                            int64_t out)
{
    const int64_t size[3] = {rows, in, out};
    return linear(self, x, weight, size, true);
}

/* ---- with bias: addmm; its edges are bias, x, weight ---- */

static void addmm_backward(ps_eager *self, ps_node *node, const ps_tensor *grads, ps_tensor *out)
{
    if (ps_op_wants(node, 1)) {
        out[1] = input_gradient(self, node, grads[0]);
    }
    if (ps_op_wants(node, 2)) {
        out[2] = weight_gradient(self, node, grads[0]);
    }
    if (ps_op_wants(node, 0)) {
        out[0] = ps_eager_hold(self, grads[0]); /* summed over rows on its way */
    }
}

static const ps_node_ops addmm_ops = {"AddmmBackward0", addmm_backward};

ps_tensor ps_op_linear_bias(ps_eager *self, ps_tensor x, ps_tensor weight, ps_tensor bias,
                            int64_t rows, int64_t in, int64_t out)
{
    const ps_tensor inputs[] = {bias, x, weight};
    ps_node *node = ps_op_record(self, &addmm_ops, inputs, 3);
    if (node != NULL) {
        ps_op_save(self, node, ps_op_wants(node, 2) ? x : 0);
        ps_op_save(self, node, ps_op_wants(node, 1) ? weight : 0);
        note_shape(node, rows, in, out);
        node->has_views = true; /* x.view(rows, in) */
    }
    const ps_tensor result = ps_op_result(self, rows * out, ps_eager_dtype(self, x));
    ps_tensor scratch = ps_eager_make(self, BIAS_WORKSPACE_BYTES, PS_DTYPE_BOOL, PS_ROLE_TEMPORARY);
    multiply(self, ps_eager_dtype(self, x), PS_OPERANDS_TN, rows, out, in);
    ps_eager_clear(self, &scratch);
    ps_op_output(self, node, result, 0);
    return result;
}

/* ---- many at once: bmm ---- */

enum { BMM_BATCH, BMM_M, BMM_N, BMM_K, BMM_IS_SCALED };

static void multiply_many(ps_eager *self, ps_dtype dtype, int64_t batch, int64_t m, int64_t n,
                          int64_t k)
{
    const int64_t size[3] = {m, n, k};
    ps_op_workspace(self);
    ps_op_product(self, "bmm", dtype, PS_OPERANDS_UNKNOWN, size, batch);
}

static void bmm_backward(ps_eager *self, ps_node *node, const ps_tensor *grads, ps_tensor *out)
{
    const int64_t *n = node->number;
    const ps_dtype dtype = ps_eager_dtype(self, grads[0]);
    if (ps_op_wants(node, 1)) {
        out[1] = ps_op_result(self, n[BMM_BATCH] * n[BMM_K] * n[BMM_N], dtype);
        multiply_many(self, dtype, n[BMM_BATCH], n[BMM_K], n[BMM_N], n[BMM_M]);
    }
    if (ps_op_wants(node, 0)) {
        out[0] = ps_op_result(self, n[BMM_BATCH] * n[BMM_M] * n[BMM_K], dtype);
        multiply_many(self, dtype, n[BMM_BATCH], n[BMM_M], n[BMM_K], n[BMM_N]);
    }
}

static const ps_node_ops bmm_ops = {"BmmBackward0", bmm_backward};

static void note_many(ps_node *node, const ps_bmm_shape *shape)
{
    node->number[BMM_BATCH] = shape->batch;
    node->number[BMM_M] = shape->m;
    node->number[BMM_N] = shape->n;
    node->number[BMM_K] = shape->k;
}

ps_tensor ps_op_bmm(ps_eager *self, ps_tensor a, ps_tensor b, const ps_bmm_shape *shape)
{
    const ps_tensor inputs[] = {a, b};
    ps_node *node = ps_op_record(self, &bmm_ops, inputs, 2);
    if (node != NULL) {
        ps_op_save(self, node, ps_op_wants(node, 0) ? b : 0);
        ps_op_save(self, node, ps_op_wants(node, 1) ? a : 0);
        note_many(node, shape);
    }
    const ps_tensor out =
        ps_op_result(self, shape->batch * shape->m * shape->n, ps_eager_dtype(self, a));
    multiply_many(self, ps_eager_dtype(self, a), shape->batch, shape->m, shape->n, shape->k);
    ps_op_output(self, node, out, 0);
    return out;
}

/* Gradients of the first factor, then of the second, each scaled in a tensor of its own. */
static void baddbmm_backward(ps_eager *self, ps_node *node, const ps_tensor *grads, ps_tensor *out)
{
    const int64_t *n = node->number;
    const ps_dtype dtype = ps_eager_dtype(self, grads[0]);
    for (uint32_t i = 0; i < 2; i++) {
        const int64_t rows = i == 0 ? n[BMM_M] : n[BMM_K], columns = i == 0 ? n[BMM_K] : n[BMM_N];
        const int64_t elements = n[BMM_BATCH] * rows * columns;
        if (!ps_op_wants(node, i)) {
            continue;
        }
        out[i] = ps_op_result(self, elements, dtype);
        multiply_many(self, dtype, n[BMM_BATCH], rows, columns, i == 0 ? n[BMM_N] : n[BMM_M]);
        if (n[BMM_IS_SCALED] != 0) {
            ps_eager_assign(self, &out[i], ps_op_plain(self, "mul", elements, dtype));
        }
    }
}

static const ps_node_ops baddbmm_ops = {"BaddbmmBackward0", baddbmm_backward};

ps_tensor ps_op_baddbmm(ps_eager *self, ps_tensor a, ps_tensor b, const ps_bmm_shape *shape,
                        bool is_scaled)
{
    const ps_tensor inputs[] = {a, b};
    ps_node *node = ps_op_record(self, &baddbmm_ops, inputs, 2);
    if (node != NULL) {
        ps_op_save(self, node, ps_op_wants(node, 1) ? a : 0);
        ps_op_save(self, node, ps_op_wants(node, 0) ? b : 0);
        note_many(node, shape);
        node->number[BMM_IS_SCALED] = is_scaled;
    }
    const ps_tensor out =
        ps_op_result(self, shape->batch * shape->m * shape->n, ps_eager_dtype(self, a));
    multiply_many(self, ps_eager_dtype(self, a), shape->batch, shape->m, shape->n, shape->k);
    ps_op_output(self, node, out, 0);
    return out;
}

/* A factor as bmm takes it. */
static ps_tensor factor(ps_eager *self, ps_tensor of, bool is_copied)
{
    return is_copied ? ps_op_copy(self, of) : ps_eager_hold(self, of);
}

/* Autocast makes the factors narrow from the last to the first, before any is copied. */
ps_tensor ps_op_matmul(ps_eager *self, ps_tensor a, ps_tensor b, const ps_bmm_shape *shape,
                       ps_matmul_copies copies)
{
    /* under autocast both are narrow, the last first, before either is copied */
    ps_tensor narrow_b = ps_op_narrow(self, b), narrow_a = ps_op_narrow(self, a);
    ps_tensor left = factor(self, narrow_a, (copies & PS_MATMUL_COPIES_FIRST) != 0);
    ps_tensor right = factor(self, narrow_b, (copies & PS_MATMUL_COPIES_SECOND) != 0);
    const ps_tensor out = ps_op_bmm(self, left, right, shape);
    ps_eager_clear(self, &left);
    ps_eager_clear(self, &right);
    ps_eager_clear(self, &narrow_a);
    ps_eager_clear(self, &narrow_b);
    return out;
}
