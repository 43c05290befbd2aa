/* SPDX-License-Identifier: MIT
 *
 * Tensors: who owns them, and the gradients of those that are leaves.
 */
#include "base/memory.h"
#include "workload/eager/eager_state.h"

uint64_t ps_dtype_bytes(ps_dtype dtype)
{
    static const uint64_t bytes[] = {4, 2, 2, 8, 1};
    return bytes[dtype];
}

ps_tensor ps_eager_new_tensor(ps_eager *self, uint32_t storage_slot, int64_t elements,
                              ps_dtype dtype)
{
    uint32_t id = self->free_tensor;
    if (self->code != PS_OK) {
        return 0;
    }
    if (id != PS_EAGER_NO_SLOT) {
        self->free_tensor = self->tensor[id].next_free;
    } else {
        ps_eager_note(self, ps_grow((void **)&self->tensor, &self->tensor_capacity,
                                    self->tensor_count + 1, PS_EAGER_MAX_ITEMS,
                                    sizeof *self->tensor, &self->err));
        if (self->code != PS_OK) {
            return 0;
        }
        id = (uint32_t)self->tensor_count++;
    }
    self->tensor[id] = (ps__tensor){.owners = 1,
                                    .storage = storage_slot,
                                    .elements = elements,
                                    .dtype = (uint8_t)dtype,
                                    .next_free = PS_EAGER_NO_SLOT};
    if (storage_slot != PS_EAGER_NO_SLOT) {
        self->storage[storage_slot].owners++;
    }
    return id;
}

ps_tensor ps_eager_make(ps_eager *self, int64_t elements, ps_dtype dtype, ps_role role)
{
    if (self->code != PS_OK || self->is_skipping) {
        return 0;
    }
    const uint32_t slot =
        ps_eager_new_storage(self, (uint64_t)elements * ps_dtype_bytes(dtype), role);
    return slot == PS_EAGER_NO_SLOT ? 0 : ps_eager_new_tensor(self, slot, elements, dtype);
}

ps_tensor ps_op_result(ps_eager *self, int64_t elements, ps_dtype dtype)
{
    return ps_eager_make(self, elements, dtype, PS_ROLE_ACTIVATION);
}

ps_tensor ps_op_view_of(ps_eager *self, ps_tensor tensor, int64_t elements)
{
    if (tensor == 0) {
        return 0;
    }
    if (ps_eager_is_away(self, tensor)) {
        ps_eager_fail(self, PS_INTERNAL, "an operation on a parameter that lies on the host");
        return 0;
    }
    const ps_tensor view = ps_eager_new_tensor(self, self->tensor[tensor].storage, elements,
                                               (ps_dtype)self->tensor[tensor].dtype);
    self->tensor[view].is_view = true;
    return view;
}

ps_tensor ps_eager_hold(ps_eager *self, ps_tensor tensor)
{
    if (tensor != 0) {
        self->tensor[tensor].owners++;
    }
    return tensor;
}

void ps_eager_drop(ps_eager *self, ps_tensor id)
{
    if (id == 0 || self->code != PS_OK || --self->tensor[id].owners > 0) {
        return;
    }
    const ps__tensor dead = self->tensor[id];
    self->tensor[id].next_free = self->free_tensor;
    self->free_tensor = id;
    ps_eager_disown_storage(self, dead.storage);
    ps_eager_drop(self, dead.grad);
    if (dead.node != 0) {
        ps_eager_disown_node(self, dead.node - 1);
    }
}

void ps_eager_clear(ps_eager *self, ps_tensor *tensor)
{
    ps_eager_drop(self, *tensor);
    *tensor = 0;
}

void ps_eager_assign(ps_eager *self, ps_tensor *variable, ps_tensor value)
{
    const ps_tensor old = *variable;
    *variable = value;
    ps_eager_drop(self, old);
}

int64_t ps_eager_elements(const ps_eager *self, ps_tensor tensor)
{
    return self->tensor[tensor].elements;
}

ps_dtype ps_eager_dtype(const ps_eager *self, ps_tensor tensor)
{
    return (ps_dtype)self->tensor[tensor].dtype;
}

uint64_t ps_eager_bytes(const ps_eager *self, ps_tensor tensor)
{
    return (uint64_t)self->tensor[tensor].elements *
           ps_dtype_bytes((ps_dtype)self->tensor[tensor].dtype);
}

uint32_t ps_eager_owners(const ps_eager *self, ps_tensor tensor)
{
    return self->tensor[tensor].owners;
}

bool ps_eager_is_sole(const ps_eager *self, ps_tensor tensor)
{
    /* a view keeps its base, which is another owner of the storage */
    return self->tensor[tensor].owners == 1 && !self->tensor[tensor].is_view &&
           self->storage[self->tensor[tensor].storage].owners == 1;
}

void ps_eager_set_data(ps_eager *self, ps_tensor parameter, ps_tensor value)
{
    if (value == 0 || self->code != PS_OK) {
        return;
    }
    const uint32_t old = self->tensor[parameter].storage;
    self->tensor[parameter].storage = self->tensor[value].storage;
    self->tensor[parameter].dtype = self->tensor[value].dtype;
    self->storage[self->tensor[value].storage].owners++;
    ps_eager_set_role(self, value, PS_ROLE_PARAMETER);
    ps_eager_drop(self, value);
    ps_eager_disown_storage(self, old);
}

void ps_eager_set_role(ps_eager *self, ps_tensor tensor, ps_role role)
{
    if (tensor == 0 || self->code != PS_OK) {
        return;
    }
    const uint32_t buffer = self->storage[self->tensor[tensor].storage].buffer;
    if (buffer != PS_EAGER_NO_BUFFER) {
        self->sink.rename(self->sink.context, buffer, role);
    }
}

/* ---- gradients ---- */

void ps_eager_require_grad(ps_eager *self, ps_tensor leaf)
{
    self->tensor[leaf].requires_grad = true;
}

void ps_eager_refuse_grad(ps_eager *self, ps_tensor leaf)
{
    self->tensor[leaf].requires_grad = false;
}

void ps_eager_begin_graph(ps_eager *self, ps_tensor result)
{
    if (result != 0 && self->is_recording && !ps_eager_requires_grad(self, result)) {
        self->tensor[result].requires_grad = true;
    }
}

bool ps_eager_requires_grad(const ps_eager *self, ps_tensor tensor)
{
    return tensor != 0 && (self->tensor[tensor].requires_grad || self->tensor[tensor].node != 0);
}

ps_tensor ps_eager_grad(const ps_eager *self, ps_tensor leaf)
{
    return self->tensor[leaf].grad;
}

void ps_eager_set_grad(ps_eager *self, ps_tensor leaf, ps_tensor grad)
{
    const uint32_t buffer = self->storage[self->tensor[grad].storage].buffer;
    self->tensor[leaf].grad = grad;
    if (buffer != PS_EAGER_NO_SLOT) {
        self->sink.rename(self->sink.context, buffer, PS_ROLE_GRADIENT);
    }
}

void ps_eager_forget_grad(ps_eager *self, ps_tensor leaf)
{
    ps_eager_clear(self, &self->tensor[leaf].grad);
}
