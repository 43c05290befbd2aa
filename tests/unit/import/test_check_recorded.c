/* SPDX-License-Identifier: MIT
 *
 * Every recording of the folder, as a user treats it: imported into a file,
 * read back, checked. Sound recordings must come out without an error.
 */
#include "support/test.h"

#include <ftw.h>
#include <string.h>
#include <unistd.h>

#include "import/import.h"
#include "trace/check.h"
#include "trace/file.h"

static const char *const out_path = PS_TEST_BINARY_DIR "/test_check_recorded.pstrace";
static unsigned imported;

static bool ends_with(const char *text, const char *end)
{
    const size_t bytes = strlen(text), wanted = strlen(end);
    return bytes >= wanted && strcmp(text + bytes - wanted, end) == 0;
}

static void check_file(const char *path)
{
    ps_error err = {0};
    ps_import_report report;
    ps_trace *trace = NULL;
    ps_container_state found;
    const ps_code code = ps_import_to_file(path, NULL, out_path, &report, &err);
    if (code == PS_UNSUPPORTED || code == PS_BAD_INPUT) {
        return; /* other formats lie in the folder too; what must import is listed elsewhere */
    }
    assert_ok(&err, code);
    assert_ok(&err, ps_trace_read(out_path, &trace, &found, &err));
    assert_true(found.is_finished);
    const ps_code checked = ps_trace_check(trace, NULL, NULL, NULL, &err);
    if (checked != PS_OK) {
        fail_msg("%s: %s", path, err.message);
    }
    ps_trace_destroy(trace);
    imported++;
}

static int visit(const char *path, const struct stat *info, int kind, struct FTW *walk)
{
    (void)info;
    (void)walk;
    if (kind == FTW_F && !ends_with(path, ".csv")) {
        check_file(path);
    }
    return 0;
}

static void every_recording_is_sound(void **state)
{
    (void)state;
    const char *folder = ps_test_shared();
    char path[1200];
    if (folder == NULL) {
        skip();
    }
    (void)snprintf(path, sizeof path, "%s/traces/real", folder);
    assert_int_equal(nftw(path, visit, 16, FTW_PHYS), 0);
    (void)snprintf(path, sizeof path, "%s/truth/allocator-fuzz", folder);
    assert_int_equal(nftw(path, visit, 16, FTW_PHYS), 0);
    (void)unlink(out_path);
    print_message("%u recordings\n", imported);
    assert_true(imported >= 70);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_recording_is_sound)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
