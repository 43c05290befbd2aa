/* SPDX-License-Identifier: MIT
 *
 * Results and plain kernels.
 */
#include "workload/megatron/parts.h"

ps_tensor ps__meg_make_as(ps__meg *self, int64_t elements, ps_dtype dtype)
{
    return ps_op_result(self->e, elements, dtype);
}

ps_tensor ps__meg_make(ps__meg *self, int64_t elements)
{
    return ps__meg_make_as(self, elements, self->dtype);
}

void ps__meg_sums(ps__meg *self, const char *name, ps_access access, int64_t bytes,
                  int64_t elements)
{
    const ps_eager_kernel kernel = {.name = name,
                                    .dtype = self->dtype,
                                    .moved_bytes = (uint64_t)bytes,
                                    .launches = 1,
                                    .access = access,
                                    .elements = (uint64_t)elements};
    ps_op_tell(self->e, &kernel);
}

void ps__meg_way(ps__meg *self, const char *name, ps_access access, int64_t bytes)
{
    ps__meg_sums(self, name, access, bytes, 0);
}

void ps__meg_bytes(ps__meg *self, const char *name, int64_t bytes)
{
    ps__meg_way(self, name, PS_ACCESS_CONTIGUOUS, bytes);
}

void ps__meg_wait(ps__meg *self)
{
    static const ps_eager_kernel wait = {.name = "synchronize", .kind = PS_KERNEL_WAIT};
    ps_op_tell(self->e, &wait);
}

void ps__meg_kernel(ps__meg *self, const char *name, int64_t elements)
{
    ps__meg_bytes(self, name, elements * (int64_t)ps_dtype_bytes(self->dtype));
}

void ps__meg_accumulate(ps__meg *self, ps_tensor *sum, ps_tensor part)
{
    if (ps_eager_has_failed(self->e)) {
        return;
    }
    const int64_t elements = ps_eager_elements(self->e, part);
    if (!ps_eager_is_sole(self->e, *sum)) {
        ps_eager_assign(self->e, sum, ps__meg_make(self, elements));
    }
    ps__meg_kernel(self, "add", 3 * elements);
    ps_eager_drop(self->e, part);
}
