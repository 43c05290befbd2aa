/* SPDX-License-Identifier: MIT
 *
 * Tensors and storages, and who owns them.
 */
#include "workload/eager/eager.h"

#include <string.h>

#include "base/memory.h"
#include "workload/eager/eager_state.h"

uint64_t ps_dtype_bytes(ps_dtype dtype)
{
    static const uint64_t bytes[] = {4, 2, 2, 8, 1};
    return bytes[dtype];
}

ps_eager *ps_eager_create(const ps_eager_sink *sink)
{
    ps_eager *self = ps_calloc(1, sizeof *self);
    if (self == NULL) {
        return NULL;
    }
    self->sink = *sink;
    self->free_tensor = PS_EAGER_NO_SLOT;
    self->free_storage = PS_EAGER_NO_SLOT;
    self->is_recording = true;
    self->capability = 90;
    self->release = 211;
    self->tensor_count = 1; /* 0 is no tensor */
    if (ps_grow((void **)&self->tensor, &self->tensor_capacity, 64, PS_EAGER_MAX_ITEMS,
                sizeof *self->tensor, NULL) != PS_OK) {
        ps_free(self);
        return NULL;
    }
    memset(self->tensor, 0, sizeof *self->tensor);
    return self;
}

void ps_eager_destroy(ps_eager *self)
{
    if (self == NULL) {
        return;
    }
    ps_checkpoint_free_all(self);
    for (size_t i = 0; i < self->node_count; i++) {
        ps_free(self->node[i]);
    }
    ps_free(self->node);
    ps_free(self->free_node);
    ps_free(self->cast);
    ps_free(self->tensor);
    ps_free(self->storage);
    ps_free(self);
}

ps_code ps_eager_code(const ps_eager *self, ps_error *err)
{
    if (self->code != PS_OK && err != NULL) {
        *err = self->err;
    }
    return self->code;
}

bool ps_eager_has_failed(const ps_eager *self)
{
    return self->code != PS_OK;
}

void ps_eager_fail(ps_eager *self, ps_code code, const char *text)
{
    if (self->code == PS_OK) {
        self->code = ps_fail(&self->err, code, "%s", text);
    }
}

void ps_eager_note(ps_eager *self, ps_code code)
{
    if (self->code == PS_OK) {
        self->code = code;
    }
}

/* ---- storages ---- */

static uint32_t new_storage(ps_eager *self, uint64_t bytes, ps_role role)
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

static void disown_storage(ps_eager *self, uint32_t slot)
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

/* ---- tensors ---- */

static ps_tensor new_tensor(ps_eager *self, uint32_t storage_slot, int64_t elements, ps_dtype dtype)
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
    const uint32_t slot = new_storage(self, (uint64_t)elements * ps_dtype_bytes(dtype), role);
    return slot == PS_EAGER_NO_SLOT ? 0 : new_tensor(self, slot, elements, dtype);
}

/* ---- storages that come and go ---- */

