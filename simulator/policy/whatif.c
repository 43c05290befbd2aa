/* SPDX-License-Identifier: MIT
 *
 * Driver of the what-ifs on a recorded plan.
 */
#include "policy/whatif.h"

#include "policy/whatif_parts.h"

ps_code ps__whatif_recorded_gpu(const ps_plan *plan, uint32_t device, const ps_catalogue *catalogue,
                                ps_hardware_id *out, ps_error *err)
{
    const char *name = ps_strings_text(plan->strings, plan->device.name[device]);
    if (name[0] == '\0') {
        return ps_fail(err, PS_NOT_FOUND,
                       "the recording does not name its GPU, so another one cannot be compared "
                       "with it");
    }
    return ps_catalogue_find(catalogue, PS_HARDWARE_GPU, name, out, err);
}

ps_code ps_whatif_apply(ps_plan *plan, const ps_catalogue *catalogue, const ps_whatif *change,
                        ps_error *err)
{
    ps_hardware_id target;
    const ps_hardware_id *wanted = NULL;
    if (change->gpu != NULL) {
        PS_TRY(ps_catalogue_find(catalogue, PS_HARDWARE_GPU, change->gpu, &target, err));
        wanted = &target;
    }
    /* sizes first: they compare with the recorded GPU, and copies become transfers of new sizes */
    bool is_scaled = false;
    if (change->scale != NULL) {
        PS_TRY(ps__whatif_scale(plan, catalogue, change->scale, &is_scaled, err));
    }
    /* copies then: they compare with the recorded GPU, which the next stage renames */
    if (change->gpu != NULL || change->pcie_bytes_per_s != 0) {
        PS_TRY(ps__whatif_copies(plan, catalogue, change, wanted, err));
    }
    if (wanted != NULL) {
        PS_TRY(ps__whatif_compute(plan, catalogue, target, err));
    }
    return ps__whatif_memory(plan, catalogue, change, wanted, is_scaled, err);
}
