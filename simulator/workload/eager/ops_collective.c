/* SPDX-License-Identifier: MIT
 *
 * What ranks do together, as one of them sees it: work in the queue of a
 * communicator, and queues that wait for one another.
 */
#include "workload/eager/eager_parts.h"
#include "workload/eager/ops.h"

void ps_op_join(ps_eager *self, ps_eager_lane lane, ps_eager_lane awaited)
{
    const ps_eager_kernel join = {
        .name = "wait", .kind = PS_KERNEL_JOIN, .awaited = (uint8_t)awaited};
    if (lane == awaited) {
        return;
    }
    const ps_eager_lane was = ps_eager_set_lane(self, lane);
    ps_op_tell(self, &join);
    (void)ps_eager_set_lane(self, was);
}

void ps_op_collective(ps_eager *self, const ps_collective *what)
{
    const ps_eager_kernel kernel = {.name = what->name,
                                    .kind = PS_KERNEL_COLLECTIVE,
                                    .dtype = what->dtype,
                                    .moved_bytes = what->bytes,
                                    .launches = 1,
                                    .collective = what->op,
                                    .axes = what->axes,
                                    .peer = what->peer};
    ps_op_join(self, what->lane, ps_eager_lane_now(self));
    const ps_eager_lane was = ps_eager_set_lane(self, what->lane);
    ps_op_tell(self, &kernel);
    (void)ps_eager_set_lane(self, was);
}
