/* SPDX-License-Identifier: MIT
 *
 * What ranks do together, as one of them sees it: work in the queue of a
 * communicator, and queues that wait for one another.
 */
#include "workload/eager/ops_collective.h"

#include "base/memory.h"
#include "workload/eager/eager_parts.h"
#include "workload/eager/ops.h"
#include "workload/eager/ops_host.h"

void ps_op_join(ps_eager *self, ps_eager_lane lane, ps_eager_lane awaited)
{
    const ps_eager_kernel join = {
        .name = "wait", .kind = PS_KERNEL_JOIN, .awaited = (uint8_t)awaited};
    if (lane == awaited) {
        return;
    }
    const ps_eager_lane was = ps_eager_set_lane(self, lane);
    ps_op_tell(self, &join);
    (void)ps_eager_set_lane(self, was);
}

void ps_op_collective(ps_eager *self, const ps_collective *what)
{
    const ps_eager_kernel kernel = {.name = what->name,
                                    .kind = PS_KERNEL_COLLECTIVE,
                                    .dtype = what->dtype,
                                    .moved_bytes = what->bytes,
                                    .launches = 1,
                                    .dispatches = what->is_called,
                                    .collective = what->op,
                                    .axes = what->axes,
                                    .peer = what->peer,
                                    .mark = what->mark};
    ps_op_join(self, what->lane, ps_eager_lane_now(self));
    const ps_eager_lane was = ps_eager_set_lane(self, what->lane);
    ps_op_tell(self, &kernel);
    (void)ps_eager_set_lane(self, was);
}

/* ---- shares of columns ---- */

enum { SHARES_RANKS, SHARES_AXES };

static ps_op_group group_of(const ps_node *node)
{
    return (ps_op_group){.ranks = node->number[SHARES_RANKS],
                         .axes = (uint32_t)node->number[SHARES_AXES]};
}

static void note_group(ps_node *node, ps_op_group group)
{
    if (node != NULL) {
        node->number[SHARES_RANKS] = group.ranks;
        node->number[SHARES_AXES] = group.axes;
    }
}

/* These are functions of Python, in backward too. */
static void tell_called(ps_eager *self, const char *name, uint64_t moved_bytes)
{
    const ps_eager_kernel kernel = {
        .name = name, .moved_bytes = moved_bytes, .launches = 1, .dispatches = 1};
    ps_op_tell(self, &kernel);
}

static ps_tensor copy_share(ps_eager *self, ps_tensor a, ps_op_group group)
{
    const ps_tensor out =
        ps_op_result(self, ps_eager_elements(self, a) / group.ranks, ps_eager_dtype(self, a));
    tell_called(self, "copy", 2 * ps_eager_bytes(self, out));
    return out;
}

static void exchange(ps_eager *self, ps_collective_op op, ps_tensor whole, ps_op_group group)
{
    const ps_collective what = {.name =
                                    op == PS_COLLECTIVE_ALL_REDUCE ? "all_reduce" : "all_gather",
                                .op = op,
                                .lane = ps_eager_lane_now(self),
                                .axes = group.axes,
                                .dtype = ps_eager_dtype(self, whole),
                                .bytes = ps_eager_bytes(self, whole),
                                .is_called = true};
    if (group.ranks > 1 && what.bytes > 0) {
        ps_op_collective(self, &what);
    }
}

/* all_gather() into a list: NCCL fills one buffer, which is copied into the list's tensors. */
static void gather_list(ps_eager *self, ps_tensor a, ps_tensor *list, ps_op_group group)
{
    const int64_t elements = ps_eager_elements(self, a);
    const ps_dtype dtype = ps_eager_dtype(self, a);
    for (int64_t i = 0; i < group.ranks; i++) {
        list[i] = ps_op_result(self, elements, dtype);
    }
    ps_tensor flat = ps_op_result(self, elements * group.ranks, dtype);
    exchange(self, PS_COLLECTIVE_ALL_GATHER, flat, group);
    const ps_eager_kernel copies = {.name = "copy",
                                    .moved_bytes = 2 * ps_eager_bytes(self, flat),
                                    .launches = (uint32_t)group.ranks};
    ps_op_tell(self, &copies);
    ps_eager_clear(self, &flat);
}

/* ... and put together again, column by column. */
static ps_tensor gather(ps_eager *self, ps_tensor a, ps_op_group group)
{
    ps_tensor *list = ps_calloc((size_t)group.ranks, sizeof *list);
    if (list == NULL) {
        ps_eager_fail(self, PS_NOMEM, "out of memory");
        return 0;
    }
    gather_list(self, a, list, group);
    const ps_tensor out =
        ps_op_result(self, ps_eager_elements(self, a) * group.ranks, ps_eager_dtype(self, a));
    tell_called(self, "cat", 2 * ps_eager_bytes(self, out));
    for (int64_t i = 0; i < group.ranks; i++) {
        ps_eager_clear(self, &list[i]);
    }
    ps_free(list);
    return out;
}

static void take_share_backward(ps_eager *self, ps_node *node, const ps_tensor *grads,
                                ps_tensor *out)
{
    out[0] = gather(self, grads[0], group_of(node));
}

static const ps_node_ops take_share_ops = {"TakeShareBackward", take_share_backward};

ps_tensor ps_op_take_share(ps_eager *self, ps_tensor a, ps_op_group group)
{
    ps_node *node = ps_op_record(self, &take_share_ops, &a, 1);
    note_group(node, group);
    const ps_tensor out = copy_share(self, a, group);
    ps_op_output(self, node, out, 0);
    return out;
}

static void gather_shares_backward(ps_eager *self, ps_node *node, const ps_tensor *grads,
                                   ps_tensor *out)
{
    out[0] = copy_share(self, grads[0], group_of(node));
}

static const ps_node_ops gather_shares_ops = {"GatherSharesBackward", gather_shares_backward};

ps_tensor ps_op_gather_shares(ps_eager *self, ps_tensor a, ps_op_group group)
{
    ps_node *node = ps_op_record(self, &gather_shares_ops, &a, 1);
    note_group(node, group);
    const ps_tensor out = gather(self, a, group);
    ps_op_output(self, node, out, 0);
    return out;
}

static void sum_shares_backward(ps_eager *self, ps_node *node, const ps_tensor *grads,
                                ps_tensor *out)
{
    (void)node;
    out[0] = ps_eager_hold(self, grads[0]);
}

static const ps_node_ops sum_shares_ops = {"SumSharesBackward", sum_shares_backward};

ps_tensor ps_op_sum_shares(ps_eager *self, ps_tensor a, ps_op_group group)
{
    ps_node *node = ps_op_record(self, &sum_shares_ops, &a, 1);
    exchange(self, PS_COLLECTIVE_ALL_REDUCE, a, group);
    const ps_tensor out = ps_op_view_of(self, a, ps_eager_elements(self, a));
    ps_op_output(self, node, out, 0);
    return out;
}
