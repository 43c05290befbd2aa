/* SPDX-License-Identifier: MIT
 *
 * DeepSpeed's optimizer on the host, sub-group after sub-group.
 */
#include "workload/scheme/offload.h"

#include <string.h>

#include "base/memory.h"

/* Bytes that the host moves in its memory, an element. */
#define FRESH_BYTES 2                    /* of memory that is new, and cleared first */
#define WIDEN_BYTES 6                    /* 16 bits read, 32 written */
#define NORM_ELEMENTS INT64_C(250000000) /* at a time, in 64 bits */
#define DOUBLE PS_DTYPE_I64

/* Buffers of a step, and of those that come and go beside it. */
static int64_t buffers_needed(const ps_zero_settings *z)
{
    return PS_OFFLOAD_SWAPPED * (1 + z->reads_ahead + z->writes_behind);
}

static ps_code check_storage(const ps_recipe *r, ps_error *err)
{
    const ps_zero_settings *z = &r->parallel.zero;
    if (!z->stores_optimizer) {
        return z->reads_ahead || z->writes_behind || z->swap_buffers > 0
                   ? ps_fail(err, PS_USAGE,
                             "pipeline_read, pipeline_write and buffer_count need "
                             "offload_optimizer=nvme")
                   : PS_OK;
    }
    if (r->parallel.scheme != PS_PARALLEL_ZERO3) {
        return ps_fail(err, PS_USAGE, "offload_optimizer=nvme is of zero3 alone");
    }
    if (z->flushes_beside || z->update_stride != 0 || z->offload_millionths < PS_ZERO_WHOLE) {
        return ps_fail(err, PS_USAGE,
                       "offload_optimizer=nvme does not go with offload_ratio, "
                       "async_gradient_flush or update_stride: they are of states in memory");
    }
    if (z->swap_buffers > PS_OFFLOAD_MAX_BUFFERS || ps_offload_buffers(z) < buffers_needed(z)) {
        return ps_fail(err, PS_USAGE,
                       "buffer_count is %lld: expected %lld to %d, %d for each sub-group that is "
                       "read, stepped over or written at a time",
                       (long long)ps_offload_buffers(z), (long long)buffers_needed(z),
                       PS_OFFLOAD_MAX_BUFFERS, PS_OFFLOAD_SWAPPED);
    }
    return PS_OK;
}

ps_code ps_offload_check(const ps_recipe *r, ps_error *err)
{
    const ps_zero_settings *z = &r->parallel.zero;
    if (!z->offloads_optimizer) {
        return z->offloads_parameters || z->flushes_beside || z->update_stride != 0 ||
                       z->has_one_copy_stream || z->delays_update || z->stores_optimizer ||
                       z->reads_ahead || z->writes_behind || z->swap_buffers > 0 ||
                       z->offload_millionths < PS_ZERO_WHOLE
                   ? ps_fail(err, PS_USAGE, "settings of offloading need offload_optimizer=true")
                   : PS_OK;
    }
    PS_TRY(check_storage(r, err));
    if (strcmp(r->optimizer, "adam") != 0 && strcmp(r->optimizer, "adamw") != 0) {
        return ps_fail(err, PS_USAGE, "the optimizer on the host is Adam, not \"%.40s\"",
                       r->optimizer);
    }
    if (r->parallel.syncs_always && r->accumulate > 1) {
        return ps_fail(
            err, PS_USAGE,
            "with offload_optimizer=true the last micro-batch alone ends a step: no_sync "
            "cannot be false");
    }
    if (r->parameters == PS_DTYPE_F32) {
        return ps_fail(err, PS_USAGE,
                       "offload_optimizer needs weights of 16 bits: --dtype bf16 or fp16");
    }
    if (z->update_stride < 0) {
        return ps_fail(err, PS_USAGE, "update_stride: the machine has not chosen one");
    }
    if (z->update_stride == 1) {
        return ps_fail(err, PS_USAGE,
                       "update_stride=1 would have every sub-group step on the device: 2 or more");
    }
    if (z->has_one_copy_stream && z->update_stride == 0) {
        return ps_fail(err, PS_USAGE, "one_copy_stream=true needs update_stride");
    }
    return PS_OK;
}

/* ---- making ---- */

ps_tensor ps_offload_make_in(ps_offload *self, ps_memory_kind memory, int64_t elements,
                             ps_dtype dtype, ps_role role)
{
    const ps_memory_kind was = ps_eager_set_memory(self->scheme->e, memory);
    const ps_tensor out = ps_scheme_make(self->scheme, elements, dtype, role);
    (void)ps_eager_set_memory(self->scheme->e, was);
    return out;
}

