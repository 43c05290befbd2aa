/* SPDX-License-Identifier: MIT
 *
 * One clock for the allocator's events and the calls.
 *
 * A segment of the allocator and the driver call that gave it have the same
 * address and size. The allocator notes the segment after the call returned,
 * on a clock of microseconds; so with clocks that agree the distance is small
 * and not negative. Its 10th percentile is taken as the clocks' offset, for
 * the least values are those where nothing came between.
 */
#include <stdlib.h>
#include <string.h>

#include "base/idmap.h"
#include "base/memory.h"
#include "join_parts.h"

/* Distances up to this are what a microsecond clock and the code in between explain. */
#define NEGLIGIBLE_NS 2000

/* An allocation belongs to the thread that calls next, when it calls within this time. */
#define SAME_OPERATOR_NS 1000000

/* ---- pairs of segments ---- */

typedef struct pairs {
    int64_t *distance_ns;
    size_t count, capacity, unseen;
} pairs;

/* End of each call by its correlation. */
static ps_code index_calls(const ps_trace *trace, ps_idmap *calls, ps_error *err)
{
    for (size_t i = 0; i < trace->call.head.count; i++) {
        PS_TRY(ps_idmap_put(calls, trace->call.correlation[i], (uint32_t)i, err));
    }
    return PS_OK;
}

/* When the call of a driver row returned; its own time where the call is not recorded. */
static ps_ns returned_at(const ps_trace *trace, const ps_idmap *calls, size_t row)
{
    const uint64_t correlation = trace->driver_memory.correlation[row];
    const uint32_t call = correlation == 0 ? PS_IDMAP_NONE : ps_idmap_get(calls, correlation);
    return call == PS_IDMAP_NONE ? trace->driver_memory.time_ns[row]
                                 : trace->call.start_ns[call] + trace->call.dur_ns[call];
}

static bool is_taken(uint8_t action)
{
    return action == PS_DRIVER_ALLOC || action == PS_DRIVER_MAP;
}

/* Driver rows that gave memory: the first of each address, and behind each row the next of the same. */
typedef struct givers {
    ps_idmap first;
    uint32_t *next;
} givers;

static ps_code index_givers(const ps_trace *trace, givers *self, ps_error *err)
{
    const ps_driver_memory_table *driver = &trace->driver_memory;
    ps_idmap_init(&self->first);
    self->next = ps_calloc(driver->head.count, sizeof *self->next);
    if (self->next == NULL) {
        return ps_fail_nomem(err);
    }
    for (size_t i = driver->head.count; i-- > 0;) {
        if (is_taken(driver->action[i])) {
            self->next[i] = ps_idmap_get(&self->first, driver->addr[i]);
            PS_TRY(ps_idmap_put(&self->first, driver->addr[i], (uint32_t)i, err));
        }
    }
    return PS_OK;
}

/* Takes the oldest unused row that gave memory at an address. */
static uint32_t take_giver(givers *self, uint64_t addr)
{
    const uint32_t row = ps_idmap_take(&self->first, addr);
    if (row != PS_IDMAP_NONE && self->next[row] != PS_IDMAP_NONE) {
        /* a slot was just freed, so this cannot run out of memory */
        (void)!ps_idmap_put(&self->first, addr, self->next[row], NULL);
    }
    return row;
}

/* Both lists are in order, and an address can be given again only after it was returned. */
static ps_code find_pairs(const ps_trace *trace, const ps_idmap *calls, givers *driver,
                          pairs *found, ps_error *err)
{
    const ps_memory_table *memory = &trace->memory;
    for (size_t i = 0; i < memory->head.count; i++) {
        if (memory->action[i] != PS_ACTION_SEGMENT_ALLOC &&
            memory->action[i] != PS_ACTION_SEGMENT_MAP) {
            continue;
        }
        const uint32_t row = take_giver(driver, memory->addr[i]);
        if (row == PS_IDMAP_NONE) {
            found->unseen++;
            continue;
        }
        PS_TRY(ps_grow((void **)&found->distance_ns, &found->capacity, found->count + 1, SIZE_MAX,
                       sizeof *found->distance_ns, err));
        found->distance_ns[found->count++] = memory->time_ns[i] - returned_at(trace, calls, row);
    }
    return PS_OK;
}

static int compare_ns(const void *left, const void *right)
{
    const int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;
    return (a > b) - (a < b);
}

/* ---- the clock ---- */

static ps_code apply(ps_trace *trace, pairs *found, ps_error *err)
{
    PS_TRY(ps_join_set_fact(trace, PS_META_JOIN_PAIRS, (int64_t)found->count, err));
    PS_TRY(ps_join_set_fact(trace, PS_META_JOIN_UNSEEN, (int64_t)found->unseen, err));
    if (found->count == 0) {
        return PS_OK;
    }
    qsort(found->distance_ns, found->count, sizeof *found->distance_ns, compare_ns);
    const int64_t least = found->distance_ns[found->count / 10];
    const int64_t middle = found->distance_ns[found->count / 2];
    const int64_t offset = least < 0 || least > NEGLIGIBLE_NS ? least : 0;
    for (size_t i = 0; offset != 0 && i < trace->memory.head.count; i++) {
        trace->memory.time_ns[i] -= offset;
    }
    PS_TRY(ps_join_set_fact(trace, PS_META_JOIN_OFFSET, offset, err));
    return ps_join_set_fact(trace, PS_META_JOIN_RESIDUAL, middle - least, err);
}

/* ---- threads ---- */

/* History rows have no thread: each gets that of the next call, or of the last when none follows soon. */
static void name_threads(ps_trace *trace)
{
    const ps_call_table *call = &trace->call;
    ps_memory_table *memory = &trace->memory;
    size_t next = 0;
    for (size_t i = 0; i < memory->head.count; i++) {
        const ps_ns now_ns = memory->time_ns[i];
        while (next > 0 && call->start_ns[next - 1] >= now_ns) {
            next--; /* a row with an earlier time than the one before it */
        }
        while (next < call->head.count && call->start_ns[next] < now_ns) {
            next++;
        }
        const bool follows =
            next < call->head.count && call->start_ns[next] - now_ns <= SAME_OPERATOR_NS;
        if (memory->tid[i] == 0 && (follows || next > 0)) {
            memory->tid[i] = call->tid[follows ? next : next - 1];
        }
    }
}

static ps_code join_clocks(ps_trace *trace, ps_error *err)
{
    pairs found = {0};
    givers driver;
    ps_idmap calls;
    ps_idmap_init(&calls);
    ps_code code = index_givers(trace, &driver, err);
    if (code == PS_OK) {
        code = index_calls(trace, &calls, err);
    }
    if (code == PS_OK) {
        code = find_pairs(trace, &calls, &driver, &found, err);
    }
    if (code == PS_OK) {
        code = apply(trace, &found, err);
    }
    ps_idmap_fini(&calls);
    ps_idmap_fini(&driver.first);
    ps_free(driver.next);
    ps_free(found.distance_ns);
    return code;
}

ps_code ps_join_clock(ps_trace *trace, ps_error *err)
{
    const char *source = ps_trace_meta(trace, PS_META_MEMORY_SOURCE);
    if (source != NULL && strcmp(source, "allocator") == 0) {
        PS_TRY(join_clocks(trace, err));
    }
    name_threads(trace);
    return PS_OK;
}
