/* SPDX-License-Identifier: MIT
 *
 * Merging ranks.
 */
#include "merge.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/idmap.h"
#include "base/memory.h"
#include "trace/file.h"
#include "trace/rows.h"

#define MAX_ORDINALS 64u /* devices of one host */
#define STEP_PREFIX "ProfilerStep#"

static ps_ns base_of(const ps_trace *trace)
{
    const char *text = ps_trace_meta(trace, PS_META_BASE_TIME);
    return text == NULL ? 0 : strtoll(text, NULL, 10);
}

/* ---- clocks ---- */

static uint64_t hash_text(uint64_t hash, const char *text)
{
    for (; *text != '\0'; text++) {
        hash = (hash ^ (unsigned char)*text) * 0x100000001b3u;
    }
    return hash * 0x9e3779b97f4a7c15u;
}

/*
 * The same collective has the same key on every rank: kind, group and sequence where they are
 * known, else the how-manieth of its kind it is. `seen` counts those.
 */
static ps_code key_of(const ps_trace *trace, size_t row, ps_idmap *seen, uint64_t *key,
                      ps_error *err)
{
    const ps_collective_table *collective = &trace->collective;
    uint64_t hash =
        hash_text(0xcbf29ce484222325u, ps_strings_text(trace->strings, collective->kind[row]));
    if (collective->sequence[row] != 0) {
        hash = hash_text(hash, ps_strings_text(trace->strings, collective->group[row]));
        *key = (hash ^ collective->sequence[row]) * 0x9e3779b97f4a7c15u;
        return PS_OK;
    }
    const uint32_t before = ps_idmap_get(seen, hash);
    const uint32_t index = before == PS_IDMAP_NONE ? 0 : before + 1;
    *key = (hash ^ ((uint64_t)index + 1) << 32) * 0x9e3779b97f4a7c15u;
    return ps_idmap_put(seen, hash, index, err);
}

typedef ps_code (*key_fn)(void *context, uint64_t key, ps_ns end_ns, ps_error *err);

/* Point-to-point transfers, and those with one root, end on each rank when that rank is done. */
static bool ends_together(const char *kind)
{
    static const char *const kinds[] = {"all-reduce", "all-gather", "reduce-scatter", "all-to-all",
                                        "barrier"};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (strcmp(kind, kinds[i]) == 0) {
            return true;
        }
    }
    return false;
}

static ps_code each_key(const ps_trace *trace, key_fn visit, void *context, ps_error *err)
{
    const ps_collective_table *collective = &trace->collective;
    const ps_ns base_ns = base_of(trace);
    ps_idmap seen;
    ps_idmap_init(&seen);
    ps_code code = PS_OK;
    for (size_t i = 0; i < collective->head.count && code == PS_OK; i++) {
        uint64_t key;
        if (!ends_together(ps_strings_text(trace->strings, collective->kind[i]))) {
            continue;
        }
        code = key_of(trace, i, &seen, &key, err);
        if (code == PS_OK) {
            code =
                visit(context, key, base_ns + collective->start_ns[i] + collective->dur_ns[i], err);
        }
    }
    ps_idmap_fini(&seen);
    return code;
}

/* Ends of the first rank's collectives by their keys. */
typedef struct reference {
    ps_idmap row;
    ps_ns *end_ns;
    size_t count, capacity;
} reference;

static ps_code remember(void *context, uint64_t key, ps_ns end_ns, ps_error *err)
{
    reference *self = context;
    PS_TRY(ps_grow((void **)&self->end_ns, &self->capacity, self->count + 1, PS_TABLE_MAX_ROWS,
                   sizeof *self->end_ns, err));
    self->end_ns[self->count] = end_ns;
    return ps_idmap_put(&self->row, key, (uint32_t)self->count++, err);
}

/* Distances of another rank's ends from the first's. */
typedef struct distances {
    const reference *first;
    ps_ns *ns;
    size_t count, capacity;
} distances;

static ps_code compare(void *context, uint64_t key, ps_ns end_ns, ps_error *err)
{
    distances *self = context;
    const uint32_t row = ps_idmap_get(&self->first->row, key);
    if (row == PS_IDMAP_NONE) {
        return PS_OK;
    }
    PS_TRY(ps_grow((void **)&self->ns, &self->capacity, self->count + 1, PS_TABLE_MAX_ROWS,
                   sizeof *self->ns, err));
    self->ns[self->count++] = end_ns - self->first->end_ns[row];
    return PS_OK;
}

static int compare_ns(const void *left, const void *right)
{
    const ps_ns a = *(const ps_ns *)left, b = *(const ps_ns *)right;
    return (a > b) - (a < b);
}

static ps_ns median(ps_ns *values, size_t count)
{
    qsort(values, count, sizeof *values, compare_ns);
    return values[count / 2];
}