static void make_group(ps_offload *self, size_t i)
{
    const ps_zero_settings *z = &self->scheme->settings->zero;
    ps_offload_group *g = &self->group[i];
    const int64_t stride = z->update_stride;
    g->visits = stride > 0 && (i + 1) % (size_t)stride == 0;
    const ps_memory_kind memory = g->is_resident        ? PS_MEMORY_UNKNOWN
                                  : z->stores_optimizer ? PS_MEMORY_STORAGE
                                  : stride > 0          ? PS_MEMORY_PINNED
                                                        : PS_MEMORY_PAGEABLE;
    const ps_memory_kind of_grad = g->is_resident        ? PS_MEMORY_UNKNOWN
                                   : z->stores_optimizer ? PS_MEMORY_STORAGE
                                                         : PS_MEMORY_PINNED;
    for (int state = 0; state < PS_OFFLOAD_STATES; state++) {
        g->state[state] =
            ps_offload_make_in(self, memory, g->elements, PS_DTYPE_F32, PS_ROLE_OPTIMIZER_STATE);
    }
    g->grad = ps_offload_make_in(self, of_grad, g->elements, PS_DTYPE_F32, PS_ROLE_GRADIENT);
    /* a resident one that the stride picks has its gradient twice */
    if (g->visits && g->is_resident) {
        g->wide_grad = ps_offload_make_in(self, PS_MEMORY_UNKNOWN, g->elements, PS_DTYPE_F32,
                                          PS_ROLE_GRADIENT);
    }
}

static void make_staging(ps_offload *self)
{
    const int64_t stride = self->scheme->settings->zero.update_stride;
    int64_t most = 0;
    for (size_t i = 0; i < self->count; i++) {
        most = self->group[i].elements > most ? self->group[i].elements : most;
    }
    if (stride > 0 && !self->scheme->settings->zero.has_one_copy_stream) {
        for (int64_t i = 0; i + 1 < stride; i++) {
            (void)ps_offload_make_in(self, PS_MEMORY_PINNED, most, ps_zero_type(self->scheme),
                                     PS_ROLE_WORKSPACE);
        }
    }
}

void ps_offload_make(ps_offload *self, ps_tensor part)
{
    const int64_t millionths = self->scheme->settings->zero.offload_millionths;
    const size_t on_host = (size_t)((int64_t)self->count * millionths / PS_ZERO_WHOLE);
    int64_t elements = 0;
    self->part = part;
    for (size_t i = 0; i < self->count; i++) {
        self->group[i].is_resident = i >= on_host;
        elements += self->group[i].elements;
        make_group(self, i);
    }
    self->accumulated = ps_offload_make_in(self, PS_MEMORY_PINNED, elements,
                                           ps_zero_type(self->scheme), PS_ROLE_GRADIENT);
    make_staging(self);
    if (self->scheme->settings->zero.stores_optimizer) {
        ps_offload_make_swap(self);
    }
}

void ps_offload_fini(ps_offload *self)
{
    ps_free(self->group);
    *self = (ps_offload){0};
}

/* ---- gradients ---- */

static ps_host_copy pinned_copy(ps_offload *self, ps_copy_kind kind, uint64_t bytes)
{
    return (ps_host_copy){.name = "copy",
                          .kind = kind,
                          .memory = PS_MEMORY_PINNED,
                          .lane = ps_eager_lane_now(self->scheme->e),
                          .bytes = bytes};
}

void ps_offload_copy(ps_offload *self, const ps_host_copy *what)
{
    ps_op_host_copy(self->scheme->e, what);
}

/* Its norm, in 64 bits, some of it at a time. */
static void norm(ps_offload *self, int64_t elements)
{
    for (int64_t at = 0; at < elements; at += NORM_ELEMENTS) {
        const int64_t left = elements - at;
        const int64_t now = left < NORM_ELEMENTS ? left : NORM_ELEMENTS;
        ps_tensor copy = ps_scheme_make(self->scheme, now, DOUBLE, PS_ROLE_TEMPORARY);
        const uint64_t bytes = (uint64_t)now * ps_dtype_bytes(DOUBLE);
        ps_scheme_kernel(self->scheme, "copy", ps_offload_narrow(self->scheme, now) + bytes);
        ps_scheme_kernel(self->scheme, "linalg_vector_norm", bytes);
        ps_eager_clear(self->scheme->e, &copy);
    }
}

