/* SPDX-License-Identifier: MIT
 *
 * What the sink is told of kernels: what they are, the Python before them, and
 * the memory that they touch.
 */
#include "workload/eager/eager_state.h"

/* ---- Python ---- */

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

/* ---- kernels ---- */

void ps_op_tell(ps_eager *self, const ps_eager_kernel *kernel)
{
    if (self->code != PS_OK || self->is_skipping) {
        return;
    }
    ps_eager_kernel told = *kernel;
    told.dispatches = take_calls(self, kernel);
    ps_eager_note(self, self->sink.kernel(self->sink.context, &told, &self->err));
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

void ps_op_workspace(ps_eager *self)
{
    if (self->workspace_bytes > 0 && !self->has_workspace[self->is_backward]) {
        self->has_workspace[self->is_backward] = true;
        (void)ps_eager_make(self, (int64_t)self->workspace_bytes, PS_DTYPE_BOOL, PS_ROLE_WORKSPACE);
    }
}

/* ---- memory ---- */

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
