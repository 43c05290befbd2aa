/* SPDX-License-Identifier: MIT
 *
 * What rank 0 has goes to all, many tensors at a time.
 */
#include "workload/scheme/scheme_parts.h"

/* Flattened, sent, copied back; two are under way at a time. A single tensor is its own flat one. */
void ps_scheme_broadcast(ps_scheme *self, const ps_tensor *list, size_t count, ps_eager_lane lane)
{
    enum { MIB = 1 << 20, BUCKET = 250 };
    const uint64_t limit = (uint64_t)BUCKET * MIB;
    ps_tensor before = 0;
    size_t first = 0;
    uint64_t bytes = 0;
    for (size_t i = 0; i < count && !ps_eager_has_failed(self->e); i++) {
        const ps_dtype dtype = ps_eager_dtype(self->e, list[i]);
        const bool changes = i + 1 < count && ps_eager_dtype(self->e, list[i + 1]) != dtype;
        bytes += ps_eager_bytes(self->e, list[i]);
        if (bytes < limit && i + 1 < count && !changes) {
            continue;
        }
        ps_tensor flat = 0;
        if (i > first) {
            flat = ps_scheme_make(self, (int64_t)(bytes / ps_dtype_bytes(dtype)), dtype,
                                  PS_ROLE_TEMPORARY);
            ps_scheme_kernel(self, "cat", 2 * bytes);
        }
        ps_scheme_collect(self, PS_COLLECTIVE_BROADCAST, lane, ps_scheme_all_axes(self), dtype,
                          bytes);
        ps_eager_clear(self->e, &before);
        ps_op_join(self->e, PS_EAGER_MAIN, lane);
        for (size_t j = first; j <= i && flat != 0; j++) {
            ps_scheme_kernel(self, "copy", 2 * ps_eager_bytes(self->e, list[j]));
        }
        before = flat;
        first = i + 1;
        bytes = 0;
    }
    ps_eager_clear(self->e, &before);
}
