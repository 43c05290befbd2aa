/* SPDX-License-Identifier: MIT
 *
 * Sub-groups of stage 3: trained parameters that the optimizer steps over together.
 *
 *   here      gradients ── cat, wide ──► the script's optimizer over a 32-bit copy ──► part
 *   offload   the host has copy, moments and gradients of each: offload.h
 */
#include "workload/scheme/zero3.h"

/* ---- making ---- */

/* Parameters in their order, until a sub-group has reached its size. */
static void divide_into_groups(ps_scheme *self)
{
    ps_zero3 *z = ps_zero3_of(self);
    bool is_open = false;
    for (size_t i = 0; i < self->m->parameter_count; i++) {
        z->own_elements[i] =
            ps_zero3_part(&z->gather, ps_units_find(&z->units, self->m->parameter[i]));
        if (!is_open) {
            z->group[z->group_count++] = (ps_zero3_group){.first = i};
        }
        ps_zero3_group *group = &z->group[z->group_count - 1];
        group->count++;
        group->elements += z->own_elements[i];
        z->group_of[i] = z->group_count - 1;
        is_open = group->elements < self->settings->zero.sub_group_size;
    }
}

/* Sub-groups' states lie on the host, but for those that TwinFlow leaves on the device. */
static void make_offloaded(ps_scheme *self)
{
    ps_zero3 *z = ps_zero3_of(self);
    z->offload.scheme = self;
    z->offload.group = ps_scheme_calloc(self, z->group_count, sizeof *z->offload.group);
    if (z->offload.group == NULL) {
        return;
    }
    z->offload.count = z->group_count;
    for (size_t i = 0; i < z->group_count; i++) {
        z->offload.group[i].elements = z->group[i].elements;
    }
    ps_offload_make(&z->offload, z->part);
}

static void make_copies(ps_scheme *self)
{
    ps_zero3 *z = ps_zero3_of(self);
    int64_t most = 0;
    for (size_t i = 0; i < z->group_count; i++) {
        const int64_t elements = z->group[i].elements;
        z->of.parameter[i] = ps_zero_make_copy(self, elements);
        z->of.shape[i] = (ps_parameter_shape){.columns = elements};
        most = elements > most ? elements : most;
    }
    z->of.parameter_count = z->group_count;
    ps_zero_show_gradient(self, most);
}

void ps_zero3_make_groups(ps_scheme *self)
{
    divide_into_groups(self);
    if (ps_zero_offloads(self)) {
        make_offloaded(self);
    } else {
        make_copies(self);
    }
}

/* ---- steps ---- */

static void step_group(ps_scheme *self, ps_optimizer *optimizer, size_t which)
{
    const ps_zero3 *z = ps_zero3_of(self);
    const ps_zero3_group *group = &z->group[which];
    const uint64_t bytes = (uint64_t)group->elements * ps_dtype_bytes(ps_zero_type(self));
    ps_tensor flat = ps_op_view_of(self->e, z->grads, group->elements);
    if (group->count > 1) {
        ps_eager_assign(
            self->e, &flat,
            ps_scheme_make(self, group->elements, ps_zero_type(self), PS_ROLE_GRADIENT));
        ps_scheme_kernel(self, "cat", 2 * bytes);
    }
    ps_tensor grad = flat;
    if (ps_zero_type(self) != PS_DTYPE_F32) {
        grad = ps_scheme_make(self, group->elements, PS_DTYPE_F32, PS_ROLE_GRADIENT);
        ps_scheme_kernel(self, "copy",
                         bytes + (uint64_t)group->elements * ps_dtype_bytes(PS_DTYPE_F32));
        ps_eager_clear(self->e, &flat);
    }
    ps_zero_update(self, optimizer, z->of.parameter[which], grad);
}

/* Modules fetch what the host has stepped over when its copy to the device is over. */
static void note_sent(ps_zero3 *z)
{
    for (size_t i = 0; i < z->units.member_count; i++) {
        const size_t trained = z->units.member[i].trained;
        z->gather.param[i].sent =
            trained == PS_UNITS_NONE ? 0 : z->offload.group[z->group_of[trained]].sent;
    }
}

/* Norms were taken when gradients came: sub-group by sub-group they become one of all ranks. */
static void step_offloaded(ps_scheme *self)
{
    ps_zero3 *z = ps_zero3_of(self);
    for (size_t i = 0; i < z->group_count; i++) {
        ps_zero_sum_number(self);
        ps_op_wait(self->e, PS_EAGER_MAIN);
    }
    if (self->settings->zero.update_stride > 0) {
        ps_offload_step_by_stride(&z->offload);
        note_sent(z);
    } else {
        ps_offload_step(&z->offload);
    }
}

void ps_zero3_step_groups(ps_scheme *self, ps_optimizer *optimizer)
{
    const ps_zero3 *z = ps_zero3_of(self);
    if (ps_zero_offloads(self)) {
        step_offloaded(self);
        return;
    }
    ps_zero_norms(self, z->own_elements, self->m->parameter_count);
    for (size_t i = 0; i < z->group_count; i++) {
        step_group(self, optimizer, i);
    }
}
