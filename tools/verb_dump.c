/* SPDX-License-Identifier: MIT
 *
 * peakstep dump: rows of a trace, a plan or a workload, for other programs.
 *
 * Everything is driven by the tables' descriptions, so a new column or table
 * appears here by itself.
 */
#include <inttypes.h>
#include <string.h>

#include "artefact.h"
#include "cell.h"
#include "cli/text.h"
#include "cli/verb.h"
#include "plan/plan.h"
#include "plan_words.h"
#include "workload/workload.h"
#include "workload_words.h"

#define MAX_COLUMNS 32u

enum { FORMAT_CSV, FORMAT_JSONL };

/* An artefact, seen as tables. */
typedef struct dataset {
    const ps_table_spec *specs;
    size_t table_count;
    const ps_table_head *table[PS_TRACE_TABLE_COUNT + PS_PLAN_TABLE_COUNT];
    const ps_strings *strings;
    const ps_words *(*words)(const ps_column_spec *column);
} dataset;

/* What is to be written. */
typedef struct request {
    ps_output *out;
    size_t format;
    const char *table; /* NULL: all that have rows */
    uint64_t limit;    /* rows of each table */
} request;

/* One table with the formats of its columns. */
typedef struct sheet {
    const ps_table_spec *spec;
    const ps_table_head *table;
    const ps_strings *strings;
    ps_cell_format column[MAX_COLUMNS];
    size_t row_count;
} sheet;

static sheet make_sheet(const dataset *data, size_t table, uint64_t limit)
{
    sheet made = {&data->specs[table], data->table[table], data->strings, {{0}}, 0};
    for (size_t c = 0; c < made.spec->column_count && c < MAX_COLUMNS; c++) {
        const ps_column_spec *column = &made.spec->columns[c];
        made.column[c] = ps_cell_format_of(column, data->words(column));
    }
    made.row_count = made.table->count < limit ? made.table->count : (size_t)limit;
    return made;
}

/* ---- CSV ---- */

/* Quotes as RFC 4180 does: only where the text needs it. */
static void csv_text(ps_output *out, const char *text)
{
    if (strpbrk(text, ",\"\r\n") == NULL) {
        ps_output_write(out, text, strlen(text));
        return;
    }
    ps_output_write(out, "\"", 1);
    for (const char *rest = text; *rest != '\0';) {
        const size_t plain = strcspn(rest, "\"");
        ps_output_write(out, rest, plain);
        rest += plain;
        if (*rest == '"') {
            ps_output_write(out, "\"\"", 2);
            rest++;
        }
    }
    ps_output_write(out, "\"", 1);
}

static void csv_cell(ps_output *out, ps_cell cell)
{
    switch (cell.kind) {
    case PS_CELL_NULL:
        break;
    case PS_CELL_UNSIGNED:
        ps_output_print(out, "%" PRIu64, cell.number);
        break;
    case PS_CELL_SIGNED:
        ps_output_print(out, "%" PRId64, (int64_t)cell.number);
        break;
    case PS_CELL_TEXT:
        csv_text(out, cell.text);
        break;
    }
}

static void csv_sheet(const request *wanted, const sheet *rows)
{
    /* with several tables the first column says which one a row is of */
    const bool names_table = wanted->table == NULL;
    ps_output_print(wanted->out, "%s", names_table ? "table" : "");
    for (size_t c = 0; c < rows->spec->column_count; c++) {
        ps_output_print(wanted->out, "%s%s", c > 0 || names_table ? "," : "",
                        rows->spec->columns[c].name);
    }
    ps_output_print(wanted->out, "\n");
    for (size_t row = 0; row < rows->row_count && !ps_output_failed(wanted->out); row++) {
        ps_output_print(wanted->out, "%s", names_table ? rows->spec->name : "");
        for (size_t c = 0; c < rows->spec->column_count; c++) {
            if (c > 0 || names_table) {
                ps_output_write(wanted->out, ",", 1);
            }
            csv_cell(wanted->out, ps_cell_get(&rows->column[c], rows->table, row, rows->strings));
        }
        ps_output_write(wanted->out, "\n", 1);
    }
}

