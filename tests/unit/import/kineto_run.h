/* SPDX-License-Identifier: MIT
 *
 * Imports Kineto text given in a test. In the text ' stands for ", so that
 * JSON can be read in C.
 */
#ifndef PS_TESTS_KINETO_RUN_H
#define PS_TESTS_KINETO_RUN_H

#include "support/test.h"

#include <string.h>

#include "base/source.h"
#include "import/json_events.h"
#include "import/kineto.h"
#include "trace/trace.h"

/** Copy with every ' made a "; the caller frees. */
static inline char *kineto_quote(const char *text)
{
    const size_t bytes = strlen(text);
    char *copy = calloc(1, bytes + 1);
    assert_non_null(copy);
    for (size_t i = 0; i < bytes; i++) {
        copy[i] = text[i] == '\'' ? '"' : text[i];
    }
    return copy;
}

/** Imports bytes with a window; *out is owned by the caller and written on PS_OK only. */
static inline ps_code kineto_try_bytes(const char *bytes, size_t count, size_t window,
                                       ps_trace **out, ps_error *err)
{
    ps_source *source = NULL;
    ps_trace_builder *builder = NULL;
    ps_code code = ps_source_open_memory(bytes, count, &source, err);
    if (code == PS_OK) {
        code = ps_trace_builder_open_memory(&builder, err);
    }
    if (code == PS_OK) {
        code = ps_kineto_import(source, builder, window, err);
    }
    ps_source_close(source);
    if (code != PS_OK) {
        ps_trace_builder_abandon(builder);
        return code;
    }
    return ps_trace_builder_take(builder, out, err);
}

static inline ps_code kineto_try(const char *text, size_t window, ps_trace **out, ps_error *err)
{
    char *quoted = kineto_quote(text);
    const ps_code code = kineto_try_bytes(quoted, strlen(quoted), window, out, err);
    free(quoted);
    return code;
}

/** The trace of a text that must import. */
static inline ps_trace *kineto_run(const char *text)
{
    ps_error err = {0};
    ps_trace *trace = NULL;
    assert_ok(&err, kineto_try(text, PS_JSON_EVENTS_WINDOW_BYTES, &trace, &err));
    return trace;
}

/** The text must be refused with this code and a message that holds these words. */
static inline void kineto_refuse(const char *text, ps_code wanted, const char *words)
{
    ps_error err = {0};
    ps_trace *trace = NULL;
    char shown[1024];
    const ps_code code = kineto_try(text, 4096, &trace, &err);
    ps_error_format(&err, shown, sizeof shown);
    if (code != wanted || strstr(shown, words) == NULL) {
        fail_msg("got %s \"%s\", wanted %s \"%s\"", ps_code_name(code), shown, ps_code_name(wanted),
                 words);
    }
}

/** Count of a loss, 0 when there is none. */
static inline uint64_t trace_loss(const ps_trace *trace, const char *name)
{
    for (size_t i = 0; i < trace->loss.head.count; i++) {
        if (strcmp(ps_strings_text(trace->strings, trace->loss.name[i]), name) == 0) {
            return trace->loss.count[i];
        }
    }
    return 0;
}

static inline const char *trace_text(const ps_trace *trace, ps_str id)
{
    return ps_strings_text(trace->strings, id);
}

/** Fails unless both traces have the same rows; texts are compared, not their ids. */
static inline void assert_same_trace(const ps_trace *a, const ps_trace *b)
{
    for (int t = 0; t < PS_TRACE_TABLE_COUNT; t++) {
        const ps_table_spec *spec = &ps_trace_specs()[t];
        const ps_table_head *left = ps_trace_table_const(a, (ps_trace_table_id)t);
        const ps_table_head *right = ps_trace_table_const(b, (ps_trace_table_id)t);
        if (left->count != right->count) {
            fail_msg("%s: %zu rows and %zu rows", spec->name, left->count, right->count);
        }
        for (size_t c = 0; c < spec->column_count; c++) {
            const ps_column_spec *column = &spec->columns[c];
            for (size_t row = 0; row < left->count; row++) {
                const uint64_t x = ps_table_get(column, left, row);
                const uint64_t y = ps_table_get(column, right, row);
                const bool is_same =
                    column->type == PS_COLUMN_STR
                        ? strcmp(trace_text(a, (ps_str)x), trace_text(b, (ps_str)y)) == 0
                        : x == y;
                if (!is_same) {
                    fail_msg("%s row %zu column %s differs", spec->name, row, column->name);
                }
            }
        }
    }
}

#endif
