/* SPDX-License-Identifier: MIT
 *
 * The way of gradients to an optimizer on the host: through a pinned buffer
 * where micro-batches add up, and at the last of them on to their sub-group.
 */
#include "workload/scheme/offload.h"

#define WIDEN_BYTES 6                    /* the host's, an element: 16 bits read, 32 written */
#define NORM_ELEMENTS INT64_C(250000000) /* at a time, in 64 bits */
#define DOUBLE PS_DTYPE_I64              /* as wide */

/* Its norm, in 64 bits, some of it at a time. */
static void norm(ps_scheme *s, int64_t elements)
{
    for (int64_t at = 0; at < elements; at += NORM_ELEMENTS) {
        const int64_t left = elements - at;
        const int64_t now = left < NORM_ELEMENTS ? left : NORM_ELEMENTS;
        ps_tensor copy = ps_scheme_make(s, now, DOUBLE, PS_ROLE_TEMPORARY);
        const uint64_t bytes = (uint64_t)now * ps_dtype_bytes(DOUBLE);
        ps_scheme_kernel(s, "copy", ps_offload_narrow(s, now) + bytes);
        ps_scheme_kernel(s, "linalg_vector_norm", bytes);
        ps_eager_clear(s->e, &copy);
    }
}

/* Narrow into new pageable memory, which the host then makes wide: it waits for the copy. */
static void flush_waiting(ps_offload *self, ps_tensor from, ps_offload_group *g, int64_t elements)
{
    ps_scheme *s = self->scheme;
    ps_tensor fresh =
        ps_offload_make_in(self, PS_MEMORY_PAGEABLE, elements, ps_zero_type(s), PS_ROLE_TEMPORARY);
    ps_host_copy down = ps_offload_copy_now(s, PS_COPY_DTOH, ps_offload_narrow(s, elements));
    down.memory = PS_MEMORY_PAGEABLE;
    down.is_blocking = true;
    down.from = from;
    down.to = fresh;
    ps_op_host_copy(s->e, &down);
    const ps_cpu_work widen = {.name = "copy",
                               .lane = PS_EAGER_MAIN,
                               .bytes = (uint64_t)elements * WIDEN_BYTES,
                               .read = fresh,
                               .written = g->grad};
    ps_op_cpu(s->e, &widen);
    ps_eager_clear(s->e, &fresh);
}

/* Wide on the device, then down while the host goes on. */
static void flush_beside(ps_scheme *s, ps_offload_group *g, int64_t elements, uint32_t mark)
{
    ps_tensor wide = ps_offload_widen_on_device(s, elements);
    ps_host_copy down = ps_offload_copy_now(s, PS_COPY_DTOH, ps_offload_wide(elements));
    down.from = wide;
    down.to = g->grad;
    down.mark = mark;
    ps_op_host_copy(s->e, &down);
    ps_eager_clear(s->e, &wide);
}

/* One that visits the device keeps it there, all parameters' in one. */
static void keep_on_device(ps_scheme *s, ps_offload_group *g, int64_t elements)
{
    if (g->is_resident) {
        ps_scheme_kernel(s, "copy", ps_offload_narrow(s, elements) + ps_offload_wide(elements));
        return;
    }
    if (g->narrow_grad == 0) {
        g->narrow_grad = ps_scheme_make(s, g->elements, ps_zero_type(s), PS_ROLE_GRADIENT);
    }
    ps_scheme_kernel(s, "copy", 2 * ps_offload_narrow(s, elements));
    ps_eager_touch(s->e, g->narrow_grad, true);
}

/* To the pinned buffer and back, where later micro-batches find it. */
static ps_tensor accumulate(ps_offload *self, int64_t elements, bool adds, uint32_t mark)
{
    ps_scheme *s = self->scheme;
    ps_host_copy down = ps_offload_copy_now(s, PS_COPY_DTOH, ps_offload_narrow(s, elements));
    ps_host_copy up = ps_offload_copy_now(s, PS_COPY_HTOD, ps_offload_narrow(s, elements));
    down.to = self->accumulated;
    up.from = self->accumulated;
    if (!adds) {
        ps_op_host_copy(s->e, &down);
    }
    const ps_tensor here = ps_scheme_make(s, elements, ps_zero_type(s), PS_ROLE_TEMPORARY);
    up.to = here;
    up.mark = adds ? 0 : mark;
    ps_op_host_copy(s->e, &up);
    if (adds) {
        ps_scheme_kernel(s, "add", 3 * ps_offload_narrow(s, elements));
        ps_eager_touch(s->e, here, true);
        down.from = here;
        down.mark = mark;
        ps_op_host_copy(s->e, &down);
    }
    return here;
}

void ps_offload_take_grad(ps_offload *self, size_t group, int64_t elements, bool adds, bool is_last,
                          uint32_t mark)
{
    ps_scheme *s = self->scheme;
    ps_offload_group *g = &self->group[group];
    ps_tensor here = accumulate(self, elements, adds, mark);
    if (is_last) {
        norm(s, elements);
        if (g->visits || g->is_resident) {
            keep_on_device(s, g, elements);
        } else if (ps_offload_settings_of(self)->stores_optimizer) {
            ps_offload_store_grad(self, g, elements);
        } else if (ps_offload_settings_of(self)->flushes_beside) {
            flush_beside(s, g, elements, mark);
        } else {
            flush_waiting(self, here, g, elements);
        }
    }
    ps_eager_clear(s->e, &here);
}
