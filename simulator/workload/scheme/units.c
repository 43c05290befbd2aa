/* SPDX-License-Identifier: MIT
 *
 * Parameters by blocks.
 */
#include "workload/scheme/units.h"

#include "base/memory.h"

static size_t count_units(const ps_model *m)
{
    size_t last = 0;
    for (size_t i = 0; i < m->every_count; i++) {
        last = m->every_shape[i].block > last ? m->every_shape[i].block : last;
    }
    return last + 1;
}

static size_t count_tensors(const ps_model *m)
{
    size_t last = 0;
    for (size_t i = 0; i < m->every_count; i++) {
        last = m->every[i] > last ? m->every[i] : last;
    }
    return last + 1;
}

/* Counts the members of each unit, then puts each behind those before it. */
static void sort(ps_units *self, const ps_tensor *list, const ps_parameter_shape *shape)
{
    for (size_t i = 0; i < self->member_count; i++) {
        self->begin[shape[i].block + 1]++;
    }
    for (size_t unit = 1; unit <= self->count; unit++) {
        self->begin[unit] += self->begin[unit - 1];
    }
    for (size_t i = 0; i < self->member_count; i++) {
        self->member[self->begin[shape[i].block]++] = (ps_unit_member){.tensor = list[i],
                                                                       .shape = shape[i],
                                                                       .partner = PS_UNITS_NONE,
                                                                       .trained = PS_UNITS_NONE};
    }
    for (size_t unit = self->count; unit > 0; unit--) {
        self->begin[unit] = self->begin[unit - 1];
    }
    self->begin[0] = 0;
}

ps_code ps_units_create(ps_units *self, const ps_model *m, ps_error *err)
{
    /* a list of all that are trained is in the model's order, which that of making need not be */
    const bool is_all = m->parameter_count == m->every_count;
    self->count = count_units(m);
    self->member_count = m->every_count;
    self->member_of_count = count_tensors(m);
    self->member = ps_calloc(self->member_count + 1, sizeof *self->member);
    self->begin = ps_calloc(self->count + 2, sizeof *self->begin);
    self->member_of = ps_calloc(self->member_of_count, sizeof *self->member_of);
    if (self->member == NULL || self->begin == NULL || self->member_of == NULL) {
        return ps_fail_nomem(err);
    }
    sort(self, is_all ? m->parameter : m->every, is_all ? m->shape : m->every_shape);
    for (size_t i = 0; i < self->member_of_count; i++) {
        self->member_of[i] = PS_UNITS_NONE;
    }
    for (size_t i = 0; i < self->member_count; i++) {
        self->member_of[self->member[i].tensor] = i;
    }
    for (size_t i = 0; i < m->parameter_count; i++) {
        self->member[self->member_of[m->parameter[i]]].trained = i;
    }
    return PS_OK;
}

void ps_units_fini(ps_units *self)
{
    ps_free(self->member);
    ps_free(self->begin);
    ps_free(self->member_of);
    *self = (ps_units){0};
}
