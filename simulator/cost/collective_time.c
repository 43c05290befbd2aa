/* SPDX-License-Identifier: MIT
 *
 * How long the chosen way takes, from the figures of the machine:
 *
 *   latency = base + steps x hop + what chunks add + closing copy
 *   rate    = share of the links, less for LL and LL128, at most the network's
 *
 * docs/MODEL.md derives the terms.
 */
#include "cost/collective_parts.h"

/* count x ns, at most what sums of a few can hold. */
static uint64_t times(uint64_t count, uint64_t ns)
{
    return ps_least(ps_mul_div_u64(count, ns, 1), UINT64_C(1) << 60);
}

/* What one rank can send inside its node by the Simple protocol. */
static uint64_t fabric_rate(const ps_collective_machine *machine, const ps_group_place *place,
                            uint64_t share)
{
    const uint64_t rate = ps_share_of(place->fabric_bytes_per_s, share);
    return place->is_forwarded ? ps_share_of(rate, machine->forwarded_share) : rate;
}

static uint64_t link_rate(const ps_collective_model *self, const ps_group_place *place)
{
    const uint64_t inside = fabric_rate(&self->machine, place, self->machine.link_share);
    return ps_least(inside, place->network_bytes_per_s);
}

static uint64_t protocol_rate(const ps_collective_model *self, const ps_collective_call *call,
                              ps_collective_protocol protocol)
{
    const uint64_t rate = link_rate(self, &call->place);
    if (protocol == PS_COLLECTIVE_LL) {
        return ps_nccl_ll_rate(&self->nccl, call->kind, &call->place, rate);
    }
    return protocol == PS_COLLECTIVE_LL128 ? ps_share_of(rate, self->machine.ll128_share) : rate;
}

/* A step inside a node. LL's is not calibrated: it is to LL128's as NCCL has it. */
static uint64_t hop_of(const ps_collective_model *self, const ps_group_place *place,
                       ps_collective_protocol protocol)
{
    const ps_nccl_hardware over = place->fabric == PS_FABRIC_PCIE ? PS_NCCL_PCI : PS_NCCL_NVLINK;
    const uint64_t *nccl = self->nccl.hop[over][0];
    if (protocol == PS_COLLECTIVE_SIMPLE) {
        return self->machine.simple_hop;
    }
    return protocol == PS_COLLECTIVE_LL128
               ? self->machine.ll128_hop
               : ps_mul_div_u64(self->machine.ll128_hop, nccl[PS_COLLECTIVE_LL],
                                nccl[PS_COLLECTIVE_LL128]);
}

/* A step between nodes: NCCL's own, and the network's. */
static uint64_t network_hop(const ps_collective_model *self, ps_collective_protocol protocol)
{
    return self->nccl.hop[PS_NCCL_NET][0][protocol] +
           self->network_ns * (protocol == PS_COLLECTIVE_SIMPLE ? 2 : 1);
}

/*
 * LL and LL128 send whole chunks on each channel: with little to send, few channels work, each at
 * its own rate. What all steps take at least.
 */
static uint64_t chunks_floor(const ps_collective_model *self, const ps_collective_call *call,
                             ps_collective_protocol protocol)
{
    const ps_nccl *nccl = &self->nccl;
    const uint64_t ranks = call->place.ranks;
    const uint64_t round =
        ps_collective_channels(self, &call->place) * ranks * nccl->chunk[protocol];
    const uint64_t chunk = (call->bytes + round - 1) / round * nccl->chunk[protocol];
    uint64_t channel = nccl->ll128_channel;
    if (protocol == PS_COLLECTIVE_SIMPLE) {
        return 0;
    }
    if (protocol == PS_COLLECTIVE_LL) {
        channel = ps_mul_div_u64(channel, nccl->ll_share_reduce, nccl->ll128_share);
    }
    return times(ps_collective_steps(call->kind, ranks), ps_ns_at(chunk, channel));
}

/* What chunks add to the bytes' own time, and the last copy. */
static uint64_t beside_bytes(const ps_collective_model *self, const ps_collective_call *call,
                             ps_collective_protocol protocol, const ps_collective_result *at)
{
    const uint64_t least = chunks_floor(self, call, protocol);
    const uint64_t moving = ps_ns_at(at->wire_bytes, at->rate_bytes_per_s);
    return (least > moving ? least - moving : 0) +
           ps_ns_at(call->bytes / call->place.ranks, self->machine.copy_rate);
}

