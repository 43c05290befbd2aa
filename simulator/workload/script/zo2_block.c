/* SPDX-License-Identifier: MIT
 *
 * Blocks come to the device and go to the host, one parameter after the other
 * as Module.to does it, or all in one.
 *
 *   plain    take device memory, copy to it, drop the host's       one parameter at a time
 *   typed    all parameters in the host's type, then each is widened on the device
 *   bucket   copied together on the host, one copy to the device, parameters are parts of it
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

ps_zo2_listed ps_zo2_list_block(const ps_zo2 *self, int64_t index)
{
    const size_t *begin = &self->begin[index + 1];
    return (ps_zo2_listed){self->by_block + begin[0], begin[1] - begin[0]};
}

static bool is_typed(const ps_zo2 *self)
{
    return self->host_dtype != self->m->recipe->parameters;
}

static int64_t elements_of(const ps_zo2 *self, ps_zo2_listed own)
{
    int64_t elements = 0;
    for (size_t i = 0; i < own.count; i++) {
        elements += ps_eager_elements(self->m->e, self->m->parameter[own.parameter[i]]);
    }
    return elements;
}

/* ---- the driver ---- */

static void call_driver(ps_zo2 *self, const char *name, ps_ns dur_ns)
{
    const ps_cpu_work call = {.name = name, .lane = PS_EAGER_MAIN, .dur_ns = dur_ns};
    ps_op_cpu(self->m->e, &call);
}

/* Commands of two streams do not run together when the host asks for memory in between. */
static void ask_driver(ps_zo2 *self)
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

/* The device memory of a parameter goes: now, or when its copy is done; the driver waits for all. */
static void release(ps_zo2 *self, ps_tensor parameter)
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

/* ---- host memory ---- */

static ps_tensor make_on_host(ps_zo2 *self, int64_t elements, ps_dtype dtype, ps_memory_kind memory)
{
    const ps_memory_kind was = ps_eager_set_memory(self->m->e, memory);
    const ps_tensor made = ps_eager_make(self->m->e, elements, dtype, PS_ROLE_PARAMETER);
    (void)ps_eager_set_memory(self->m->e, was);
    return made;
}

/* What a copy that nobody waits for is given is pinned; what one of a single queue is given is not. */
static ps_memory_kind memory_of_offload(const ps_zo2 *self)
{
    return self->with->is_serial ? PS_MEMORY_PAGEABLE : PS_MEMORY_PINNED;
}

static void copy_up(ps_zo2 *self, ps_memory_kind memory, uint64_t bytes)
{
    const ps_host_copy copy = {.name = "upload",
                               .kind = PS_COPY_HTOD,
                               .memory = memory,
                               .lane = ps_eager_lane_now(self->m->e),
                               .bytes = bytes,
                               .is_blocking = self->with->is_serial};
    ps_op_host_copy(self->m->e, &copy);
}

static void copy_down(ps_zo2 *self, uint64_t bytes)
{
    const ps_host_copy copy = {.name = "offload",
                               .kind = PS_COPY_DTOH,
                               .memory = memory_of_offload(self),
                               .lane = ps_eager_lane_now(self->m->e),
                               .bytes = bytes,
                               .is_blocking = self->with->is_serial};
    ps_op_host_copy(self->m->e, &copy);
}

/* ---- coming ---- */

static void upload_plain(ps_zo2 *self, ps_zo2_listed own)
{
    ps_model *m = self->m;
    for (size_t i = 0; i < own.count; i++) {
        const ps_tensor parameter = m->parameter[own.parameter[i]];
        ask_driver(self);
        ps_eager_bring(m->e, parameter, PS_ROLE_PARAMETER);
        copy_up(self, self->is_pinned ? PS_MEMORY_PINNED : PS_MEMORY_PAGEABLE,
                ps_eager_bytes(m->e, parameter));
        ps_eager_clear(m->e, &self->host[own.parameter[i]]);
    }
}

/* The narrow ones take the place of the host's, until each is widened. */
static void upload_typed(ps_zo2 *self, ps_zo2_listed own)
{
    ps_model *m = self->m;
    for (size_t i = 0; i < own.count; i++) {
        ps_tensor *lies = &self->host[own.parameter[i]];
        ask_driver(self);
        const ps_tensor narrow = ps_eager_make(m->e, ps_eager_elements(m->e, *lies),
                                               self->host_dtype, PS_ROLE_TEMPORARY);
        copy_up(self, self->is_pinned ? PS_MEMORY_PINNED : PS_MEMORY_PAGEABLE,
                ps_eager_bytes(m->e, narrow));
        ps_eager_assign(m->e, lies, narrow);
    }
    for (size_t i = 0; i < own.count; i++) {
        const ps_tensor parameter = m->parameter[own.parameter[i]];
        ps_tensor *narrow = &self->host[own.parameter[i]];
        ask_driver(self);
        ps_eager_bring(m->e, parameter, PS_ROLE_PARAMETER);
        ps_op_kernel(m->e, "copy", ps_eager_bytes(m->e, *narrow) + ps_eager_bytes(m->e, parameter));
        ps_eager_clear(m->e, narrow);
    }
}

