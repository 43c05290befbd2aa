/* SPDX-License-Identifier: MIT
 *
 * Driver of the what-ifs on a recorded plan.
 */
#include "policy/whatif.h"

#include "policy/data_parallel_parts.h"
#include "policy/host_links.h"
#include "policy/offload_parts.h"
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

/* Sizes first: they compare with the recorded GPU, and copies become transfers of new sizes. Copies
 * then: they compare with the recorded GPU, which the next stage renames. */
static ps_code change_work(ps_plan *plan, const ps_catalogue *catalogue, const ps_whatif *change,
                           const ps_hardware_id *wanted, bool *is_scaled, ps_error *err)
{
    if (change->scale != NULL) {
        PS_TRY(ps__whatif_scale(plan, catalogue, change->scale, is_scaled, err));
    }
    if (change->gpu != NULL || change->pcie_bytes_per_s != 0) {
        PS_TRY(ps_host_links_has_slots(plan)
                   ? ps__whatif_slots(plan, catalogue, change, wanted, err)
                   : ps__whatif_copies(plan, catalogue, change, wanted, err));
    }
    if (change->host_memory_bytes_per_s != 0) {
        PS_TRY(ps_host_links_set_memory(plan, change->host_memory_bytes_per_s, err));
    }
    return wanted == NULL ? PS_OK : ps__whatif_compute(plan, catalogue, *wanted, err);
}

/* Gradients are looked up in the plan as recorded, and exchanged in what has become of it. */
static ps_code change_ranks(ps_plan *plan, const ps_catalogue *catalogue, const ps_whatif *change,
                            const ps_hardware_id *wanted, bool *is_scaled, ps_error *err)
{
    const ps_data_parallel *ranks = change->data_parallel;
    ps_gradients gradients = {0};
    ps_hardware_id gpu = {0};
    PS_TRY(ps__data_parallel_check(ranks, plan, err));
    PS_TRY(ps_gradients_find(ranks->trace, ranks->structure, plan, &gradients, err));
    ps_code code = change_work(plan, catalogue, change, wanted, is_scaled, err);
    /* copies in and out of buckets need to know the GPU; the rest does without */
    bool is_known = ps__whatif_recorded_gpu(plan, 0, catalogue, &gpu, NULL) == PS_OK;
    if (code == PS_OK && !is_known && !gradients.has_buckets && ps__ddp_has_kernels(plan)) {
        code = ps__whatif_recorded_gpu(plan, 0, catalogue, &gpu, err);
        is_known = true;
    }
    if (code == PS_OK) {
        code = ps__data_parallel(plan, catalogue, is_known ? &gpu : NULL, ranks, &gradients, err);
    }
    *is_scaled = *is_scaled || !gradients.has_buckets;
    ps_gradients_fini(&gradients);
    return code;
}

/* The GPU that the plan has by now; one that is not known has the figures common to all. */
static ps_code present_gpu(const ps_plan *plan, const ps_catalogue *catalogue, ps_hardware_id *out,
                           ps_error *err)
{
    return ps__whatif_recorded_gpu(plan, 0, catalogue, out, NULL) == PS_OK
               ? PS_OK
               : ps_catalogue_find(catalogue, PS_HARDWARE_FAMILY, "family-gpu", out, err);
}

/* What can go is looked up in the plan as recorded, and goes in what has become of it. */
static ps_code change_offload(ps_plan *plan, const ps_catalogue *catalogue, const ps_whatif *change,
                              const ps_hardware_id *wanted, bool *is_scaled, ps_error *err)
{
    ps_offload_plan what;
    ps_hardware_id gpu;
    PS_TRY(ps__offload_plan(plan, change->offload, &what, err));
    ps_code code = change_work(plan, catalogue, change, wanted, is_scaled, err);
    if (code == PS_OK) {
        code = present_gpu(plan, catalogue, &gpu, err);
    }
    if (code == PS_OK) {
        code = ps__offload_apply(plan, catalogue, gpu, change->offload, &what, err);
    }
    if (code == PS_OK && change->pcie_bytes_per_s != 0) {
        code = ps__whatif_slots(plan, catalogue, change, NULL, err); /* those of the copies, too */
    }
    *is_scaled = true;
    ps__offload_plan_fini(&what);
    return code;
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
    bool is_scaled = false;
    if (change->data_parallel != NULL && change->data_parallel->ranks > 1) {
        PS_TRY(change_ranks(plan, catalogue, change, wanted, &is_scaled, err));
    } else if (change->offload != NULL &&
               (change->offload->activations || change->offload->optimizer ||
                change->offload->parameters)) {
        PS_TRY(change_offload(plan, catalogue, change, wanted, &is_scaled, err));
    } else {
        PS_TRY(change_work(plan, catalogue, change, wanted, &is_scaled, err));
    }
    for (size_t i = 0; change->host_capacity_bytes != 0 && i < plan->node.head.count; i++) {
        plan->node.capacity_bytes[i] = change->host_capacity_bytes;
    }
    if (change->rank_change != NULL) {
        PS_TRY(ps__rank_change(plan, change->rank_change, err));
    }
    return ps__whatif_memory(plan, catalogue, change, wanted, is_scaled, err);
}
