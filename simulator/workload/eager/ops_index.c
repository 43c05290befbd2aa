/* SPDX-License-Identifier: MIT
 *
 * Rows by number: the best of a row, where something is set, rows taken and
 * rows added. How many are found depends on values; the caller says so.
 */
#include "workload/eager/eager_parts.h"
#include "workload/eager/eager_state.h"
#include "workload/eager/ops.h"
#include "workload/eager/scratch.h"

enum { INDEX_WIDTH, INDEX_COUNT, INDEX_FOUND, INDEX_MARKS };

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
    out[0] = ps_op_plain(self, "fill", node->edge[0].elements, ps_eager_dtype(self, grads[0]));
    ps_op_in_place(self, "scatter", grads[0]);
}

static const ps_node_ops topk_ops = {"TopkBackward0", topk_backward};

ps_tensor ps_op_topk(ps_eager *self, ps_tensor a, int64_t kept, ps_tensor *index)
{
    ps_node *node = ps_op_record(self, &topk_ops, &a, 1);
    const ps_tensor out = ps_op_result(self, kept, ps_eager_dtype(self, a));
    *index = numbers(self, "topk", kept);
    ps_op_kernel(self, "sort", 2 * ps_eager_bytes(self, out)); /* the best, in order */
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
    ps_op_kernel(self, "count_nonzero", (uint64_t)elements * ps_dtype_bytes(PS_DTYPE_I64));
    ps_op_read_back(self, PS_DTYPE_F32); /* 32 bits */
    const ps_tensor out = numbers(self, "scan_init", found * dimensions);
    work_in(self, ps_scratch_select_bytes(elements));
    ps_op_kernel(self, "nonzero", (uint64_t)elements * ps_dtype_bytes(PS_DTYPE_I64));
    ps_op_kernel(self, "nonzero", 2 * ps_eager_bytes(self, out));
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
            ps_op_in_place(self, "add", sum);
            ps_eager_clear(self, &scaled);
        }
    }
    return sum;
}

/* Numbers of the rows that a mask of bytes marks; 0: rows are not told by marks. */
static ps_tensor marked_rows(ps_eager *self, int64_t marks, int64_t found)
{
    return marks > 0 ? ps_op_nonzero(self, marks, 1, found, false) : 0;
}

static void index_backward(ps_eager *self, ps_node *node, const ps_tensor *grads, ps_tensor *out)
{
    const int64_t found = node->number[INDEX_FOUND];
    const int64_t rows = node->edge[0].elements / node->number[INDEX_WIDTH];
    out[0] = ps_op_plain(self, "fill", node->edge[0].elements, ps_eager_dtype(self, grads[0]));
    ps_tensor marked = marked_rows(self, node->number[INDEX_MARKS], found);
    ps_tensor linear = linear_index(self, found, node->number[INDEX_COUNT]);
    ps_eager_clear(self, &marked);
    ps_op_in_place(self, "div", linear);
    ps_tensor sorted = ps_op_result(self, found, PS_DTYPE_I64);
    ps_tensor origin = ps_op_result(self, found, PS_DTYPE_I64);
    ps_tensor range = numbers(self, "arange", found);
    work_in(self, ps_scratch_sort_bytes(found, ps_scratch_bits(rows - 1)));
    ps_scratch_tell_sort(self, found, ps_scratch_bits(rows - 1));
    ps_eager_clear(self, &range);
    ps_op_kernel_by(self, "index_put", PS_ACCESS_STRIDED, 3 * ps_eager_bytes(self, grads[0]),
                    ps_eager_elements(self, grads[0]));
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

/* ---- a[mask], a[mask] = b: the mask is kept, and looked through each time ---- */

ps_tensor ps_op_take_marked(ps_eager *self, ps_tensor a, ps_tensor mask, int64_t found,
                            int64_t width)
{
    const int64_t marks = ps_eager_elements(self, mask);
    ps_node *node = ps_op_record(self, &index_ops, &a, 1);
    ps_op_save(self, node, mask);
    if (node != NULL) {
        node->number[INDEX_WIDTH] = width;
        node->number[INDEX_COUNT] = 1;
        node->number[INDEX_FOUND] = found;
        node->number[INDEX_MARKS] = marks;
    }
    ps_tensor marked = marked_rows(self, marks, found);
    const ps_tensor out = ps_op_plain(self, "index", found * width, ps_eager_dtype(self, a));
    ps_eager_clear(self, &marked);
    ps_op_output(self, node, out, 0);
    return out;
}

/* What was written over gets zeros, in a copy of the whole gradient. */
static void put_marked_backward(ps_eager *self, ps_node *node, const ps_tensor *grads,
                                ps_tensor *out)
{
    const int64_t marks = node->number[INDEX_MARKS], found = node->number[INDEX_FOUND];
    const ps_dtype dtype = ps_eager_dtype(self, grads[0]);
    if (ps_op_wants(node, 0)) {
        ps_tensor zeros = ps_op_plain(self, "fill", found * node->number[INDEX_WIDTH], dtype);
        out[0] = ps_op_plain(self, "copy", ps_eager_elements(self, grads[0]), dtype);
        ps_tensor marked = marked_rows(self, marks, found);
        ps_op_kernel_by(self, "index_put", PS_ACCESS_STRIDED, 2 * ps_eager_bytes(self, zeros),
                        ps_eager_elements(self, zeros));
        ps_eager_clear(self, &marked);
        ps_eager_clear(self, &zeros);
    }
    if (ps_op_wants(node, 1)) {
        ps_tensor marked = marked_rows(self, marks, found);
        out[1] = ps_op_plain(self, "index", node->edge[1].elements, dtype);
        ps_eager_clear(self, &marked);
    }
}

static const ps_node_ops put_marked_ops = {"IndexPutBackward0", put_marked_backward};

ps_tensor ps_op_put_marked(ps_eager *self, ps_tensor into, ps_tensor mask, ps_tensor source,
                           int64_t found)
{
    const ps_tensor inputs[] = {into, source};
    const int64_t marks = ps_eager_elements(self, mask);
    ps_node *node = ps_op_record(self, &put_marked_ops, inputs, 2);
    ps_op_save(self, node, mask);
    if (node != NULL) {
        node->number[INDEX_WIDTH] = ps_eager_elements(self, source) / found;
        node->number[INDEX_FOUND] = found;
        node->number[INDEX_MARKS] = marks;
    }
    ps_tensor marked = marked_rows(self, marks, found);
    ps_op_kernel_by(self, "index_put", PS_ACCESS_STRIDED, 2 * ps_eager_bytes(self, source),
                    ps_eager_elements(self, source));
    ps_eager_clear(self, &marked);
    const ps_tensor out = ps_op_view_of(self, into, ps_eager_elements(self, into));
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
    ps_op_kernel_by(self, "index_add", PS_ACCESS_STRIDED, 3 * ps_eager_bytes(self, source),
                    ps_eager_elements(self, source));
    const ps_tensor out = ps_op_view_of(self, into, ps_eager_elements(self, into));
    ps_op_output(self, node, out, 0);
    return out;
}