/* Narrow into new pageable memory, which the host then makes wide: it waits for the copy. */
static void flush_waiting(ps_offload *self, ps_tensor from, ps_offload_group *g, int64_t elements)
{
    ps_tensor fresh = ps_offload_make_in(self, PS_MEMORY_PAGEABLE, elements,
                                         ps_zero_type(self->scheme), PS_ROLE_TEMPORARY);
    ps_host_copy down = pinned_copy(self, PS_COPY_DTOH, ps_offload_narrow(self->scheme, elements));
    down.memory = PS_MEMORY_PAGEABLE;
    down.is_blocking = true;
    down.from = from;
    down.to = fresh;
    ps_offload_copy(self, &down);
    const ps_cpu_work widen = {.name = "copy",
                               .lane = PS_EAGER_MAIN,
                               .bytes = (uint64_t)elements * WIDEN_BYTES,
                               .read = fresh,
                               .written = g->grad};
    ps_op_cpu(self->scheme->e, &widen);
    ps_eager_clear(self->scheme->e, &fresh);
}

static void flush_beside(ps_offload *self, ps_offload_group *g, int64_t elements, uint32_t mark)
{
    ps_tensor big = ps_scheme_make(self->scheme, elements, PS_DTYPE_F32, PS_ROLE_TEMPORARY);
    ps_scheme_kernel(self->scheme, "copy",
                     ps_offload_narrow(self->scheme, elements) + ps_offload_wide(elements));
    ps_eager_touch(self->scheme->e, big, true);
    ps_host_copy down = pinned_copy(self, PS_COPY_DTOH, ps_offload_wide(elements));
    down.from = big;
    down.to = g->grad;
    down.mark = mark;
    ps_offload_copy(self, &down);
    ps_eager_clear(self->scheme->e, &big);
}

/* One that visits the device keeps it there, all parameters' in one. */
static void keep_on_device(ps_offload *self, ps_offload_group *g, int64_t elements)
{
    ps_scheme *s = self->scheme;
    if (g->is_resident) {
        ps_scheme_kernel(s, "copy",
                         ps_offload_narrow(self->scheme, elements) + ps_offload_wide(elements));
        return;
    }
    if (g->narrow_grad == 0) {
        g->narrow_grad = ps_scheme_make(s, g->elements, ps_zero_type(s), PS_ROLE_GRADIENT);
    }
    ps_scheme_kernel(s, "copy", 2 * ps_offload_narrow(self->scheme, elements));
    ps_eager_touch(s->e, g->narrow_grad, true);
}

/* To the pinned buffer and back, where later micro-batches find it. */
static ps_tensor accumulate(ps_offload *self, int64_t elements, bool adds, uint32_t mark)
{
    ps_scheme *s = self->scheme;
    ps_host_copy down = pinned_copy(self, PS_COPY_DTOH, ps_offload_narrow(self->scheme, elements));
    ps_host_copy up = pinned_copy(self, PS_COPY_HTOD, ps_offload_narrow(self->scheme, elements));
    down.to = self->accumulated;
    up.from = self->accumulated;
    if (!adds) {
        ps_offload_copy(self, &down);
    }
    const ps_tensor here = ps_scheme_make(s, elements, ps_zero_type(s), PS_ROLE_TEMPORARY);
    up.to = here;
    up.mark = adds ? 0 : mark;
    ps_offload_copy(self, &up);
    if (adds) {
        ps_scheme_kernel(s, "add", 3 * ps_offload_narrow(self->scheme, elements));
        ps_eager_touch(s->e, here, true);
        down.from = here;
        down.mark = mark;
        ps_offload_copy(self, &down);
    }
    return here;
}

void ps_offload_take_grad(ps_offload *self, size_t group, int64_t elements, bool adds, bool is_last,
                          uint32_t mark)
{
    ps_offload_group *g = &self->group[group];
    ps_tensor here = accumulate(self, elements, adds, mark);
    if (is_last) {
        norm(self, elements);
        if (g->visits || g->is_resident) {
            keep_on_device(self, g, elements);
        } else if (self->scheme->settings->zero.stores_optimizer) {
            ps_offload_store_grad(self, g, elements);
        } else if (self->scheme->settings->zero.flushes_beside) {
            flush_beside(self, g, elements, mark);
        } else {
            flush_waiting(self, here, g, elements);
        }
    }
    ps_eager_clear(self->scheme->e, &here);
}

/* ---- steps ---- */

