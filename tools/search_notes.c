/* SPDX-License-Identifier: MIT
 *
 * What holds for all rows of a search's tables.
 */
#include "search_report.h"

/* What fits only by an allocator that gives back what it kept. */
static bool empties_caches(const ps_search_report *self)
{
    for (size_t i = 0; i < self->result.fitting_count; i++) {
        if (self->result.family[i].trial.point.empties_caches) {
            return true;
        }
    }
    return false;
}

/* The fastest keeps states or parameters off the GPU. */
static bool rests_on_host(const ps_search_report *self)
{
    const ps_search_result *result = &self->result;
    return result->fitting_count > 0 &&
           ps_search_placement_family(result->family[0].trial.point.method.placement) != NULL;
}

void ps_search_print_notes(const ps_search_report *self, ps_output *out)
{
    const ps_search_case *of = self->of;
    ps_output_print(out, "\n%zu trials; %llu.%llu %% of a GPU's memory stay free (--margin)%s; ",
                    self->result.trial_count, (unsigned long long)of->margin / 10000,
                    (unsigned long long)of->margin / 1000 % 10,
                    empties_caches(self)
                        ? ", of tensors\nalone where the allocator empties its cache to fit"
                        : "");
    ps_output_print(out, "frameworks differ in the copies of\nweights that they keep "
                         "(docs/MODEL.md)\n");
    if (of->machine.gpus > 1 && rests_on_host(self)) {
        ps_output_print(out,
                        "fewer GPUs were not tried: each would have more of the host's memory and "
                        "links, and\n--gpus 1 may be faster\n");
    }
}
