/* SPDX-License-Identifier: MIT
 *
 * Operations element by element. What is saved, and in which order it is
 * released, follows autograd's generated code: saved inputs by name, then
 * saved results.
 */
#include "workload/eager/eager_parts.h"
#include "workload/eager/ops.h"

static int64_t larger(const ps_eager *self, ps_tensor a, ps_tensor b)
{
    const int64_t na = ps_eager_elements(self, a), nb = ps_eager_elements(self, b);
    return na > nb ? na : nb;
}

/* Type of a result of two types of numbers; whole numbers give way. */
static ps_dtype promoted(const ps_eager *self, ps_tensor a, ps_tensor b)
{
    const ps_dtype x = ps_eager_dtype(self, a), y = ps_eager_dtype(self, b);
    const bool x_whole = x == PS_DTYPE_I64 || x == PS_DTYPE_BOOL;
    const bool y_whole = y == PS_DTYPE_I64 || y == PS_DTYPE_BOOL;
    if (x == y || (y_whole && !x_whole)) {
        return x;
    }
    if (x_whole) {
        return y_whole ? PS_DTYPE_I64 : y;
    }
    return PS_DTYPE_F32;
}

/* Of one type and size they are gone through as they lie; else each element's place is worked out. */
static ps_access access_of(const ps_eager *self, ps_tensor a, ps_tensor b, int64_t elements)
{
    const bool is_alike = ps_eager_dtype(self, a) == ps_eager_dtype(self, b) &&
                          ps_eager_elements(self, a) == elements &&
                          ps_eager_elements(self, b) == elements;
    return is_alike ? PS_ACCESS_CONTIGUOUS : PS_ACCESS_STRIDED;
}

static ps_tensor spread(ps_eager *self, const char *name, ps_tensor a, ps_tensor b,
                        int64_t elements)
{
    const ps_tensor out = ps_op_result(self, elements, promoted(self, a, b));
    ps_op_kernel_by(self, name, access_of(self, a, b, elements),
                    ps_eager_bytes(self, a) + ps_eager_bytes(self, b) + ps_eager_bytes(self, out),
                    elements);
    return out;
}

static ps_tensor both(ps_eager *self, const char *name, ps_tensor a, ps_tensor b)
{
    return spread(self, name, a, b, larger(self, a, b));
}

static ps_tensor like_by(ps_eager *self, const char *name, ps_access access, ps_tensor a,
                         int64_t elements)
{
    const int64_t read = ps_eager_elements(self, a);
    const ps_tensor out = ps_op_result(self, elements, ps_eager_dtype(self, a));
    if (out != 0) {
        ps_op_kernel_by(self, name, access, ps_eager_bytes(self, a) + ps_eager_bytes(self, out),
                        access == PS_ACCESS_REDUCTION ? read : elements);
    }
    return out;
}

static ps_tensor like(ps_eager *self, const char *name, ps_tensor a, int64_t elements)
{
    return like_by(self, name, PS_ACCESS_CONTIGUOUS, a, elements);
}

ps_tensor ps_op_plain(ps_eager *self, const char *name, int64_t elements, ps_dtype dtype)
{
    const ps_tensor out = ps_op_result(self, elements, dtype);
    ps_op_kernel(self, name, 2 * (uint64_t)elements * ps_dtype_bytes(dtype));
    return out;
}

void ps_op_in_place(ps_eager *self, const char *name, ps_tensor tensor)
{
    ps_op_kernel(self, name, 2 * ps_eager_bytes(self, tensor));
}

/* between host and device */
static void cross(ps_eager *self, int64_t elements, ps_dtype dtype)
{
    const ps_eager_kernel copy = {.name = "copy",
                                  .kind = PS_KERNEL_COPY,
                                  .moved_bytes = (uint64_t)elements * ps_dtype_bytes(dtype),
                                  .launches = 1};
    ps_op_tell(self, &copy);
}

void ps_op_read_back(ps_eager *self, ps_dtype dtype)
{
    cross(self, 1, dtype);
}

ps_tensor ps_op_from_host(ps_eager *self, int64_t elements, ps_dtype dtype)
{
    const ps_tensor out = ps_op_result(self, elements, dtype);
    cross(self, elements, dtype);
    return out;
}

ps_tensor ps_op_masked_fill(ps_eager *self, int64_t elements, ps_dtype dtype)
{
    const ps_tensor out = ps_op_plain(self, "copy", elements, dtype);
    ps_op_kernel_by(self, "masked_fill", PS_ACCESS_STRIDED,
                    2 * (uint64_t)elements * ps_dtype_bytes(dtype), elements);
    return out;
}

/* ---- add ---- */