void ps_offload_step_on_host(ps_offload *self, const ps_tensor state[PS_OFFLOAD_STATES],
                             ps_tensor grad, int64_t elements, ps_memory_kind memory)
{
    ps_eager *e = self->scheme->e;
    const ps_cpu_work unscale = {.name = "mul",
                                 .memory = PS_MEMORY_PINNED,
                                 .lane = PS_EAGER_MAIN,
                                 .bytes = (uint64_t)elements * PS_OFFLOAD_UNSCALE_BYTES,
                                 .read = grad,
                                 .written = grad};
    const ps_cpu_work adam = {.name = "adam",
                              .memory = memory,
                              .lane = PS_EAGER_MAIN,
                              .bytes = (uint64_t)elements * PS_OFFLOAD_ADAM_BYTES,
                              .read = grad,
                              .written = state[0]};
    ps_op_cpu(e, &unscale);
    ps_op_cpu(e, &adam);
    for (int i = 1; i < PS_OFFLOAD_STATES; i++) {
        ps_eager_touch(e, state[i], true);
    }
}

/* PyTorch's AdamW over a list of one: two temporaries of its size. */
void ps_offload_step_on_device(ps_offload *self, ps_tensor state[PS_OFFLOAD_STATES], ps_tensor grad,
                               int64_t elements)
{
    static const struct {
        const char *name;
        uint64_t passes;
    } calls[] = {{"mul", 2},  {"mul", 2}, {"lerp", 3}, {"mul", 2},    {"addcmul", 3},
                 {"sqrt", 2}, {"div", 2}, {"add", 2},  {"addcdiv", 4}};
    ps_scheme *s = self->scheme;
    ps_tensor root = 0, quotient = 0;
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        if (calls[i].name[0] == 's') {
            root = ps_scheme_make(s, elements, PS_DTYPE_F32, PS_ROLE_TEMPORARY);
        } else if (calls[i].name[0] == 'd') {
            quotient = ps_scheme_make(s, elements, PS_DTYPE_F32, PS_ROLE_TEMPORARY);
        }
        ps_scheme_kernel(s, calls[i].name, calls[i].passes * ps_offload_wide(elements));
    }
    ps_eager_touch(s->e, grad, false);
    for (int i = 0; i < PS_OFFLOAD_STATES; i++) {
        ps_eager_touch(s->e, state[i], true);
    }
    ps_eager_clear(s->e, &root);
    ps_eager_clear(s->e, &quotient);
}

void ps_offload_narrow_on_device(ps_offload *self, ps_tensor from, int64_t elements)
{
    ps_scheme_kernel(self->scheme, "copy",
                     ps_offload_wide(elements) + ps_offload_narrow(self->scheme, elements));
    /* written is a slice that copies of other sub-groups, beside this, do not touch: not told */
    ps_eager_touch(self->scheme->e, from, false);
}

/* copy_() of 32 bits on the host to 16 on the device: narrow in new memory, then a copy of that. */
void ps_offload_write_back(ps_offload *self, ps_tensor copy, int64_t elements)
{
    const bool stays = self->scheme->settings->zero.offloads_parameters;
    ps_tensor fresh = stays ? ps_eager_hold(self->scheme->e, self->part)
                            : ps_offload_make_in(self, PS_MEMORY_PAGEABLE, elements,
                                                 ps_zero_type(self->scheme), PS_ROLE_TEMPORARY);
    const ps_cpu_work cast = {
        .name = "copy",
        .lane = PS_EAGER_MAIN,
        .bytes = (uint64_t)elements *
                 (stays ? PS_OFFLOAD_NARROW_BYTES : PS_OFFLOAD_NARROW_BYTES + FRESH_BYTES),
        .read = copy,
        .written = fresh};
    ps_op_cpu(self->scheme->e, &cast);
    if (!stays) {
        const ps_host_copy up = {.name = "copy",
                                 .kind = PS_COPY_HTOD,
                                 .memory = PS_MEMORY_PAGEABLE,
                                 .lane = PS_EAGER_MAIN,
                                 .bytes = ps_offload_narrow(self->scheme, elements),
                                 .is_blocking = true,
                                 .from = fresh,
                                 .to = self->part};
        ps_offload_copy(self, &up);
    }
    ps_eager_clear(self->scheme->e, &fresh);
}

void ps_offload_step(ps_offload *self)
{
    if (self->scheme->settings->zero.stores_optimizer) {
        ps_offload_step_from_storage(self);
        return;
    }
    for (size_t i = 0; i < self->count; i++) {
        ps_offload_group *g = &self->group[i];
        if (g->is_resident) {
            ps_offload_step_on_device(self, g->state, g->grad, g->elements);
            ps_offload_narrow_on_device(self, g->state[0], g->elements);
        } else {
            ps_offload_step_on_host(self, g->state, g->grad, g->elements, PS_MEMORY_PAGEABLE);
            ps_offload_write_back(self, g->state[0], g->elements);
        }
    }
}
