/* SPDX-License-Identifier: MIT
 *
 * Nodes of the autograd graph, who owns them, and what they keep.
 */
#include <string.h>

#include "base/memory.h"
#include "workload/eager/eager_state.h"

ps_node *ps_eager_node(ps_eager *self, uint32_t number)
{
    return self->node[number];
}

uint32_t ps_eager_node_of(const ps_eager *self, ps_tensor tensor, uint32_t *output)
{
    *output = self->tensor[tensor].output;
    return self->tensor[tensor].node;
}

void ps_eager_own_node(ps_eager *self, uint32_t number)
{
    self->node[number]->owners++;
}

void ps_eager_clear_saved(ps_eager *self, ps_node *node)
{
    for (uint32_t i = 0; i < node->saved_count; i++) {
        ps_eager_clear(self, &node->saved[i]);
        if (node->ticket[i] != 0) {
            ps_eager_forget(self, node->ticket[i]);
            node->ticket[i] = 0;
        }
    }
}

void ps_eager_release_saved(ps_eager *self, ps_node *node)
{
    ps_eager_clear_saved(self, node);
    if (node->checkpoint != NULL) {
        ps_checkpoint_leave(self, node);
    }
}

/* A graph is as deep as a model is long: nodes are dropped one after the other, not by recursion. */
void ps_eager_disown_node(ps_eager *self, uint32_t number)
{
    uint32_t first = number + 1; /* list of nodes to look at, through waiting_for */
    if (self->node[number]->owners > 1) {
        self->node[number]->owners--; /* it may be waiting for gradients */
        return;
    }
    self->node[number]->waiting_for = 0;
    while (first != 0) {
        ps_node *node = self->node[first - 1];
        const uint32_t at = first - 1;
        first = node->waiting_for;
        node->waiting_for = 0;
        if (--node->owners > 0) {
            continue;
        }
        ps_eager_release_saved(self, node);
        if (node->leaf != 0) {
            self->tensor[node->leaf].accumulator = 0;
            ps_eager_drop(self, node->leaf);
        }
        for (uint32_t i = 0; i < node->edge_count; i++) {
            if (node->edge[i].node != 0) {
                ps_node *next = self->node[node->edge[i].node - 1];
                if (next->owners == 1) {
                    next->waiting_for = first;
                    first = node->edge[i].node;
                } else {
                    next->owners--;
                }
            }
        }
        node->ops = NULL;
        if (ps_grow((void **)&self->free_node, &self->free_node_capacity, self->free_node_count + 1,
                    PS_EAGER_MAX_ITEMS, sizeof *self->free_node, NULL) == PS_OK) {
            self->free_node[self->free_node_count++] = at;
        }
    }
}

static ps_node *new_node(ps_eager *self, uint32_t *number)
{
    ps_node *node;
    if (self->free_node_count > 0) {
        *number = self->free_node[--self->free_node_count];
        node = self->node[*number];
        memset(node, 0, sizeof *node);
        return node;
    }
    ps_eager_note(self, ps_grow((void **)&self->node, &self->node_capacity, self->node_count + 1,
                                PS_EAGER_MAX_ITEMS, sizeof *self->node, &self->err));
    node = self->code == PS_OK ? ps_calloc(1, sizeof *node) : NULL;
    if (node == NULL) {
        ps_eager_note(self, ps_fail_nomem(&self->err));
        return NULL;
    }
    *number = (uint32_t)self->node_count;
    self->node[self->node_count++] = node;
    return node;
}

static void accumulate_nothing(ps_eager *self, ps_node *node, const ps_tensor *grads,
                               ps_tensor *out)
{
    (void)self;
    (void)node;
    (void)grads;
    (void)out;
}

static const ps_node_ops accumulate_ops = {"AccumulateGrad", accumulate_nothing};