static void pass_on(ps_eager *self, ps_node *node, const ps_tensor *grads, ps_tensor *out)
{
    for (uint32_t i = 0; i < node->edge_count; i++) {
        out[i] = ps_op_wants(node, i) ? ps_eager_hold(self, grads[0]) : 0;
    }
}

static const ps_node_ops add_ops = {"AddBackward0", pass_on};

ps_tensor ps_op_add_spread(ps_eager *self, ps_tensor a, ps_tensor b, int64_t elements)
{
    const ps_tensor inputs[] = {a, b};
    ps_node *node = ps_op_record(self, &add_ops, inputs, 2);
    const ps_tensor out = spread(self, "add", a, b, elements);
    ps_op_output(self, node, out, 0);
    return out;
}

ps_tensor ps_op_add(ps_eager *self, ps_tensor a, ps_tensor b)
{
    return ps_op_add_spread(self, a, b, larger(self, a, b));
}

static void add_to(ps_eager *self, ps_tensor a, ps_tensor b)
{
    const int64_t elements = ps_eager_elements(self, a);
    ps_op_kernel_by(self, "add", access_of(self, a, b, elements),
                    2 * ps_eager_bytes(self, a) + ps_eager_bytes(self, b), elements);
}

ps_tensor ps_op_add_in_place(ps_eager *self, ps_tensor a, ps_tensor b)
{
    const ps_tensor inputs[] = {a, b};
    ps_node *node = ps_op_record(self, &add_ops, inputs, 2);
    const ps_tensor out = ps_op_view_of(self, a, ps_eager_elements(self, a));
    add_to(self, a, b);
    ps_op_output(self, node, out, 0);
    return out;
}

void ps_op_add_into(ps_eager *self, ps_tensor a, ps_tensor b)
{
    add_to(self, a, b);
}

ps_tensor ps_op_add_number(ps_eager *self, ps_tensor a)
{
    ps_node *node = ps_op_record(self, &add_ops, &a, 1);
    const ps_tensor out = like(self, "add", a, ps_eager_elements(self, a));
    ps_op_output(self, node, out, 0);
    return out;
}

/* ---- mul: saves the other factor of each that wants a gradient ---- */

enum { MUL_OTHER, MUL_SELF };

static void mul_backward(ps_eager *self, ps_node *node, const ps_tensor *grads, ps_tensor *out)
{
    const int64_t elements = ps_eager_elements(self, grads[0]);
    if (ps_op_wants(node, 1)) {
        out[1] = like(self, "mul", grads[0], elements);
    }
    if (ps_op_wants(node, 0)) {
        out[0] = like(self, "mul", grads[0], elements);
    }
}

static const ps_node_ops mul_ops = {"MulBackward0", mul_backward};

ps_tensor ps_op_mul(ps_eager *self, ps_tensor a, ps_tensor b)
{
    const ps_tensor inputs[] = {a, b};
    ps_node *node = ps_op_record(self, &mul_ops, inputs, 2);
    if (node != NULL) {
        ps_op_save(self, node, ps_op_wants(node, 0) ? b : 0);
        ps_op_save(self, node, ps_op_wants(node, 1) ? a : 0);
    }
    const ps_tensor out = both(self, "mul", a, b);
    ps_op_output(self, node, out, 0);
    return out;
}

/* ---- one input, one result ---- */

static void scale_backward(ps_eager *self, ps_node *node, const ps_tensor *grads, ps_tensor *out)
{
    (void)node;
    out[0] = like(self, "mul", grads[0], ps_eager_elements(self, grads[0]));
}

static const ps_node_ops scale_ops = {"MulBackward0", scale_backward};

ps_tensor ps_op_mul_number(ps_eager *self, ps_tensor a)
{
    ps_node *node = ps_op_record(self, &scale_ops, &a, 1);
    const ps_tensor out = like(self, "mul", a, ps_eager_elements(self, a));
    ps_op_output(self, node, out, 0);
    return out;
}

static void div_backward(ps_eager *self, ps_node *node, const ps_tensor *grads, ps_tensor *out)
{
    (void)node;
    out[0] = like(self, "div", grads[0], ps_eager_elements(self, grads[0]));
}

static const ps_node_ops div_ops = {"DivBackward0", div_backward};

ps_tensor ps_op_div(ps_eager *self, ps_tensor a, ps_tensor b)
{
    ps_node *node = ps_op_record(self, &div_ops, &a, 1);
    ps_op_save(self, node, b);
    const ps_tensor out = like(self, "div", a, ps_eager_elements(self, a));
    ps_op_output(self, node, out, 0);
    return out;
}

