/* SPDX-License-Identifier: MIT
 *
 * Operations on shapes.
 */
#include "workload/eager/eager_parts.h"
#include "workload/eager/ops.h"

enum { VIEW_STRIDED };

/* A copy of what lies otherwise than its copy will. */
static void copy_places(ps_eager *self, ps_tensor of)
{
    ps_op_kernel_by(self, "copy", PS_ACCESS_STRIDED, 2 * ps_eager_bytes(self, of),
                    ps_eager_elements(self, of));
}

/* The gradient takes the input's shape: a view, after a copy when it does not lie in rows. */
static void view_backward(ps_eager *self, ps_node *node, const ps_tensor *grads, ps_tensor *out)
{
    ps_tensor source = ps_eager_hold(self, grads[0]);
    if (node->number[VIEW_STRIDED] != 0) {
        const ps_tensor copy =
            ps_op_result(self, ps_eager_elements(self, source), ps_eager_dtype(self, source));
        copy_places(self, source);
        ps_eager_assign(self, &source, copy);
    }
    out[0] = ps_op_view_of(self, source, ps_eager_elements(self, source));
    ps_eager_drop(self, source);
}

static const ps_node_ops view_ops = {"ViewBackward0", view_backward};

ps_tensor ps_op_view(ps_eager *self, ps_tensor a, int64_t elements, bool is_strided)
{
    ps_node *node = ps_op_record(self, &view_ops, &a, 1);
    if (node != NULL) {
        node->number[VIEW_STRIDED] = is_strided;
    }
    const ps_tensor out = ps_op_view_of(self, a, elements);
    ps_op_output(self, node, out, 0);
    return out;
}

static void slice_backward(ps_eager *self, ps_node *node, const ps_tensor *grads, ps_tensor *out)
{
    out[0] = ps_op_result(self, node->edge[0].elements, ps_eager_dtype(self, grads[0]));
    ps_op_kernel(self, "fill", ps_eager_bytes(self, out[0]));
    copy_places(self, grads[0]);
}

static const ps_node_ops slice_ops = {"SliceBackward0", slice_backward};

ps_tensor ps_op_slice(ps_eager *self, ps_tensor a, int64_t elements)
{
    ps_node *node = ps_op_record(self, &slice_ops, &a, 1);
    const ps_tensor out = ps_op_view_of(self, a, elements);
    ps_op_output(self, node, out, 0);
    return out;
}

static void pad_backward(ps_eager *self, ps_node *node, const ps_tensor *grads, ps_tensor *out)
{
    out[0] = ps_op_result(self, node->edge[0].elements, ps_eager_dtype(self, grads[0]));
    copy_places(self, out[0]);
}

static const ps_node_ops pad_ops = {"ConstantPadNdBackward0", pad_backward};

ps_tensor ps_op_pad(ps_eager *self, ps_tensor a, int64_t elements)
{
    ps_node *node = ps_op_record(self, &pad_ops, &a, 1);
    const ps_tensor out = ps_op_result(self, elements, ps_eager_dtype(self, a));
    ps_op_kernel(self, "fill", ps_eager_bytes(self, out));
    copy_places(self, a);
    ps_op_output(self, node, out, 0);
    return out;
}

/* Each input's gradient is a part of the whole one: a view. */
static void cat_backward(ps_eager *self, ps_node *node, const ps_tensor *grads, ps_tensor *out)
{
    for (uint32_t i = 0; i < node->edge_count; i++) {
        out[i] = ps_op_wants(node, i) ? ps_op_view_of(self, grads[0], node->edge[i].elements) : 0;
    }
}

static const ps_node_ops cat_ops = {"CatBackward0", cat_backward};

ps_tensor ps_op_cat(ps_eager *self, ps_tensor a, ps_tensor b)
{
    const ps_tensor inputs[] = {a, b};
    ps_node *node = ps_op_record(self, &cat_ops, inputs, 2);
    const int64_t elements = ps_eager_elements(self, a) + (b == 0 ? 0 : ps_eager_elements(self, b));
    const ps_tensor out = ps_op_result(self, elements, ps_eager_dtype(self, a));
    const bool is_mixed = b != 0 && ps_eager_dtype(self, a) != ps_eager_dtype(self, b);
    if (is_mixed) { /* one kernel for all takes one type only */
        copy_places(self, a);
        copy_places(self, b);
    } else if (out != 0) {
        ps_op_kernel(self, "cat", 2 * ps_eager_bytes(self, out));
    }
    ps_op_output(self, node, out, 0);
    return out;
}

static void copy_backward(ps_eager *self, ps_node *node, const ps_tensor *grads, ps_tensor *out)
{
    (void)node;
    out[0] = ps_eager_hold(self, grads[0]);
}

static const ps_node_ops copy_ops = {"CloneBackward0", copy_backward};

ps_tensor ps_op_copy(ps_eager *self, ps_tensor a)
{
    ps_node *node = ps_op_record(self, &copy_ops, &a, 1);
    const ps_tensor out = ps_op_result(self, ps_eager_elements(self, a), ps_eager_dtype(self, a));
    copy_places(self, a);
    ps_op_output(self, node, out, 0);
    return out;
}

static const ps_node_ops alias_ops = {"AliasBackward0", copy_backward};

ps_tensor ps_op_alias(ps_eager *self, ps_tensor a)
{
    ps_node *node = ps_op_record(self, &alias_ops, &a, 1);
    const ps_tensor out = ps_op_view_of(self, a, ps_eager_elements(self, a));
    ps_op_output(self, node, out, 0);
    return out;
}

static void split_backward(ps_eager *self, ps_node *node, const ps_tensor *grads, ps_tensor *out)
{
    (void)grads;
    out[0] = ps_op_result(self, node->edge[0].elements, node->edge[0].dtype);
    ps_op_kernel(self, "cat", 2 * ps_eager_bytes(self, out[0]));
}

static const ps_node_ops split_ops = {"SplitBackward0", split_backward};

void ps_op_split(ps_eager *self, ps_tensor a, ps_tensor *part, uint32_t count)
{
    ps_node *node = ps_op_record(self, &split_ops, &a, 1);
    for (uint32_t i = 0; i < count; i++) {
        part[i] = ps_op_view_of(self, a, ps_eager_elements(self, a) / count);
        ps_op_output(self, node, part[i], i);
    }
}

void ps_op_split_sizes(ps_eager *self, ps_tensor a, const int64_t *elements, ps_tensor *part,
                       uint32_t count)
{
    ps_node *node = ps_op_record(self, &split_ops, &a, 1);
    for (uint32_t i = 0; i < count; i++) {
        part[i] = ps_op_view_of(self, a, elements[i]);
        ps_op_output(self, node, part[i], i);
    }
}

static void expand_backward(ps_eager *self, ps_node *node, const ps_tensor *grads, ps_tensor *out)
{
    out[0] = ps_op_result(self, node->edge[0].elements, ps_eager_dtype(self, grads[0]));
    ps_op_kernel_by(self, "sum", PS_ACCESS_REDUCTION, ps_eager_bytes(self, grads[0]),
                    ps_eager_elements(self, grads[0]));
}

static const ps_node_ops expand_ops = {"ExpandBackward0", expand_backward};

ps_tensor ps_op_expand(ps_eager *self, ps_tensor a, int64_t elements)
{
    if (elements == ps_eager_elements(self, a)) {
        return ps_op_view(self, a, elements, false);
    }
    ps_node *node = ps_op_record(self, &expand_ops, &a, 1);
    const ps_tensor out = ps_op_view_of(self, a, elements);
    ps_op_output(self, node, out, 0);
    return out;
}
