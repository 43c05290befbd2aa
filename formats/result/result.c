/* SPDX-License-Identifier: MIT
 *
 * Results: names and release.
 */
#include "result/result.h"

#include "base/memory.h"

void ps_result_fini(ps_result *self)
{
    ps_free(self->step);
    for (size_t i = 0; i < self->device_count; i++) {
        ps_free(self->device[i].phase);
        ps_free(self->device[i].retry);
    }
    ps_free(self->device);
    ps_free(self->node);
    ps_free(self->steady.lane);
    ps_free(self->steady.link);
    *self = (ps_result){0};
}

const char *ps_basis_name(ps_basis basis)
{
    static const char *const names[PS_BASIS_COUNT] = {
        [PS_BASIS_MEASURED] = "measured",
        [PS_BASIS_SCALED] = "scaled",
        [PS_BASIS_ANALYTIC] = "analytic",
        [PS_BASIS_GUESSED] = "guessed",
    };
    return (unsigned)basis < PS_BASIS_COUNT ? names[basis] : "unknown";
}

const char *ps_role_name(ps_role role)
{
    static const char *const names[PS_ROLE_COUNT] = {
        [PS_ROLE_UNKNOWN] = "unknown",
        [PS_ROLE_PARAMETER] = "parameter",
        [PS_ROLE_GRADIENT] = "gradient",
        [PS_ROLE_OPTIMIZER_STATE] = "optimizer-state",
        [PS_ROLE_ACTIVATION] = "activation",
        [PS_ROLE_TEMPORARY] = "temporary",
        [PS_ROLE_INPUT] = "input",
        [PS_ROLE_WORKSPACE] = "workspace",
        [PS_ROLE_BEFORE] = "before-recording",
    };
    return (unsigned)role < PS_ROLE_COUNT ? names[role] : "unknown";
}

const char *ps_growth_name(ps_growth growth)
{
    switch (growth) {
    case PS_GROWTH_FIXED:
        return "fixed";
    case PS_GROWTH_BATCH:
        return "batch";
    case PS_GROWTH_SEQUENCE:
        return "sequence";
    case PS_GROWTH_BATCH_SEQUENCE:
        return "batch-sequence";
    case PS_GROWTH_BATCH_SEQUENCE_SQUARED:
        return "batch-sequence-squared";
    case PS_GROWTH_SEQUENCE_SQUARED:
        return "sequence-squared";
    case PS_GROWTH_UNDECIDED:
        return "undecided";
    case PS_GROWTH_UNKNOWN:
    case PS_GROWTH_COUNT:
        break;
    }
    return "unknown";
}
