/* SPDX-License-Identifier: MIT
 *
 * Time of a collective: every algorithm and protocol it may use, the least.
 */
#include "cost/collective.h"

#include "base/memory.h"
#include "base/units.h"
#include "cost/collective_parts.h"
#include "cost/cost_parts.h"

/* What a collective asks of its path: hops one after another, bytes through the busiest
 * direction of a GPU, and bytes through each GPU's kernel, once for gather or scatter. */
typedef struct load {
    uint64_t steps, bus_bytes, pass_bytes;
} load;

static uint64_t half(uint64_t bytes)
{
    return bytes / 2 + bytes % 2;
}

/* bytes x (n - 1) / n, rounded up */
static uint64_t others_part(uint64_t bytes, uint64_t n)
{
    return bytes - bytes / n;
}

static load load_of(const ps_collective_call *call)
{
    const uint64_t n = call->ranks, part = others_part(call->bytes, n);
    switch (call->kind) {
    case PS_COLLECTIVE_ALL_REDUCE: /* a reduce-scatter and an all-gather */
        return (load){2 * (n - 1), 2 * part, call->bytes};
    case PS_COLLECTIVE_BROADCAST:
        return (load){n - 1, call->bytes, half(call->bytes)};
    case PS_COLLECTIVE_SEND_RECV:
        return (load){1, call->bytes, half(call->bytes)};
    case PS_COLLECTIVE_REDUCE_SCATTER:
    case PS_COLLECTIVE_ALL_GATHER:
    case PS_COLLECTIVE_ALL_TO_ALL:
    case PS_COLLECTIVE_KIND_COUNT:
    default:
        return (load){n - 1, part, half(call->bytes)};
    }
}

/* [ps] through one protocol's path at `share` of the links. */
static uint64_t path_time(const ps_collective_machine *machine, const ps_collective_call *call,
                          const ps_collective_path *path, uint64_t share, uint64_t bus_bytes)
{
    const load need = load_of(call);
    const uint64_t links =
        ps_mul_div_u64(machine->link_rate, machine->rings[call->ranks], PS_RATIO_ONE);
    const uint64_t rate = ps_cost_max(ps_mul_div_u64(links, share, PS_RATIO_ONE), 1);
    const uint64_t floor_ns = path->floor_ns + ps_cost_times(need.steps, path->floor_hop_ns);
    const uint64_t start_ns = path->start_ns + ps_cost_times(need.steps, path->start_hop_ns);
    uint64_t ps = ps_cost_times(start_ns, PS_COST_PS_PER_NS) + ps_cost_at_rate(bus_bytes, rate);
    if (path->pass_rate > 0) {
        ps += ps_cost_at_rate(need.pass_bytes, path->pass_rate);
    }
    return ps_cost_min(ps_cost_max(ps, ps_cost_times(floor_ns, PS_COST_PS_PER_NS)), PS_COST_MAX);
}

/* Inside a machine a tree is a chain: as many hops as the ring, up with all bytes and down. */
static uint64_t tree_bytes(const ps_collective_call *call)
{
    return ps_cost_times(2, call->bytes);
}

/* The switch sums: neither hops nor passes depend on the group. */
static uint64_t nvls_time(const ps_collective_machine *machine, const ps_collective_call *call)
{
    const uint64_t floor_ps = ps_cost_times(machine->nvls_floor_ns, PS_COST_PS_PER_NS);
    const uint64_t start_ps = ps_cost_times(machine->nvls_start_ns, PS_COST_PS_PER_NS);
    const uint64_t ps = start_ps + ps_cost_at_rate(load_of(call).bus_bytes, machine->nvls_rate);
    return ps_cost_min(ps_cost_max(ps, floor_ps), PS_COST_MAX);
}

static bool is_possible(const ps_collective_machine *machine, ps_collective_kind kind,
                        ps_collective_algorithm algorithm, ps_collective_protocol protocol)
{
    switch (algorithm) {
    case PS_COLLECTIVE_RING:
        return true;
    case PS_COLLECTIVE_TREE:
        return kind == PS_COLLECTIVE_ALL_REDUCE;
    case PS_COLLECTIVE_NVLS:
    case PS_COLLECTIVE_ANY_ALGORITHM:
    default:
        return kind == PS_COLLECTIVE_ALL_REDUCE && protocol == PS_COLLECTIVE_SIMPLE &&
               machine->nvls_rate > 0;
    }
}

static uint64_t time_with(const ps_collective_machine *machine, const ps_collective_call *call,
                          ps_collective_algorithm algorithm, ps_collective_protocol protocol)
{
    const ps_collective_path *path = &machine->path[protocol];
    switch (algorithm) {
    case PS_COLLECTIVE_RING:
        return path_time(machine, call, path, path->ring_share, load_of(call).bus_bytes);
    case PS_COLLECTIVE_TREE:
        return path_time(machine, call, path, path->tree_share, tree_bytes(call));
    case PS_COLLECTIVE_NVLS:
    case PS_COLLECTIVE_ANY_ALGORITHM:
    default:
        return nvls_time(machine, call);
    }
}

