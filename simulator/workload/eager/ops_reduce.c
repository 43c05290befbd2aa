/* SPDX-License-Identifier: MIT
 *
 * Reductions without a graph, of optimizers and of backward: a result in the
 * tensor's type, then the buffers in which blocks meet.
 */
#include "workload/eager/eager_state.h"
#include "workload/eager/ops.h"

/* The counter dies first. */
static void meet(ps_eager *self, ps_reduce_memory need)
{
    if (need.partial_bytes > 0) {
        ps_tensor partial =
            ps_eager_make(self, (int64_t)need.partial_bytes, PS_DTYPE_BOOL, PS_ROLE_TEMPORARY);
        ps_tensor counter =
            ps_eager_make(self, (int64_t)need.counter_bytes, PS_DTYPE_BOOL, PS_ROLE_TEMPORARY);
        ps_op_kernel(self, "fill", need.counter_bytes);
        ps_eager_clear(self, &counter);
        ps_eager_clear(self, &partial);
    }
}

ps_tensor ps_op_reduce_last(ps_eager *self, const char *name, ps_tensor a, int64_t rows)
{
    const ps_tensor result = ps_op_result(self, rows, ps_eager_dtype(self, a));
    meet(self, ps_reduce_last(rows, ps_eager_elements(self, a) / rows, self->device));
    ps_op_kernel_by(self, name, PS_ACCESS_REDUCTION, ps_eager_bytes(self, a),
                    ps_eager_elements(self, a));
    return result;
}

ps_tensor ps_op_reduce_all(ps_eager *self, const char *name, ps_tensor a)
{
    return ps_op_reduce_last(self, name, a, 1);
}

ps_tensor ps_op_reduce_first(ps_eager *self, const char *name, ps_tensor a, int64_t columns)
{
    const ps_tensor result = ps_op_result(self, columns, ps_eager_dtype(self, a));
    meet(self, ps_reduce_rows(ps_eager_elements(self, a) / columns, columns, self->device));
    ps_op_kernel_by(self, name, PS_ACCESS_REDUCTION, ps_eager_bytes(self, a),
                    ps_eager_elements(self, a));
    return result;
}

ps_tensor ps_op_sum_rows(ps_eager *self, ps_tensor matrix, int64_t columns)
{
    return ps_op_reduce_first(self, "sum", matrix, columns);
}
