/* SPDX-License-Identifier: MIT
 *
 * The engine: nodes run when all gradients of their outputs have come, the
 * youngest first; accumulation into parameters goes before everything.
 *
 * A node's input gradients die when it has run, then its saved tensors, then
 * its results travel on. A second gradient for the same place is added into
 * the first one when nobody else can see that, else into a new tensor.
 */
#include "base/memory.h"
#include "workload/eager/eager_parts.h"

typedef struct queue {
    uint32_t *node; /* binary heap, youngest on top */
    size_t count, capacity;
} queue;

static bool is_younger(ps_eager *self, uint32_t a, uint32_t b)
{
    return ps_eager_node(self, a)->sequence > ps_eager_node(self, b)->sequence;
}

static void push(ps_eager *self, queue *ready, uint32_t node)
{
    if (ps_grow((void **)&ready->node, &ready->capacity, ready->count + 1, (size_t)1 << 26,
                sizeof *ready->node, NULL) != PS_OK) {
        ps_eager_fail(self, PS_NOMEM, "out of memory");
        return;
    }
    size_t at = ready->count++;
    for (; at > 0 && is_younger(self, node, ready->node[(at - 1) / 2]); at = (at - 1) / 2) {
        ready->node[at] = ready->node[(at - 1) / 2];
    }
    ready->node[at] = node;
}

static uint32_t pop(ps_eager *self, queue *ready)
{
    const uint32_t top = ready->node[0], last = ready->node[--ready->count];
    size_t at = 0;
    for (size_t child = 1; child < ready->count; child = 2 * at + 1) {
        if (child + 1 < ready->count &&
            is_younger(self, ready->node[child + 1], ready->node[child])) {
            child++;
        }
        if (!is_younger(self, ready->node[child], last)) {
            break;
        }
        ready->node[at] = ready->node[child];
        at = child;
    }
    ready->node[at] = last;
    return top;
}

/* Counts for every node below the root how many gradients it waits for. */
static void count_waiting(ps_eager *self, uint32_t root)
{
    queue stack = {0};
    push(self, &stack, root);
    ps_eager_node(self, root)->is_visited = true;
    while (stack.count > 0 && !ps_eager_has_failed(self)) {
        const ps_node *node = ps_eager_node(self, stack.node[--stack.count]);
        for (uint32_t i = 0; i < node->edge_count; i++) {
            if (node->edge[i].node == 0) {
                continue;
            }
            ps_node *next = ps_eager_node(self, node->edge[i].node - 1);
            next->waiting_for++;
            if (!next->is_visited) {
                next->is_visited = true;
                /* as a plain stack: order does not matter here */
                if (ps_grow((void **)&stack.node, &stack.capacity, stack.count + 1, (size_t)1 << 26,
                            sizeof *stack.node, NULL) != PS_OK) {
                    ps_eager_fail(self, PS_NOMEM, "out of memory");
                    break;
                }
                stack.node[stack.count++] = node->edge[i].node - 1;
            }
        }
    }
    ps_free(stack.node);
}

/* Broadcasting is undone by a sum. */
static ps_tensor sum_to(ps_eager *self, const ps_edge *edge, ps_tensor grad)
{
    ps_tensor sum;
    if (edge->is_parameter) {
        sum = ps_op_sum_rows(self, grad, edge->elements);
    } else {
        sum = ps_op_result(self, edge->elements, ps_eager_dtype(self, grad));
        ps_op_kernel_by(self, "sum", PS_ACCESS_REDUCTION, ps_eager_bytes(self, grad),
                        ps_eager_elements(self, grad));
    }
    ps_eager_drop(self, grad);
    return sum;
}

/* A gradient takes the size and the type of what it is the gradient of. */
static ps_tensor fit(ps_eager *self, const ps_edge *edge, ps_tensor grad)
{
    if (grad == 0) {
        return 0;
    }
    if (ps_eager_elements(self, grad) > edge->elements) {
        grad = sum_to(self, edge, grad);
    }
    if (edge->node != 0 && ps_eager_dtype(self, grad) != edge->dtype) {
        const ps_tensor narrow = ps_op_copy_to(self, grad, edge->dtype);
        ps_eager_drop(self, grad);
        return narrow;
    }
    return grad;
}

