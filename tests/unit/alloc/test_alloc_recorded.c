/* SPDX-License-Identifier: MIT
 *
 * The models against real allocators: every recorded snapshot beside the
 * checkout, and histories of PyTorch's allocator under many settings with
 * their peaks. Everything is compared and everything must be equal.
 */
#include <dirent.h>
#include <string.h>

#include "alloc/history.h"
#include "alloc_support.h"
#include "import/import.h"

#define PATH_BYTES 2048u
#define CUTS 7u

static const char *shared_or_skip(void)
{
    const char *shared = ps_test_shared();
    if (shared == NULL) {
        skip();
    }
    return shared;
}

static ps_trace *import_snapshot(const char *path)
{
    ps_error err = {0};
    ps_trace_builder *builder;
    ps_trace *trace;
    assert_ok(&err, ps_trace_builder_open_memory(&builder, &err));
    assert_ok(&err, ps_import_file(path, NULL, builder, NULL, &err));
    assert_ok(&err, ps_trace_builder_take(builder, &trace, &err));
    return trace;
}

static void check_exact(const ps_trace *trace, const ps_history_options *options, const char *path,
                        ps_history_report *report)
{
    ps_error err = {0};
    assert_ok(&err, ps_history_replay(trace, options, report, &err));
    if (!report->is_exact) {
        fail_msg("%s: memory event %zu: %s", path, report->first_difference_row,
                 report->first_difference);
    }
}

/* Forgets the first rows of the memory table, as a recorder started later would have. */
static void drop_rows(ps_trace *trace, size_t rows)
{
    const ps_table_spec *spec = &ps_trace_specs()[PS_TABLE_MEMORY];
    ps_table_head *head = &trace->memory.head;
    for (size_t i = 0; i < spec->column_count; i++) {
        for (size_t row = rows; row < head->count; row++) {
            ps_table_set(&spec->columns[i], head, row - rows,
                         ps_table_get(&spec->columns[i], head, row));
        }
    }
    head->count -= rows;
}

/*
 * A history is exact wherever its recording begins: seven cuts, the later ones on top
 * of the earlier.
 */
static void check_cuts(ps_trace *trace, const ps_history_options *options, const char *path)
{
    const size_t step = trace->memory.head.count / (CUTS + 1);
    ps_history_report report;
    for (unsigned i = 0; i < CUTS && step > 0; i++) {
        drop_rows(trace, step);
        check_exact(trace, options, path, &report);
    }
}

/* Devices that a trace has memory rows or segments of, as a bit set. */
static uint64_t devices_of(const ps_trace *trace)
{
    uint64_t devices = 0;
    for (size_t i = 0; i < trace->memory.head.count; i++) {
        devices |= (uint64_t)1 << (trace->memory.device[i] & 63u);
    }
    for (size_t i = 0; i < trace->segment.head.count; i++) {
        devices |= (uint64_t)1 << (trace->segment.device[i] & 63u);
    }
    return devices;
}

/*
 * Where new segments lie is the driver's choice; with invented addresses the peak is
 * still the recorded one.
 */
static void check_peak_without_addresses(const ps_trace *trace, ps_history_options options,
                                         const char *path, const ps_history_report *proof)
{
    ps_error err = {0};
    ps_history_report report;
    options.mode = PS_HISTORY_RECOVERED;
    options.limit_bytes = proof->is_limited ? proof->limit_bytes : 0;
    assert_ok(&err, ps_history_replay(trace, &options, &report, &err));
    if (report.stats.reserved_bytes.peak != proof->recorded_peak_reserved_bytes) {
        fail_msg("%s: peak of %llu bytes, recorded %llu", path,
                 (unsigned long long)report.stats.reserved_bytes.peak,
                 (unsigned long long)proof->recorded_peak_reserved_bytes);
    }
}

static unsigned check_snapshot(const char *path)
{
    ps_trace *trace = import_snapshot(path);
    ps_history_options options;
    ps_history_report report;
    unsigned histories = 0;
    ps_history_options_init(&options);
    for (uint32_t device = 0; device < 64; device++) {
        if ((devices_of(trace) >> device & 1u) != 0) {
            options.device.ordinal = device;
            check_exact(trace, &options, path, &report);
            check_peak_without_addresses(trace, options, path, &report);
            histories += report.event_count > 1;
        }
    }
    options.device.ordinal = 0;
    check_cuts(trace, &options, path);
    ps_trace_destroy(trace);
    return histories;
}

