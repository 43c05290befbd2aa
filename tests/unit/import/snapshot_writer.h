/* SPDX-License-Identifier: MIT
 *
 * Memory snapshots by hand and back: writes their parts into one pickle, `w`,
 * imports what was written and looks things up in the trace.
 */
#ifndef PS_TESTS_SNAPSHOT_WRITER_H
#define PS_TESTS_SNAPSHOT_WRITER_H

#include "support/test.h"

#include <string.h>

#include "import/importer.h"
#include "pickle_writer.h"

extern const ps_importer_ops ps_importer_snapshot;

static pickle_writer w;

/* ---- writing snapshots ---- */

/* size and time_us are left out when negative */
static inline void open_event(const char *action, int64_t addr, int64_t size, int64_t time_us)
{
    (void)pw_dict(&w);
    pw_text_item(&w, "action", action);
    pw_int_item(&w, "addr", addr);
    if (size >= 0) {
        pw_int_item(&w, "size", size);
    }
    pw_int_item(&w, "stream", 7);
    if (time_us >= 0) {
        pw_int_item(&w, "time_us", time_us);
    }
}

static inline void event(const char *action, int64_t addr, int64_t size, int64_t time_us)
{
    open_event(action, addr, size, time_us);
    pw_dict_end(&w);
}

static inline void block(int64_t addr, int64_t size, int64_t requested, const char *state)
{
    (void)pw_dict(&w);
    if (addr >= 0) {
        pw_int_item(&w, "address", addr);
    }
    pw_int_item(&w, "size", size);
    if (requested >= 0) {
        pw_int_item(&w, "requested_size", requested);
    }
    pw_text_item(&w, "state", state);
    pw_dict_end(&w);
}

/* Up to its blocks, which follow and are ended by close_segment. */
static inline void open_segment(int64_t device, int64_t addr, int64_t size)
{
    (void)pw_dict(&w);
    pw_int_item(&w, "device", device);
    pw_int_item(&w, "address", addr);
    pw_int_item(&w, "total_size", size);
    pw_int_item(&w, "allocated_size", 1024);
    pw_int_item(&w, "active_size", 1536);
    pw_int_item(&w, "stream", 9);
    pw_text_item(&w, "segment_type", "large");
    pw_text(&w, "segment_pool_id");
    pw_pair(&w, 3, 4);
    pw_text(&w, "is_expandable");
    pw_bool(&w, true);
    pw_text(&w, "blocks");
    (void)pw_list(&w);
}

static inline void close_segment(void)
{
    pw_list_end(&w);
    pw_dict_end(&w);
}

static inline void frame(const char *file, int64_t line, const char *name)
{
    (void)pw_dict(&w);
    pw_text_item(&w, "name", name);
    pw_text_item(&w, "filename", file);
    pw_int_item(&w, "line", line);
    pw_dict_end(&w);
}

static inline void annotation(const char *stage, const char *name, int64_t device, int64_t time_us)
{
    (void)pw_dict(&w);
    pw_text_item(&w, "stage", stage);
    pw_text_item(&w, "name", name);
    pw_int_item(&w, "device", device);
    if (time_us >= 0) {
        pw_int_item(&w, "time_us", time_us);
    }
    pw_dict_end(&w);
}

/* A snapshot with one device's events, which follow and are ended by close_events. */
static inline void open_events(int protocol, bool memoises)
{
    pw_begin(&w, protocol, memoises);
    (void)pw_dict(&w);
    pw_text(&w, "device_traces");
    (void)pw_bare_list(&w);
    (void)pw_list(&w);
}

static inline void close_events(void)
{
    pw_list_end(&w);
    pw_append(&w);
    pw_dict_end(&w);
    pw_end(&w);
}

/* A snapshot of segments only. */
static inline void open_segments(void)
{
    pw_begin(&w, 4, true);
    (void)pw_dict(&w);
    pw_text(&w, "segments");
    (void)pw_list(&w);
}

static inline void close_segments(void)
{
    pw_list_end(&w);
    pw_dict_end(&w);
    pw_end(&w);
}

/* ---- reading them ---- */

static inline ps_code import_bytes(const void *bytes, size_t count, ps_trace **out, ps_error *err)
{
    ps_source *source;
    ps_trace_builder *builder;
    PS_TRY(ps_source_open_memory(bytes, count, &source, err));
    ps_code code = ps_trace_builder_open_memory(&builder, err);
    if (code == PS_OK) {
        code = ps_importer_snapshot.import(source, builder, err);
        if (code == PS_OK) {
            code = ps_trace_builder_take(builder, out, err);
        } else {
            ps_trace_builder_abandon(builder);
        }
    }
    ps_source_close(source);
    return code;
}

static inline ps_trace *import_written(void)
{
    ps_error err = {0};
    ps_trace *trace = NULL;
    assert_ok(&err, import_bytes(w.bytes, w.used, &trace, &err));
    return trace;
}

static inline void assert_refused(ps_code code, const char *part)
{
    ps_error err = {0};
    ps_trace *trace = NULL;
    const ps_code got = import_bytes(w.bytes, w.used, &trace, &err);
    if (got != code || strstr(err.message, part) == NULL || !err.has_offset) {
        char text[1024];
        ps_error_format(&err, text, sizeof text);
        fail_msg("expected %s with \"%s\", got %s: %s", ps_code_name(code), part, ps_code_name(got),
                 text);
    }
}

static inline const char *text_of(const ps_trace *trace, ps_str id)
{
    return ps_strings_text(trace->strings, id);
}

static inline uint64_t loss_of(const ps_trace *trace, const char *name)
{
    for (size_t i = 0; i < trace->loss.head.count; i++) {
        if (strcmp(text_of(trace, trace->loss.name[i]), name) == 0) {
            return trace->loss.count[i];
        }
    }
    return 0;
}

static inline void assert_row(const ps_trace *trace, size_t row, ps_memory_action action,
                              ps_ns time_ns, uint64_t addr, uint64_t bytes)
{
    assert_true(row < trace->memory.head.count);
    assert_int_equal(trace->memory.action[row], action);
    assert_int_equal(trace->memory.time_ns[row], time_ns);
    assert_int_equal(trace->memory.addr[row], addr);
    assert_int_equal(trace->memory.bytes[row], bytes);
    assert_int_equal(trace->memory.stream[row], 7);
    assert_int_equal(trace->memory.device_kind[row], PS_DEVICE_CUDA);
}

#endif
