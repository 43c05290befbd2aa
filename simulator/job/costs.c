/* SPDX-License-Identifier: MIT
 *
 * Exchanges while a job trains. Its ranks come to a collective one after the
 * other, each when its stream has done what stands before, and launch it when
 * their hosts get to it; a benchmark of nothing but collectives has them wait
 * in line. And collectives take multiprocessors, memory traffic and power from
 * the computation beside them:
 *
 *   collective  = its time alone + collective-delay + late-ranks
 *   computation = its time + overlap-cost x the time it shares with a collective
 *
 * The delay is the same for all sizes, so that the large ones at the end of a
 * step hardly have any.
 */
#include "job/job_parts.h"

#define NS_PER_S UINT64_C(1000000000)

ps_code ps__job_costs(const ps_job_target *target, ps_job_costs *out, ps_error *err)
{
    ps_figure delay, overlap;
    PS_TRY(
        ps_catalogue_need(target->catalogue, target->gpu, PS_FIGURE_COLLECTIVE_DELAY, &delay, err));
    PS_TRY(
        ps_catalogue_need(target->catalogue, target->gpu, PS_FIGURE_OVERLAP_COST, &overlap, err));
    *out = (ps_job_costs){.network = target->network,
                          .collective_delay_ns =
                              ps_time_add((ps_ns)delay.value, target->host->late_ns),
                          .overlap_cost = overlap.value};
    return PS_OK;
}

ps_code ps__job_exchange_cost(const ps_job_costs *self, const ps_exchange *what,
                              ps_exchange_cost *out, ps_error *err)
{
    PS_TRY(self->network->cost(self->network->context, what, out, err));
    if (what->op != PS_COLLECTIVE_SEND) {
        out->latency_ns = ps_time_add(out->latency_ns, self->collective_delay_ns);
    }
    return PS_OK;
}

ps_ns ps__job_exchange_ns(const ps_exchange_cost *cost)
{
    const uint64_t moving =
        cost->wire_bytes == 0 ? 0
                              : ps_mul_div_u64(cost->wire_bytes, NS_PER_S, cost->rate_bytes_per_s);
    return ps_time_add(cost->latency_ns, moving > INT64_MAX ? INT64_MAX : (ps_ns)moving);
}
