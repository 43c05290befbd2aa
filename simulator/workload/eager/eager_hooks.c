/* SPDX-License-Identifier: MIT
 *
 * What listens to backward: to nodes that were marked, to gradients that come.
 */
#include "workload/eager/eager_state.h"
#include "workload/eager/ops.h"

void ps_eager_set_leaf_hook(ps_eager *self, void (*hook)(void *context), void *context)
{
    self->leaf_hook = hook;
    self->leaf_hook_context = context;
}

void ps_eager_call_leaf_hook(ps_eager *self)
{
    if (self->leaf_hook != NULL) {
        self->leaf_hook(self->leaf_hook_context);
    }
}

void ps_eager_set_grad_taker(ps_eager *self,
                             void (*take)(void *context, ps_tensor leaf, ps_tensor owned),
                             void *context)
{
    self->grad_taker = take;
    self->grad_taker_context = context;
}

bool ps_eager_takes_grads(const ps_eager *self)
{
    return self->grad_taker != NULL;
}

bool ps_eager_give_grad(ps_eager *self, ps_tensor leaf, ps_tensor owned)
{
    if (self->grad_taker == NULL || owned == 0) {
        return false;
    }
    self->grad_taker(self->grad_taker_context, leaf, owned);
    return true;
}

void ps_eager_set_mark_hook(ps_eager *self, void (*hook)(void *context, uint32_t mark),
                            void *context)
{
    self->mark_hook = hook;
    self->mark_hook_context = context;
}

void ps_eager_mark(ps_eager *self, ps_tensor tensor, uint32_t mark)
{
    if (tensor != 0 && self->code == PS_OK && self->tensor[tensor].node != 0) {
        self->node[self->tensor[tensor].node - 1]->mark = mark;
    }
}

void ps_eager_call_mark_hook(ps_eager *self, uint32_t mark)
{
    if (self->mark_hook != NULL) {
        self->mark_hook(self->mark_hook_context, mark);
    }
}

void ps_eager_set_end_hook(ps_eager *self, void (*hook)(void *context), void *context)
{
    self->end_hook = hook;
    self->end_hook_context = context;
}

void ps_eager_call_end_hook(ps_eager *self)
{
    if (self->end_hook != NULL && self->code == PS_OK) {
        self->end_hook(self->end_hook_context);
    }
}

void ps_eager_set_grad_hook(ps_eager *self, void (*hook)(void *context, ps_tensor leaf),
                            void *context)
{
    self->grad_hook = hook;
    self->grad_hook_context = context;
}

void ps_eager_call_grad_hook(ps_eager *self, ps_tensor leaf)
{
    if (self->grad_hook != NULL && self->code == PS_OK) {
        self->grad_hook(self->grad_hook_context, leaf);
    }
}

/* ---- a place that backward comes through ---- */

static void pass_on(ps_eager *self, ps_node *node, const ps_tensor *grads, ps_tensor *out)
{
    (void)node;
    out[0] = ps_eager_hold(self, grads[0]);
}

static const ps_node_ops boundary_ops = {"BoundaryBackward", pass_on};

ps_tensor ps_op_boundary(ps_eager *self, ps_tensor a, uint32_t mark)
{
    ps_node *node = ps_op_record(self, &boundary_ops, &a, 1);
    const ps_tensor out = ps_op_view_of(self, a, ps_eager_elements(self, a));
    ps_op_output(self, node, out, 0);
    ps_eager_mark(self, out, mark);
    return out;
}

/* ---- who keeps what backward needs ---- */

void ps_eager_set_keeper(ps_eager *self, const ps_eager_keeper *keeper)
{
    self->keeper = keeper;
}

uint32_t ps_eager_pack(ps_eager *self, ps_tensor tensor)
{
    return self->keeper == NULL || self->code != PS_OK
               ? 0
               : self->keeper->pack(self->keeper->context, tensor);
}

ps_tensor ps_eager_unpack(ps_eager *self, uint32_t ticket)
{
    return self->keeper == NULL || self->code != PS_OK
               ? 0
               : self->keeper->unpack(self->keeper->context, ticket);
}

void ps_eager_forget(ps_eager *self, uint32_t ticket)
{
    if (ticket != 0 && self->keeper != NULL && self->code == PS_OK) {
        self->keeper->forget(self->keeper->context, ticket);
    }
}

bool ps_eager_shares(const ps_eager *self, ps_tensor a, ps_tensor b)
{
    return a != 0 && b != 0 && self->tensor[a].storage != PS_EAGER_NO_SLOT &&
           self->tensor[a].storage == self->tensor[b].storage;
}

bool ps_eager_is_cast(const ps_eager *self, ps_tensor tensor)
{
    for (size_t i = 1; i < self->cast_count; i += 2) {
        if (ps_eager_shares(self, self->cast[i], tensor)) {
            return true;
        }
    }
    return false;
}

ps_tensor ps_eager_alias(ps_eager *self, ps_tensor tensor, int64_t elements)
{
    return self->code != PS_OK || tensor == 0 ? 0 : ps_op_view_of(self, tensor, elements);
}
