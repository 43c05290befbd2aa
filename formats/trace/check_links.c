/* SPDX-License-Identifier: MIT
 *
 * Links between tables: device work and the calls that launched it,
 * collectives and their kernels, waits and streams.
 *
 * A correlation without a partner is normal (work launched before the
 * recording began, graphs), so those are counted, not condemned.
 */
#include <inttypes.h>

#include "base/idmap.h"
#include "trace/check_parts.h"

#define NO_STREAM UINT64_MAX

/* Maps that the part builds once. */
typedef struct links {
    ps_idmap calls;   /* correlation -> call row */
    ps_idmap devices; /* listed ordinal -> device row */
} links;

static ps_code put_first(ps_idmap *map, uint64_t key, size_t row, ps_error *err)
{
    return ps_idmap_get(map, key) == PS_IDMAP_NONE ? ps_idmap_put(map, key, (uint32_t)row, err)
                                                   : PS_OK;
}

static ps_code build(const ps_trace *trace, links *self, ps_error *err)
{
    for (size_t i = 0; i < trace->call.head.count; i++) {
        PS_TRY(put_first(&self->calls, trace->call.correlation[i], i, err));
    }
    for (size_t i = 0; i < trace->device.head.count; i++) {
        PS_TRY(put_first(&self->devices, trace->device.device[i], i, err));
    }
    return PS_OK;
}

/* ---- device work ---- */

/* The columns that kernels, copies and fills have in common. */
typedef struct work_view {
    ps_trace_table_id id;
    size_t count;
    const ps_ns *start_ns, *dur_ns;
    const uint32_t *device;
    const uint64_t *stream, *correlation;
} work_view;

static ps_code check_work(ps_checker *self, const links *maps, const work_view *work, ps_error *err)
{
    const bool has_calls = self->trace->call.head.count > 0;
    ps_idmap launched;
    ps_code code = PS_OK;
    ps_idmap_init(&launched);
    for (size_t i = 0; i < work->count && code == PS_OK; i++) {
        const uint64_t correlation = work->correlation[i];
        if (ps_idmap_get(&maps->devices, work->device[i]) == PS_IDMAP_NONE) {
            ps_checker_note(self, PS_RULE_UNLISTED, work->id, i, "device %" PRIu32 " is not listed",
                            work->device[i]);
        }
        if (correlation == 0 ||
            (has_calls && ps_idmap_get(&maps->calls, correlation) == PS_IDMAP_NONE)) {
            ps_checker_note(self, PS_RULE_UNLINKED, work->id, i,
                            "no call has the correlation %" PRIu64, correlation);
        } else if (ps_idmap_get(&launched, correlation) != PS_IDMAP_NONE) {
            ps_checker_note(self, PS_RULE_SHARED_LAUNCH, work->id, i,
                            "correlation %" PRIu64 " belongs to row %" PRIu32 " already",
                            correlation, ps_idmap_get(&launched, correlation));
        } else {
            code = ps_idmap_put(&launched, correlation, (uint32_t)i, err);
        }
    }
    ps_idmap_fini(&launched);
    return code;
}

/* Rows of one stream one after the other: `last` maps device and stream to the latest row. */
static ps_code check_overlaps(ps_checker *self, const work_view *work, ps_idmap *last,
                              ps_error *err)
{
    for (size_t i = 0; i < work->count; i++) {
        const uint64_t key = ps_check_key(work->device[i], 0, work->stream[i]);
        const uint32_t before = ps_idmap_get(last, key);
        if (before != PS_IDMAP_NONE &&
            ps_time_add(work->start_ns[before], work->dur_ns[before]) > work->start_ns[i]) {
            ps_checker_note(self, PS_RULE_OVERLAPPING, work->id, i,
                            "begins on stream %" PRIu64 " before row %" PRIu32 " ends",
                            work->stream[i], before);
        }
        PS_TRY(ps_idmap_put(last, key, (uint32_t)i, err));
    }
    return PS_OK;
}

