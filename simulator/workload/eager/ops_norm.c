/* SPDX-License-Identifier: MIT
 *
 * Norms in one kernel.
 */
#include "workload/eager/eager_parts.h"
#include "workload/eager/ops.h"

enum { NORM_WIDTH, NORM_STRIDED };

/* Kernels take rows: an input that does not lie so is copied for each of the two. */
static ps_tensor rows_of(ps_eager *self, int64_t elements, ps_dtype dtype, bool is_strided)
{
    return is_strided ? ps_op_plain(self, "copy", elements, dtype) : 0;
}

/*
 * Many rows of few columns: blocks add up gradients of weight and bias for parts of the rows, and a
 * sum over the parts follows. PyTorch 2.6 does not, 2.11 does; the release between is not known.
 */
#define RELEASE_OF_PARTS 211
#define PART_FROM_ROWS ((int64_t)64 << 10)
#define PART_COLUMNS 32 /* of a block */
#define PART_ROWS 32
#define MOST_BLOCKS 32768

static int64_t divide_up(int64_t value, int64_t by)
{
    return (value + by - 1) / by;
}

/* Parts that rows are cut into; 0: none. */
static int64_t part_count(const ps_eager *self, int64_t rows, int64_t columns)
{
    if (ps_eager_release(self) < RELEASE_OF_PARTS || rows <= PART_FROM_ROWS ||
        columns / PART_COLUMNS >= ps_eager_multiprocessors(self) / 2) {
        return 0;
    }
    const int64_t parts = divide_up(rows, PART_ROWS);
    const int64_t most = MOST_BLOCKS / divide_up(columns, PART_COLUMNS);
    return parts < most ? parts : most;
}

/* Gradients of weight and bias again, as sums of parts. */
static void add_parts(ps_eager *self, int64_t parts, int64_t columns, ps_tensor *out)
{
    ps_tensor part[3] = {0, 0, 0};
    for (uint32_t i = 1; i < 3; i++) {
        part[i] =
            out[i] == 0 ? 0 : ps_op_result(self, parts * columns, ps_eager_dtype(self, out[i]));
    }
    for (uint32_t i = 1; i < 3; i++) {
        if (part[i] != 0) {
            ps_eager_assign(self, &out[i], ps_op_sum_rows(self, part[i], columns));
        }
    }
    ps_eager_clear(self, &part[2]);
    ps_eager_clear(self, &part[1]);
}

/* Edges are input, weight, bias; gradients of weight and bias have the type of the weight. */
static void layer_norm_backward(ps_eager *self, ps_node *node, const ps_tensor *grads,
                                ps_tensor *out)
{
    ps_tensor in_rows =
        rows_of(self, node->edge[0].elements, node->edge[0].dtype, node->number[NORM_STRIDED] != 0);
    for (uint32_t i = 0; i < 3; i++) {
        out[i] = ps_op_wants(node, i)
                     ? ps_op_result(self, node->edge[i].elements, node->edge[i].dtype)
                     : 0;
    }
    const int64_t columns = node->number[NORM_WIDTH];
    const int64_t parts = part_count(self, ps_eager_elements(self, grads[0]) / columns, columns);
    if (parts > 0) {
        add_parts(self, parts, columns, out);
    }
    if (out[0] != 0) {
        ps_op_kernel_by(self, "native_layer_norm_backward", PS_ACCESS_ROWS,
                        3 * ps_eager_bytes(self, grads[0]), ps_eager_elements(self, grads[0]));
    }
    if (out[1] != 0 || out[2] != 0) {
        ps_op_kernel_by(self, "native_layer_norm_backward", PS_ACCESS_REDUCTION,
                        2 * ps_eager_bytes(self, grads[0]), ps_eager_elements(self, grads[0]));
    }
    ps_eager_clear(self, &in_rows);
}

static const ps_node_ops layer_norm_ops = {"NativeLayerNormBackward0", layer_norm_backward};

ps_tensor ps_op_layer_norm(ps_eager *self, ps_tensor x, ps_tensor weight, ps_tensor bias,
                           int64_t width, bool is_strided)
{
    const ps_tensor inputs[] = {x, weight, bias};
    ps_node *node = ps_op_record(self, &layer_norm_ops, inputs, 3);
    const int64_t rows = ps_eager_elements(self, x) / width;
    if (node != NULL) {
        node->number[NORM_WIDTH] = width;
        node->number[NORM_STRIDED] = is_strided;
    }
    ps_op_save(self, node, bias);
    ps_op_save(self, node, x);
    ps_op_save(self, node, weight);
    ps_tensor in_rows = rows_of(self, rows * width, ps_eager_dtype(self, x), is_strided);
    const ps_tensor out = ps_op_result(self, ps_eager_elements(self, x), ps_eager_dtype(self, x));
    ps_tensor mean = ps_op_result(self, rows, PS_DTYPE_F32);
    ps_tensor spread = ps_op_result(self, rows, PS_DTYPE_F32);
    ps_op_kernel_by(self, "native_layer_norm", PS_ACCESS_ROWS, 2 * ps_eager_bytes(self, x),
                    rows * width);
    ps_op_save(self, node, mean);
    ps_op_save(self, node, spread);
    ps_eager_clear(self, &mean);
    ps_eager_clear(self, &spread);
    ps_eager_clear(self, &in_rows);
    ps_op_output(self, node, out, 0);
    return out;
}
