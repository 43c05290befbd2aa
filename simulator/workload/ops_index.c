/* SPDX-License-Identifier: MIT
 *
 * Rows by number: the best of a row, where something is set, rows taken and
 * rows added. How many are found depends on values; the caller says so.
 */
#include "workload/eager_parts.h"
#include "workload/eager_state.h"
#include "workload/ops.h"
#include "workload/scratch.h"

enum { INDEX_WIDTH, INDEX_COUNT, INDEX_FOUND };

static ps_tensor numbers(ps_eager *self, const char *name, int64_t count)
{
    return ps_op_plain(self, name, count, PS_DTYPE_I64);
}

static void work_in(ps_eager *self, int64_t bytes)
{
    ps_tensor scratch = ps_eager_make(self, bytes, PS_DTYPE_BOOL, PS_ROLE_TEMPORARY);
    ps_eager_clear(self, &scratch);
}

/* ---- topk ---- */

static void topk_backward(ps_eager *self, ps_node *node, const ps_tensor *grads, ps_tensor *out)
{
    out[0] = ps_op_plain(self, "scatter", node->edge[0].elements, ps_eager_dtype(self, grads[0]));
}

static const ps_node_ops topk_ops = {"TopkBackward0", topk_backward};

ps_tensor ps_op_topk(ps_eager *self, ps_tensor a, int64_t kept, ps_tensor *index)
{
    ps_node *node = ps_op_record(self, &topk_ops, &a, 1);
    const ps_tensor out = ps_op_result(self, kept, ps_eager_dtype(self, a));
    *index = numbers(self, "topk", kept);
    ps_op_save(self, node, *index);
    ps_op_output(self, node, out, 0);
    return out;
}

/* ---- where(condition) ---- */

ps_tensor ps_op_nonzero(ps_eager *self, int64_t elements, int64_t dimensions, int64_t found,
                        bool is_strided)
{
    ps_tensor in_rows = is_strided ? numbers(self, "copy", elements) : 0;
    ps_tensor count = ps_eager_make(self, 1, PS_DTYPE_F32, PS_ROLE_TEMPORARY); /* 32 bits */
    work_in(self,
            ps_scratch_sum_bytes(elements, self->device.sm_count, self->device.threads_per_sm));
    ps_op_kernel(self, "nonzero", (uint64_t)elements * ps_dtype_bytes(PS_DTYPE_I64));
    const ps_tensor out = numbers(self, "nonzero", found * dimensions);
    work_in(self, ps_scratch_select_bytes(elements));
    ps_eager_clear(self, &count);
    ps_eager_clear(self, &in_rows);
    return out;
}

/* ---- a[index]: backward adds rows up, sorted by where they go ---- */

/* remainder, times stride; the second is added to the first */
static ps_tensor linear_index(ps_eager *self, int64_t found, int64_t count)
{
    ps_tensor sum = 0;
    for (int64_t i = 0; i < count; i++) {
        ps_tensor wrapped = numbers(self, "remainder", found);
        ps_tensor scaled = numbers(self, "mul", found);
        ps_eager_clear(self, &wrapped);
        if (sum == 0) {
            sum = scaled;
        } else {
            ps_eager_clear(self, &scaled);
        }
    }
    return sum;
}

static void index_backward(ps_eager *self, ps_node *node, const ps_tensor *grads, ps_tensor *out)
{
    const int64_t found = node->number[INDEX_FOUND];
    const int64_t rows = node->edge[0].elements / node->number[INDEX_WIDTH];
    out[0] = ps_op_plain(self, "fill", node->edge[0].elements, ps_eager_dtype(self, grads[0]));
    ps_tensor linear = linear_index(self, found, node->number[INDEX_COUNT]);
    ps_tensor sorted = numbers(self, "sort", found), origin = numbers(self, "sort", found);
    ps_tensor range = numbers(self, "arange", found);
    work_in(self, ps_scratch_sort_bytes(found, ps_scratch_bits(rows - 1)));
    ps_eager_clear(self, &range);
    ps_op_kernel(self, "index_put", 3 * ps_eager_bytes(self, grads[0]));
    ps_eager_clear(self, &origin);
    ps_eager_clear(self, &sorted);
    ps_eager_clear(self, &linear);
}

static const ps_node_ops index_ops = {"IndexBackward0", index_backward};

ps_tensor ps_op_index(ps_eager *self, ps_tensor a, ps_tensor index, int64_t index_count,
                      int64_t width)
{
    const int64_t found = ps_eager_elements(self, index) / PS_OP_INDEX_DIMENSIONS;
    ps_node *node = ps_op_record(self, &index_ops, &a, 1);
    ps_op_save(self, node, index);
    if (node != NULL) {
        node->number[INDEX_WIDTH] = width;
        node->number[INDEX_COUNT] = index_count;
        node->number[INDEX_FOUND] = found;
    }
    const ps_tensor out = ps_op_plain(self, "index", found * width, ps_eager_dtype(self, a));
    ps_op_output(self, node, out, 0);
    return out;
}

/* ---- index_add_ ---- */

static void index_add_backward(ps_eager *self, ps_node *node, const ps_tensor *grads,
                               ps_tensor *out)
{
    if (ps_op_wants(node, 0)) {
        out[0] = ps_eager_hold(self, grads[0]);
    }
    if (ps_op_wants(node, 1)) {
        out[1] = ps_op_plain(self, "index_select", node->edge[1].elements,
                             ps_eager_dtype(self, grads[0]));
    }
}

static const ps_node_ops index_add_ops = {"IndexAddBackward0", index_add_backward};

ps_tensor ps_op_index_add(ps_eager *self, ps_tensor into, ps_tensor index, ps_tensor source)
{
    const ps_tensor inputs[] = {into, source};
    ps_node *node = ps_op_record(self, &index_add_ops, inputs, 2);
    ps_op_save(self, node, index);
    ps_op_save(self, node, source);
    ps_op_kernel(self, "index_add", 3 * ps_eager_bytes(self, source));
    const ps_tensor out = ps_op_view_of(self, into, ps_eager_elements(self, into));
    ps_op_output(self, node, out, 0);
    return out;
}