static bool is_asked(uint32_t wanted, uint32_t any, uint32_t one)
{
    return wanted == any || wanted == one;
}

/* Least [ps] of what the call allows, UINT64_MAX if that is nothing; of equals the first. */
static uint64_t choose(const ps_collective_machine *machine, const ps_collective_call *call,
                       ps_collective_result *out)
{
    uint64_t least = UINT64_MAX;
    for (uint32_t a = 0; a < PS_COLLECTIVE_ALGORITHM_COUNT; a++) {
        for (uint32_t p = 0; p < PS_COLLECTIVE_PROTOCOL_COUNT; p++) {
            const ps_collective_algorithm algorithm = (ps_collective_algorithm)a;
            const ps_collective_protocol protocol = (ps_collective_protocol)p;
            if (!is_asked(call->algorithm, PS_COLLECTIVE_ANY_ALGORITHM, a) ||
                !is_asked(call->protocol, PS_COLLECTIVE_ANY_PROTOCOL, p) ||
                !is_possible(machine, call->kind, algorithm, protocol)) {
                continue;
            }
            const uint64_t ps = time_with(machine, call, algorithm, protocol);
            if (ps < least) {
                least = ps;
                out->algorithm = algorithm;
                out->protocol = protocol;
            }
        }
    }
    return least;
}

static ps_code check(const ps_collective_model *self, const ps_collective_call *call, ps_error *err)
{
    if (call->kind >= PS_COLLECTIVE_KIND_COUNT || call->topology >= PS_COLLECTIVE_TOPOLOGY_COUNT ||
        call->algorithm > PS_COLLECTIVE_ANY_ALGORITHM ||
        call->protocol > PS_COLLECTIVE_ANY_PROTOCOL) {
        return ps_fail(err, PS_USAGE,
                       "a collective of unknown kind, topology, algorithm or protocol");
    }
    const ps_collective_machine *machine = &self->machine[call->topology];
    if (!machine->is_given) {
        return ps_fail(err, PS_NOT_FOUND, "this GPU has no figures of collectives over %s",
                       ps_collective_topology_name(call->topology));
    }
    if (call->ranks < 1 || call->ranks > machine->ranks) {
        return ps_fail(err, PS_USAGE, "a collective has 1 to %u ranks on this machine, not %u",
                       (unsigned)machine->ranks, (unsigned)call->ranks);
    }
    if (call->kind == PS_COLLECTIVE_SEND_RECV && call->ranks != 2) {
        return ps_fail(err, PS_USAGE, "send-recv has 2 ranks, not %u", (unsigned)call->ranks);
    }
    if (call->bytes > PS_COST_MAX) {
        return ps_fail(err, PS_USAGE, "a collective of more than 2^62 bytes");
    }
    return PS_OK;
}

ps_code ps_collective_time(const ps_collective_model *self, const ps_collective_call *call,
                           ps_collective_result *out, ps_error *err)
{
    PS_TRY(check(self, call, err));
    const ps_collective_machine *machine = &self->machine[call->topology];
    ps_collective_result result = {.basis =
                                       machine->is_guessed ? PS_BASIS_GUESSED : PS_BASIS_ANALYTIC};
    const bool is_idle = call->ranks == 1 || call->bytes == 0;
    const uint64_t ps = choose(machine, call, &result);
    if (ps == UINT64_MAX) {
        return ps_fail(err, PS_USAGE, "%s cannot use that algorithm and protocol on this machine",
                       ps_collective_kind_name(call->kind));
    }
    if (!is_idle) {
        result.bus_bytes = load_of(call).bus_bytes;
        result.dur_ns = (ps_ns)(ps_cost_ceil(ps, PS_COST_PS_PER_NS));
        result.bus_bytes_per_s = ps_mul_div_u64(result.bus_bytes, PS_COST_PS_PER_S, ps);
    }
    *out = result;
    return PS_OK;
}

ps_code ps_collective_create(const char *gpu, const ps_collective_options *options,
                             ps_collective_model **out, ps_error *err)
{
    ps_collective_model *self = ps_calloc(1, sizeof *self);
    if (self == NULL) {
        return ps_fail_nomem(err);
    }
    const ps_code code = ps_collective_read(gpu, options, self, err);
    if (code != PS_OK) {
        ps_collective_destroy(self);
        return code;
    }
    *out = self;
    return PS_OK;
}

void ps_collective_destroy(ps_collective_model *self)
{
    ps_free(self);
}