static void arrive(ps_eager *self, ps_tensor *place, ps_tensor grad)
{
    if (*place == 0) {
        *place = grad;
        return;
    }
    const ps_tensor sum =
        ps_eager_is_sole(self, *place)
            ? 0
            : ps_op_result(self, ps_eager_elements(self, grad), ps_eager_dtype(self, grad));
    ps_op_kernel(self, "add", 3 * ps_eager_bytes(self, grad));
    if (ps_eager_takes_grads(self)) {
        ps_eager_touch(self, sum != 0 ? sum : *place, true);
    }
    if (sum != 0) {
        ps_eager_assign(self, place, sum);
    }
    ps_eager_drop(self, grad);
}

/* The first gradient becomes the parameter's when nobody else holds it, else it is copied. */
static void accumulate(ps_eager *self, ps_node *node)
{
    const ps_tensor grad = node->grad[0];
    node->grad[0] = 0;
    if (ps_eager_give_grad(self, node->leaf, grad)) {
        return;
    }
    if (ps_eager_grad(self, node->leaf) != 0) {
        ps_op_kernel(self, "add", 3 * ps_eager_bytes(self, grad));
        ps_eager_drop(self, grad);
    } else if (ps_eager_owners(self, grad) == 1) {
        ps_eager_set_grad(self, node->leaf, grad);
    } else {
        const ps_tensor copy =
            ps_op_result(self, ps_eager_elements(self, grad), ps_eager_dtype(self, grad));
        ps_op_kernel(self, "copy", 2 * ps_eager_bytes(self, grad));
        if (copy != 0) {
            ps_eager_set_grad(self, node->leaf, copy);
        }
        ps_eager_drop(self, grad);
    }
}

static void store(ps_eager *self, ps_node *leaf)
{
    const ps_tensor parameter = leaf->leaf;
    if (leaf->grad[0] == 0) {
        return; /* a function of a library's own had none to give */
    }
    ps_eager_call_leaf_hook(self);
    accumulate(self, leaf);
    ps_eager_call_grad_hook(self, parameter);
}

/* True when the place has all its gradients. */
static bool give(ps_eager *self, const ps_edge *edge, ps_tensor grad)
{
    ps_node *next = ps_eager_node(self, edge->node - 1);
    if (grad != 0) {
        arrive(self, &next->grad[edge->input], grad);
    }
    if (--next->waiting_for > 0) {
        return false;
    }
    next->is_visited = false;
    return true;
}

/* Between a node and a place that is reached through a view there is one more node in PyTorch,
 * which runs after the leaves that the node reaches. */
static void send_to_leaves(ps_eager *self, ps_node *node, ps_tensor *out)
{
    for (uint32_t i = 0; i < node->edge_count && !ps_eager_has_failed(self); i++) {
        const ps_edge *edge = &node->edge[i];
        ps_node *next = edge->node == 0 ? NULL : ps_eager_node(self, edge->node - 1);
        if (next == NULL || next->leaf == 0) {
            continue;
        }
        if (give(self, edge, out[i])) {
            store(self, next);
        }
        out[i] = 0;
    }
}

/* Who takes gradients hands them to other lanes: they were written by the node's last kernel. */
static void tell_written(ps_eager *self, const ps_node *node, const ps_tensor *out)
{
    for (uint32_t i = 0; i < node->edge_count && ps_eager_takes_grads(self); i++) {
        if (node->edge[i].node != 0 && ps_eager_node(self, node->edge[i].node - 1)->leaf != 0) {
            ps_eager_touch(self, out[i], true);
        }
    }
}

static void send(ps_eager *self, ps_node *node, ps_tensor *out, queue *ready)
{
    tell_written(self, node, out);
    if (node->has_views) {
        send_to_leaves(self, node, out);
    }
    for (uint32_t i = 0; i < node->edge_count && !ps_eager_has_failed(self); i++) {
        const ps_edge *edge = &node->edge[i];
        if (edge->node == 0) {
            ps_eager_drop(self, out[i]);
        } else if (node->has_views && ps_eager_node(self, edge->node - 1)->leaf != 0) {
            continue; /* it has it */
        } else if (give(self, edge, out[i])) {
            push(self, ready, edge->node - 1);
        }
    }
}