ps_tensor ps_eager_make_away(ps_eager *self, int64_t elements, ps_dtype dtype)
{
    return new_tensor(self, PS_EAGER_NO_SLOT, elements, dtype);
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
    const uint32_t slot = new_storage(self, ps_eager_bytes(self, tensor), role);
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
    const uint32_t slot = new_storage(self, 0, PS_ROLE_UNKNOWN);
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
        disown_storage(self, slot);
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
    const ps_tensor view = new_tensor(self, self->tensor[tensor].storage, elements,
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
    disown_storage(self, dead.storage);
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
    disown_storage(self, old);
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

void ps_eager_set_phase(ps_eager *self, ps_eager_phase phase)
{
    self->phase = phase;
}

ps_eager_phase ps_eager_phase_now(const ps_eager *self)
{
    return self->phase;
}

void ps_eager_set_block(ps_eager *self, uint32_t block)
{
    self->block = block;
}

uint32_t ps_eager_block_now(const ps_eager *self)
{
    return self->block;
}

ps_eager_lane ps_eager_set_lane(ps_eager *self, ps_eager_lane lane)
{
    const ps_eager_lane was = self->lane;
    self->lane = lane;
    return was;
}

ps_eager_lane ps_eager_lane_now(const ps_eager *self)
{
    return self->lane;
}

ps_memory_kind ps_eager_set_memory(ps_eager *self, ps_memory_kind memory)
{
    const ps_memory_kind was = self->memory;
    self->memory = memory;
    return was;
}

ps_memory_kind ps_eager_memory_now(const ps_eager *self)
{
    return self->memory;
}

uint32_t ps_eager_new_mark(ps_eager *self)
{
    return ++self->last_mark;
}

bool ps_eager_set_grad_mode(ps_eager *self, bool is_on)
{
    const bool was = self->is_recording;
    self->is_recording = is_on;
    return was;
}

/* ---- kernels ---- */

/* The program calls operations in forward and where it runs a block again. */
static bool is_called(const ps_eager *self)
{
    return self->phase == PS_EAGER_FORWARD || self->checkpoint != NULL;
}

/* Calls of Python before a kernel is launched; what waits for a lane launches none. */
static uint32_t take_calls(ps_eager *self, const ps_eager_kernel *kernel)
{
    if (!self->is_subclass || kernel->kind == PS_KERNEL_WAIT || kernel->kind == PS_KERNEL_JOIN) {
        return 0;
    }
    const uint32_t owed = self->owed_calls;
    self->owed_calls = 0;
    if (kernel->dispatches > 0) {
        return owed + kernel->dispatches + self->python.function;
    }
    return owed + (is_called(self) ? 1 : 0);
}

void ps_op_tell(ps_eager *self, const ps_eager_kernel *kernel)
{
    if (self->code != PS_OK || self->is_skipping) {
        return;
    }
    ps_eager_kernel told = *kernel;
    told.dispatches = take_calls(self, kernel);
    ps_eager_note(self, self->sink.kernel(self->sink.context, &told, &self->err));
}

static uint32_t buffer_of(const ps_eager *self, ps_tensor tensor)
{
    const uint32_t slot = self->tensor[tensor].storage;
    return slot == PS_EAGER_NO_SLOT ? PS_EAGER_NO_BUFFER : self->storage[slot].buffer;
}

void ps_eager_touch(ps_eager *self, ps_tensor tensor, bool is_write)
{
    if (self->code != PS_OK || self->is_skipping || tensor == 0 || self->sink.access == NULL) {
        return;
    }
    const uint32_t buffer = buffer_of(self, tensor);
    if (buffer != PS_EAGER_NO_BUFFER) {
        ps_eager_note(self, self->sink.access(self->sink.context, buffer, is_write, &self->err));
    }
}

static void share(ps_eager *self, ps_tensor tensor, ps_eager_lane lane, uint32_t mark)
{
    if (self->code != PS_OK || self->is_skipping || tensor == 0 || self->sink.shared == NULL) {
        return;
    }
    const uint32_t buffer = buffer_of(self, tensor);
    if (buffer != PS_EAGER_NO_BUFFER) {
        self->sink.shared(self->sink.context, buffer, (uint8_t)lane, mark);
    }
}

void ps_eager_share(ps_eager *self, ps_tensor tensor, ps_eager_lane lane)
{
    share(self, tensor, lane, 0);
}

void ps_eager_share_with_runs(ps_eager *self, ps_tensor tensor, uint32_t mark)
{
    share(self, tensor, PS_EAGER_MAIN, mark);
}

void ps_eager_release_cache(ps_eager *self)
{
    if (!ps_eager_has_failed(self) && self->sink.release_cache != NULL) {
        ps_eager_note(self, self->sink.release_cache(self->sink.context, &self->err));
    }
}

void ps_op_kernel(ps_eager *self, const char *name, uint64_t moved_bytes)
{
    const ps_eager_kernel kernel = {.name = name, .moved_bytes = moved_bytes, .launches = 1};
    ps_op_tell(self, &kernel);
}

void ps_op_kernel_by(ps_eager *self, const char *name, ps_access access, uint64_t moved_bytes,
                     int64_t elements)
{
    const ps_eager_kernel kernel = {.name = name,
                                    .moved_bytes = moved_bytes,
                                    .launches = 1,
                                    .access = access,
                                    .elements = (uint64_t)elements};
    ps_op_tell(self, &kernel);
}

void ps_op_product(ps_eager *self, const char *name, ps_dtype dtype, ps_operand_layout layout,
                   const int64_t size[3], int64_t batch)
{
    const uint64_t m = (uint64_t)size[0], n = (uint64_t)size[1], k = (uint64_t)size[2];
    const uint64_t count = (uint64_t)batch;
    const ps_eager_kernel kernel = {.name = name,
                                    .kind = PS_KERNEL_MATMUL,
                                    .dtype = dtype,
                                    .flop = 2 * count * m * n * k,
                                    .moved_bytes =
                                        count * (m * k + k * n + m * n) * ps_dtype_bytes(dtype),
                                    .m = m,
                                    .n = n,
                                    .k = k,
                                    .batch = count,
                                    .layout = layout,
                                    .launches = 1};
    ps_op_tell(self, &kernel);
}

void ps_eager_set_workspace(ps_eager *self, uint64_t bytes)
{
    self->workspace_bytes = bytes;
}

void ps_eager_set_device(ps_eager *self, int64_t sm_count, int64_t threads_per_sm)
{
    self->device = (ps_reduce_device){sm_count, threads_per_sm};
}

void ps_eager_set_capability(ps_eager *self, int64_t capability)
{
    self->capability = capability;
}

void ps_eager_set_release(ps_eager *self, int64_t release)
{
    self->release = release;
}

int64_t ps_eager_multiprocessors(const ps_eager *self)
{
    return self->device.sm_count;
}

int64_t ps_eager_capability(const ps_eager *self)
{
    return self->capability;
}

int64_t ps_eager_release(const ps_eager *self)
{
    return self->release;
}

ps_tensor ps_op_sum_rows(ps_eager *self, ps_tensor matrix, int64_t columns)
{
    const int64_t rows = self->tensor[matrix].elements / columns;
    const ps_tensor sum = ps_op_result(self, columns, ps_eager_dtype(self, matrix));
    const ps_reduce_memory need = ps_reduce_rows(rows, columns, self->device);
    if (need.partial_bytes > 0) {
        ps_tensor partial =
            ps_eager_make(self, (int64_t)need.partial_bytes, PS_DTYPE_BOOL, PS_ROLE_TEMPORARY);
        ps_tensor counter =
            ps_eager_make(self, (int64_t)need.counter_bytes, PS_DTYPE_BOOL, PS_ROLE_TEMPORARY);
        ps_op_kernel(self, "fill", need.counter_bytes);
        ps_eager_clear(self, &counter);
        ps_eager_clear(self, &partial);
    }
    ps_op_kernel_by(self, "sum", PS_ACCESS_REDUCTION, ps_eager_bytes(self, matrix), rows * columns);
    return sum;
}

void ps_eager_set_backward(ps_eager *self, bool is_backward)
{
    self->is_backward = is_backward;
}

bool ps_eager_is_backward(const ps_eager *self)
{
    return self->is_backward;
}

bool ps_eager_set_subclass(ps_eager *self, bool is_so)
{
    const bool was = self->is_subclass;
    self->is_subclass = is_so;
    return was;
}

void ps_eager_set_python(ps_eager *self, const ps_eager_python *python)
{
    self->python = *python;
}

void ps_eager_enter_parameters(ps_eager *self)
{
    if (self->is_subclass && !self->is_skipping && is_called(self)) {
        self->owed_calls += self->python.parameters;
        self->enters_parameters = true;
    }
}

void ps_eager_owe_backward(ps_eager *self, const ps_node *node)
{
    if (node->is_hooked) {
        self->owed_calls += self->python.backward;
    }
}

void ps_eager_set_reentrant(ps_eager *self, bool is_so)
{
    self->is_reentrant = is_so;
}

bool ps_eager_is_reentrant(const ps_eager *self)
{
    return self->is_reentrant;
}

void ps_eager_set_inputs_first(ps_eager *self, bool is_so)
{
    self->inputs_first = is_so;
}

bool ps_eager_inputs_first(const ps_eager *self)
{
    return self->inputs_first;
}

bool ps_eager_is_skipping(const ps_eager *self)
{
    return self->is_skipping;
}

void ps_op_workspace(ps_eager *self)
{
    if (self->workspace_bytes > 0 && !self->has_workspace[self->is_backward]) {
        self->has_workspace[self->is_backward] = true;
        (void)ps_eager_make(self, (int64_t)self->workspace_bytes, PS_DTYPE_BOOL, PS_ROLE_WORKSPACE);
    }
}
