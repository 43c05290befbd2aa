/* SPDX-License-Identifier: MIT
 *
 * Operations that multiply no matrices: bound by their traffic, or by what the
 * multiprocessors spend on each element where its place in the operands has to
 * be worked out or sums pass through several threads.
 *
 *   traffic  = bytes / cache rate       up to what stays in the last cache
 *              bytes / memory rate      from where nothing stays, straight between
 *   work     = elements / (element rate x multiprocessors)
 *   time     = max(traffic, work) + fixed of the way
 */
#include "cost/cost_parts.h"

uint64_t ps_cost_traffic(const ps_cost_gpu *gpu, uint64_t bytes)
{
    if (bytes >= gpu->uncached_bytes) {
        return ps_cost_at_rate(bytes, gpu->memory_rate);
    }
    if (bytes <= gpu->cached_bytes) {
        return ps_cost_at_rate(bytes, gpu->cache_rate);
    }
    const uint64_t least = ps_cost_at_rate(gpu->cached_bytes, gpu->cache_rate);
    const uint64_t most = ps_cost_at_rate(gpu->uncached_bytes, gpu->memory_rate);
    return least + ps_mul_div_u64(most - least, bytes - gpu->cached_bytes,
                                  gpu->uncached_bytes - gpu->cached_bytes);
}

static uint64_t elements_of(const ps_cost_op *op)
{
    return op->elements > 0 ? op->elements
                            : op->moved_bytes / (2 * ps_cost_element_bytes(op->element));
}

ps_cost_part ps_cost_memory(const ps_cost_gpu *gpu, const ps_cost_op *op)
{
    const uint64_t traffic = ps_cost_traffic(gpu, op->moved_bytes);
    const uint64_t work = ps_cost_at_rate(elements_of(op), gpu->element_rate[op->access]);
    const uint64_t fixed =
        ps_cost_times(gpu->access_fixed_ps[op->access], op->launches > 0 ? op->launches : 1);
    const ps_cost_bound bound = traffic >= work ? PS_COST_BY_MEMORY : PS_COST_BY_ARITHMETIC;
    return (ps_cost_part){
        .ps = ps_cost_max(traffic, work) + fixed,
        .bound = ps_cost_max(traffic, work) >= fixed ? bound : PS_COST_BY_LATENCY,
    };
}
