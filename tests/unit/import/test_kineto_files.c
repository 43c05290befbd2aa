/* SPDX-License-Identifier: MIT
 *
 * Every Kineto file among the real recordings: the rows agree with the counts
 * and step durations that MANIFEST.csv states for it.
 *
 * Where the manifest counts otherwise: it counts by category only, so in
 * files from before 2021 annotations are among its operators ("user_ann 0").
 */
#include "kineto_run.h"

#include "import/import.h"

#define LINE_BYTES 4096u
#define MAX_FIELDS 24u
#define MAX_STEPS 64u

/* Columns of the manifest. */
enum {
    FILE_COLUMN = 0,
    FORMAT_COLUMN = 5,
    STEP_MS_COLUMN = 10,
    EVENTS_COLUMN = 11,
    MEMORY_COLUMN = 16
};

/* ---- the manifest ---- */

/* Splits a CSV line in place; doubled quotes do not occur in this file. */
static size_t split_csv(char *line, char **field)
{
    size_t count = 0;
    char *at = line;
    while (count < MAX_FIELDS) {
        const bool is_quoted = *at == '"';
        at += is_quoted ? 1 : 0;
        field[count++] = at;
        while (*at != '\0' && *at != '\n' && *at != (is_quoted ? '"' : ',')) {
            at++;
        }
        if (is_quoted && *at == '"') {
            *at++ = '\0';
        }
        const bool is_last = *at != ',';
        *at++ = '\0';
        if (is_last) {
            break;
        }
    }
    return count;
}

/* The number behind "name " in "total 5; cpu_op 3; ...". */
static uint64_t stated(const char *events, const char *name)
{
    const size_t bytes = strlen(name);
    for (const char *at = events; at != NULL; at = strchr(at, ';')) {
        at += *at == ';' ? 2 : 0;
        if (strncmp(at, name, bytes) == 0 && at[bytes] == ' ') {
            return strtoull(at + bytes, NULL, 10);
        }
    }
    fail_msg("no %s in \"%s\"", name, events);
    return 0;
}

/* ---- the rows ---- */

static uint64_t count_ranges(const ps_trace *t, ps_range_category category)
{
    uint64_t count = 0;
    for (size_t i = 0; i < t->range.head.count; i++) {
        count += t->range.category[i] == category;
    }
    return count;
}

static uint64_t count_calls(const ps_trace *t, ps_call_api api)
{
    uint64_t count = 0;
    for (size_t i = 0; i < t->call.head.count; i++) {
        count += t->call.api[i] == api;
    }
    return count;
}

static uint64_t count_nccl(const ps_trace *t)
{
    uint64_t count = 0;
    for (size_t i = 0; i < t->kernel.head.count; i++) {
        count += strstr(ps_strings_text(t->strings, t->kernel.name[i]), "nccl") != NULL;
    }
    return count;
}

static void check_count(const char *file, const char *what, uint64_t got, uint64_t wanted)
{
    if (got != wanted) {
        fail_msg("%s: %s is %llu, the manifest says %llu", file, what, (unsigned long long)got,
                 (unsigned long long)wanted);
    }
}

static void check_counts(const char *file, const char *events, const ps_trace *t)
{
    const uint64_t operators = count_ranges(t, PS_RANGE_OPERATOR);
    const uint64_t annotations = count_ranges(t, PS_RANGE_ANNOTATION);
    check_count(file, "cpu_op + user_ann", operators + annotations,
                stated(events, "cpu_op") + stated(events, "user_ann"));
    if (stated(events, "user_ann") > 0) {
        check_count(file, "user_ann", annotations, stated(events, "user_ann"));
    }
    check_count(file, "runtime", count_calls(t, PS_API_RUNTIME), stated(events, "runtime"));
    check_count(file, "driver", count_calls(t, PS_API_DRIVER), stated(events, "driver"));
    check_count(file, "kernel", t->kernel.head.count, stated(events, "kernel"));
    check_count(file, "memcpy", t->memcpy.head.count, stated(events, "memcpy"));
    check_count(file, "memset", t->memset.head.count, stated(events, "memset"));
    check_count(file, "python", count_ranges(t, PS_RANGE_PYTHON), stated(events, "python"));
    check_count(file, "gpu_user_ann", count_ranges(t, PS_RANGE_GPU_ANNOTATION),
                stated(events, "gpu_user_ann"));
    check_count(file, "nccl", count_nccl(t), stated(events, "nccl"));
    assert_true(t->collective.head.count >= stated(events, "nccl"));
}

/* Rows and counted losses leave only the naming events (M), of which there are few. */
static void check_total(const char *file, const char *events, const ps_trace *t)
{
    uint64_t known = ps_trace_event_count(t) - t->collective.head.count;
    for (size_t i = 0; i < t->loss.head.count; i++) {
        const char *name = ps_strings_text(t->strings, t->loss.name[i]);
        known += strcmp(name, "frees-of-older-blocks") == 0 ? 0 : t->loss.count[i];
        if (t->loss.severity[i] != PS_SEVERITY_INFO) {
            fail_msg("%s: %llu %s", file, (unsigned long long)t->loss.count[i], name);
        }
    }
    const uint64_t total = stated(events, "total");
    if (known > total || total - known > 64) {
        fail_msg("%s: %llu of %llu events are known", file, (unsigned long long)known,
                 (unsigned long long)total);
    }
}