ps_tensor ps_op_div_number(ps_eager *self, ps_tensor a)
{
    ps_node *node = ps_op_record(self, &div_ops, &a, 1);
    const ps_tensor out = like(self, "div", a, ps_eager_elements(self, a));
    ps_op_output(self, node, out, 0);
    return out;
}

/* b first: -gradient * ((a / b) / b), summed where b was spread */
static void div_rows_backward(ps_eager *self, ps_node *node, const ps_tensor *grads, ps_tensor *out)
{
    const int64_t elements = ps_eager_elements(self, grads[0]);
    if (ps_op_wants(node, 1)) {
        ps_tensor once = like(self, "div", grads[0], elements);
        ps_tensor twice = like(self, "div", grads[0], elements);
        ps_tensor negative = like(self, "neg", grads[0], elements);
        out[1] = like(self, "mul", grads[0], elements);
        ps_eager_clear(self, &negative);
        ps_eager_clear(self, &twice);
        ps_eager_clear(self, &once);
    }
    if (ps_op_wants(node, 0)) {
        out[0] = like(self, "div", grads[0], elements);
    }
}

static const ps_node_ops div_rows_ops = {"DivBackward0", div_rows_backward};

ps_tensor ps_op_div_in_place(ps_eager *self, ps_tensor a, ps_tensor b)
{
    const ps_tensor inputs[] = {a, b};
    ps_node *node = ps_op_record(self, &div_rows_ops, inputs, 2);
    if (node != NULL) {
        ps_tensor before = like(self, "copy", a, ps_eager_elements(self, a));
        ps_op_save(self, node, b);
        ps_op_save(self, node, before);
        ps_eager_clear(self, &before);
    }
    ps_op_kernel_by(self, "div", PS_ACCESS_STRIDED, 2 * ps_eager_bytes(self, a),
                    ps_eager_elements(self, a));
    const ps_tensor out = ps_op_view_of(self, a, ps_eager_elements(self, a));
    ps_op_output(self, node, out, 0);
    return out;
}

ps_tensor ps_op_div_rows(ps_eager *self, ps_tensor a, ps_tensor b)
{
    const ps_tensor inputs[] = {a, b};
    ps_node *node = ps_op_record(self, &div_rows_ops, inputs, 2);
    ps_op_save(self, node, b);
    ps_op_save(self, node, a);
    const ps_tensor out = like_by(self, "div", PS_ACCESS_STRIDED, a, ps_eager_elements(self, a));
    ps_op_output(self, node, out, 0);
    return out;
}

/* where(condition, gradient, 0): the zero is a tensor too */
static void where_backward(ps_eager *self, ps_node *node, const ps_tensor *grads, ps_tensor *out)
{
    (void)node;
    ps_tensor zero = ps_op_plain(self, "fill", 1, ps_eager_dtype(self, grads[0]));
    out[0] = like(self, "where", grads[0], ps_eager_elements(self, grads[0]));
    ps_eager_clear(self, &zero);
}

static const ps_node_ops where_ops = {"WhereBackward0", where_backward};

ps_tensor ps_op_where(ps_eager *self, ps_tensor condition, ps_tensor a)
{
    ps_node *node = ps_op_record(self, &where_ops, &a, 1);
    ps_op_save(self, node, condition);
    const ps_tensor out = like(self, "where", a, ps_eager_elements(self, a));
    ps_op_output(self, node, out, 0);
    return out;
}

static void neg_backward(ps_eager *self, ps_node *node, const ps_tensor *grads, ps_tensor *out)
{
    (void)node;
    out[0] = like(self, "neg", grads[0], ps_eager_elements(self, grads[0]));
}

static const ps_node_ops neg_ops = {"NegBackward0", neg_backward};

ps_tensor ps_op_neg(ps_eager *self, ps_tensor a)
{
    ps_node *node = ps_op_record(self, &neg_ops, &a, 1);
    const ps_tensor out = like(self, "neg", a, ps_eager_elements(self, a));
    ps_op_output(self, node, out, 0);
    return out;
}

/* grad * (n * x ** (n - 1)) */
enum { POWER_IS_SQUARE };

/* exponent * a ** (exponent - 1) * grad; to the power of 1 is a copy */
static void power_backward(ps_eager *self, ps_node *node, const ps_tensor *grads, ps_tensor *out)
{
    const int64_t elements = ps_eager_elements(self, grads[0]);
    ps_tensor power =
        like(self, node->number[POWER_IS_SQUARE] != 0 ? "copy" : "pow", node->saved[0], elements);
    ps_tensor scaled = like(self, "mul", power, elements);
    out[0] = like(self, "mul", grads[0], elements);
    ps_eager_clear(self, &scaled);
    ps_eager_clear(self, &power);
}