static ps_code check_all_work(ps_checker *self, const links *maps, ps_error *err)
{
    const ps_trace *trace = self->trace;
    const work_view views[] = {
#define VIEW(symbol, name)                                                                   \
    {PS_TABLE_##symbol,  trace->name.head.count, trace->name.start_ns,   trace->name.dur_ns, \
     trace->name.device, trace->name.stream,     trace->name.correlation}
        VIEW(KERNEL, kernel),
        VIEW(MEMCPY, memcpy),
        VIEW(MEMSET, memset),
#undef VIEW
    };
    for (size_t i = 0; i < sizeof views / sizeof views[0]; i++) {
        ps_idmap last;
        PS_TRY(check_work(self, maps, &views[i], err));
        ps_idmap_init(&last);
        const ps_code code = check_overlaps(self, &views[i], &last, err);
        ps_idmap_fini(&last);
        PS_TRY(code);
    }
    return PS_OK;
}

/* ---- collectives ---- */

static uint64_t mix(uint64_t hash, uint64_t value)
{
    hash = (hash ^ value) * 0x9e3779b97f4a7c15u;
    return hash ^ hash >> 29;
}

/* Start, place and correlation of a row in 64 bits; unequal rows practically never meet. */
static uint64_t row_key(ps_ns start, uint32_t device, uint64_t stream, uint64_t correlation)
{
    return mix(mix(mix(mix(0, (uint64_t)start), device), stream), correlation);
}

static ps_code find_kernels(ps_checker *self, ps_idmap *kernels, ps_error *err)
{
    const ps_collective_table *collective = &self->trace->collective;
    const ps_kernel_table *kernel = &self->trace->kernel;
    for (size_t i = 0; i < kernel->head.count; i++) {
        PS_TRY(put_first(kernels,
                         row_key(kernel->start_ns[i], kernel->device[i], kernel->stream[i],
                                 kernel->correlation[i]),
                         i, err));
    }
    for (size_t i = 0; i < collective->head.count; i++) {
        const uint64_t key = row_key(collective->start_ns[i], collective->device[i],
                                     collective->stream[i], collective->correlation[i]);
        if (ps_idmap_get(kernels, key) == PS_IDMAP_NONE) {
            ps_checker_note(self, PS_RULE_COLLECTIVE, PS_TABLE_COLLECTIVE, i,
                            "no kernel starts at %" PRId64 " ns on stream %" PRIu64
                            " with correlation %" PRIu64,
                            collective->start_ns[i], collective->stream[i],
                            collective->correlation[i]);
        }
    }
    return PS_OK;
}

static ps_code check_collectives(ps_checker *self, ps_error *err)
{
    ps_idmap kernels;
    if (self->trace->collective.head.count == 0) {
        return PS_OK;
    }
    ps_idmap_init(&kernels);
    const ps_code code = find_kernels(self, &kernels, err);
    ps_idmap_fini(&kernels);
    return code;
}

/* ---- waits ---- */

static void check_waits(ps_checker *self)
{
    const ps_sync_table *sync = &self->trace->sync;
    for (size_t i = 0; i < sync->head.count; i++) {
        const bool needs_stream =
            sync->kind[i] == PS_SYNC_STREAM || sync->kind[i] == PS_SYNC_STREAM_WAIT;
        if (needs_stream && sync->stream[i] == NO_STREAM) {
            ps_checker_note(self, PS_RULE_WAIT, PS_TABLE_SYNC, i, "names no stream");
        }
    }
}

ps_code ps_check_links(ps_checker *self, ps_error *err)
{
    links maps;
    ps_idmap_init(&maps.calls);
    ps_idmap_init(&maps.devices);
    ps_code code = build(self->trace, &maps, err);
    if (code == PS_OK) {
        code = check_all_work(self, &maps, err);
    }
    ps_idmap_fini(&maps.calls);
    ps_idmap_fini(&maps.devices);
    check_waits(self);
    return code == PS_OK ? check_collectives(self, err) : code;
}
