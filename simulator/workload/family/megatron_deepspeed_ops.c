/* SPDX-License-Identifier: MIT
 *
 * Fused softmax, dropout and cross entropy of Megatron-DeepSpeed, and its sums over
 * ranks that share matrices, which computation waits for.
 */
#include "workload/eager/eager_parts.h"
#include "workload/eager/ops_collective.h"
#include "workload/eager/ops_host.h"
#include "workload/family/megatron_deepspeed.h"

#define TENSOR_LANE (PS_EAGER_GROUP + 2) /* of the communicator */
#define TENSOR_AXES 1u

void ps_megatron_add_parts(ps_eager *e, ps_tensor x, int64_t parts)
{
    const ps_collective sum = {.name = "all_reduce",
                               .op = PS_COLLECTIVE_ALL_REDUCE,
                               .lane = (ps_eager_lane)TENSOR_LANE,
                               .axes = TENSOR_AXES,
                               .dtype = ps_eager_dtype(e, x),
                               .bytes = ps_eager_bytes(e, x)};
    if (parts > 1 && !ps_eager_is_skipping(e)) {
        ps_op_collective(e, &sum);
        ps_op_join(e, PS_EAGER_MAIN, sum.lane);
    }
}

static void copy_backward(ps_eager *e, ps_node *node, const ps_tensor *grads, ps_tensor *out)
{
    ps_megatron_add_parts(e, grads[0], node->number[0]);
    out[0] = ps_eager_hold(e, grads[0]);
}

static const ps_node_ops copy_ops = {"CopyToModelParallelRegionBackward", copy_backward};

ps_tensor ps_megatron_copy_to_parts(ps_eager *e, ps_tensor x, int64_t parts)
{
    if (parts == 1) {
        return ps_eager_hold(e, x);
    }
    ps_node *node = ps_op_record(e, &copy_ops, &x, 1);
    if (node != NULL) {
        node->number[0] = parts;
    }
    const ps_tensor out = ps_op_view_of(e, x, ps_eager_elements(e, x));
    ps_op_output(e, node, out, 0);
    return out;
}

/* A kernel of Megatron's own, each row within one warp, four elements a load: memory bounds it, and
 * not what rows cost PyTorch's. */
static void softmax_backward(ps_eager *e, ps_node *node, const ps_tensor *grads, ps_tensor *out)
{
    (void)node;
    ps_op_kernel(e, "masked_softmax_backward", 3 * ps_eager_bytes(e, grads[0]));
    out[0] = ps_eager_hold(e, grads[0]);
}

static const ps_node_ops softmax_ops = {"ScaledUpperTriangMaskedSoftmaxBackward", softmax_backward};

ps_tensor ps_megatron_masked_softmax(ps_eager *e, ps_tensor scores)
{
    ps_node *node = ps_op_record(e, &softmax_ops, &scores, 1);
    const ps_tensor out = ps_op_result(e, ps_eager_elements(e, scores), ps_eager_dtype(e, scores));
    ps_op_kernel(e, "masked_softmax", 2 * ps_eager_bytes(e, scores));
    ps_op_save(e, node, out);
    ps_op_output(e, node, out, 0);
    return out;
}

static void drop_backward(ps_eager *e, ps_node *node, const ps_tensor *grads, ps_tensor *out)
{
    const uint64_t bytes = ps_eager_bytes(e, grads[0]);
    out[0] = ps_op_result(e, ps_eager_elements(e, grads[0]), ps_eager_dtype(e, grads[0]));
    ps_op_kernel(e, "native_dropout_backward", 2 * bytes + ps_eager_bytes(e, node->saved[0]));
    out[1] = ps_eager_hold(e, grads[0]);
}

static const ps_node_ops drop_ops = {"DifferentiableGraphBackward", drop_backward};

ps_tensor ps_megatron_drop_and_add(ps_eager *e, ps_tensor x, ps_tensor residual, ps_tensor *mask)
{
    const ps_tensor inputs[] = {x, residual};
    const int64_t elements = ps_eager_elements(e, x);
    const uint64_t bytes = ps_eager_bytes(e, x);
    ps_node *node = ps_op_record(e, &drop_ops, inputs, 2);
    ps_tensor dropped = ps_op_result(e, elements, ps_eager_dtype(e, x));
    *mask = ps_op_result(e, elements, PS_DTYPE_BOOL);
    ps_op_kernel(e, "native_dropout", 2 * bytes + ps_eager_bytes(e, *mask));
    const ps_tensor out = ps_op_result(e, elements, ps_eager_dtype(e, x));
    ps_op_kernel(e, "add", 3 * bytes);
    ps_op_save(e, node, *mask);
    ps_op_output(e, node, out, 0);
    ps_eager_clear(e, &dropped);
    return out;
}

static void entropy_backward(ps_eager *e, ps_node *node, const ps_tensor *grads, ps_tensor *out)
{
    (void)grads;
    const ps_tensor shares = node->saved[0];
    ps_op_kernel_by(e, "mul", PS_ACCESS_STRIDED, 2 * ps_eager_bytes(e, shares),
                    ps_eager_elements(e, shares));
    out[0] = ps_eager_hold(e, shares);
}

static const ps_node_ops entropy_ops = {"VocabParallelCrossEntropyBackward", entropy_backward};

ps_tensor ps_megatron_cross_entropy(ps_eager *e, ps_tensor logits, ps_tensor labels, int64_t rows)
{
    ps_node *node = ps_op_record(e, &entropy_ops, &logits, 1);
    const uint64_t bytes = ps_eager_bytes(e, logits);
    const int64_t elements = ps_eager_elements(e, logits);
    ps_op_kernel_by(e, "max", PS_ACCESS_REDUCTION, bytes, elements);
    ps_tensor shares = ps_op_result(e, elements, ps_eager_dtype(e, logits));
    ps_op_kernel_by(e, "sub", PS_ACCESS_STRIDED, 2 * bytes, elements);
    ps_op_kernel(e, "exp", 2 * bytes);
    ps_op_kernel_by(e, "sum", PS_ACCESS_REDUCTION, bytes, elements);
    const ps_tensor out = ps_op_result(e, rows, PS_DTYPE_F32);
    ps_op_kernel_by(e, "div", PS_ACCESS_STRIDED, 2 * bytes, elements);
    ps_op_save(e, node, shares);
    ps_op_save(e, node, labels);
    ps_eager_clear(e, &shares);
    ps_op_output(e, node, out, 0);
    return out;
}