static const ps_node_ops power_ops = {"PowBackward0", power_backward};

static ps_tensor to_power(ps_eager *self, ps_tensor a, bool is_square)
{
    ps_tensor wide = ps_op_widen(self, a);
    ps_node *node = ps_op_record(self, &power_ops, &wide, 1);
    ps_op_save(self, node, wide);
    if (node != NULL) {
        node->number[POWER_IS_SQUARE] = is_square;
    }
    const ps_tensor out = like(self, "pow", wide, ps_eager_elements(self, wide));
    ps_op_output(self, node, out, 0);
    ps_eager_clear(self, &wide);
    return out;
}

ps_tensor ps_op_power(ps_eager *self, ps_tensor a)
{
    return to_power(self, a, false);
}

ps_tensor ps_op_square(ps_eager *self, ps_tensor a)
{
    return to_power(self, a, true);
}

/* -0.5 * grad * result ** 3; the right factor is computed first */
static void rsqrt_backward(ps_eager *self, ps_node *node, const ps_tensor *grads, ps_tensor *out)
{
    const int64_t elements = ps_eager_elements(self, grads[0]);
    ps_tensor cube = like(self, "pow", node->saved[0], elements);
    ps_tensor half = like(self, "mul", grads[0], elements);
    out[0] = like(self, "mul", half, elements);
    ps_eager_clear(self, &half);
    ps_eager_clear(self, &cube);
}

static const ps_node_ops rsqrt_ops = {"RsqrtBackward0", rsqrt_backward};

ps_tensor ps_op_rsqrt(ps_eager *self, ps_tensor a)
{
    ps_node *node = ps_op_record(self, &rsqrt_ops, &a, 1);
    const ps_tensor out = like(self, "rsqrt", a, ps_eager_elements(self, a));
    ps_op_save(self, node, out);
    ps_op_output(self, node, out, 0);
    return out;
}

static void to_backward(ps_eager *self, ps_node *node, const ps_tensor *grads, ps_tensor *out)
{
    out[0] = ps_op_result(self, ps_eager_elements(self, grads[0]), node->edge[0].dtype);
    ps_op_kernel_by(self, "copy", PS_ACCESS_STRIDED, 2 * ps_eager_bytes(self, grads[0]),
                    ps_eager_elements(self, grads[0]));
}

static const ps_node_ops to_ops = {"ToCopyBackward0", to_backward};

ps_tensor ps_op_copy_to(ps_eager *self, ps_tensor a, ps_dtype dtype)
{
    ps_node *node = ps_op_record(self, &to_ops, &a, 1);
    const ps_tensor out = ps_op_result(self, ps_eager_elements(self, a), dtype);
    if (out != 0) {
        ps_op_kernel_by(self, "copy", PS_ACCESS_STRIDED,
                        ps_eager_bytes(self, a) + ps_eager_bytes(self, out),
                        ps_eager_elements(self, a));
    }
    ps_op_output(self, node, out, 0);
    return out;
}

ps_tensor ps_op_to(ps_eager *self, ps_tensor a, ps_dtype dtype)
{
    return ps_eager_dtype(self, a) == dtype ? ps_eager_hold(self, a)
                                            : ps_op_copy_to(self, a, dtype);
}

/* The gradient seen by all that were added. */
static void sum_backward(ps_eager *self, ps_node *node, const ps_tensor *grads, ps_tensor *out)
{
    out[0] = ps_op_view_of(self, grads[0], node->edge[0].elements);
}

static const ps_node_ops sum_ops = {"SumBackward1", sum_backward};

ps_tensor ps_op_sum(ps_eager *self, ps_tensor a, int64_t rows)
{
    ps_node *node = ps_op_record(self, &sum_ops, &a, 1);
    const ps_tensor out = like_by(self, "sum", PS_ACCESS_REDUCTION, a, rows);
    ps_op_output(self, node, out, 0);
    return out;
}

/* The gradient spread over what was averaged, divided by how many. */
static void mean_backward(ps_eager *self, ps_node *node, const ps_tensor *grads, ps_tensor *out)
{
    out[0] = like_by(self, "div", PS_ACCESS_STRIDED, grads[0], node->edge[0].elements);
}

static const ps_node_ops mean_ops = {"MeanBackward1", mean_backward};

ps_tensor ps_op_mean(ps_eager *self, ps_tensor a, int64_t rows)
{
    ps_node *node = ps_op_record(self, &mean_ops, &a, 1);
    const ps_tensor out = like_by(self, "mean", PS_ACCESS_REDUCTION, a, rows);
    ps_op_output(self, node, out, 0);
    return out;
}
