/* SPDX-License-Identifier: MIT
 *
 * The trace in memory: table descriptions, facts and loss counters.
 */
#include "trace/trace.h"

#include <string.h>

#include "base/memory.h"

#define COLUMN_SPEC(id, name, type, coding, doc) \
    {id, #name, PS_COLUMN_##type, PS_CODING_##coding, doc, offsetof(TABLE_TYPE, name)},

#define TABLE_TYPE ps_range_table
static const ps_column_spec range_columns[] = {PS_RANGE_COLUMNS(COLUMN_SPEC)};
#undef TABLE_TYPE
#define TABLE_TYPE ps_call_table
static const ps_column_spec call_columns[] = {PS_CALL_COLUMNS(COLUMN_SPEC)};
#undef TABLE_TYPE
#define TABLE_TYPE ps_kernel_table
static const ps_column_spec kernel_columns[] = {PS_KERNEL_COLUMNS(COLUMN_SPEC)};
#undef TABLE_TYPE
#define TABLE_TYPE ps_memcpy_table
static const ps_column_spec memcpy_columns[] = {PS_MEMCPY_COLUMNS(COLUMN_SPEC)};
#undef TABLE_TYPE
#define TABLE_TYPE ps_memset_table
static const ps_column_spec memset_columns[] = {PS_MEMSET_COLUMNS(COLUMN_SPEC)};
#undef TABLE_TYPE
#define TABLE_TYPE ps_collective_table
static const ps_column_spec collective_columns[] = {PS_COLLECTIVE_COLUMNS(COLUMN_SPEC)};
#undef TABLE_TYPE
#define TABLE_TYPE ps_sync_table
static const ps_column_spec sync_columns[] = {PS_SYNC_COLUMNS(COLUMN_SPEC)};
#undef TABLE_TYPE
#define TABLE_TYPE ps_memory_table
static const ps_column_spec memory_columns[] = {PS_MEMORY_COLUMNS(COLUMN_SPEC)};
#undef TABLE_TYPE
#define TABLE_TYPE ps_segment_table
static const ps_column_spec segment_columns[] = {PS_SEGMENT_COLUMNS(COLUMN_SPEC)};
#undef TABLE_TYPE
#define TABLE_TYPE ps_block_table
static const ps_column_spec block_columns[] = {PS_BLOCK_COLUMNS(COLUMN_SPEC)};
#undef TABLE_TYPE
#define TABLE_TYPE ps_device_table
static const ps_column_spec device_columns[] = {PS_DEVICE_COLUMNS(COLUMN_SPEC)};
#undef TABLE_TYPE
#define TABLE_TYPE ps_thread_table
static const ps_column_spec thread_columns[] = {PS_THREAD_COLUMNS(COLUMN_SPEC)};
#undef TABLE_TYPE
#define TABLE_TYPE ps_meta_table
static const ps_column_spec meta_columns[] = {PS_META_COLUMNS(COLUMN_SPEC)};
#undef TABLE_TYPE
#define TABLE_TYPE ps_loss_table
static const ps_column_spec loss_columns[] = {PS_LOSS_COLUMNS(COLUMN_SPEC)};
#undef TABLE_TYPE
#define TABLE_TYPE ps_driver_memory_table
static const ps_column_spec driver_memory_columns[] = {PS_DRIVER_MEMORY_COLUMNS(COLUMN_SPEC)};
#undef TABLE_TYPE

#define TABLE_SPEC(sym, id, name, type, columns, doc) \
    {id, #name, doc, name##_columns, sizeof name##_columns / sizeof name##_columns[0]},

static const ps_table_spec table_specs[PS_TRACE_TABLE_COUNT] = {PS_TRACE_TABLES(TABLE_SPEC)};

const ps_table_spec *ps_trace_specs(void)
{
    return table_specs;
}

static const size_t table_offsets[PS_TRACE_TABLE_COUNT] = {
#define TABLE_OFFSET(sym, id, name, type, columns, doc) offsetof(ps_trace, name),
    PS_TRACE_TABLES(TABLE_OFFSET)
#undef TABLE_OFFSET
};

ps_table_head *ps_trace_table(ps_trace *trace, ps_trace_table_id id)
{
    return (ps_table_head *)(void *)((char *)trace + table_offsets[id]);
}

const ps_table_head *ps_trace_table_const(const ps_trace *trace, ps_trace_table_id id)
{
    return (const ps_table_head *)(const void *)((const char *)trace + table_offsets[id]);
}

ps_trace *ps_trace_create(void)
{
    ps_trace *trace = ps_calloc(1, sizeof *trace);
    if (trace == NULL) {
        return NULL;
    }
    trace->strings = ps_strings_create();
    if (trace->strings == NULL) {
        ps_free(trace);
        return NULL;
    }
    return trace;
}

void ps_trace_destroy(ps_trace *trace)
{
    if (trace == NULL) {
        return;
    }
    for (int i = 0; i < PS_TRACE_TABLE_COUNT; i++) {
        ps_table_fini(&table_specs[i], ps_trace_table(trace, (ps_trace_table_id)i));
    }
    ps_strings_destroy(trace->strings);
    ps_free(trace);
}

uint64_t ps_trace_event_count(const ps_trace *trace)
{
    uint64_t count = 0;
    for (int i = PS_TABLE_RANGE; i <= PS_TABLE_MEMORY; i++) {
        count += ps_trace_table_const(trace, (ps_trace_table_id)i)->count;
    }
    return count;
}

ps_code ps_trace_add(ps_trace *trace, ps_trace_table_id id, size_t *row, ps_error *err)
{
    return ps_table_add(&table_specs[id], ps_trace_table(trace, id), row, err);
}

static bool find_meta(const ps_trace *trace, const char *key, size_t *row)
{
    for (size_t i = 0; i < trace->meta.head.count; i++) {
        if (strcmp(ps_strings_text(trace->strings, trace->meta.key[i]), key) == 0) {
            *row = i;
            return true;
        }
    }
    return false;
}

ps_code ps_trace_set_meta(ps_trace *trace, const char *key, const char *value, ps_error *err)
{
    size_t row;
    ps_str key_id, value_id;
    PS_TRY(ps_strings_put_z(trace->strings, key, &key_id, err));
    PS_TRY(ps_strings_put_z(trace->strings, value, &value_id, err));
    if (!find_meta(trace, key, &row)) {
        PS_TRY(ps_trace_add(trace, PS_TABLE_META, &row, err));
    }
    trace->meta.key[row] = key_id;
    trace->meta.value[row] = value_id;
    return PS_OK;
}

const char *ps_trace_meta(const ps_trace *trace, const char *key)
{
    size_t row;
    return find_meta(trace, key, &row) ? ps_strings_text(trace->strings, trace->meta.value[row])
                                       : NULL;
}

static ps_severity severity_of(const char *name)
{
    static const struct {
        const char *name;
        ps_severity severity;
    } known[] = {
#define X(loss_name, loss_severity, text) {loss_name, PS_SEVERITY_##loss_severity},
#include "trace/losses.def"
#undef X
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (strcmp(known[i].name, name) == 0) {
            return known[i].severity;
        }
    }
    return PS_SEVERITY_LOSS;
}

ps_code ps_trace_add_loss(ps_trace *trace, const char *name, uint64_t count, ps_error *err)
{
    ps_str id;
    if (count == 0) {
        return PS_OK;
    }
    PS_TRY(ps_strings_put_z(trace->strings, name, &id, err));
    for (size_t i = 0; i < trace->loss.head.count; i++) {
        if (trace->loss.name[i] == id) {
            trace->loss.count[i] += count;
            return PS_OK;
        }
    }
    size_t row;
    PS_TRY(ps_trace_add(trace, PS_TABLE_LOSS, &row, err));
    trace->loss.name[row] = id;
    trace->loss.severity[row] = (uint8_t)severity_of(name);
    trace->loss.count[row] = count;
    return PS_OK;
}
