/* SPDX-License-Identifier: MIT
 *
 * A network of which one figure is known.
 */
#include "job/bus_network.h"

/* Numerator of the factor over the number of ranks. */
static uint64_t factor(ps_collective_op op, uint64_t ranks)
{
    switch (op) {
    case PS_COLLECTIVE_ALL_REDUCE:
        return 2 * (ranks - 1);
    case PS_COLLECTIVE_REDUCE_SCATTER:
    case PS_COLLECTIVE_ALL_GATHER:
    case PS_COLLECTIVE_ALL_TO_ALL:
        return ranks - 1;
    case PS_COLLECTIVE_NONE:
    case PS_COLLECTIVE_BROADCAST:
    case PS_COLLECTIVE_REDUCE:
    case PS_COLLECTIVE_SEND:
    case PS_COLLECTIVE_RECV:
    case PS_COLLECTIVE_OP_COUNT:
        break;
    }
    return ranks;
}

static const char *link_name(const void *context, uint32_t link)
{
    (void)context;
    (void)link;
    return "";
}

static uint64_t link_bytes_per_s(const void *context, uint32_t link)
{
    const ps_bus *bus = context;
    (void)link;
    return bus->bytes_per_s;
}

static ps_code path(void *context, const ps_exchange *what, ps_network_path *out, ps_error *err)
{
    (void)context;
    (void)what;
    (void)err;
    out->count = 0;
    return PS_OK;
}

static uint32_t shape(void *context, const uint32_t *rank, size_t rank_count)
{
    (void)context;
    (void)rank;
    return (uint32_t)rank_count;
}

static ps_code cost(void *context, const ps_exchange *what, ps_exchange_cost *out, ps_error *err)
{
    const ps_bus *bus = context;
    const uint64_t ranks = what->rank_count;
    (void)err;
    *out = (ps_exchange_cost){
        .latency_ns = bus->latency_ns,
        .wire_bytes = ps_mul_div_u64(what->bytes, factor(what->op, ranks), ranks),
        .rate_bytes_per_s = bus->bytes_per_s,
        .basis = bus->basis,
    };
    return PS_OK;
}

ps_network ps_bus_network(ps_bus *bus)
{
    return (ps_network){.context = bus,
                        .link_count = 0,
                        .link_name = link_name,
                        .link_bytes_per_s = link_bytes_per_s,
                        .path = path,
                        .shape = shape,
                        .cost = cost};
}
