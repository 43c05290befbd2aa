/* SPDX-License-Identifier: MIT
 *
 * Cells by themselves, walked by their descriptions: a new column is checked
 * without a new line here.
 */
#include <inttypes.h>
#include <string.h>

#include "base/idmap.h"
#include "trace/check_parts.h"
#include "trace/words.h"

/* Tables up to this one have start_ns and dur_ns as their first two columns. */
#define LAST_TIMED_TABLE PS_TABLE_SYNC

static void check_strings(ps_checker *self, ps_trace_table_id id, const ps_column_spec *column)
{
    const ps_table_head *table = ps_trace_table_const(self->trace, id);
    const ps_str *value = ps_table_array(column, table);
    const uint32_t known = ps_strings_count(self->trace->strings);
    for (size_t i = 0; i < table->count; i++) {
        if (value[i] >= known) {
            ps_checker_note(self, PS_RULE_STRING, id, i,
                            "%s is string %" PRIu32 ", but there are %" PRIu32, column->name,
                            value[i], known);
        }
    }
}

/* Values of an enumeration lie below `count`. */
static void check_range(ps_checker *self, ps_trace_table_id id, const ps_column_spec *column,
                        size_t count)
{
    const ps_table_head *table = ps_trace_table_const(self->trace, id);
    const uint8_t *value = ps_table_array(column, table);
    for (size_t i = 0; i < table->count; i++) {
        if (value[i] >= count) {
            ps_checker_note(self, PS_RULE_VALUE, id, i, "%s is %u, expected 0 to %zu", column->name,
                            value[i], count - 1);
        }
    }
}

static void check_columns(ps_checker *self, ps_trace_table_id id)
{
    const ps_table_spec *spec = &ps_trace_specs()[id];
    for (size_t c = 0; c < spec->column_count; c++) {
        const ps_column_spec *column = &spec->columns[c];
        const ps_words *words = ps_trace_words(column);
        if (column->type == PS_COLUMN_STR) {
            check_strings(self, id, column);
        } else if (column->type == PS_COLUMN_U8 && words != NULL) {
            check_range(self, id, column, words->count);
        } else if (column->type == PS_COLUMN_U8 && strncmp(column->name, "is_", 3) == 0) {
            check_range(self, id, column, 2);
        }
    }
}

static void check_times(ps_checker *self, ps_trace_table_id id)
{
    const ps_table_spec *spec = &ps_trace_specs()[id];
    const ps_table_head *table = ps_trace_table_const(self->trace, id);
    const ps_ns *start = ps_table_array(&spec->columns[0], table);
    const ps_ns *duration = ps_table_array(&spec->columns[1], table);
    for (size_t i = 0; i < table->count; i++) {
        if (duration[i] < 0) {
            ps_checker_note(self, PS_RULE_DURATION, id, i, "dur_ns is %" PRId64 ", must be >= 0",
                            duration[i]);
        } else if (ps_time_add(start[i], duration[i]) == PS_TIME_NEVER) {
            ps_checker_note(self, PS_RULE_END, id, i,
                            "begins at %" PRId64 " ns and lasts %" PRId64 " ns", start[i],
                            duration[i]);
        }
        if (i > 0 && start[i] < start[i - 1]) {
            ps_checker_note(self, PS_RULE_UNSORTED, id, i,
                            "begins at %" PRId64 " ns, the row above at %" PRId64 " ns", start[i],
                            start[i - 1]);
        }
    }
}

void ps_check_cells(ps_checker *self)
{
    for (int i = 0; i < PS_TRACE_TABLE_COUNT; i++) {
        check_columns(self, (ps_trace_table_id)i);
        if (i <= LAST_TIMED_TABLE) {
            check_times(self, (ps_trace_table_id)i);
        }
    }
}

/* ---- facts ---- */

static ps_code check_keys(ps_checker *self, ps_idmap *seen, ps_error *err)
{
    const ps_meta_table *meta = &self->trace->meta;
    for (size_t i = 0; i < meta->head.count; i++) {
        if (ps_idmap_get(seen, meta->key[i]) != PS_IDMAP_NONE) {
            ps_checker_note(self, PS_RULE_FACT_TWICE, PS_TABLE_META, i,
                            "\"%s\" is given a second time",
                            ps_strings_text(self->trace->strings, meta->key[i]));
        }
        PS_TRY(ps_idmap_put(seen, meta->key[i], 1, err));
    }
    return PS_OK;
}

ps_code ps_check_facts(ps_checker *self, ps_error *err)
{
    ps_idmap seen;
    ps_idmap_init(&seen);
    const ps_code code = check_keys(self, &seen, err);
    ps_idmap_fini(&seen);
    return code;
}
