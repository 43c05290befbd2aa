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

static ps_memory_kind memory_now(const ps_zo2 *self)
{
    return self->is_pinned ? PS_MEMORY_PINNED : PS_MEMORY_PAGEABLE;
}

/* From pageable memory the call comes back when it has read all. */
static void copy_up(ps_zo2 *self, ps_memory_kind memory, ps_tensor from, ps_tensor to)
{
    const ps_host_copy copy = {.name = "upload",
                               .kind = PS_COPY_HTOD,
                               .memory = memory,
                               .lane = ps_eager_lane_now(self->m->e),
                               .bytes = ps_eager_bytes(self->m->e, to),
                               .is_blocking = memory == PS_MEMORY_PAGEABLE,
                               .from = from,
                               .to = to};
    ps_op_host_copy(self->m->e, &copy);
}

static void copy_down(ps_zo2 *self, ps_tensor from, ps_tensor to)
{
    const ps_host_copy copy = {.name = "offload",
                               .kind = PS_COPY_DTOH,
                               .memory = memory_of_offload(self),
                               .lane = ps_eager_lane_now(self->m->e),
                               .bytes = ps_eager_bytes(self->m->e, to),
                               .is_blocking = self->with->is_serial,
                               .from = from,
                               .to = to};
    ps_op_host_copy(self->m->e, &copy);
}

/* Another type, on the device. */
static void cast(ps_zo2 *self, ps_tensor from, ps_tensor to)
{
    ps_eager *e = self->m->e;
    ps_op_kernel_by(e, "copy", PS_ACCESS_STRIDED, ps_eager_bytes(e, from) + ps_eager_bytes(e, to),
                    ps_eager_elements(e, to));
    ps_eager_touch(e, from, false);
    ps_eager_touch(e, to, true);
}

/* ---- coming ---- */

static void upload_plain(ps_zo2 *self, ps_zo2_listed own)
{
    ps_model *m = self->m;
    for (size_t i = 0; i < own.count; i++) {
        const ps_tensor parameter = m->parameter[own.parameter[i]];
        ps_zo2_ask_driver(self);
        ps_eager_bring(m->e, parameter, PS_ROLE_PARAMETER);
        copy_up(self, memory_now(self), self->host[own.parameter[i]], parameter);
        ps_eager_clear(m->e, &self->host[own.parameter[i]]);
    }
}

/* The narrow ones take the place of the host's, until each is widened. */
static void upload_typed(ps_zo2 *self, ps_zo2_listed own)
{
    ps_model *m = self->m;
    for (size_t i = 0; i < own.count; i++) {
        ps_tensor *lies = &self->host[own.parameter[i]];
        ps_zo2_ask_driver(self);
        const ps_tensor narrow = ps_eager_make(m->e, ps_eager_elements(m->e, *lies),
                                               self->host_dtype, PS_ROLE_TEMPORARY);
        copy_up(self, memory_now(self), *lies, narrow);
        ps_eager_assign(m->e, lies, narrow);
    }
    for (size_t i = 0; i < own.count; i++) {
        const ps_tensor parameter = m->parameter[own.parameter[i]];
        ps_tensor *narrow = &self->host[own.parameter[i]];
        ps_zo2_ask_driver(self);
        ps_eager_bring(m->e, parameter, PS_ROLE_PARAMETER);
        cast(self, *narrow, parameter);
        ps_eager_clear(m->e, narrow);
    }
}

static void upload_bucket(ps_zo2 *self, ps_zo2_listed own)
{
    ps_model *m = self->m;
    const int64_t elements = elements_of(self, own);
    ps_tensor together = make_on_host(self, elements, self->host_dtype, PS_MEMORY_PAGEABLE);
    const ps_cpu_work copying = {.name = "cat",
                                 .lane = PS_EAGER_MAIN,
                                 .bytes = 2 * ps_eager_bytes(m->e, together),
                                 .written = together};
    ps_op_cpu(m->e, &copying);
    for (size_t i = 0; i < own.count; i++) {
        ps_eager_touch(m->e, self->host[own.parameter[i]], false);
    }
    for (size_t i = 0; i < own.count; i++) {
        ps_eager_clear(m->e, &self->host[own.parameter[i]]);
    }
    ps_tensor bucket = ps_eager_make(m->e, elements, self->host_dtype, PS_ROLE_PARAMETER);
    copy_up(self, PS_MEMORY_PAGEABLE, together, bucket);
    ps_eager_clear(m->e, &together);
    for (size_t i = 0; i < own.count; i++) {
        ps_eager_lay_into(m->e, m->parameter[own.parameter[i]], bucket);
    }
    ps_eager_clear(m->e, &bucket);
}

void ps_zo2_upload(ps_zo2 *self, int64_t index)
{
    const ps_zo2_listed own = ps_zo2_list_block(self, index);
    if (!ps_zo2_offloads(self->with, index)) {
        return;
    }
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
        copy_down(self, parameter, self->host[own.parameter[i]]);
        ps_zo2_release(self, parameter);
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
        cast(self, parameter, narrow);
        ps_zo2_release(self, parameter);
    }
    for (size_t i = 0; i < own.count; i++) {
        ps_tensor *lies = &self->host[own.parameter[i]];
        const ps_tensor made = make_on_host(self, ps_eager_elements(m->e, *lies), self->host_dtype,
                                            memory_of_offload(self));
        copy_down(self, *lies, made);
        ps_eager_assign(m->e, lies, made);
    }
}

static void offload_bucket(ps_zo2 *self, ps_zo2_listed own)
{
    ps_model *m = self->m;
    const int64_t elements = elements_of(self, own);
    ps_tensor bucket = ps_eager_make(m->e, elements, self->host_dtype, PS_ROLE_TEMPORARY);
    ps_op_kernel(m->e, "cat", 2 * ps_eager_bytes(m->e, bucket));
    ps_eager_touch(m->e, m->parameter[own.parameter[0]], false); /* parts of one buffer */
    ps_eager_touch(m->e, bucket, true);
    for (size_t i = 0; i < own.count; i++) {
        ps_zo2_release(self, m->parameter[own.parameter[i]]);
    }
    const ps_tensor made = make_on_host(self, elements, self->host_dtype, memory_of_offload(self));
    copy_down(self, bucket, made);
    self->host[own.parameter[0]] = made;
    ps_eager_clear(m->e, &bucket);
}

void ps_zo2_offload(ps_zo2 *self, int64_t index)
{
    const ps_zo2_listed own = ps_zo2_list_block(self, index);
    if (!ps_zo2_offloads(self->with, index)) {
        return;
    }
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
