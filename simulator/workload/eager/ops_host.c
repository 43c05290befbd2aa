/* SPDX-License-Identifier: MIT
 *
 * What a program does with the host's memory and disks: copies to them and
 * from them, computation there, and waiting for one or the other.
 */
#include "workload/eager/ops_host.h"

#include "workload/eager/eager_parts.h"
#include "workload/eager/ops.h"

static void tell_in(ps_eager *self, ps_eager_lane lane, const ps_eager_kernel *kernel)
{
    const ps_eager_lane was = ps_eager_set_lane(self, lane);
    ps_op_tell(self, kernel);
    (void)ps_eager_set_lane(self, was);
}

void ps_op_host_copy(ps_eager *self, const ps_host_copy *what)
{
    const ps_eager_kernel kernel = {.name = what->name,
                                    .kind = PS_KERNEL_COPY,
                                    .moved_bytes = what->bytes,
                                    .launches = 1,
                                    .copy_kind = what->kind,
                                    .memory = what->memory,
                                    .is_blocking = what->is_blocking,
                                    .mark = what->mark};
    tell_in(self, what->lane, &kernel);
    ps_eager_touch(self, what->from, false);
    ps_eager_touch(self, what->to, true);
}

void ps_op_cpu(ps_eager *self, const ps_cpu_work *what)
{
    const ps_eager_kernel kernel = {.name = what->name,
                                    .kind = PS_KERNEL_CPU,
                                    .moved_bytes = what->bytes,
                                    .memory = what->memory,
                                    .dur_ns = what->dur_ns,
                                    .launches = what->hooks,
                                    .mark = what->mark};
    tell_in(self, what->lane, &kernel);
    ps_eager_touch(self, what->read, false);
    ps_eager_touch(self, what->written, true);
}

void ps_op_storage(ps_eager *self, const ps_storage_io *what)
{
    const ps_eager_kernel kernel = {.name = what->name,
                                    .kind = what->is_write ? PS_KERNEL_WRITE : PS_KERNEL_READ,
                                    .moved_bytes = what->bytes,
                                    .memory = PS_MEMORY_STORAGE,
                                    .mark = what->mark};
    tell_in(self, what->lane, &kernel);
}

void ps_op_wait(ps_eager *self, ps_eager_lane lane)
{
    const ps_eager_kernel wait = {.name = "synchronize", .kind = PS_KERNEL_WAIT};
    tell_in(self, lane, &wait);
}

void ps_op_wait_mark(ps_eager *self, uint32_t mark)
{
    const ps_eager_kernel wait = {.name = "synchronize", .kind = PS_KERNEL_WAIT, .mark = mark};
    tell_in(self, PS_EAGER_MAIN, &wait);
}

void ps_op_mark(ps_eager *self, ps_eager_lane lane, uint32_t mark)
{
    const ps_eager_kernel event = {.name = "event", .kind = PS_KERNEL_MARK, .mark = mark};
    tell_in(self, lane, &event);
}

void ps_op_join_mark(ps_eager *self, ps_eager_lane lane, uint32_t mark)
{
    const ps_eager_kernel join = {.name = "wait", .kind = PS_KERNEL_JOIN, .mark = mark};
    tell_in(self, lane, &join);
}
