/* SPDX-License-Identifier: MIT
 *
 * A recorder that may write no more: --max-bytes, a full disk, a bad path.
 * The program goes on, what is lost is counted or told.
 */
#include "recorder_scene.h"

#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static int remove_file(void **state)
{
    (void)state;
    return unlink(feed_path());
}

static void mark_for(feed *self, uint64_t *rng, long ms)
{
    char name[64];
    for (long i = 0; i < ms; i += 10) {
        for (int j = 0; j < 2000; j++) {
            *rng = *rng * 6364136223846793005u + 1442695040888963407u;
            (void)snprintf(name, sizeof name, "%016llx", (unsigned long long)*rng);
            ps_marks_range(ps_recorder_marks(self->recorder), name, PS_RANGE_OTHER, 1,
                           (ps_ns)(*rng >> 20), (ps_ns)(*rng >> 19));
        }
        feed_sleep_ms(10);
    }
}

static void max_bytes_stops_and_counts(void **state)
{
    (void)state;
    enum { KERNELS = 400000, BOUND = 300000 };
    feed self;
    ps_recorder_options options = feed_options();
    options.max_bytes = BOUND;
    feed_open(&self, &options);
    feed_kernels(&self, KERNELS);
    feed_sleep_ms(1000);
    uint64_t rng = 3;
    const uint64_t before = feed_file_bytes(feed_path());
    mark_for(&self, &rng, 1500); /* the program talks on */
    const uint64_t after = feed_file_bytes(feed_path());
    feed_kernels(&self, 1000);
    feed_close(&self);
    ps_error err = {0};
    ps_trace *trace;
    ps_container_state found;
    assert_ok(&err, ps_trace_read(feed_path(), &trace, &found, &err));
    assert_true(found.is_finished);
    const uint32_t kept = feed_check_kernels(&self, trace);
    print_message("%u of %u kernels in %llu bytes, then %llu, at the end %llu\n", (unsigned)kept,
                  (unsigned)KERNELS, (unsigned long long)before, (unsigned long long)after,
                  (unsigned long long)feed_file_bytes(feed_path()));
    assert_true(kept > 0 && kept < KERNELS);
    assert_true(before >= BOUND && before < 4 * BOUND); /* one chunk more at most */
    assert_true(after < before + 4096);
    assert_int_equal(trace->range.head.count, 0);
    assert_true(feed_loss(trace, "dropped-records") >= KERNELS + 1000 - kept);
    assert_string_equal(ps_trace_meta(trace, "stopped-by"), "max-bytes");
    ps_trace_destroy(trace);
}

static void a_file_below_max_bytes_is_whole(void **state)
{
    (void)state;
    feed self;
    ps_recorder_options options = feed_options();
    options.max_bytes = (uint64_t)1 << 30;
    feed_open(&self, &options);
    feed_kernels(&self, 5000);
    feed_close(&self);
    ps_container_state found;
    ps_trace *trace = feed_read_copy(feed_path(), &found);
    assert_int_equal(feed_check_kernels(&self, trace), 5000);
    assert_null(ps_trace_meta(trace, "stopped-by"));
    assert_int_equal(trace->loss.head.count, 0);
    ps_trace_destroy(trace);
}

/* ---- a full disk ---- */

static void limit_files(rlim_t bytes, struct rlimit *before)
{
    assert_int_equal(getrlimit(RLIMIT_FSIZE, before), 0);
    const struct rlimit limit = {.rlim_cur = bytes, .rlim_max = before->rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void a_full_disk_ends_the_recording_and_not_the_job(void **state)
{
    (void)state;
    enum { LIMIT = 200000 };
    char folder[] = PS_TEST_BINARY_DIR "/test_recorder_control.XXXXXX", file[sizeof folder + 16];
    feed self;
    ps_error err = {0};
    struct rlimit before;
    ps_recorder_options options = feed_options();
    assert_non_null(mkdtemp(folder));
    (void)snprintf(file, sizeof file, "%s/%s", folder, PS_CONTROL_FILE);
    assert_ok(&err, ps_control_create(folder, &options.control, &err));
    limit_files(LIMIT, &before);
    feed_open(&self, &options);
    feed_kernels(&self, 300000); /* waits for buffers: they come back although nobody writes */
    feed_sleep_ms(600);
    const char *problem = ps_control_problem(options.control);
    char sentence[PS_CONTROL_PROBLEM_BYTES] = "";
    (void)snprintf(sentence, sizeof sentence, "%s", problem != NULL ? problem : "");
    uint64_t rng = 4;
    mark_for(&self, &rng, 600);
    feed_kernels(&self, 1000);
    feed_close(&self);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    print_message("problem: %s\n", sentence);
    assert_non_null(strstr(sentence, "cannot write"));
    assert_non_null(strstr(sentence, feed_path()));
    assert_true(feed_file_bytes(feed_path()) <= LIMIT);
    ps_container_state found;
    ps_trace *trace = feed_read_copy(feed_path(), &found);
    const uint32_t kept = feed_check_kernels(&self, trace);
    assert_true(kept < 300000);
    assert_false(found.is_finished);
    ps_trace_destroy(trace);
    ps_control_close(options.control);
    (void)unlink(file);
    (void)rmdir(folder);
}

static void a_path_that_cannot_be_written_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"/dev/full", "/nowhere/at/all.pstrace", PS_TEST_BINARY_DIR};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        ps_error err = {0};
        ps_recorder *recorder = NULL;
        ps_recorder_options options = feed_options();
        options.path = bad[i];
        assert_int_equal(ps_recorder_start(&options, &recorder, &err), PS_IO);
        assert_null(recorder);
        assert_non_null(strstr(err.message, bad[i]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(max_bytes_stops_and_counts, remove_file),
        cmocka_unit_test_teardown(a_file_below_max_bytes_is_whole, remove_file),
        cmocka_unit_test_teardown(a_full_disk_ends_the_recording_and_not_the_job, remove_file),
        cmocka_unit_test(a_path_that_cannot_be_written_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
