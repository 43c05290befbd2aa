/* SPDX-License-Identifier: MIT
 *
 * Operators by their names: which of them multiply two tensors, and which of
 * their arguments those are.
 */
#include <string.h>

#include "policy/whatif_scale_parts.h"

const char *ps__bare_operator(const char *name)
{
    return strncmp(name, "aten::", 6) == 0 ? name + 6 : name;
}

const char *ps__scaling_operator_name(const ps_scaling *self, uint32_t range)
{
    return ps__bare_operator(ps_strings_text(self->trace->strings, self->trace->range.name[range]));
}

bool ps__scaling_product(const ps_scaling *self, uint32_t range, ps_product *out)
{
    const char *name = ps__scaling_operator_name(self, range);
    const ps_shapes *shapes = ps__scaling_shapes_of(self, range);
    const bool is_added = strcmp(name, "addmm") == 0 || strcmp(name, "baddbmm") == 0;
    const bool is_linear = strcmp(name, "linear") == 0;
    if ((!is_added && !is_linear && strcmp(name, "mm") != 0 && strcmp(name, "bmm") != 0) ||
        shapes == NULL || shapes->count < (is_added ? 3u : 2u)) {
        return false;
    }
    const ps_shape *right = &shapes->tensor[is_added + 1];
    *out = (ps_product){
        .left = &shapes->tensor[is_added],
        .right = right,
        .column_dim = is_linear ? 0 : right->dim_count - 1, /* a layer keeps its weight turned */
    };
    return true;
}