/* The node that adds to a leaf's gradient: one a leaf while any graph refers to it. */
static uint32_t accumulator_of(ps_eager *self, ps_tensor leaf)
{
    uint32_t number;
    if (self->tensor[leaf].accumulator == 0) {
        ps_node *node = new_node(self, &number);
        if (node == NULL) {
            return 0;
        }
        node->ops = &accumulate_ops;
        node->sequence = UINT64_MAX;
        node->leaf = ps_eager_hold(self, leaf); /* which need not be a parameter */
        self->tensor[leaf].accumulator = number + 1;
    }
    return self->tensor[leaf].accumulator;
}

static ps_edge edge_to(ps_eager *self, ps_tensor input)
{
    const ps__tensor *t = &self->tensor[input];
    ps_edge edge = {.elements = t->elements, .dtype = (ps_dtype)t->dtype};
    if (t->node != 0) {
        const ps_node *made_by = self->node[t->node - 1];
        edge.node = t->node;
        edge.input = t->output;
        /* made of one parameter, element by element: spread as the parameter would be */
        edge.is_parameter = made_by->edge_count == 1 && made_by->edge[0].is_parameter &&
                            made_by->edge[0].elements == t->elements;
    } else if (t->requires_grad) {
        edge.node = accumulator_of(self, input);
        edge.is_parameter = true;
    }
    return edge;
}

ps_node *ps_op_record(ps_eager *self, const ps_node_ops *ops, const ps_tensor *inputs,
                      uint32_t count)
{
    bool is_wanted = false;
    const bool is_hooked = self->enters_parameters;
    self->enters_parameters = false;
    for (uint32_t i = 0; i < count; i++) {
        is_wanted = is_wanted || ps_eager_requires_grad(self, inputs[i]);
    }
    uint32_t number;
    ps_node *node = is_wanted && self->is_recording && !self->is_skipping && self->code == PS_OK
                        ? new_node(self, &number)
                        : NULL;
    if (node == NULL) {
        return NULL;
    }
    node->ops = ops;
    node->sequence = self->sequence++;
    node->block = self->block;
    node->is_hooked = is_hooked;
    node->edge_count = count;
    for (uint32_t i = 0; i < count; i++) {
        if (inputs[i] != 0) {
            node->edge[i] = edge_to(self, inputs[i]);
        }
        if (node->edge[i].node != 0) {
            ps_eager_own_node(self, node->edge[i].node - 1);
        }
    }
    node->number[PS_NODE_NUMBERS - 1] = number; /* its own, for ps_op_output */
    return node;
}

void ps_op_output(ps_eager *self, ps_node *node, ps_tensor output, uint32_t number)
{
    if (node == NULL || node->ops == NULL) {
        return;
    }
    const uint32_t own = (uint32_t)node->number[PS_NODE_NUMBERS - 1];
    if (output == 0) {
        /* a recomputation had all it needs amid the operation: nobody will own the node */
        if (node->owners == 0 && self->code == PS_OK) {
            ps_eager_own_node(self, own);
            ps_eager_disown_node(self, own);
        }
        return;
    }
    self->tensor[output].node = own + 1;
    self->tensor[output].output = number;
    ps_eager_own_node(self, own);
}

void ps_op_save(ps_eager *self, ps_node *node, ps_tensor tensor)
{
    if (node == NULL || tensor == 0) {
        return;
    }
    if (self->tensor[tensor].elements > 0 && ps_eager_is_empty(self, tensor)) {
        ps_eager_fail(self, PS_INTERNAL, "an operation on a parameter that is not gathered");
        return;
    }
    if (self->checkpoint != NULL) {
        ps_checkpoint_save(self, node, tensor);
        return;
    }
    const uint32_t ticket = ps_eager_pack(self, tensor);
    if (ticket != 0) {
        node->ticket[node->saved_count++] = ticket;
        return;
    }
    const uint32_t buffer = self->storage[self->tensor[tensor].storage].buffer;
    if (self->sink.saved != NULL && buffer != PS_EAGER_NO_BUFFER) {
        self->sink.saved(self->sink.context, buffer);
    }
    /* a saved variable has a tensor of its own: it must not keep its own node alive */
    node->saved[node->saved_count++] = ps_op_view_of(self, tensor, self->tensor[tensor].elements);
}
