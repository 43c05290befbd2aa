/* SPDX-License-Identifier: MIT
 *
 * Adam and AdamW over lists: two moments; the square roots of all second
 * moments live at once.
 */
#include "workload/eager_parts.h"
#include "workload/optimizer.h"

/* exp_avg and exp_avg_sq of each parameter; the step counters live on the host */
static void make_state(ps_optimizer *self)
{
    for (size_t i = 0; i < self->count; i++) {
        (void)ps_optimizer_state(self, i);
        (void)ps_optimizer_state(self, i);
    }
}

/* lerp of the first moment, two passes over the second, root, division, bias, update */
#define PASSES 16

static void update(ps_optimizer *self)
{
    ps_optimizer_list(self);
    ps_op_kernel(self->e, "foreach_adamw", PASSES * ps_optimizer_bytes(self));
    ps_optimizer_drop_list(self);
}

const ps_optimizer_ops ps_optimizer_adamw = {make_state, update};
