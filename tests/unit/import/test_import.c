/* SPDX-License-Identifier: MIT
 *
 * Driving an import: which format a file is, which member of an archive is
 * taken, what is said of files that are no traces.
 */
#include "support/test.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "import/import.h"
#include "trace/trace.h"
#include "unit/base/tar_writer.h"

static const char event[] =
    "[{\"ph\":\"X\",\"cat\":\"cpu_op\",\"name\":\"a\",\"pid\":1,\"tid\":2,\"ts\":1,\"dur\":1}]";

static const char *temp_path(const char *name)
{
    static char path[1024];
    (void)snprintf(path, sizeof path, "%s/test_import_%ld_%s", PS_TEST_BINARY_DIR, (long)getpid(),
                   name);
    return path;
}

static void write_file(const char *path, const void *bytes, size_t count)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, count, file), count);
    assert_int_equal(fclose(file), 0);
}

/* Imports a file into memory; *out is written on PS_OK only. */
static ps_code import(const char *path, const char *member, ps_trace **out,
                      ps_import_report *report, ps_error *err)
{
    const ps_import_options options = {.member = member};
    ps_trace_builder *builder = NULL;
    PS_TRY(ps_trace_builder_open_memory(&builder, err));
    const ps_code code = ps_import_file(path, &options, builder, report, err);
    if (code != PS_OK) {
        ps_trace_builder_abandon(builder);
        return code;
    }
    return ps_trace_builder_take(builder, out, err);
}

/* ---- formats ---- */

static void importers_are_well_formed(void **state)
{
    (void)state;
    size_t count = 0;
    for (const ps_importer_ops *const *ops = ps_importers(); *ops != NULL; ops++, count++) {
        assert_int_equal((*ops)->abi, PS_IMPORTER_ABI);
        assert_non_null((*ops)->name);
        assert_non_null((*ops)->summary);
        for (const ps_importer_ops *const *other = ps_importers(); *other != *ops; other++) {
            assert_string_not_equal((*other)->name, (*ops)->name);
        }
        for (size_t cut = 0; cut < sizeof event; cut++) {
            const int score = (*ops)->probe((const unsigned char *)event, cut);
            assert_in_range(score, 0, 100);
        }
    }
    assert_true(count >= 1);
}

static void check_detected(const char *text, const char *wanted)
{
    const ps_importer_ops *ops = ps_import_detect((const unsigned char *)text, strlen(text));
    const char *name = ops == NULL ? "none" : ops->name;
    if (strcmp(name, wanted) != 0) {
        fail_msg("%s was taken for %s", text, name);
    }
}

static void kineto_is_told_by_content(void **state)
{
    (void)state;
    check_detected(event, "kineto");
    check_detected("{\"schemaVersion\": 1, \"deviceProperties\": [", "kineto");
    check_detected("\xef\xbb\xbf\n{ \"traceEvents\" : [", "kineto");
    check_detected("{\"distributedInfo\": {\"pg_config\": [", "kineto");
    check_detected("{\"nested\": {\"traceEvents\": []}}", "none");
    check_detected("[[1, 2]]", "none");
    check_detected("[{\"a\": 1}]", "none");
    check_detected("[]", "none");
    check_detected("hello", "none");
    check_detected("", "none");
}

static void check_refused(const char *text, size_t bytes, ps_code wanted, const char *words)
{
    ps_error err = {0};
    ps_trace *trace = NULL;
    char shown[1200];
    const char *path = temp_path("refused");
    write_file(path, text, bytes);
    const ps_code code = import(path, NULL, &trace, NULL, &err);
    (void)remove(path);
    ps_error_format(&err, shown, sizeof shown);
    if (code != wanted || strstr(shown, words) == NULL || strstr(shown, "test_import_") == NULL) {
        fail_msg("got %s \"%s\", wanted \"%s\"", ps_code_name(code), shown, words);
    }
}

#define REFUSE(text, code, words) check_refused(text, sizeof(text) - 1, code, words)

static void what_is_no_trace_is_named(void **state)
{
    (void)state;
    REFUSE("hello", PS_BAD_INPUT, "not a trace in any known format: kineto");
    REFUSE("{\"a\": 1}", PS_BAD_INPUT, "not a trace in any known format");
    REFUSE("{\"schema\": \"1.0.1\", \"pid\": 1, \"nodes\": [", PS_UNSUPPORTED,
           "a PyTorch execution trace");
    REFUSE("{\n \"schema\": \"1.1.0-chakra.0.0.4\", \"nodes\": [", PS_UNSUPPORTED,
           "a PyTorch execution trace");
    REFUSE("[[-1, 1, 37632, 0]]", PS_UNSUPPORTED, "a PyTorch memory timeline");
    REFUSE("{\"workload_graph\": []}", PS_UNSUPPORTED, "a Chakra graph as JSON");
    REFUSE("\x07\x0a\x05"
           "0.0.4\x57\x08",
           PS_UNSUPPORTED, "a Chakra graph (.et)");
    REFUSE("{\"model_type\": \"llama\"}", PS_UNSUPPORTED, "a model description");
    REFUSE("SQLite format 3\0xxxx", PS_UNSUPPORTED, "an SQLite database");
    REFUSE("PK\x03\x04xxxx", PS_UNSUPPORTED, "a zip archive");
    REFUSE("\x28\xb5\x2f\xfdxxxx", PS_UNSUPPORTED, "compressed by zstd");
    REFUSE("\x89PSK\r\n\x1a\nxxxx", PS_UNSUPPORTED, "a peakstep file already");
    REFUSE("{\"traceEvents\": [{\"ph\"", PS_TRUNCATED, "cannot import");
}