static ps_code align(const ps_trace *trace, const reference *first, ps_merge_rank *rank,
                     ps_error *err)
{
    distances found = {.first = first};
    const ps_code code = each_key(trace, compare, &found, err);
    *rank = (ps_merge_rank){.collectives = found.count};
    if (code == PS_OK && found.count > 0) {
        rank->offset_ns = median(found.ns, found.count);
        for (size_t i = 0; i < found.count; i++) {
            const ps_ns distance = found.ns[i] - rank->offset_ns;
            found.ns[i] = distance < 0 ? -distance : distance;
        }
        rank->residual_ns = median(found.ns, found.count);
    }
    ps_free(found.ns);
    return code;
}

static ps_code align_all(const ps_trace *const *traces, size_t count, ps_merge_rank *ranks,
                         ps_error *err)
{
    reference first = {0};
    ps_idmap_init(&first.row);
    ps_code code = each_key(traces[0], remember, &first, err);
    for (size_t i = 0; i < count && code == PS_OK; i++) {
        code = align(traces[i], &first, &ranks[i], err);
    }
    ps_idmap_fini(&first.row);
    ps_free(first.end_ns);
    return code;
}

/* ---- rows ---- */

/* What changes in the rows of one rank. */
typedef struct change {
    ps_ns shift_ns; /* added to every time */
    uint64_t rank;
    const uint32_t *device; /* new ordinal by old one */
} change;

static bool is_time(const ps_column_spec *column)
{
    return strcmp(column->name, "start_ns") == 0 || strcmp(column->name, "time_ns") == 0;
}

static bool is_number_of_process(const ps_column_spec *column)
{
    static const char *const names[] = {"correlation", "record_correlation", "op_id", "tid"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(column->name, names[i]) == 0) {
            return true;
        }
    }
    return false;
}

static uint64_t changed(const ps_column_spec *column, uint64_t value, const change *by)
{
    if (is_time(column)) {
        return value + (uint64_t)by->shift_ns;
    }
    if (is_number_of_process(column)) {
        return value == 0 ? 0 : value | by->rank << PS_TRACE_PROCESS_SHIFT;
    }
    if (strcmp(column->name, "device") == 0) {
        return value < MAX_ORDINALS ? by->device[value] : value;
    }
    return value;
}

static void change_rows(ps_trace *trace, ps_trace_table_id id, size_t first, const change *by)
{
    const ps_table_spec *spec = &ps_trace_specs()[id];
    ps_table_head *table = ps_trace_table(trace, id);
    for (size_t c = 0; c < spec->column_count; c++) {
        const ps_column_spec *column = &spec->columns[c];
        for (size_t i = first; i < table->count; i++) {
            ps_table_set(column, table, i, changed(column, ps_table_get(column, table, i), by));
        }
    }
}

/* The host's own memory events name device 0 and are nobody's device. */
static void restore_host_rows(ps_trace *trace, size_t first)
{
    for (size_t i = first; i < trace->memory.head.count; i++) {
        if (trace->memory.device_kind[i] == PS_DEVICE_HOST) {
            trace->memory.device[i] = 0;
        }
    }
}

/* Steps are counted once: by the first rank. */
static ps_code name_steps(ps_trace *trace, size_t first, uint64_t rank, ps_error *err)
{
    for (size_t i = first; i < trace->range.head.count && rank > 0; i++) {
        char name[128];
        const char *old = ps_strings_text(trace->strings, trace->range.name[i]);
        if (strncmp(old, STEP_PREFIX, sizeof STEP_PREFIX - 1) != 0) {
            continue;
        }
        (void)snprintf(name, sizeof name, "rank %" PRIu64 ": %.64s", rank, old);
        PS_TRY(ps_strings_put_z(trace->strings, name, &trace->range.name[i], err));
    }
    return PS_OK;
}

static ps_code add_rank(ps_trace *out, const ps_trace *from, const change *by, ps_error *err)
{
    const size_t first_range = out->range.head.count, first_memory = out->memory.head.count;
    for (int i = 0; i < PS_TRACE_TABLE_COUNT; i++) {
        const ps_trace_table_id id = (ps_trace_table_id)i;
        const size_t first = ps_trace_table(out, id)->count;
        if (id != PS_TABLE_META && id != PS_TABLE_LOSS) {
            PS_TRY(
                ps_trace_copy_rows(out, id, from, 0, ps_trace_table_const(from, id)->count, err));
            change_rows(out, id, first, by);
        }
    }
    for (size_t i = 0; i < from->loss.head.count; i++) {
        PS_TRY(ps_trace_add_loss(out, ps_strings_text(from->strings, from->loss.name[i]),
                                 from->loss.count[i], err));
    }
    restore_host_rows(out, first_memory);
    return name_steps(out, first_range, by->rank, err);
}

/* ---- facts ---- */

