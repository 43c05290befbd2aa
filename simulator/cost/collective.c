/* SPDX-License-Identifier: MIT
 *
 * The life of a collective model, and one call through it.
 */
#include "cost/collective.h"

#include "base/memory.h"
#include "cost/collective_parts.h"

/* Beyond this many bytes intermediate sums could overflow; no GPU has as many. */
#define MAX_BYTES (UINT64_C(1) << 56)

const char *ps_collective_kind_name(ps_collective_op kind)
{
    static const char *const names[PS_COLLECTIVE_OP_COUNT] = {
        "none",   "all-reduce", "reduce-scatter", "all-gather", "broadcast",
        "reduce", "all-to-all", "send",           "recv"};
    return names[kind];
}

const char *ps_collective_algorithm_name(ps_collective_algorithm algorithm)
{
    static const char *const names[PS_COLLECTIVE_ALGORITHM_COUNT + 1] = {
#define PS_COLLECTIVE_ALGORITHM_NAME(sym, name, doc) name,
        PS_COLLECTIVE_ALGORITHMS(PS_COLLECTIVE_ALGORITHM_NAME)
#undef PS_COLLECTIVE_ALGORITHM_NAME
            "any"};
    return names[algorithm];
}

const char *ps_collective_protocol_name(ps_collective_protocol protocol)
{
    static const char *const names[PS_COLLECTIVE_PROTOCOL_COUNT + 1] = {
#define PS_COLLECTIVE_PROTOCOL_NAME(sym, name) name,
        PS_COLLECTIVE_PROTOCOLS(PS_COLLECTIVE_PROTOCOL_NAME)
#undef PS_COLLECTIVE_PROTOCOL_NAME
            "any"};
    return names[protocol];
}

ps_code ps_collective_create(const ps_catalogue *catalogue, const ps_cluster *cluster,
                             const ps_collective_options *options, ps_collective_model **out,
                             ps_error *err)
{
    ps_collective_model *self = ps_calloc(1, sizeof *self);
    if (self == NULL) {
        return ps_fail_nomem(err);
    }
    const ps_code code = ps_collective_read(self, catalogue, cluster, options, err);
    if (code != PS_OK) {
        ps_collective_destroy(self);
        return code;
    }
    *out = self;
    return PS_OK;
}

void ps_collective_destroy(ps_collective_model *self)
{
    if (self != NULL) {
        ps_free(self->row);
        ps_free(self);
    }
}

uint64_t ps_collective_bus_bytes(ps_collective_op kind, uint64_t bytes, uint32_t ranks)
{
    switch (kind) {
    case PS_COLLECTIVE_ALL_REDUCE:
        return ps_mul_div_u64(bytes, 2 * (uint64_t)(ranks - 1), ranks);
    case PS_COLLECTIVE_REDUCE_SCATTER:
    case PS_COLLECTIVE_ALL_GATHER:
    case PS_COLLECTIVE_ALL_TO_ALL:
        return ps_mul_div_u64(bytes, ranks - 1, ranks);
    case PS_COLLECTIVE_NONE:
    case PS_COLLECTIVE_BROADCAST:
    case PS_COLLECTIVE_REDUCE:
    case PS_COLLECTIVE_SEND:
    case PS_COLLECTIVE_RECV:
    case PS_COLLECTIVE_OP_COUNT:
        break;
    }
    return ranks > 1 ? bytes : 0;
}

static bool is_pair(ps_collective_op kind)
{
    return kind == PS_COLLECTIVE_SEND || kind == PS_COLLECTIVE_RECV;
}

static ps_code check_call(const ps_collective_call *call, ps_error *err)
{
    if (call->kind <= PS_COLLECTIVE_NONE || call->kind >= PS_COLLECTIVE_OP_COUNT) {
        return ps_fail(err, PS_USAGE, "a collective of no kind");
    }
    if (call->place.ranks == 0 || call->place.nodes == 0 || call->place.nodes > call->place.ranks) {
        return ps_fail(err, PS_USAGE, "%s among %u ranks on %u nodes",
                       ps_collective_kind_name(call->kind), (unsigned)call->place.ranks,
                       (unsigned)call->place.nodes);
    }
    if (is_pair(call->kind) && call->place.ranks != 2) {
        return ps_fail(err, PS_USAGE, "%s among %u ranks: it is between two",
                       ps_collective_kind_name(call->kind), (unsigned)call->place.ranks);
    }
    if (call->bytes > MAX_BYTES) {
        return ps_fail(err, PS_USAGE, "%s of more than 2^56 bytes",
                       ps_collective_kind_name(call->kind));
    }
    return PS_OK;
}

ps_code ps_collective_time(const ps_collective_model *self, const ps_collective_call *call,
                           ps_collective_result *out, ps_error *err)
{
    ps_collective_way way = {PS_COLLECTIVE_BY_RING, PS_COLLECTIVE_SIMPLE};
    PS_TRY(check_call(call, err));
    if (call->place.ranks == 1 || call->bytes == 0) {
        *out = (ps_collective_result){.algorithm = PS_COLLECTIVE_BY_DIRECT,
                                      .protocol = PS_COLLECTIVE_SIMPLE,
                                      .basis = PS_BASIS_ANALYTIC};
        return PS_OK;
    }
    PS_TRY(ps_collective_choose(self, call, &way, err));
    ps_collective_time_of(self, call, way, out);
    ps_collective_apply_measured(self, call, out);
    return PS_OK;
}
