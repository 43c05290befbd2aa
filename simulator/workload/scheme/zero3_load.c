/* SPDX-License-Identifier: MIT
 *
 * Loading of stage 3: parameters become parts of them, and those of trained ones
 * one buffer.
 *
 *   zero.Init   whole ── broadcast ──► part     parameter after parameter
 *   engine      parts of trained ones ──► host ──► one buffer
 */
#include "workload/scheme/zero3.h"

/* zero.Init: a parameter is whole, the same on all ranks, then a part of it. */
static ps_tensor divide(ps_scheme *self, size_t member)
{
    const ps_zero3 *z = ps_zero3_of(self);
    const ps_tensor tensor = z->units.member[member].tensor;
    ps_eager_retype(self->e, tensor, ps_zero_type(self));
    ps_eager_bring(self->e, tensor, PS_ROLE_PARAMETER);
    ps_scheme_collect(self, PS_COLLECTIVE_BROADCAST, PS_EAGER_MAIN, ps_scheme_all_axes(self),
                      ps_zero_type(self), ps_eager_bytes(self->e, tensor));
    const ps_tensor part = ps_scheme_make(self, ps_zero3_part(&z->gather, member),
                                          ps_zero_type(self), PS_ROLE_PARAMETER);
    ps_scheme_kernel(self, "copy", 2 * ps_eager_bytes(self->e, part));
    ps_eager_empty(self->e, tensor);
    return part;
}

void ps_zero3_divide(ps_scheme *self)
{
    ps_zero3 *z = ps_zero3_of(self);
    for (size_t i = 0; i < self->m->every_count; i++) {
        const size_t member = ps_units_find(&z->units, self->m->every[i]);
        ps_eager_set_block(self->e, self->m->every_shape[i].block);
        z->member_part[member] = divide(self, member);
    }
    ps_eager_set_block(self->e, 0);
}

/* Parts go to the host one by one and come back as one, where they come back. */
void ps_zero3_join_parts(ps_scheme *self)
{
    ps_zero3 *z = ps_zero3_of(self);
    int64_t elements = 0;
    for (size_t i = 0; i < z->units.member_count; i++) {
        if (z->units.member[i].trained != PS_UNITS_NONE) {
            elements += ps_eager_elements(self->e, z->member_part[i]);
            ps_scheme_copy_host(self, ps_eager_bytes(self->e, z->member_part[i]));
            ps_eager_clear(self->e, &z->member_part[i]);
        }
    }
    const bool stays = self->settings->zero.offloads_parameters;
    const ps_memory_kind was = ps_eager_memory_now(self->e);
    (void)ps_eager_set_memory(self->e, stays ? PS_MEMORY_PINNED : was);
    z->part = ps_scheme_make(self, elements, ps_zero_type(self), PS_ROLE_PARAMETER);
    (void)ps_eager_set_memory(self->e, was);
    z->gather.host_part = stays ? z->part : 0;
    if (!stays) {
        ps_scheme_copy_host(self, ps_eager_bytes(self->e, z->part));
    }
}

void ps_zero3_lay_whole(ps_scheme *self)
{
    const ps_zero3 *z = ps_zero3_of(self);
    if (self->shards > 1 || self->settings->zero.offloads_parameters) {
        return;
    }
    for (size_t i = 0; i < z->units.member_count; i++) {
        const ps_unit_member *member = &z->units.member[i];
        ps_eager_send_away(self->e, member->tensor);
        ps_eager_lay_into(self->e, member->tensor,
                          member->trained == PS_UNITS_NONE ? z->member_part[i] : z->part);
    }
}