static void an_import_has_facts(void **state)
{
    (void)state;
    ps_error err = {0};
    ps_trace *trace = NULL;
    ps_import_report report;
    const char *path = temp_path("title.json");
    write_file(path, event, sizeof event - 1);
    assert_ok(&err, import(path, NULL, &trace, &report, &err));
    assert_string_equal(report.format, "kineto");
    assert_string_equal(report.member, "");
    assert_int_equal(report.member_count, 0);
    assert_string_equal(ps_trace_meta(trace, PS_META_TITLE), strrchr(path, '/') + 1);
    assert_null(ps_trace_meta(trace, PS_META_ARCHIVE_MEMBER));
    ps_trace_destroy(trace);
    assert_int_equal(import(path, "x", &trace, &report, &err), PS_USAGE);
    (void)remove(path);
}

static void a_failed_import_leaves_no_file(void **state)
{
    (void)state;
    ps_error err = {0};
    struct stat info;
    char in[1024], out[1024];
    (void)snprintf(in, sizeof in, "%s", temp_path("in.json"));
    (void)snprintf(out, sizeof out, "%s", temp_path("out.pstrace"));
    write_file(in, event, sizeof event - 2);
    assert_int_equal(ps_import_to_file(in, NULL, out, NULL, &err), PS_TRUNCATED);
    assert_int_not_equal(stat(out, &info), 0);
    write_file(in, event, sizeof event - 1);
    assert_ok(&err, ps_import_to_file(in, NULL, out, NULL, &err));
    assert_int_equal(stat(out, &info), 0);
    (void)remove(in);
    (void)remove(out);
}

/* ---- archives ---- */

static size_t put_text(unsigned char *out, const char *name, const char *text)
{
    return tar_put_member(out, name, '0', text, strlen(text));
}

static void the_first_member_of_the_archive_is_taken(void **state)
{
    (void)state;
    ps_error err = {0};
    ps_trace *trace = NULL;
    ps_import_report report;
    static unsigned char archive[16384];
    const char *path = temp_path("ranks.tar");
    size_t at = put_text(archive, "run/readme", "no trace");
    at += put_text(archive + at, "run/rank2.json", event);
    at += put_text(archive + at, "run/rank1.json", event);
    at += put_text(archive + at, "run/rank3.json", event);
    write_file(path, archive, at + TAR_END_BYTES);
    assert_ok(&err, import(path, NULL, &trace, &report, &err));
    assert_string_equal(report.member, "run/rank2.json");
    assert_int_equal(report.member_count, 3);
    assert_string_equal(ps_trace_meta(trace, PS_META_ARCHIVE_MEMBER), "run/rank2.json");
    assert_string_equal(ps_trace_meta(trace, PS_META_ARCHIVE_MEMBERS), "3");
    assert_string_equal(ps_trace_meta(trace, PS_META_TITLE), "rank2.json");
    ps_trace_destroy(trace);
    assert_ok(&err, import(path, "run/rank3.json", &trace, &report, &err));
    assert_string_equal(report.member, "run/rank3.json");
    ps_trace_destroy(trace);
    assert_int_equal(import(path, "run/rank9.json", &trace, &report, &err), PS_NOT_FOUND);
    assert_int_equal(import(path, "run/readme", &trace, &report, &err), PS_BAD_INPUT);
    memset(archive, 0, sizeof archive);
    write_file(path, archive, put_text(archive, "a", "no trace") + TAR_END_BYTES);
    assert_int_equal(import(path, NULL, &trace, &report, &err), PS_BAD_INPUT);
    assert_non_null(strstr(err.message, "none of the 1 files in the archive"));
    memset(archive, 0, sizeof archive);
    write_file(path, archive, put_text(archive, "a", "[[1, 2]]") + TAR_END_BYTES);
    assert_int_equal(import(path, NULL, &trace, &report, &err), PS_UNSUPPORTED);
    assert_non_null(strstr(err.message, "one is a PyTorch memory timeline"));
    (void)remove(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(importers_are_well_formed),
        cmocka_unit_test(kineto_is_told_by_content),
        cmocka_unit_test(what_is_no_trace_is_named),
        cmocka_unit_test(an_import_has_facts),
        cmocka_unit_test(a_failed_import_leaves_no_file),
        cmocka_unit_test(the_first_member_of_the_archive_is_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
