/* SPDX-License-Identifier: MIT
 *
 * Queues of ZO2, and how device memory of blocks is taken and given back.
 */
#include "workload/eager/eager_parts.h"
#include "workload/eager/ops.h"
#include "workload/script/zo2_parts.h"

static const ps_eager_lane lanes[] = {PS_EAGER_MAIN, PS_EAGER_UPLOAD, PS_EAGER_OFFLOAD,
                                      PS_EAGER_COMPUTE};
enum { LANES = sizeof lanes / sizeof lanes[0] };

void ps_zo2_wait(ps_zo2 *self, ps_eager_lane lane)
{
    if (!self->with->is_serial) {
        ps_op_wait(self->m->e, lane);
    }
}

void ps_zo2_enter(ps_zo2 *self, ps_eager_lane lane)
{
    (void)ps_eager_set_lane(self->m->e, self->with->is_serial ? PS_EAGER_MAIN : lane);
}

static void call_driver(ps_zo2 *self, const char *name, ps_ns dur_ns)
{
    const ps_cpu_work call = {.name = name, .lane = PS_EAGER_MAIN, .dur_ns = dur_ns};
    ps_op_cpu(self->m->e, &call);
}

/* Commands of two streams do not run together when the host asks for memory in between. */
void ps_zo2_ask_driver(ps_zo2 *self)
{
    if (!self->with->asks_driver) {
        return;
    }
    call_driver(self, "cudaMalloc", self->driver.malloc_ns);
    for (int lane = 0; lane < LANES; lane++) {
        for (int awaited = 0; awaited < LANES; awaited++) {
            if (lane != awaited) {
                ps_op_join(self->m->e, lanes[lane], lanes[awaited]);
            }
        }
    }
}

void ps_zo2_release(ps_zo2 *self, ps_tensor parameter)
{
    if (self->with->waits_for_offload) {
        return;
    }
    for (int lane = 0; lane < LANES && self->with->asks_driver; lane++) {
        ps_op_wait(self->m->e, lanes[lane]);
    }
    if (self->with->asks_driver) {
        call_driver(self, "cudaFree", self->driver.free_ns);
    }
    ps_eager_send_away(self->m->e, parameter);
}

void ps_zo2_let_go(ps_zo2 *self)
{
    if (self->leaving == PS_ZO2_NO_BLOCK) {
        return;
    }
    const ps_zo2_listed own = ps_zo2_list_block(self, self->leaving);
    for (size_t i = 0; i < own.count; i++) {
        ps_eager_send_away(self->m->e, self->m->parameter[own.parameter[i]]);
    }
    self->leaving = PS_ZO2_NO_BLOCK;
}
