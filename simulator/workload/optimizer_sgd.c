/* SPDX-License-Identifier: MIT
 *
 * SGD without momentum: in place.
 */
#include "workload/eager_parts.h"
#include "workload/optimizer.h"

static void make_state(ps_optimizer *self)
{
    (void)self;
}

static void update(ps_optimizer *self)
{
    ps_op_kernel(self->e, "foreach_add", 3 * ps_optimizer_bytes(self));
}

const ps_optimizer_ops ps_optimizer_sgd = {make_state, update};
