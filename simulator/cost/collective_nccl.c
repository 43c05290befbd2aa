/* SPDX-License-Identifier: MIT
 *
 * The choice as NCCL makes it. For every algorithm and protocol it predicts
 *
 *   latency of the start + steps x latency of a step + bytes / bandwidth
 *
 * from its own constants, and takes the least. The prediction only chooses:
 * collective_time.c tells how long the chosen way takes.
 */
#include "cost/collective_parts.h"

static unsigned span(const ps_group_place *place)
{
    return place->nodes == 1 ? 0 : place->nodes == 2 ? 1 : 2;
}

uint64_t ps_collective_steps(ps_collective_op kind, uint64_t ranks)
{
    return kind == PS_COLLECTIVE_ALL_REDUCE ? 2 * (ranks - 1) : ranks - 1;
}

uint64_t ps_collective_channels(const ps_collective_model *self, const ps_group_place *place)
{
    return self->machine.channels * (place->fabric == PS_FABRIC_NVLINK ? place->rings : 1);
}

/* What NCCL takes all channels together to carry. */
static uint64_t bus_rate(const ps_collective_model *self, const ps_group_place *place)
{
    uint64_t rate = self->machine.bus_rate;
    if (place->fabric == PS_FABRIC_NVLINK) {
        rate *= place->rings;
    } else if (rate == 0 || place->fabric == PS_FABRIC_PCIE) {
        rate = place->fabric_bytes_per_s;
    }
    return ps_least(ps_least(rate, self->nccl.bus_cap), place->network_bytes_per_s);
}

static bool is_reducing(ps_collective_op kind)
{
    return kind == PS_COLLECTIVE_ALL_REDUCE || kind == PS_COLLECTIVE_REDUCE;
}

uint64_t ps_nccl_ll_rate(const ps_nccl *self, ps_collective_op kind, const ps_group_place *place,
                         uint64_t bus)
{
    const uint64_t share =
        place->nodes > 1 || is_reducing(kind) ? self->ll_share_reduce : self->ll_share_gather;
    return ps_least(self->ll_cap[span(place)], ps_share_of(bus, share));
}

uint64_t ps_nccl_correction(const ps_nccl *self, ps_collective_protocol protocol, uint64_t bytes)
{
    const uint64_t units = bytes / 64;
    const unsigned i = units > 0 ? 63u - (unsigned)__builtin_clzll(units) : 0;
    return i < PS_NCCL_CORRECTIONS ? self->correction[protocol][i] : PS_RATIO_ONE;
}

static uint64_t ring_rate(const ps_collective_model *self, const ps_collective_call *call,
                          ps_collective_protocol protocol)
{
    const ps_nccl *nccl = &self->nccl;
    const uint64_t bus = bus_rate(self, &call->place);
    switch (protocol) {
    case PS_COLLECTIVE_LL:
        return ps_nccl_ll_rate(nccl, call->kind, &call->place, bus);
    case PS_COLLECTIVE_LL128:
        return ps_least(ps_share_of(bus, nccl->ll128_share),
                        nccl->ll128_channel * ps_collective_channels(self, &call->place));
    case PS_COLLECTIVE_SIMPLE:
    case PS_COLLECTIVE_PROTOCOL_COUNT:
        break;
    }
    return bus;
}

static uint64_t tree_rate(const ps_collective_model *self, const ps_collective_call *call,
                          ps_collective_protocol protocol)
{
    const ps_nccl *nccl = &self->nccl;
    const unsigned at = span(&call->place);
    const uint64_t channels = ps_collective_channels(self, &call->place);
    const uint64_t bus = ps_least(ps_share_of(bus_rate(self, &call->place), nccl->tree_share),
                                  channels * nccl->tree_channel[at]);
    uint64_t rate = bus;
    if (protocol == PS_COLLECTIVE_LL) {
        rate = ps_least(ps_share_of(bus, nccl->tree_ll_share), nccl->ll_cap[at]);
    } else if (protocol == PS_COLLECTIVE_LL128) {
        rate = ps_least(ps_share_of(bus, nccl->tree_ll128_share[at > 0]),
                        channels * nccl->ll128_tree_channel[at]);
    }
    return ps_share_of(rate, ps_nccl_correction(nccl, protocol, call->bytes));
}

static uint64_t nvls_rate(const ps_collective_model *self, const ps_collective_call *call,
                          bool has_tree)
{
    const ps_nccl *nccl = &self->nccl;
    const ps_group_place *place = &call->place;
    const uint64_t channels = ps_collective_channels(self, place);
    const uint64_t inside = ps_mul_div_u64(
        2 * ps_share_of(self->machine.bus_rate, nccl->nvls_share), channels - 1, channels);
    if (!has_tree) {
        return inside;
    }
    const uint64_t between =
        ps_least(place->network_bytes_per_s, UINT64_MAX / 2) * (place->nodes == 2 ? 2 : 1);
    return ps_least(ps_least(inside, between), channels * nccl->nvls_tree_channel[span(place)]);
}

static unsigned log2_of(uint64_t value)
{
    return 63u - (unsigned)__builtin_clzll(value);
}

static ps_nccl_hardware hardware_of(const ps_group_place *place)
{
    return place->fabric == PS_FABRIC_PCIE ? PS_NCCL_PCI : PS_NCCL_NVLINK;
}