static bool is_pipelined(ps_collective_op kind)
{
    return kind == PS_COLLECTIVE_BROADCAST || kind == PS_COLLECTIVE_REDUCE;
}

/* A broadcast's last rank waits for a chunk to come through the others. */
static uint64_t filling(const ps_collective_model *self, const ps_collective_call *call,
                        ps_collective_protocol protocol, uint64_t rate)
{
    const uint64_t chunks = ps_collective_channels(self, &call->place) * self->nccl.chunk[protocol];
    return times(call->place.ranks - 2, ps_ns_at(ps_least(chunks, call->bytes), rate));
}

/*
 * Ports pass on less of what is summed on its way than of what is gathered; a sum over a ring is the
 * one, then the other. Told as bytes: groups that share the ports wait for one another's.
 */
static uint64_t port_bytes(const ps_collective_call *call, uint64_t bytes)
{
    const uint64_t share = call->place.scatter_share;
    if (call->place.nodes == 1 || share == 0) {
        return bytes;
    }
    if (call->kind == PS_COLLECTIVE_ALL_REDUCE) {
        return bytes / 2 + ps_mul_div_u64(bytes / 2, PS_RATIO_ONE, share);
    }
    return call->kind == PS_COLLECTIVE_REDUCE_SCATTER ? ps_mul_div_u64(bytes, PS_RATIO_ONE, share)
                                                      : bytes;
}

static void time_ring(const ps_collective_model *self, const ps_collective_call *call,
                      ps_collective_protocol protocol, ps_collective_result *out)
{
    const ps_group_place *place = &call->place;
    const uint64_t steps = ps_collective_steps(call->kind, place->ranks);
    const uint64_t between = ps_collective_steps(call->kind, place->nodes);
    out->wire_bytes =
        port_bytes(call, ps_collective_bus_bytes(call->kind, call->bytes, place->ranks));
    out->rate_bytes_per_s = protocol_rate(self, call, protocol);
    uint64_t ns = self->machine.base_latency + (steps - between) * hop_of(self, place, protocol) +
                  between * network_hop(self, protocol);
    ns += is_pipelined(call->kind) ? filling(self, call, protocol, out->rate_bytes_per_s)
                                   : beside_bytes(self, call, protocol, out);
    out->latency_ns = (ps_ns)ns;
}

static void time_tree(const ps_collective_model *self, const ps_collective_call *call,
                      ps_collective_protocol protocol, ps_collective_result *out)
{
    const ps_group_place *place = &call->place;
    const uint64_t inside = (place->ranks + place->nodes - 1) / place->nodes - 1;
    const uint64_t levels = 63u - (unsigned)__builtin_clzll(place->nodes);
    uint64_t rate = link_rate(self, place);
    if (protocol == PS_COLLECTIVE_LL) {
        rate = ps_least(ps_share_of(rate, self->nccl.tree_ll_share),
                        self->nccl.ll_cap[place->nodes > 2 ? 2 : place->nodes - 1]);
    } else if (protocol == PS_COLLECTIVE_LL128) {
        rate = ps_share_of(rate, self->machine.ll128_share);
    }
    rate = ps_share_of(rate, self->nccl.tree_share);
    out->wire_bytes = 2 * call->bytes;
    out->rate_bytes_per_s =
        ps_share_of(rate, ps_nccl_correction(&self->nccl, protocol, call->bytes));
    out->latency_ns =
        (ps_ns)(self->machine.base_latency + 2 * inside * hop_of(self, place, protocol) +
                2 * levels * network_hop(self, protocol));
}

/*
 * The switch reads each GPU's part from all and writes the sum to all: the whole buffer passes a
 * GPU's links, and its part once more. The share is of the bus bandwidth that a ring would have.
 * Between nodes a tree carries the buffer up and down.
 */
