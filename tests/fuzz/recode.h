/* SPDX-License-Identifier: MIT
 *
 * Encode what was decoded, decode that, and compare: shared by the fuzz
 * targets of the container.
 */
#ifndef PS_TESTS_FUZZ_RECODE_H
#define PS_TESTS_FUZZ_RECODE_H

#include <string.h>

#include "base/chunk_codec.h"
#include "fuzz.h"
#include "plan/plan.h"
#include "trace/trace.h"
#include "workload/workload.h"

/* More rows than this say nothing new and take the fuzzer's time. */
#define RECODE_MAX_ROWS ((size_t)20000)

static inline ps_dataset dataset_of_trace(ps_trace *trace, ps_table_head **tables)
{
    for (int i = 0; i < PS_TRACE_TABLE_COUNT; i++) {
        tables[i] = ps_trace_table(trace, (ps_trace_table_id)i);
    }
    return (ps_dataset){ps_trace_specs(), PS_TRACE_TABLE_COUNT, tables, trace->strings};
}

static inline ps_dataset dataset_of_plan(ps_plan *plan, ps_table_head **tables)
{
    for (int i = 0; i < PS_PLAN_TABLE_COUNT; i++) {
        tables[i] = ps_plan_table(plan, (ps_plan_table_id)i);
    }
    return (ps_dataset){ps_plan_specs(), PS_PLAN_TABLE_COUNT, tables, plan->strings};
}

static inline ps_dataset dataset_of_workload(ps_workload *workload, ps_table_head **tables)
{
    for (int i = 0; i < PS_WORKLOAD_TABLE_COUNT; i++) {
        tables[i] = ps_workload_table(workload, (ps_workload_table_id)i);
    }
    return (ps_dataset){ps_workload_specs(), PS_WORKLOAD_TABLE_COUNT, tables, workload->strings};
}

static inline size_t count_rows(const ps_dataset *data)
{
    size_t rows = 0;
    for (size_t t = 0; t < data->table_count; t++) {
        rows += data->tables[t]->count;
    }
    return rows;
}

static inline void require_same_cell(const ps_dataset *a, const ps_dataset *b, size_t table,
                                     const ps_column_spec *column, size_t row)
{
    const uint64_t x = ps_table_get(column, a->tables[table], row);
    const uint64_t y = ps_table_get(column, b->tables[table], row);
    if (column->type != PS_COLUMN_STR) {
        fuzz_require(x == y);
        return;
    }
    fuzz_require(strcmp(ps_strings_text(a->strings, (ps_str)x),
                        ps_strings_text(b->strings, (ps_str)y)) == 0);
}

static inline void require_same(const ps_dataset *a, const ps_dataset *b)
{
    for (size_t t = 0; t < a->table_count; t++) {
        const ps_table_spec *spec = &a->specs[t];
        fuzz_require(a->tables[t]->count == b->tables[t]->count);
        for (size_t c = 0; c < spec->column_count; c++) {
            for (size_t row = 0; row < a->tables[t]->count; row++) {
                require_same_cell(a, b, t, &spec->columns[c], row);
            }
        }
    }
}

/* `into` is empty. */
static inline void recode(const ps_dataset *from, const ps_dataset *into)
{
    ps_error err = {0};
    ps_bytes payload = {0};
    uint64_t raw_bytes = 0, budget = UINT64_MAX;
    ps_chunk_encoder *encoder = ps_chunk_encoder_create(1);
    ps_chunk_decoder *decoder = ps_chunk_decoder_create();
    fuzz_require(encoder != NULL && decoder != NULL);
    fuzz_require(ps_chunk_encode(encoder, from, &payload, &raw_bytes, &err) == PS_OK);
    fuzz_require(ps_chunk_decode(decoder, payload.data, payload.count, raw_bytes, &budget, into,
                                 &err) == PS_OK);
    require_same(from, into);
    ps_bytes_fini(&payload);
    ps_chunk_encoder_destroy(encoder);
    ps_chunk_decoder_destroy(decoder);
}

static inline void recode_trace(ps_trace *trace)
{
    ps_table_head *tables[PS_TRACE_TABLE_COUNT], *other_tables[PS_TRACE_TABLE_COUNT];
    const ps_dataset from = dataset_of_trace(trace, tables);
    if (count_rows(&from) > RECODE_MAX_ROWS) {
        return;
    }
    ps_trace *other = ps_trace_create();
    fuzz_require(other != NULL);
    const ps_dataset into = dataset_of_trace(other, other_tables);
    recode(&from, &into);
    ps_trace_destroy(other);
}

static inline void recode_plan(ps_plan *plan)
{
    ps_table_head *tables[PS_PLAN_TABLE_COUNT], *other_tables[PS_PLAN_TABLE_COUNT];
    const ps_dataset from = dataset_of_plan(plan, tables);
    if (count_rows(&from) > RECODE_MAX_ROWS) {
        return;
    }
    ps_plan *other = ps_plan_create();
    fuzz_require(other != NULL);
    const ps_dataset into = dataset_of_plan(other, other_tables);
    recode(&from, &into);
    ps_plan_destroy(other);
}

static inline void recode_workload(ps_workload *workload)
{
    ps_table_head *tables[PS_WORKLOAD_TABLE_COUNT], *other_tables[PS_WORKLOAD_TABLE_COUNT];
    const ps_dataset from = dataset_of_workload(workload, tables);
    if (count_rows(&from) > RECODE_MAX_ROWS) {
        return;
    }
    ps_workload *other = ps_workload_create();
    fuzz_require(other != NULL);
    const ps_dataset into = dataset_of_workload(other, other_tables);
    recode(&from, &into);
    ps_workload_destroy(other);
}

#endif