/* ---- JSON lines ---- */

static void json_cell(ps_json *json, const char *key, ps_cell cell)
{
    switch (cell.kind) {
    case PS_CELL_NULL:
        ps_json_null(json, key);
        break;
    case PS_CELL_UNSIGNED:
        ps_json_u64(json, key, cell.number);
        break;
    case PS_CELL_SIGNED:
        ps_json_i64(json, key, (int64_t)cell.number);
        break;
    case PS_CELL_TEXT:
        ps_json_text(json, key, cell.text);
        break;
    }
}

static ps_code json_sheet(const request *wanted, const sheet *rows, ps_error *err)
{
    ps_json json;
    ps_json_open(&json, wanted->out, PS_JSON_DENSE);
    for (size_t row = 0; row < rows->row_count && !ps_output_failed(wanted->out); row++) {
        ps_json_object(&json, NULL);
        ps_json_text(&json, "table", rows->spec->name);
        for (size_t c = 0; c < rows->spec->column_count; c++) {
            json_cell(&json, rows->spec->columns[c].name,
                      ps_cell_get(&rows->column[c], rows->table, row, rows->strings));
        }
        ps_json_end(&json);
        ps_json_next(&json);
    }
    return ps_json_close(&json, err);
}

/* ---- tables ---- */

static ps_code fail_table(const dataset *data, const char *name, ps_error *err)
{
    char names[256] = "";
    size_t best = 0, used = 0;
    unsigned best_distance = PS_TEXT_FAR;
    for (size_t i = 0; i < data->table_count && used < sizeof names; i++) {
        const unsigned distance = ps_text_distance(name, data->specs[i].name);
        best = distance < best_distance ? i : best;
        best_distance = distance < best_distance ? distance : best_distance;
        used += (size_t)snprintf(names + used, sizeof names - used, "%s%s", i > 0 ? ", " : "",
                                 data->specs[i].name);
    }
    if (ps_text_is_near(best_distance, data->specs[best].name)) {
        return ps_fail(err, PS_USAGE, "there is no table \"%.64s\"; did you mean %s?", name,
                       data->specs[best].name);
    }
    return ps_fail(err, PS_USAGE, "there is no table \"%.64s\"; tables are %s", name, names);
}

static ps_code dump_tables(const dataset *data, const request *wanted, ps_error *err)
{
    size_t written = 0;
    for (size_t i = 0; i < data->table_count; i++) {
        const bool is_wanted = wanted->table == NULL
                                   ? data->table[i]->count > 0
                                   : strcmp(wanted->table, data->specs[i].name) == 0;
        if (!is_wanted) {
            continue;
        }
        const sheet rows = make_sheet(data, i, wanted->limit);
        if (wanted->format == FORMAT_JSONL) {
            PS_TRY(json_sheet(wanted, &rows, err));
        } else {
            ps_output_print(wanted->out, "%s", written > 0 ? "\n" : "");
            csv_sheet(wanted, &rows);
        }
        written++;
    }
    return wanted->table != NULL && written == 0 ? fail_table(data, wanted->table, err) : PS_OK;
}

static ps_code dump_trace(const char *path, const request *wanted, ps_error *err)
{
    ps_trace *trace;
    PS_TRY(ps_artefact_read_trace(path, &trace, NULL, err));
    dataset data = {ps_trace_specs(), PS_TRACE_TABLE_COUNT, {NULL}, trace->strings, ps_trace_words};
    for (size_t i = 0; i < data.table_count; i++) {
        data.table[i] = ps_trace_table_const(trace, (ps_trace_table_id)i);
    }
    const ps_code code = dump_tables(&data, wanted, err);
    ps_trace_destroy(trace);
    return code;
}