static void time_nvls(const ps_collective_model *self, const ps_collective_call *call,
                      ps_collective_result *out)
{
    const ps_group_place *place = &call->place;
    const uint64_t local = (place->ranks + place->nodes - 1) / place->nodes;
    const uint64_t bus = ps_share_of(place->fabric_bytes_per_s, self->machine.nvls_share);
    const uint64_t bus_bytes = ps_collective_bus_bytes(call->kind, call->bytes, place->ranks);
    uint64_t ns = self->machine.base_latency + self->machine.nvls_latency +
                  ps_collective_steps(call->kind, local) * self->machine.nvls_hop;
    out->wire_bytes = call->bytes + call->bytes / local;
    out->rate_bytes_per_s =
        ps_least(place->fabric_bytes_per_s,
                 ps_mul_div_u64(bus, out->wire_bytes, bus_bytes > 0 ? bus_bytes : 1));
    if (place->nodes > 1) {
        const uint64_t levels = 63u - (unsigned)__builtin_clzll(place->nodes);
        out->rate_bytes_per_s =
            ps_least(out->rate_bytes_per_s,
                     ps_mul_div_u64(place->network_bytes_per_s, out->wire_bytes, 2 * call->bytes));
        ns += 2 * levels * (self->nccl.nvls_tree_net_hop + self->network_ns);
    }
    out->latency_ns = (ps_ns)ns;
}

static void time_direct(const ps_collective_model *self, const ps_collective_call *call,
                        ps_collective_result *out)
{
    const ps_group_place *place = &call->place;
    const bool is_all = call->kind == PS_COLLECTIVE_ALL_TO_ALL;
    const uint64_t share = is_all ? self->machine.direct_share : self->machine.link_share;
    const uint64_t steps = is_all ? place->ranks - 1 : 1;
    const uint64_t hop =
        place->nodes > 1 ? network_hop(self, PS_COLLECTIVE_SIMPLE) : self->machine.simple_hop;
    out->traffic = is_all ? PS_TRAFFIC_DIRECT : PS_TRAFFIC_SEND;
    out->wire_bytes = ps_collective_bus_bytes(call->kind, call->bytes, place->ranks);
    out->rate_bytes_per_s =
        ps_least(ps_share_of(place->direct_bytes_per_s, share), place->direct_network_bytes_per_s);
    out->latency_ns = (ps_ns)(self->machine.base_latency + steps * hop);
}

/* Channels that NCCL starts for the bytes: each is a block on one multiprocessor. */
static uint32_t channels_for(const ps_collective_model *self, const ps_collective_call *call,
                             ps_collective_way way)
{
    const uint64_t most = ps_collective_channels(self, &call->place);
    uint64_t each = self->nccl.channel_bytes[way.protocol];
    if (way.algorithm == PS_COLLECTIVE_BY_RING && way.protocol == PS_COLLECTIVE_LL) {
        each *= call->place.ranks;
    }
    const uint64_t wanted = call->bytes / each;
    return (uint32_t)(wanted == 0 ? 1 : ps_least(wanted, most));
}

void ps_collective_time_of(const ps_collective_model *self, const ps_collective_call *call,
                           ps_collective_way way, ps_collective_result *out)
{
    *out = (ps_collective_result){
        .traffic = PS_TRAFFIC_RING,
        .algorithm = way.algorithm,
        .protocol = way.protocol,
        .channels = channels_for(self, call, way),
        .basis = self->machine.is_guessed ? PS_BASIS_GUESSED : PS_BASIS_ANALYTIC,
    };
    switch (way.algorithm) {
    case PS_COLLECTIVE_BY_TREE:
        time_tree(self, call, way.protocol, out);
        break;
    case PS_COLLECTIVE_BY_NVLS:
    case PS_COLLECTIVE_BY_NVLS_TREE:
        time_nvls(self, call, out);
        break;
    case PS_COLLECTIVE_BY_DIRECT:
        time_direct(self, call, out);
        break;
    case PS_COLLECTIVE_BY_RING:
    case PS_COLLECTIVE_ALGORITHM_COUNT:
        time_ring(self, call, way.protocol, out);
        break;
    }
    out->rate_bytes_per_s = out->rate_bytes_per_s > 0 ? out->rate_bytes_per_s : 1;
    out->dur_ns =
        ps_time_add(out->latency_ns, (ps_ns)ps_ns_at(out->wire_bytes, out->rate_bytes_per_s));
}