/* A parameter that was emptied must have been filled again. */
static void check_saved(ps_eager *self, const ps_node *node)
{
    for (uint32_t i = 0; i < node->saved_count; i++) {
        if (ps_eager_is_empty(self, node->saved[i]) &&
            ps_eager_elements(self, node->saved[i]) > 0) {
            ps_eager_fail(self, PS_INTERNAL, "backward needs a parameter that is not gathered");
        }
    }
}

/* What a keeper has comes back when the node is about to run. */
static bool fetch_saved(ps_eager *self, ps_node *node)
{
    bool is_any = false;
    for (uint32_t i = 0; i < node->saved_count; i++) {
        if (node->ticket[i] != 0) {
            node->saved[i] = ps_eager_unpack(self, node->ticket[i]);
            node->ticket[i] = 0;
            is_any = true;
        }
    }
    return is_any;
}

static void tell_reads(ps_eager *self, const ps_node *node)
{
    for (uint32_t i = 0; i < node->saved_count; i++) {
        ps_eager_touch(self, node->saved[i], false);
    }
}

/* A block that runs to its end is through before what listens hears of its last node. */
static void prepare(ps_eager *self, ps_node *node)
{
    const bool fills_first = ps_eager_is_reentrant(self);
    if (fills_first && node->checkpoint != NULL) {
        ps_checkpoint_fill(self, node);
    }
    if (node->mark != 0) {
        ps_eager_call_mark_hook(self, node->mark);
    }
    if (!fills_first && node->checkpoint != NULL) {
        ps_checkpoint_fill(self, node);
    }
}

static void run_node(ps_eager *self, uint32_t number, bool retains, queue *ready)
{
    ps_node *node = ps_eager_node(self, number);
    ps_tensor out[PS_NODE_EDGES] = {0};
    if (node->leaf != 0) {
        store(self, node);
        return;
    }
    ps_eager_set_block(self, node->block);
    prepare(self, node);
    const bool is_fetched = fetch_saved(self, node);
    check_saved(self, node);
    ps_eager_owe_backward(self, node);
    node->ops->apply(self, node, node->grad, out);
    if (is_fetched) {
        tell_reads(self, node);
    }
    if (node->checkpoint != NULL) {
        /* the node's function alone holds them: they die when it returns, the block's input with
         * the node's part in the checkpoint later */
        ps_eager_clear_saved(self, node);
    }
    for (uint32_t i = 0; i < node->edge_count; i++) {
        out[i] = fit(self, &node->edge[i], out[i]);
    }
    for (uint32_t i = 0; i < PS_NODE_OUTPUTS; i++) {
        ps_eager_clear(self, &node->grad[i]);
    }
    if (!retains) {
        ps_eager_release_saved(self, node);
    }
    send(self, node, out, ready);
}

static void run_graph(ps_eager *self, ps_tensor loss, bool retains)
{
    uint32_t output = 0;
    const uint32_t root = loss == 0 ? 0 : ps_eager_node_of(self, loss, &output);
    if (root == 0 || ps_eager_has_failed(self)) {
        return;
    }
    queue ready = {0};
    const uint32_t block = ps_eager_block_now(self);
    const bool was_recording = ps_eager_set_grad_mode(self, false);
    ps_eager_set_backward(self, true);
    const ps_tensor one =
        ps_op_result(self, ps_eager_elements(self, loss), ps_eager_dtype(self, loss));
    ps_op_kernel(self, "fill", ps_eager_bytes(self, loss));
    count_waiting(self, root - 1);
    ps_eager_node(self, root - 1)->is_visited = false;
    ps_eager_node(self, root - 1)->grad[output] = ps_eager_hold(self, one);
    push(self, &ready, root - 1);
    while (ready.count > 0 && !ps_eager_has_failed(self)) {
        run_node(self, pop(self, &ready), retains, &ready);
    }
    ps_eager_set_block(self, block);
    ps_eager_call_end_hook(self);
    ps_eager_drop(self, one);
    ps_eager_set_backward(self, false);
    (void)ps_eager_set_grad_mode(self, was_recording);
    ps_free(ready.node);
}

void ps_eager_backward(ps_eager *self, ps_tensor loss)
{
    run_graph(self, loss, false);
}

void ps_eager_backward_retaining(ps_eager *self, ps_tensor loss)
{
    run_graph(self, loss, true);
}