static void check_memory(const char *file, const char *text, const ps_trace *t)
{
    const char *open = strchr(text, '(');
    check_count(file, "[memory]", t->memory.head.count,
                strncmp(text, "yes", 3) == 0 && open != NULL ? strtoull(open + 1, NULL, 10) : 0);
}

/* One step: its number and length. */
typedef struct step {
    unsigned long number;
    double ms;
} step;

static int compare_steps(const void *a, const void *b)
{
    const step *x = a, *y = b;
    return x->number < y->number ? -1 : x->number > y->number;
}

/* ProfilerStep#N on the host in order of N; the mirrors on streams do not count. */
static size_t collect_steps(const ps_trace *t, step *out)
{
    size_t count = 0;
    for (size_t i = 0; i < t->range.head.count && count < MAX_STEPS; i++) {
        const char *name = ps_strings_text(t->strings, t->range.name[i]);
        if (t->range.category[i] == PS_RANGE_ANNOTATION &&
            strncmp(name, "ProfilerStep#", 13) == 0) {
            out[count++] = (step){strtoul(name + 13, NULL, 10), (double)t->range.dur_ns[i] / 1e6};
        }
    }
    qsort(out, count, sizeof out[0], compare_steps);
    return count;
}

static void check_steps(const char *file, const char *stated_ms, const ps_trace *t)
{
    step steps[MAX_STEPS];
    const size_t count = collect_steps(t, steps);
    size_t checked = 0;
    char *end = NULL;
    for (double ms = strtod(stated_ms, &end); end != stated_ms; ms = strtod(stated_ms, &end)) {
        const double got = checked < count ? steps[checked].ms : -1.0;
        if (got < ms - 0.00501 || got > ms + 0.00501) { /* two decimals */
            fail_msg("%s: step %zu takes %f ms, the manifest says %f", file, checked, got, ms);
        }
        checked++;
        stated_ms = end;
    }
    check_count(file, "steps", count, checked);
}

/* ---- the files ---- */

static ps_trace *import_row(const char *path, const char *member)
{
    ps_error err = {0};
    ps_trace *trace = NULL;
    ps_trace_builder *builder = NULL;
    ps_import_report report;
    const ps_import_options options = {.member = member};
    assert_ok(&err, ps_trace_builder_open_memory(&builder, &err));
    assert_ok(&err, ps_import_file(path, &options, builder, &report, &err));
    assert_ok(&err, ps_trace_builder_take(builder, &trace, &err));
    assert_string_equal(report.format, "kineto");
    return trace;
}

static void check_row(const char *folder, char **field)
{
    char path[2048];
    const char *file = field[FILE_COLUMN];
    (void)snprintf(path, sizeof path, "%s/traces/real/%s", folder, file);
    ps_trace *t = import_row(path, NULL);
    check_counts(file, field[EVENTS_COLUMN], t);
    check_total(file, field[EVENTS_COLUMN], t);
    check_memory(file, field[MEMORY_COLUMN], t);
    check_steps(file, field[STEP_MS_COLUMN], t);
    const bool has_device = t->kernel.head.count + t->memcpy.head.count + t->memset.head.count > 0;
    assert_true(has_device == (ps_trace_meta(t, "note") == NULL));
    ps_trace_destroy(t);
}

static void real_files_agree_with_their_manifest(void **state)
{
    (void)state;
    const char *folder = ps_test_shared();
    char line[LINE_BYTES];
    char *field[MAX_FIELDS];
    size_t count = 0;
    if (folder == NULL) {
        skip();
        return;
    }
    (void)snprintf(line, sizeof line, "%s/traces/real/MANIFEST.csv", folder);
    FILE *manifest = fopen(line, "r");
    assert_non_null(manifest);
    while (fgets(line, sizeof line, manifest) != NULL) {
        if (split_csv(line, field) > MEMORY_COLUMN &&
            strncmp(field[FORMAT_COLUMN], "Kineto JSON", 11) == 0) {
            check_row(folder, field);
            count++;
        }
    }
    (void)fclose(manifest);
    assert_true(count >= 30);
    print_message("%zu files\n", count);
}

static ps_trace *import_window(const char *path, size_t window)
{
    ps_error err = {0};
    ps_source *source = NULL;
    ps_trace *trace = NULL;
    ps_trace_builder *builder = NULL;
    assert_ok(&err, ps_source_open(path, &source, &err));
    assert_ok(&err, ps_trace_builder_open_memory(&builder, &err));
    assert_ok(&err, ps_kineto_import(source, builder, window, &err));
    assert_ok(&err, ps_trace_builder_take(builder, &trace, &err));
    ps_source_close(source);
    return trace;
}

static void a_real_file_is_the_same_through_every_window(void **state)
{
    (void)state;
    const char *folder = ps_test_shared();
    const size_t windows[] = {100, 4096, 10007, 300000};
    char path[2048];
    if (folder == NULL) {
        skip();
        return;
    }
    (void)snprintf(path, sizeof path,
                   "%s/traces/real/incredere+gpu-profiling-pytorch-lab/"
                   "Level2_mixed_precision_profiling/amp.pt.trace.json",
                   folder);
    ps_trace *whole = import_window(path, PS_JSON_EVENTS_WINDOW_BYTES);
    for (size_t i = 0; i < sizeof windows / sizeof windows[0]; i++) {
        ps_trace *trace = import_window(path, windows[i]);
        assert_same_trace(trace, whole);
        ps_trace_destroy(trace);
    }
    ps_trace_destroy(whole);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(real_files_agree_with_their_manifest),
        cmocka_unit_test(a_real_file_is_the_same_through_every_window),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