static ps_code set_number(ps_trace *trace, uint64_t rank, const char *what, int64_t value,
                          ps_error *err)
{
    char key[64], text[32];
    (void)snprintf(key, sizeof key, "rank-%" PRIu64 "-%s", rank, what);
    (void)snprintf(text, sizeof text, "%" PRId64, value);
    return ps_trace_set_meta(trace, key, text, err);
}

static ps_code set_facts(ps_trace *out, const ps_trace *first, const ps_merge_rank *ranks,
                         size_t count, ps_error *err)
{
    char text[32];
    for (size_t i = 0; i < first->meta.head.count; i++) {
        const char *key = ps_strings_text(first->strings, first->meta.key[i]);
        if (strcmp(key, PS_META_RANK) != 0) {
            PS_TRY(ps_trace_set_meta(out, key,
                                     ps_strings_text(first->strings, first->meta.value[i]), err));
        }
    }
    (void)snprintf(text, sizeof text, "%zu", count);
    PS_TRY(ps_trace_set_meta(out, PS_META_MERGED, text, err));
    for (size_t i = 1; i < count; i++) {
        PS_TRY(set_number(out, i, "clock-offset-ns", ranks[i].offset_ns, err));
        PS_TRY(set_number(out, i, "clock-residual-ns", ranks[i].residual_ns, err));
        PS_TRY(set_number(out, i, "collectives", (int64_t)ranks[i].collectives, err));
    }
    return PS_OK;
}

/* ---- devices ---- */

static void mark_used(const uint32_t *device, size_t count, bool used[MAX_ORDINALS])
{
    for (size_t i = 0; i < count; i++) {
        if (device[i] < MAX_ORDINALS) {
            used[device[i]] = true;
        }
    }
}

/* Devices that a rank works on get the next numbers; the others it merely lists go to its first. */
static uint32_t number_devices(const ps_trace *trace, uint32_t first, uint32_t device[MAX_ORDINALS])
{
    bool used[MAX_ORDINALS] = {false};
    uint32_t next = first;
    mark_used(trace->kernel.device, trace->kernel.head.count, used);
    mark_used(trace->memcpy.device, trace->memcpy.head.count, used);
    for (size_t i = 0; i < trace->memory.head.count; i++) {
        if (trace->memory.device_kind[i] != PS_DEVICE_HOST) {
            mark_used(&trace->memory.device[i], 1, used);
        }
    }
    for (uint32_t i = 0; i < MAX_ORDINALS; i++) {
        device[i] = used[i] ? next++ : first;
    }
    return next > first ? next : first + 1;
}

/* Which rank each device is of. */
static ps_code set_device_ranks(ps_trace *out, uint32_t first, uint32_t end, size_t rank,
                                ps_error *err)
{
    for (uint32_t device = first; device < end; device++) {
        char key[32], text[24];
        (void)snprintf(key, sizeof key, "device-%" PRIu32 "-rank", device);
        (void)snprintf(text, sizeof text, "%zu", rank);
        PS_TRY(ps_trace_set_meta(out, key, text, err));
    }
    return PS_OK;
}

static ps_code merge_rows(const ps_trace *const *traces, size_t count, const ps_merge_rank *ranks,
                          ps_trace *out, ps_error *err)
{
    uint32_t first_device = 0;
    const ps_ns base_ns = base_of(traces[0]);
    for (size_t i = 0; i < count; i++) {
        uint32_t device[MAX_ORDINALS];
        const size_t first_listed = out->device.head.count;
        const uint32_t end_device = number_devices(traces[i], first_device, device);
        const change by = {.shift_ns = base_of(traces[i]) - base_ns - ranks[i].offset_ns,
                           .rank = i,
                           .device = device};
        PS_TRY(add_rank(out, traces[i], &by, err));
        /* one that is listed but not used has become a second row of another */
        ps_trace_keep_first_devices(out, first_listed);
        PS_TRY(set_device_ranks(out, first_device, end_device, i, err));
        first_device = end_device;
    }
    PS_TRY(set_facts(out, traces[0], ranks, count, err));
    return ps_trace_sort(out, err);
}

ps_code ps_merge_traces(const ps_trace *const *traces, size_t count, ps_merge_rank *ranks,
                        ps_trace **out, ps_error *err)
{
    if (count > PS_MERGE_MAX_RANKS) {
        return ps_fail(err, PS_LIMIT, "%zu ranks, the limit is %u", count, PS_MERGE_MAX_RANKS);
    }
    PS_TRY(align_all(traces, count, ranks, err));
    ps_trace *merged = ps_trace_create();
    if (merged == NULL) {
        return ps_fail_nomem(err);
    }
    const ps_code code = merge_rows(traces, count, ranks, merged, err);
    if (code != PS_OK) {
        ps_trace_destroy(merged);
        return code;
    }
    *out = merged;
    return PS_OK;
}