static void upload_bucket(ps_zo2 *self, ps_zo2_listed own)
{
    ps_model *m = self->m;
    const int64_t elements = elements_of(self, own);
    ps_tensor together = make_on_host(self, elements, self->host_dtype, PS_MEMORY_PAGEABLE);
    const uint64_t bytes = ps_eager_bytes(m->e, together);
    const ps_cpu_work copying = {.name = "cat", .lane = PS_EAGER_MAIN, .bytes = 2 * bytes};
    ps_op_cpu(m->e, &copying);
    for (size_t i = 0; i < own.count; i++) {
        ps_eager_clear(m->e, &self->host[own.parameter[i]]);
    }
    ps_tensor bucket = ps_eager_make(m->e, elements, self->host_dtype, PS_ROLE_PARAMETER);
    copy_up(self, PS_MEMORY_PAGEABLE, bytes);
    ps_eager_clear(m->e, &together);
    for (size_t i = 0; i < own.count; i++) {
        ps_eager_lay_into(m->e, m->parameter[own.parameter[i]], bucket);
    }
    ps_eager_clear(m->e, &bucket);
}

void ps_zo2_upload(ps_zo2 *self, int64_t index)
{
    const ps_zo2_listed own = ps_zo2_list_block(self, index);
    ps_zo2_wait(self, PS_EAGER_UPLOAD);
    ps_zo2_enter(self, PS_EAGER_UPLOAD);
    ps_eager_set_block(self->m->e, (uint32_t)index + 1);
    if (self->with->is_bucket) {
        upload_bucket(self, own);
    } else if (is_typed(self)) {
        upload_typed(self, own);
    } else {
        upload_plain(self, own);
    }
    ps_eager_set_block(self->m->e, 0);
    ps_zo2_enter(self, PS_EAGER_MAIN);
}

/* ---- going ---- */

static void offload_plain(ps_zo2 *self, ps_zo2_listed own)
{
    ps_model *m = self->m;
    for (size_t i = 0; i < own.count; i++) {
        const ps_tensor parameter = m->parameter[own.parameter[i]];
        self->host[own.parameter[i]] = make_on_host(self, ps_eager_elements(m->e, parameter),
                                                    self->host_dtype, memory_of_offload(self));
        copy_down(self, ps_eager_bytes(m->e, parameter));
        release(self, parameter);
    }
}

static void offload_typed(ps_zo2 *self, ps_zo2_listed own)
{
    ps_model *m = self->m;
    for (size_t i = 0; i < own.count; i++) {
        const ps_tensor parameter = m->parameter[own.parameter[i]];
        const ps_tensor narrow = ps_eager_make(m->e, ps_eager_elements(m->e, parameter),
                                               self->host_dtype, PS_ROLE_TEMPORARY);
        self->host[own.parameter[i]] = narrow;
        ps_op_kernel(m->e, "copy", ps_eager_bytes(m->e, narrow) + ps_eager_bytes(m->e, parameter));
        release(self, parameter);
    }
    for (size_t i = 0; i < own.count; i++) {
        ps_tensor *lies = &self->host[own.parameter[i]];
        const ps_tensor made = make_on_host(self, ps_eager_elements(m->e, *lies), self->host_dtype,
                                            memory_of_offload(self));
        copy_down(self, ps_eager_bytes(m->e, made));
        ps_eager_assign(m->e, lies, made);
    }
}

static void offload_bucket(ps_zo2 *self, ps_zo2_listed own)
{
    ps_model *m = self->m;
    const int64_t elements = elements_of(self, own);
    ps_tensor bucket = ps_eager_make(m->e, elements, self->host_dtype, PS_ROLE_TEMPORARY);
    ps_op_kernel(m->e, "cat", 2 * ps_eager_bytes(m->e, bucket));
    for (size_t i = 0; i < own.count; i++) {
        release(self, m->parameter[own.parameter[i]]);
    }
    const ps_tensor made = make_on_host(self, elements, self->host_dtype, memory_of_offload(self));
    copy_down(self, ps_eager_bytes(m->e, made));
    self->host[own.parameter[0]] = made;
    ps_eager_clear(m->e, &bucket);
}

void ps_zo2_offload(ps_zo2 *self, int64_t index)
{
    const ps_zo2_listed own = ps_zo2_list_block(self, index);
    ps_zo2_wait(self, PS_EAGER_OFFLOAD);
    ps_zo2_let_go(self);
    ps_zo2_wait(self, PS_EAGER_COMPUTE);
    ps_zo2_enter(self, PS_EAGER_OFFLOAD);
    ps_eager_set_block(self->m->e, (uint32_t)index + 1);
    if (self->with->is_bucket) {
        offload_bucket(self, own);
    } else if (is_typed(self)) {
        offload_typed(self, own);
    } else {
        offload_plain(self, own);
    }
    self->leaving = self->with->waits_for_offload ? index : PS_ZO2_NO_BLOCK;
    ps_eager_set_block(self->m->e, 0);
    ps_zo2_enter(self, PS_EAGER_MAIN);
}
