/* SPDX-License-Identifier: MIT
 *
 * Another host link for a plan whose links are those of a cluster: a model's,
 * or one that was saved.
 */
#include "policy/host_links.h"
#include "policy/whatif_parts.h"

/* What both directions get together: by the figure of the GPU, else in the ratio they had. */
static uint64_t both_of(const ps_plan *plan, const ps_catalogue *catalogue,
                        const ps_hardware_id *target, const ps_slot_rates *to)
{
    const ps_slot_rates from = ps_host_links_slots(plan);
    const uint64_t faster =
        to->in_bytes_per_s > to->out_bytes_per_s ? to->in_bytes_per_s : to->out_bytes_per_s;
    const uint64_t was =
        from.in_bytes_per_s > from.out_bytes_per_s ? from.in_bytes_per_s : from.out_bytes_per_s;
    ps_hardware_id gpu;
    ps_figure factor;
    if (target != NULL) {
        gpu = *target;
    } else if (ps__whatif_recorded_gpu(plan, 0, catalogue, &gpu, NULL) != PS_OK) {
        return ps_mul_div_u64(from.both_bytes_per_s, faster, was);
    }
    return ps_catalogue_get(catalogue, gpu, PS_FIGURE_HOST_BOTH_FACTOR, &factor)
               ? ps_mul_div_u64(faster, factor.value, PS_RATIO_ONE)
               : ps_mul_div_u64(from.both_bytes_per_s, faster, was);
}

ps_code ps__whatif_slots(ps_plan *plan, const ps_catalogue *catalogue, const ps_whatif *change,
                         const ps_hardware_id *target, ps_error *err)
{
    const uint64_t pcie = change->pcie_bytes_per_s;
    ps_slot_rates to = {.in_bytes_per_s = pcie, .out_bytes_per_s = pcie};
    ps_figure in, out;
    if (pcie == 0) {
        PS_TRY(ps_catalogue_need(catalogue, *target, PS_FIGURE_H2D, &in, err));
        PS_TRY(ps_catalogue_need(catalogue, *target, PS_FIGURE_D2H, &out, err));
        to = (ps_slot_rates){.in_bytes_per_s = in.value, .out_bytes_per_s = out.value};
    }
    to.both_bytes_per_s = both_of(plan, catalogue, target, &to);
    return ps_host_links_set_slots(plan, &to, err);
}