static ps_code dump_plan(const char *path, const request *wanted, ps_error *err)
{
    ps_plan *plan;
    PS_TRY(ps_plan_read(path, &plan, err));
    dataset data = {ps_plan_specs(), PS_PLAN_TABLE_COUNT, {NULL}, plan->strings, ps_plan_words};
    for (size_t i = 0; i < data.table_count; i++) {
        data.table[i] = ps_plan_table_const(plan, (ps_plan_table_id)i);
    }
    const ps_code code = dump_tables(&data, wanted, err);
    ps_plan_destroy(plan);
    return code;
}

static ps_code dump_workload(const char *path, const request *wanted, ps_error *err)
{
    ps_workload *workload;
    PS_TRY(ps_workload_read(path, &workload, err));
    dataset data = {
        ps_workload_specs(), PS_WORKLOAD_TABLE_COUNT, {NULL}, workload->strings, ps_workload_words};
    for (size_t i = 0; i < data.table_count; i++) {
        data.table[i] = ps_workload_table_const(workload, (ps_workload_table_id)i);
    }
    const ps_code code = dump_tables(&data, wanted, err);
    ps_workload_destroy(workload);
    return code;
}

static ps_code run(const ps_args *args, ps_output *out, ps_error *err)
{
    const request wanted = {
        .out = out,
        .format = ps_args_choice(args, "format"),
        .table = ps_args_text(args, "table"),
        .limit = ps_args_has(args, "limit") ? ps_args_quantity(args, "limit") : UINT64_MAX,
    };
    const char *path = args->operand[0];
    switch (ps_artefact_of(path)) {
    case PS_ARTEFACT_PLAN:
        return dump_plan(path, &wanted, err);
    case PS_ARTEFACT_WORKLOAD:
        return dump_workload(path, &wanted, err);
    case PS_ARTEFACT_TRACE:
    case PS_ARTEFACT_COUNT:
        break;
    }
    return dump_trace(path, &wanted, err);
}

static const ps_operand operands[] = {
    {.name = "FILE", .help = "a .pstrace, .psplan or .pswork file; content decides"},
    {0},
};

static const ps_option options[] = {
    {.name = "table",
     .letter = 't',
     .kind = PS_OPTION_TEXT,
     .value = "NAME",
     .help = "the table to write; without it all that have rows"},
    {.name = "format",
     .letter = 'f',
     .kind = PS_OPTION_CHOICE,
     .value = "csv|jsonl",
     .fallback = "csv",
     .help = "comma-separated values, or one JSON object a row"},
    {.name = "limit",
     .letter = 'n',
     .kind = PS_OPTION_QUANTITY,
     .value = "COUNT",
     .unit = PS_UNIT_COUNT,
     .help = "rows to write of each table; without it all"},
    {0},
};

static const ps_example examples[] = {
    {"peakstep dump a.pstrace --table kernel > kernels.csv", "Writes all kernels."},
    {"peakstep dump a.pstrace -t memory -f jsonl -n 10", "Shows the first allocator events."},
    {"peakstep dump a.psplan -t task | cut -d, -f2 | sort | uniq -c", "Counts tasks by kind."},
    {0},
};

const ps_verb ps_verb_dump = {
    .name = "dump",
    .summary = "writes rows as CSV or JSON lines",
    .description =
        "Writes the rows of a file for other programs. Columns have the names that docs/FORMAT.md "
        "describes, with their units: _ns nanoseconds, bytes bytes. Strings are written as text, "
        "enumerations as words; what the recording does not tell is empty in CSV, null in JSON.\n"
        "\n"
        "Tables of a trace: range, call, kernel, memcpy, memset, collective, sync, memory, "
        "segment, block, device, thread, meta, loss, driver_memory. Tables of a plan: device, "
        "lane, task, dep, "
        "link, transfer, buffer, memop, segment, block, step, meta, loss. Tables of a workload: "
        "block, tensor, op, event, step, finding, meta, loss.\n"
        "\n"
        "With several tables in CSV each begins with its own line of names after an empty line, "
        "and the first column says which table a row is of. In JSON every row does.",
    .operands = operands,
    .options = options,
    .examples = examples,
    .run = run,
};
