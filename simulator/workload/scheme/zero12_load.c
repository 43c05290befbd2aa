/* SPDX-License-Identifier: MIT
 *
 * Loading: parameters are broadcast one by one and copied into one flat buffer,
 * padded to twice the number of ranks, as a device with room for both allows.
 */
#include "workload/scheme/zero12.h"

/* model.bfloat16(), and what rank 0 has goes to all */
static void convert(ps_scheme *self)
{
    ps_model *m = self->m;
    for (size_t i = 0; i < m->every_count; i++) {
        if (ps_eager_dtype(self->e, m->every[i]) != ps_zero_type(self)) {
            const ps_tensor narrow = ps_scheme_make(self, ps_eager_elements(self->e, m->every[i]),
                                                    ps_zero_type(self), PS_ROLE_PARAMETER);
            ps_scheme_kernel(self, "copy",
                             ps_eager_bytes(self->e, m->every[i]) +
                                 ps_eager_bytes(self->e, narrow));
            ps_eager_set_data(self->e, m->every[i], narrow);
        }
    }
    for (size_t i = 0; i < m->every_count; i++) {
        ps_scheme_collect(self, PS_COLLECTIVE_BROADCAST, PS_EAGER_MAIN, ps_scheme_all_axes(self),
                          ps_zero_type(self), ps_eager_bytes(self->e, m->every[i]));
    }
}

/* Whether the device holds the flat buffer beside what is there: by default it does. */
static bool has_room(const ps_scheme *self, uint64_t flat_bytes)
{
    const uint64_t has = self->settings->zero.device_bytes;
    uint64_t live = flat_bytes;
    for (size_t i = 0; i < self->m->every_count; i++) {
        live += ps_eager_bytes(self->e, self->m->every[i]);
    }
    return has == 0 || live <= has;
}

/* Trained parameters are copied one behind the other, and become places of the copy. Where there is
 * no room for both they go to the host, are joined there, and come back as one. */
static void lay_flat(ps_scheme *self)
{
    ps_model *m = self->m;
    ps_zero12 *z = ps_zero12_of(self);
    const int64_t elements = z->part * self->shards;
    const uint64_t bytes = (uint64_t)elements * ps_dtype_bytes(ps_zero_type(self));
    const bool is_here = has_room(self, bytes);
    ps_eager_release_cache(self->e);
    for (size_t i = 0; i < m->parameter_count && !is_here; i++) {
        ps_eager_send_away(self->e, m->parameter[i]);
    }
    if (!is_here) {
        ps_eager_release_cache(self->e);
    }
    z->flat = ps_scheme_make(self, elements, ps_zero_type(self), PS_ROLE_PARAMETER);
    if (is_here) {
        ps_scheme_kernel(self, "cat", 2 * bytes);
    } else {
        ps_scheme_copy_host(self, bytes);
    }
    for (size_t i = 0; i < m->parameter_count; i++) {
        ps_eager_send_away(self->e, m->parameter[i]);
        ps_eager_lay_into(self->e, m->parameter[i], z->flat);
    }
}

static void measure(ps_scheme *self)
{
    ps_zero12 *z = ps_zero12_of(self);
    const int64_t alignment = 2 * self->shards;
    const size_t count = self->m->parameter_count;
    for (size_t i = 0; i < count; i++) {
        z->begin[i + 1] = z->begin[i] + ps_zero12_elements_of(self, i);
    }
    z->part = ps_scheme_share(z->begin[count], alignment) * 2;
    for (size_t i = 0; i < count; i++) {
        if (ps_zero12_is_mine(self, i)) {
            z->own_elements[z->own_count++] = ps_zero12_shared(z, i, self->place);
        }
    }
    self->is_uneven = true;
}

void ps_zero12_load(ps_scheme *self)
{
    convert(self);
    measure(self);
    lay_flat(self);
}
