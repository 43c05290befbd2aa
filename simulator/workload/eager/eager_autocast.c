/* SPDX-License-Identifier: MIT
 *
 * torch.autocast: matrix products in 16 bits, sums and norms in 32, and the
 * narrow copies of parameters, made once and kept until the region ends.
 */
#include "base/memory.h"
#include "workload/eager/eager_state.h"
#include "workload/eager/ops.h"

void ps_eager_set_autocast(ps_eager *self, ps_dtype dtype)
{
    self->autocast = dtype;
    for (size_t i = 1; i < self->cast_count; i += 2) {
        ps_eager_clear(self, &self->cast[i]);
    }
    self->cast_count = 0;
}

ps_dtype ps_eager_autocast(const ps_eager *self)
{
    return self->autocast;
}

static ps_tensor find(const ps_eager *self, ps_tensor parameter)
{
    for (size_t i = 0; i < self->cast_count; i += 2) {
        if (self->cast[i] == parameter) {
            return self->cast[i + 1];
        }
    }
    return 0;
}

static bool is_kept(const ps_eager *self, ps_tensor tensor)
{
    const ps__tensor *t = &self->tensor[tensor];
    return t->requires_grad && t->node == 0 && !t->is_view && t->dtype == PS_DTYPE_F32;
}

static bool is_float(ps_dtype dtype)
{
    return dtype == PS_DTYPE_F32 || dtype == PS_DTYPE_F16 || dtype == PS_DTYPE_BF16;
}

ps_tensor ps_op_narrow(ps_eager *self, ps_tensor tensor)
{
    if (self->autocast == PS_DTYPE_F32 || tensor == 0 || !is_float(ps_eager_dtype(self, tensor)) ||
        ps_eager_dtype(self, tensor) == self->autocast) {
        return ps_eager_hold(self, tensor);
    }
    if (!is_kept(self, tensor)) {
        return ps_op_copy_to(self, tensor, self->autocast);
    }
    ps_tensor narrow = find(self, tensor);
    if (narrow == 0) {
        narrow = ps_op_copy_to(self, tensor, self->autocast);
        ps_eager_note(self,
                      ps_grow((void **)&self->cast, &self->cast_capacity, self->cast_count + 2,
                              PS_EAGER_MAX_ITEMS, sizeof *self->cast, &self->err));
        if (self->code != PS_OK || narrow == 0) {
            return narrow;
        }
        self->cast[self->cast_count++] = tensor;
        self->cast[self->cast_count++] = narrow;
    }
    return ps_eager_hold(self, narrow);
}

ps_tensor ps_op_widen(ps_eager *self, ps_tensor tensor)
{
    if (self->autocast == PS_DTYPE_F32 || tensor == 0 || !is_float(ps_eager_dtype(self, tensor)) ||
        ps_eager_dtype(self, tensor) == PS_DTYPE_F32) {
        return ps_eager_hold(self, tensor);
    }
    return ps_op_copy_to(self, tensor, PS_DTYPE_F32);
}
