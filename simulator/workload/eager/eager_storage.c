/* SPDX-License-Identifier: MIT
 *
 * Storages: the memory of tensors, which comes and goes.
 */
#include "base/memory.h"
#include "workload/eager/eager_state.h"

uint32_t ps_eager_new_storage(ps_eager *self, uint64_t bytes, ps_role role)
{
    uint32_t slot = self->free_storage;
    if (slot != PS_EAGER_NO_SLOT) {
        self->free_storage = self->storage[slot].owners;
    } else {
        ps_eager_note(self, ps_grow((void **)&self->storage, &self->storage_capacity,
                                    self->storage_count + 1, PS_EAGER_MAX_ITEMS,
                                    sizeof *self->storage, &self->err));
        if (self->code != PS_OK) {
            return PS_EAGER_NO_SLOT;
        }
        slot = (uint32_t)self->storage_count++;
    }
    self->storage[slot] = (ps__storage){.owners = 0, .buffer = PS_EAGER_NO_BUFFER};
    if (bytes > 0) {
        self->storage[slot].buffer = self->buffer_count++;
        ps_eager_note(self, self->sink.alloc(self->sink.context, self->storage[slot].buffer, bytes,
                                             role, &self->err));
    }
    return slot;
}

void ps_eager_disown_storage(ps_eager *self, uint32_t slot)
{
    if (slot == PS_EAGER_NO_SLOT) {
        return;
    }
    ps__storage *s = &self->storage[slot];
    if (--s->owners == 0) {
        if (s->buffer != PS_EAGER_NO_BUFFER) {
            ps_eager_note(self, self->sink.free(self->sink.context, s->buffer, &self->err));
        }
        s->owners = self->free_storage;
        self->free_storage = slot;
    }
}

ps_tensor ps_eager_make_away(ps_eager *self, int64_t elements, ps_dtype dtype)
{
    return ps_eager_new_tensor(self, PS_EAGER_NO_SLOT, elements, dtype);
}

bool ps_eager_is_away(const ps_eager *self, ps_tensor tensor)
{
    return tensor != 0 && self->tensor[tensor].storage == PS_EAGER_NO_SLOT;
}

void ps_eager_bring(ps_eager *self, ps_tensor tensor, ps_role role)
{
    if (self->code != PS_OK || !ps_eager_is_away(self, tensor)) {
        return;
    }
    const uint32_t slot = ps_eager_new_storage(self, ps_eager_bytes(self, tensor), role);
    if (slot != PS_EAGER_NO_SLOT) {
        self->tensor[tensor].storage = slot;
        self->storage[slot].owners++;
    }
}

void ps_eager_bring_empty(ps_eager *self, ps_tensor tensor)
{
    if (self->code != PS_OK || !ps_eager_is_away(self, tensor)) {
        return;
    }
    const uint32_t slot = ps_eager_new_storage(self, 0, PS_ROLE_UNKNOWN);
    if (slot != PS_EAGER_NO_SLOT) {
        self->tensor[tensor].storage = slot;
        self->storage[slot].owners++;
    }
}

void ps_eager_send_away(ps_eager *self, ps_tensor tensor)
{
    if (self->code == PS_OK && tensor != 0) {
        const uint32_t slot = self->tensor[tensor].storage;
        self->tensor[tensor].storage = PS_EAGER_NO_SLOT;
        ps_eager_disown_storage(self, slot);
    }
}

bool ps_eager_is_empty(const ps_eager *self, ps_tensor tensor)
{
    return tensor != 0 && self->tensor[tensor].storage != PS_EAGER_NO_SLOT &&
           self->storage[self->tensor[tensor].storage].buffer == PS_EAGER_NO_BUFFER;
}

void ps_eager_empty(ps_eager *self, ps_tensor tensor)
{
    if (self->code != PS_OK || tensor == 0 || ps_eager_is_away(self, tensor) ||
        ps_eager_is_empty(self, tensor)) {
        return;
    }
    const uint32_t slot = self->tensor[tensor].storage, buffer = self->storage[slot].buffer;
    self->storage[slot].buffer = PS_EAGER_NO_BUFFER;
    ps_eager_note(self, self->sink.free(self->sink.context, buffer, &self->err));
}

void ps_eager_refill(ps_eager *self, ps_tensor tensor, uint64_t bytes, ps_role role)
{
    if (self->code != PS_OK || bytes == 0 || !ps_eager_is_empty(self, tensor)) {
        return;
    }
    const uint32_t slot = self->tensor[tensor].storage;
    self->storage[slot].buffer = self->buffer_count++;
    ps_eager_note(self, self->sink.alloc(self->sink.context, self->storage[slot].buffer, bytes,
                                         role, &self->err));
}

ps_tensor ps_eager_take_out(ps_eager *self, ps_tensor tensor)
{
    if (self->code != PS_OK || tensor == 0 || ps_eager_is_away(self, tensor) ||
        ps_eager_is_empty(self, tensor)) {
        return 0;
    }
    const ps_tensor out = ps_eager_make(self, 0, PS_DTYPE_BOOL, PS_ROLE_TEMPORARY);
    if (out != 0) {
        ps__storage *from = &self->storage[self->tensor[tensor].storage];
        self->storage[self->tensor[out].storage].buffer = from->buffer;
        from->buffer = PS_EAGER_NO_BUFFER;
    }
    return out;
}

void ps_eager_retype(ps_eager *self, ps_tensor tensor, ps_dtype dtype)
{
    if (tensor != 0) {
        self->tensor[tensor].dtype = (uint8_t)dtype;
    }
}

void ps_eager_lay_into(ps_eager *self, ps_tensor tensor, ps_tensor whole)
{
    if (self->code != PS_OK || !ps_eager_is_away(self, tensor) || whole == 0) {
        return;
    }
    self->tensor[tensor].storage = self->tensor[whole].storage;
    self->tensor[tensor].is_view = true;
    self->storage[self->tensor[whole].storage].owners++;
}