static bool ends_with(const char *text, const char *end)
{
    const size_t text_bytes = strlen(text);
    const size_t end_bytes = strlen(end);
    return text_bytes >= end_bytes && strcmp(text + text_bytes - end_bytes, end) == 0;
}

static unsigned check_folder(const char *folder)
{
    unsigned histories = 0;
    DIR *dir = opendir(folder);
    if (dir == NULL) {
        return 0; /* a plain file */
    }
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        char path[PATH_BYTES];
        (void)snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        if (entry->d_name[0] == '.') {
            continue;
        }
        histories += ends_with(path, ".pickle") ? check_snapshot(path) : check_folder(path);
    }
    (void)closedir(dir);
    return histories;
}

static void real_snapshots_are_exact(void **state)
{
    char folder[PATH_BYTES];
    (void)state;
    (void)snprintf(folder, sizeof folder, "%s/traces/real", shared_or_skip());
    assert_true(check_folder(folder) >= 9);
}

/* One row of truth.csv. */
typedef struct truth {
    char file[128];
    char conf[128];
    uint64_t device_memory, limit, events;
    uint64_t peak_reserved, peak_active, peak_allocated, peak_requested, ooms, retries;
} truth;

/* Next cell of a CSV line, unquoted; advances *line. */
static void take_cell(char **line, char *out, size_t out_bytes)
{
    const bool is_quoted = **line == '"';
    char *begin = *line + is_quoted;
    char *end = begin + strcspn(begin, is_quoted ? "\"" : ",\r\n");
    assert_true((size_t)(end - begin) < out_bytes);
    memcpy(out, begin, (size_t)(end - begin));
    out[end - begin] = '\0';
    end += is_quoted;
    *line = *end == ',' ? end + 1 : end;
}

static uint64_t take_number(char **line)
{
    char cell[32];
    take_cell(line, cell, sizeof cell);
    return strtoull(cell, NULL, 10);
}

static bool read_truth(FILE *file, truth *out)
{
    char text[1024];
    char *line = text;
    if (fgets(text, sizeof text, file) == NULL) {
        return false;
    }
    take_cell(&line, out->file, sizeof out->file);
    take_cell(&line, out->conf, sizeof out->conf);
    out->device_memory = take_number(&line);
    out->limit = take_number(&line);
    out->events = take_number(&line);
    out->peak_reserved = take_number(&line);
    out->peak_active = take_number(&line);
    out->peak_allocated = take_number(&line);
    out->peak_requested = take_number(&line);
    out->ooms = take_number(&line);
    out->retries = take_number(&line);
    return true;
}

static void check_truth(const char *folder, const truth *row)
{
    char path[PATH_BYTES + sizeof row->file];
    ps_error err = {0};
    ps_alloc_settings settings;
    ps_history_options options;
    ps_history_report report;
    (void)snprintf(path, sizeof path, "%s/%s", folder, row->file);
    ps_trace *trace = import_snapshot(path);
    ps_history_options_init(&options);
    options.device_memory_bytes = row->device_memory;
    ps_alloc_settings_init(&settings);
    assert_ok(&err, ps_alloc_settings_parse(&settings, row->conf, &err));
    if (row->limit < row->device_memory) {
        /* Set by a call of the program, which no snapshot tells. */
        settings.process_fraction = (double)row->limit / (double)row->device_memory;
    }
    options.recorded = &settings;
    check_exact(trace, &options, path, &report);
    assert_int_equal(report.stats.reserved_bytes.peak, row->peak_reserved);
    assert_int_equal(report.stats.active_bytes.peak, row->peak_active);
    assert_int_equal(report.stats.allocated_bytes.peak, row->peak_allocated);
    assert_int_equal(report.stats.requested_bytes.peak, row->peak_requested);
    assert_int_equal(report.stats.oom_count, row->ooms);
    assert_int_equal(report.stats.retry_count, row->retries);
    check_cuts(trace, &options, path);
    ps_trace_destroy(trace);
}

static void every_setting_is_exact(void **state)
{
    char folder[PATH_BYTES];
    char path[PATH_BYTES + 16];
    truth row;
    unsigned rows = 0;
    (void)state;
    (void)snprintf(folder, sizeof folder, "%s/truth/allocator-fuzz", shared_or_skip());
    (void)snprintf(path, sizeof path, "%s/truth.csv", folder);
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        skip();
        return;
    }
    assert_true(read_truth(file, &row)); /* the head */
    for (; read_truth(file, &row); rows++) {
        check_truth(folder, &row);
    }
    (void)fclose(file);
    assert_true(rows >= 30);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(real_snapshots_are_exact),
        cmocka_unit_test(every_setting_is_exact),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
