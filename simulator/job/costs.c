/* SPDX-License-Identifier: MIT
 *
 * Exchanges while the devices compute. Collectives take multiprocessors,
 * memory traffic and power from the computation beside them, and get less of
 * these than a benchmark that has the device to itself:
 *
 *   rate        = rate alone x collective-share
 *   computation = its time + overlap-cost x the time it shares with a collective
 */
#include "job/job_parts.h"

#define NS_PER_S UINT64_C(1000000000)

ps_code ps__job_costs(const ps_job_target *target, ps_job_costs *out, ps_error *err)
{
    ps_figure share, overlap;
    PS_TRY(
        ps_catalogue_need(target->catalogue, target->gpu, PS_FIGURE_COLLECTIVE_SHARE, &share, err));
    PS_TRY(
        ps_catalogue_need(target->catalogue, target->gpu, PS_FIGURE_OVERLAP_COST, &overlap, err));
    *out = (ps_job_costs){
        .network = target->network, .collective_share = share.value, .overlap_cost = overlap.value};
    return PS_OK;
}

ps_code ps__job_exchange_cost(const ps_job_costs *self, const ps_exchange *what,
                              ps_exchange_cost *out, ps_error *err)
{
    PS_TRY(self->network->cost(self->network->context, what, out, err));
    out->rate_bytes_per_s =
        ps_mul_div_u64(out->rate_bytes_per_s, self->collective_share, PS_RATIO_ONE);
    out->rate_bytes_per_s += out->wire_bytes > 0 && out->rate_bytes_per_s == 0 ? 1 : 0;
    return PS_OK;
}

ps_ns ps__job_exchange_ns(const ps_exchange_cost *cost)
{
    const uint64_t moving =
        cost->wire_bytes == 0 ? 0
                              : ps_mul_div_u64(cost->wire_bytes, NS_PER_S, cost->rate_bytes_per_s);
    return ps_time_add(cost->latency_ns, moving > INT64_MAX ? INT64_MAX : (ps_ns)moving);
}
