/* SPDX-License-Identifier: MIT
 *
 * Prints the tables of a trace, a plan and a workload as they stand in docs/FORMAT.md:
 * one Markdown table a table, from the same lists that make the codec.
 */
#include <stdio.h>

#include "plan/plan.h"
#include "trace/trace.h"
#include "workload/workload.h"

static const char *type_word(ps_column_type type)
{
    switch (type) {
    case PS_COLUMN_U8:
        return "u8";
    case PS_COLUMN_U32:
        return "u32";
    case PS_COLUMN_U64:
        return "u64";
    case PS_COLUMN_I64:
        return "i64";
    case PS_COLUMN_STR:
        break;
    }
    return "str";
}

/* A bar would end the cell. */
static void print_cell(const char *text)
{
    for (; *text != '\0'; text++) {
        (void)fputs(*text == '|' ? "\\|" : (const char[]){*text, '\0'}, stdout);
    }
}

static void print_table(const ps_table_spec *table)
{
    (void)printf("\n#### %u `%s`: %s\n\n", (unsigned)table->id, table->name, table->doc);
    (void)printf("| id | column | type | coding | meaning |\n");
    (void)printf("| ---: | --- | --- | --- | --- |\n");
    for (size_t i = 0; i < table->column_count; i++) {
        const ps_column_spec *column = &table->columns[i];
        (void)printf("| %u | `%s` | %s | %s | ", (unsigned)column->id, column->name,
                     type_word(column->type),
                     column->coding == PS_CODING_DELTA ? "delta" : "plain");
        print_cell(column->doc);
        (void)printf(" |\n");
    }
}

int main(void)
{
    (void)printf("### Tables of a trace\n");
    for (int i = 0; i < PS_TRACE_TABLE_COUNT; i++) {
        print_table(&ps_trace_specs()[i]);
    }
    (void)printf("\n### Tables of a plan\n");
    for (int i = 0; i < PS_PLAN_TABLE_COUNT; i++) {
        print_table(&ps_plan_specs()[i]);
    }
    (void)printf("\n### Tables of a workload\n");
    for (int i = 0; i < PS_WORKLOAD_TABLE_COUNT; i++) {
        print_table(&ps_workload_specs()[i]);
    }
    return 0;
}
