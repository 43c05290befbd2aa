/* SPDX-License-Identifier: MIT
 *
 * Parameters of a model by units that are gathered together: a unit for each
 * block, and unit 0 for what is in no block.
 */
#ifndef PS_WORKLOAD_UNITS_H
#define PS_WORKLOAD_UNITS_H

#include "workload/model/model.h"

#define PS_UNITS_NONE SIZE_MAX

/** A parameter, trained or not. */
typedef struct ps_unit_member {
    ps_tensor tensor;
    ps_parameter_shape shape;
    size_t partner; /* for a scheme: the bias that goes with a weight */
    size_t trained; /* its number in ps_model.parameter; PS_UNITS_NONE: it is frozen */
} ps_unit_member;

typedef struct ps_units {
    ps_unit_member *member; /* those of a unit together, in the order of the model */
    size_t member_count;
    size_t *begin; /* of each unit in member, and behind the last one's end */
    size_t count;
    size_t *member_of; /* a tensor of ps_model.every; PS_UNITS_NONE: it is no parameter */
    size_t member_of_count;
} ps_units;

/**
 * Sorts a loaded model's parameters.
 *
 * @param self  zeroed; release with ps_units_fini, also after a failure
 * @return PS_OK · PS_NOMEM
 */
ps_code ps_units_create(ps_units *self, const ps_model *m, ps_error *err) PS_MUST_USE;
void ps_units_fini(ps_units *self);

/** Number of the member that a tensor is; PS_UNITS_NONE: it is no parameter. */
static inline size_t ps_units_find(const ps_units *self, ps_tensor tensor)
{
    return tensor < self->member_of_count ? self->member_of[tensor] : PS_UNITS_NONE;
}

#endif
