/* SPDX-License-Identifier: MIT
 *
 * The memory of an optimizer on the host: states and gradients of each
 * sub-group, and the buffers they pass through.
 */
#include "workload/scheme/offload.h"

#include "base/memory.h"

ps_tensor ps_offload_make_in(ps_offload *self, ps_memory_kind memory, int64_t elements,
                             ps_dtype dtype, ps_role role)
{
    const ps_memory_kind was = ps_eager_set_memory(self->scheme->e, memory);
    const ps_tensor out = ps_scheme_make(self->scheme, elements, dtype, role);
    (void)ps_eager_set_memory(self->scheme->e, was);
    return out;
}

/* Where its states lie. */
static ps_memory_kind memory_of_states(const ps_zero_settings *z, const ps_offload_group *g)
{
    if (g->is_resident) {
        return PS_MEMORY_UNKNOWN; /* the device's own */
    }
    if (z->stores_optimizer) {
        return PS_MEMORY_STORAGE;
    }
    return z->update_stride > 0 ? PS_MEMORY_PINNED : PS_MEMORY_PAGEABLE;
}

static ps_memory_kind memory_of_grad(const ps_zero_settings *z, const ps_offload_group *g)
{
    if (g->is_resident) {
        return PS_MEMORY_UNKNOWN;
    }
    return z->stores_optimizer ? PS_MEMORY_STORAGE : PS_MEMORY_PINNED;
}

static void make_group(ps_offload *self, size_t i)
{
    const ps_zero_settings *z = ps_offload_settings_of(self);
    ps_offload_group *g = &self->group[i];
    g->visits = z->update_stride > 0 && (i + 1) % (size_t)z->update_stride == 0;
    for (int state = 0; state < PS_OFFLOAD_STATES; state++) {
        g->state[state] = ps_offload_make_in(self, memory_of_states(z, g), g->elements,
                                             PS_DTYPE_F32, PS_ROLE_OPTIMIZER_STATE);
    }
    g->grad =
        ps_offload_make_in(self, memory_of_grad(z, g), g->elements, PS_DTYPE_F32, PS_ROLE_GRADIENT);
    /* a resident one that the stride picks has its gradient twice */
    if (g->visits && g->is_resident) {
        g->wide_grad = ps_offload_make_in(self, PS_MEMORY_UNKNOWN, g->elements, PS_DTYPE_F32,
                                          PS_ROLE_GRADIENT);
    }
}

int64_t ps_offload_largest(const ps_offload *self)
{
    int64_t most = 0;
    for (size_t i = 0; i < self->count; i++) {
        most = self->group[i].elements > most ? self->group[i].elements : most;
    }
    return most;
}

/* Narrow copies of a round that the host steps over, on their way up. */
static void make_staging(ps_offload *self)
{
    const ps_zero_settings *z = ps_offload_settings_of(self);
    if (z->update_stride > 0 && !z->has_one_copy_stream) {
        for (int64_t i = 0; i + 1 < z->update_stride; i++) {
            (void)ps_offload_make_in(self, PS_MEMORY_PINNED, ps_offload_largest(self),
                                     ps_zero_type(self->scheme), PS_ROLE_WORKSPACE);
        }
    }
}

void ps_offload_make(ps_offload *self, ps_tensor part)
{
    const ps_zero_settings *z = ps_offload_settings_of(self);
    const size_t on_host = (size_t)((int64_t)self->count * z->offload_millionths / PS_ZERO_WHOLE);
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
    if (z->stores_optimizer) {
        ps_offload_make_swap(self);
    }
}

void ps_offload_fini(ps_offload *self)
{
    ps_free(self->group);
    *self = (ps_offload){0};
}
