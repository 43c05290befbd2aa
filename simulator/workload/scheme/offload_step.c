/* SPDX-License-Identifier: MIT
 *
 * Steps over one sub-group, on the host and on the device, and what each leaves
 * of it there in 16 bits.
 */
#include "workload/scheme/offload.h"

#define FRESH_BYTES 2 /* the host's, an element: of memory that is new, and cleared first */

void ps_offload_step_on_host(ps_scheme *s, const ps_offload_host_step *what)
{
    const uint64_t elements = (uint64_t)what->elements;
    const ps_cpu_work unscale = {.name = "mul",
                                 .memory = PS_MEMORY_PINNED,
                                 .lane = what->lane,
                                 .bytes = elements * PS_OFFLOAD_UNSCALE_BYTES,
                                 .read = what->grad,
                                 .written = what->grad};
    const ps_cpu_work adam = {.name = "adam",
                              .memory = what->memory,
                              .lane = what->lane,
                              .bytes = elements * PS_OFFLOAD_ADAM_BYTES,
                              .read = what->grad,
                              .written = what->state[0]};
    ps_op_cpu(s->e, &unscale);
    ps_op_cpu(s->e, &adam);
    for (int i = 1; i < PS_OFFLOAD_STATES; i++) {
        ps_eager_touch(s->e, what->state[i], true);
    }
}

/* PyTorch's AdamW over a list of one: two temporaries of its size. */
void ps_offload_step_on_device(ps_scheme *s, const ps_tensor state[PS_OFFLOAD_STATES],
                               ps_tensor grad, int64_t elements)
{
    enum { NOTHING, ROOT, QUOTIENT, RESULTS };
    static const struct {
        const char *name;
        uint64_t passes;
        int makes;
    } calls[] = {{"mul", 2, NOTHING},  {"mul", 2, NOTHING},     {"lerp", 3, NOTHING},
                 {"mul", 2, NOTHING},  {"addcmul", 3, NOTHING}, {"sqrt", 2, ROOT},
                 {"div", 2, QUOTIENT}, {"add", 2, NOTHING},     {"addcdiv", 4, NOTHING}};
    ps_tensor made[RESULTS] = {0};
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        if (calls[i].makes != NOTHING) {
            made[calls[i].makes] = ps_scheme_make(s, elements, PS_DTYPE_F32, PS_ROLE_TEMPORARY);
        }
        ps_scheme_kernel(s, calls[i].name, calls[i].passes * ps_offload_wide(elements));
    }
    ps_eager_touch(s->e, grad, false);
    for (int i = 0; i < PS_OFFLOAD_STATES; i++) {
        ps_eager_touch(s->e, state[i], true);
    }
    ps_eager_clear(s->e, &made[ROOT]);
    ps_eager_clear(s->e, &made[QUOTIENT]);
}

void ps_offload_narrow_on_device(ps_scheme *s, ps_tensor from, int64_t elements)
{
    ps_scheme_kernel(s, "copy", ps_offload_wide(elements) + ps_offload_narrow(s, elements));
    /* written is a slice that copies of other sub-groups, beside this, do not touch: not told */
    ps_eager_touch(s->e, from, false);
}

ps_tensor ps_offload_widen_on_device(ps_scheme *s, int64_t elements)
{
    const ps_tensor wide = ps_scheme_make(s, elements, PS_DTYPE_F32, PS_ROLE_TEMPORARY);
    ps_scheme_kernel(s, "copy", ps_offload_narrow(s, elements) + ps_offload_wide(elements));
    ps_eager_touch(s->e, wide, true);
    return wide;
}

/* A cast on the host: into the parameters where they are, else into new memory. */
static void cast(ps_scheme *s, ps_tensor from, ps_tensor to, uint64_t bytes)
{
    const ps_cpu_work work = {
        .name = "copy", .lane = PS_EAGER_MAIN, .bytes = bytes, .read = from, .written = to};
    ps_op_cpu(s->e, &work);
}

void ps_offload_write_back(ps_offload *self, ps_tensor copy, int64_t elements)
{
    ps_scheme *s = self->scheme;
    const uint64_t count = (uint64_t)elements;
    if (ps_offload_settings_of(self)->offloads_parameters) {
        cast(s, copy, self->part, count * PS_OFFLOAD_NARROW_BYTES);
        return;
    }
    ps_tensor fresh =
        ps_offload_make_in(self, PS_MEMORY_PAGEABLE, elements, ps_zero_type(s), PS_ROLE_TEMPORARY);
    cast(s, copy, fresh, count * (PS_OFFLOAD_NARROW_BYTES + FRESH_BYTES));
    const ps_host_copy up = {.name = "copy",
                             .kind = PS_COPY_HTOD,
                             .memory = PS_MEMORY_PAGEABLE,
                             .lane = PS_EAGER_MAIN,
                             .bytes = ps_offload_narrow(s, elements),
                             .is_blocking = true,
                             .from = fresh,
                             .to = self->part};
    ps_op_host_copy(s->e, &up);
    ps_eager_clear(s->e, &fresh);
}

void ps_offload_step(ps_offload *self)
{
    ps_scheme *s = self->scheme;
    if (ps_offload_settings_of(self)->stores_optimizer) {
        ps_offload_step_from_storage(self);
        return;
    }
    for (size_t i = 0; i < self->count; i++) {
        ps_offload_group *g = &self->group[i];
        if (g->is_resident) {
            ps_offload_step_on_device(s, g->state, g->grad, g->elements);
            ps_offload_narrow_on_device(s, g->state[0], g->elements);
        } else {
            const ps_offload_host_step step = {.state = g->state,
                                               .grad = g->grad,
                                               .elements = g->elements,
                                               .memory = PS_MEMORY_PAGEABLE,
                                               .lane = PS_EAGER_MAIN};
            ps_offload_step_on_host(s, &step);
            ps_offload_write_back(self, g->state[0], g->elements);
        }
    }
}