static uint64_t ring_latency(const ps_collective_model *self, const ps_collective_call *call,
                             ps_collective_protocol protocol)
{
    const ps_nccl *nccl = &self->nccl;
    const ps_group_place *place = &call->place;
    const uint64_t steps = ps_collective_steps(call->kind, place->ranks);
    const uint64_t between = ps_collective_steps(call->kind, place->nodes);
    const uint64_t net = self->network_ns * (protocol == PS_COLLECTIVE_SIMPLE ? 2 : 1);
    uint64_t ns = nccl->base[0][protocol] +
                  (steps - between) * nccl->hop[hardware_of(place)][0][protocol] +
                  between * (nccl->hop[PS_NCCL_NET][0][protocol] + net);
    if (place->nodes > 1 && protocol == PS_COLLECTIVE_SIMPLE &&
        call->kind == PS_COLLECTIVE_ALL_REDUCE &&
        call->bytes / (ps_collective_channels(self, place) * place->ranks) >= 64) {
        ns = ps_share_of(ns, nccl->plateau);
    }
    return ns;
}

static uint64_t tree_latency(const ps_collective_model *self, const ps_group_place *place,
                             ps_collective_protocol protocol)
{
    const ps_nccl *nccl = &self->nccl;
    const uint64_t net = self->network_ns * (protocol == PS_COLLECTIVE_SIMPLE ? 2 : 1);
    const uint64_t inside = place->ranks / place->nodes - 1;
    return nccl->base[1][protocol] + 2 * inside * nccl->hop[hardware_of(place)][1][protocol] +
           2 * log2_of(place->nodes) * (nccl->hop[PS_NCCL_NET][1][protocol] + net);
}

static bool is_ll128_offered(const ps_collective_model *self, const ps_group_place *place)
{
    return self->has_ll128 && place->fabric != PS_FABRIC_PCIE && !place->is_forwarded;
}

static bool is_nvls_offered(const ps_collective_model *self, const ps_collective_call *call)
{
    return call->kind == PS_COLLECTIVE_ALL_REDUCE && call->place.fabric == PS_FABRIC_NVSWITCH &&
           self->nccl.nvls_share > 0 && self->machine.nvls_share > 0 &&
           self->machine.bus_rate > 0 && ps_collective_channels(self, &call->place) > 1;
}

static uint64_t nvls_latency(const ps_nccl *nccl, const ps_group_place *place, bool has_tree)
{
    return nccl->nvls_hop + (has_tree ? 2 * log2_of(place->nodes) * nccl->nvls_tree_net_hop : 0);
}

bool ps_nccl_predict(const ps_collective_model *self, const ps_collective_call *call,
                     ps_collective_way way, uint64_t *ns)
{
    const ps_group_place *place = &call->place;
    const bool is_simple = way.protocol == PS_COLLECTIVE_SIMPLE;
    const bool is_all_reduce = call->kind == PS_COLLECTIVE_ALL_REDUCE;
    const uint64_t bus_bytes = ps_collective_bus_bytes(call->kind, call->bytes, place->ranks);
    if (way.protocol == PS_COLLECTIVE_LL128 && !is_ll128_offered(self, place)) {
        return false;
    }
    switch (way.algorithm) {
    case PS_COLLECTIVE_BY_RING:
        *ns = ring_latency(self, call, way.protocol) +
              ps_ns_at(bus_bytes, ring_rate(self, call, way.protocol));
        return true;
    case PS_COLLECTIVE_BY_TREE:
        *ns = tree_latency(self, place, way.protocol) +
              ps_ns_at(2 * call->bytes, tree_rate(self, call, way.protocol));
        return is_all_reduce;
    case PS_COLLECTIVE_BY_NVLS:
    case PS_COLLECTIVE_BY_NVLS_TREE: {
        const bool has_tree = way.algorithm == PS_COLLECTIVE_BY_NVLS_TREE;
        if (!is_nvls_offered(self, call) || !is_simple || has_tree != (place->nodes > 1)) {
            return false;
        }
        *ns = nvls_latency(&self->nccl, place, has_tree) +
              ps_ns_at(bus_bytes, nvls_rate(self, call, has_tree));
        return true;
    }
    case PS_COLLECTIVE_BY_DIRECT:
    case PS_COLLECTIVE_ALGORITHM_COUNT:
        break;
    }
    return false;
}

static bool is_direct(ps_collective_op kind)
{
    return kind == PS_COLLECTIVE_ALL_TO_ALL || kind == PS_COLLECTIVE_SEND ||
           kind == PS_COLLECTIVE_RECV;
}

static bool is_asked(const ps_collective_call *call, ps_collective_way way)
{
    return (call->algorithm == PS_COLLECTIVE_ANY_ALGORITHM || call->algorithm == way.algorithm) &&
           (call->protocol == PS_COLLECTIVE_ANY_PROTOCOL || call->protocol == way.protocol);
}

ps_code ps_collective_choose(const ps_collective_model *self, const ps_collective_call *call,
                             ps_collective_way *out, ps_error *err)
{
    const ps_collective_way direct = {PS_COLLECTIVE_BY_DIRECT, PS_COLLECTIVE_SIMPLE};
    uint64_t best = UINT64_MAX;
    if (is_direct(call->kind) && is_asked(call, direct)) {
        *out = direct;
        return PS_OK;
    }
    for (int a = 0; a < PS_COLLECTIVE_ALGORITHM_COUNT; a++) {
        for (int p = 0; p < PS_COLLECTIVE_PROTOCOL_COUNT; p++) {
            const ps_collective_way way = {(ps_collective_algorithm)a, (ps_collective_protocol)p};
            uint64_t ns;
            if (!is_direct(call->kind) && is_asked(call, way) &&
                ps_nccl_predict(self, call, way, &ns) && ns < best) {
                best = ns;
                *out = way;
            }
        }
    }
    return best < UINT64_MAX ? PS_OK
                             : ps_fail(err, PS_USAGE, "%s among these ranks does not go by %s, %s",
                                       ps_collective_kind_name(call->kind),
                                       ps_collective_algorithm_name(call->algorithm),
                                       ps_collective_protocol_name(call->protocol));
}
