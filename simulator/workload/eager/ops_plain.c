/* SPDX-License-Identifier: MIT
 *
 * What runs without a graph: results that need no gradient, changes that
 * backward need not know of, and numbers to and from the host.
 */
#include "workload/eager/eager_parts.h"
#include "workload/eager/ops.h"

ps_tensor ps_op_plain(ps_eager *self, const char *name, int64_t elements, ps_dtype dtype)
{
    const ps_tensor out = ps_op_result(self, elements, dtype);
    ps_op_kernel(self, name, 2 * (uint64_t)elements * ps_dtype_bytes(dtype));
    return out;
}

void ps_op_in_place(ps_eager *self, const char *name, ps_tensor tensor)
{
    ps_op_kernel(self, name, 2 * ps_eager_bytes(self, tensor));
}

/* between host and device */
static void cross(ps_eager *self, int64_t elements, ps_dtype dtype)
{
    const ps_eager_kernel copy = {.name = "copy",
                                  .kind = PS_KERNEL_COPY,
                                  .moved_bytes = (uint64_t)elements * ps_dtype_bytes(dtype),
                                  .launches = 1};
    ps_op_tell(self, &copy);
}

void ps_op_read_back(ps_eager *self, ps_dtype dtype)
{
    cross(self, 1, dtype);
}

ps_tensor ps_op_from_host(ps_eager *self, int64_t elements, ps_dtype dtype)
{
    const ps_tensor out = ps_op_result(self, elements, dtype);
    cross(self, elements, dtype);
    return out;
}

ps_tensor ps_op_masked_fill(ps_eager *self, int64_t elements, ps_dtype dtype)
{
    const ps_tensor out = ps_op_plain(self, "copy", elements, dtype);
    ps_op_kernel_by(self, "masked_fill", PS_ACCESS_STRIDED,
                    2 * (uint64_t)elements * ps_dtype_bytes(dtype), elements);
    return out;
}
