/* SPDX-License-Identifier: MIT
 *
 * ZeRO-Offload's flat optimizer on the host.
 */
#include "workload/scheme/offload_flat.h"

static bool is_delayed(const ps_offload_flat *self)
{
    return self->scheme->settings->zero.delays_update;
}

void ps_offload_flat_make(ps_offload_flat *self, ps_scheme *scheme, int64_t elements,
                          int64_t largest)
{
    *self = (ps_offload_flat){.scheme = scheme, .elements = elements};
    const ps_memory_kind was = ps_eager_set_memory(scheme->e, PS_MEMORY_PINNED);
    for (int i = 0; i < PS_OFFLOAD_STATES; i++) {
        (void)ps_eager_set_memory(scheme->e, i == 0 ? PS_MEMORY_PINNED : PS_MEMORY_PAGEABLE);
        self->state[i] = ps_scheme_make(scheme, elements, PS_DTYPE_F32, PS_ROLE_OPTIMIZER_STATE);
    }
    (void)ps_eager_set_memory(scheme->e, PS_MEMORY_PINNED);
    for (int i = 0; i < (is_delayed(self) ? 2 : 1); i++) {
        self->grad[i] = ps_scheme_make(scheme, elements, PS_DTYPE_F32, PS_ROLE_GRADIENT);
    }
    if (scheme->m->recipe->accumulate > 1) {
        self->accumulated =
            ps_scheme_make(scheme, elements, ps_zero_type(scheme), PS_ROLE_GRADIENT);
    }
    self->narrow = ps_scheme_make(scheme, elements, ps_zero_type(scheme), PS_ROLE_WORKSPACE);
    (void)ps_eager_set_memory(scheme->e, was);
    /* detach().clone().to(cpu): a copy of this rank's part, on the device for a moment */
    ps_tensor clone = ps_scheme_make(scheme, elements, ps_zero_type(scheme), PS_ROLE_TEMPORARY);
    ps_scheme_kernel(scheme, "copy", 2 * ps_offload_narrow(scheme, elements));
    ps_eager_clear(scheme->e, &clone);
    self->landing = ps_scheme_make(scheme, largest, ps_zero_type(scheme), PS_ROLE_WORKSPACE);
}

static void copy(ps_offload_flat *self, ps_copy_kind kind, uint64_t bytes, ps_tensor from,
                 ps_tensor to)
{
    ps_host_copy what = ps_offload_copy_now(self->scheme, kind, bytes);
    what.from = from;
    what.to = to;
    ps_op_host_copy(self->scheme->e, &what);
}

static void accumulate(ps_offload_flat *self, int64_t elements, bool adds)
{
    ps_scheme *s = self->scheme;
    if (adds) {
        copy(self, PS_COPY_HTOD, ps_offload_narrow(s, elements), self->accumulated, self->landing);
        ps_scheme_kernel(s, "add", 3 * ps_offload_narrow(s, elements));
        ps_eager_touch(s->e, self->landing, false);
    }
    copy(self, PS_COPY_DTOH, ps_offload_narrow(s, elements), 0, self->accumulated);
}

void ps_offload_flat_take_grad(ps_offload_flat *self, int64_t elements, bool adds, bool is_last)
{
    ps_scheme *s = self->scheme;
    if (self->accumulated != 0) {
        accumulate(self, elements, adds);
    }
    if (!is_last) {
        return;
    }
    ps_tensor big = ps_scheme_make(s, elements, PS_DTYPE_I64, PS_ROLE_TEMPORARY); /* 64 bits */
    ps_scheme_kernel(s, "linalg_vector_norm",
                     ps_offload_narrow(s, elements) + 4 * ps_offload_wide(elements));
    ps_eager_assign(s->e, &big, ps_scheme_make(s, elements, PS_DTYPE_F32, PS_ROLE_TEMPORARY));
    ps_scheme_kernel(s, "copy", ps_offload_narrow(s, elements) + ps_offload_wide(elements));
    ps_eager_touch(s->e, big, true);
    copy(self, PS_COPY_DTOH, ps_offload_wide(elements), big, self->grad[self->turn]);
    ps_eager_clear(s->e, &big);
}

static void step_in(ps_offload_flat *self, ps_eager_lane lane)
{
    ps_eager *e = self->scheme->e;
    const ps_offload_host_step step = {.state = self->state,
                                       .grad = self->grad[self->turn],
                                       .elements = self->elements,
                                       .memory = PS_MEMORY_PAGEABLE,
                                       .lane = lane};
    const ps_cpu_work cast = {.name = "copy",
                              .lane = lane,
                              .memory = PS_MEMORY_PINNED,
                              .bytes = (uint64_t)self->elements * PS_OFFLOAD_NARROW_BYTES,
                              .mark = ps_eager_new_mark(e),
                              .read = self->state[0],
                              .written = self->narrow};
    ps_offload_step_on_host(self->scheme, &step);
    ps_op_cpu(e, &cast);
    self->stepped = cast.mark;
}

static void bring_back(ps_offload_flat *self, ps_tensor part)
{
    ps_scheme *s = self->scheme;
    copy(self, PS_COPY_HTOD, ps_offload_narrow(s, self->elements), self->narrow, part);
    ps_op_wait(s->e, PS_EAGER_MAIN);
}

void ps_offload_flat_step(ps_offload_flat *self, ps_tensor part)
{
    if (!is_delayed(self)) {
        step_in(self, PS_EAGER_MAIN);
        bring_back(self, part);
        return;
    }
    if (self->stepped != 0) {
        ps_op_wait_mark(self->scheme->e, self->stepped);
        bring_back(self, part);
    }
    step_in(self, PS_EAGER_WORKER);
    self->turn = 1 - self->turn;
}
