/* SPDX-License-Identifier: MIT
 *
 * Kineto JSON. The first byte chooses the window, the rest is the file. What
 * must hold of an import that succeeds: no negative duration, known enum
 * values, every text within its table and valid UTF-8.
 */
#include "fuzz.h"

#include <string.h>

#include "base/memory.h"
#include "import/import.h"
#include "import/json_text.h"
#include "import/kineto.h"

static void check_strings(const ps_trace *trace)
{
    char copy[4096];
    for (ps_str id = 0; id < ps_strings_count(trace->strings); id++) {
        const size_t bytes = ps_strings_bytes(trace->strings, id);
        if (bytes < sizeof copy) {
            memcpy(copy, ps_strings_text(trace->strings, id), bytes);
            fuzz_require(ps_json_clean_utf8(copy, bytes) == 0);
        }
    }
}

static void check_cells(const ps_trace *trace)
{
    for (int t = 0; t < PS_TRACE_TABLE_COUNT; t++) {
        const ps_table_spec *spec = &ps_trace_specs()[t];
        const ps_table_head *table = ps_trace_table_const(trace, (ps_trace_table_id)t);
        for (size_t c = 0; c < spec->column_count; c++) {
            const ps_column_spec *column = &spec->columns[c];
            const int is_duration = strcmp(column->name, "dur_ns") == 0;
            for (size_t row = 0; row < table->count; row++) {
                const uint64_t cell = ps_table_get(column, table, row);
                fuzz_require(!is_duration || (int64_t)cell >= 0);
                fuzz_require(column->type != PS_COLUMN_STR ||
                             cell < ps_strings_count(trace->strings));
            }
        }
    }
}

static void check_enums(const ps_trace *trace)
{
    for (size_t i = 0; i < trace->range.head.count; i++) {
        fuzz_require(trace->range.category[i] <= PS_RANGE_PROFILER);
        fuzz_require(trace->range.sequence[i] >= 0);
    }
    for (size_t i = 0; i < trace->memory.head.count; i++) {
        fuzz_require(trace->memory.action[i] == PS_ACTION_ALLOC ||
                     trace->memory.action[i] == PS_ACTION_FREE ||
                     trace->memory.action[i] == PS_ACTION_OOM);
        fuzz_require(trace->memory.device_kind[i] <= PS_DEVICE_OTHER);
    }
    fuzz_require(trace->collective.head.count <= trace->kernel.head.count);
}

static void import(const uint8_t *data, size_t size, size_t window)
{
    ps_error err = {0};
    ps_source *source = NULL;
    ps_trace_builder *builder = NULL;
    ps_trace *trace = NULL;
    if (ps_source_open_memory(data, size, &source, &err) != PS_OK) {
        return;
    }
    fuzz_require(ps_trace_builder_open_memory(&builder, &err) == PS_OK);
    const ps_code code = ps_kineto_import(source, builder, window, &err);
    ps_source_close(source);
    if (code != PS_OK) {
        fuzz_require(err.code == code && err.message[0] != '\0');
        ps_trace_builder_abandon(builder);
        return;
    }
    fuzz_require(ps_trace_builder_take(builder, &trace, &err) == PS_OK);
    check_strings(trace);
    check_cells(trace);
    check_enums(trace);
    ps_trace_destroy(trace);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) {
        return 0;
    }
    (void)ps_import_detect(data + 1, size - 1);
    (void)ps_import_recognise(data + 1, size - 1);
    import(data + 1, size - 1, (size_t)data[0] * 8 + 1);
    return 0;
}
