/* SPDX-License-Identifier: MIT
 *
 * The shared control page: seen by all who map it, one problem of many kept
 * whole, foreign files refused.
 */
#include "support/test.h"

#include <pthread.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control.h"

#define THREADS 8

static char folder[] = PS_TEST_BINARY_DIR "/test_control.XXXXXX";
static char file[sizeof folder + 16];

static int make_folder(void **state)
{
    (void)state;
    (void)snprintf(folder + sizeof folder - 7, 7, "XXXXXX");
    const char *made = mkdtemp(folder);
    (void)snprintf(file, sizeof file, "%s/%s", folder, PS_CONTROL_FILE);
    return made != NULL ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    (void)unlink(file);
    return rmdir(folder);
}

static void what_one_maps_all_see(void **state)
{
    (void)state;
    ps_error err = {0};
    ps_control *ours, *theirs;
    assert_ok(&err, ps_control_create(folder, &ours, &err));
    assert_ok(&err, ps_control_open(folder, &theirs, &err));
    assert_ptr_not_equal(ours, theirs);
    assert_int_equal(atomic_load(&theirs->is_paused), 0);
    assert_null(ps_control_problem(ours));
    atomic_store(&ours->is_paused, 1);
    assert_int_equal(atomic_load(&theirs->is_paused), 1);
    ps_control_report(theirs, "the disk is full");
    assert_string_equal(ps_control_problem(ours), "the disk is full");
    ps_control_report(ours, "something else");
    assert_string_equal(ps_control_problem(theirs), "the disk is full");
    ps_control_close(theirs);
    assert_string_equal(ps_control_problem(ours), "the disk is full");
    ps_control_close(ours);
    assert_ok(&err, ps_control_create(folder, &ours, &err)); /* again: empty */
    assert_null(ps_control_problem(ours));
    ps_control_close(ours);
}

static void a_long_sentence_is_cut(void **state)
{
    (void)state;
    ps_error err = {0};
    ps_control *control;
    char sentence[2 * PS_CONTROL_PROBLEM_BYTES];
    memset(sentence, 's', sizeof sentence);
    sentence[sizeof sentence - 1] = '\0';
    assert_ok(&err, ps_control_create(folder, &control, &err));
    ps_control_report(control, sentence);
    assert_int_equal(strlen(ps_control_problem(control)), PS_CONTROL_PROBLEM_BYTES - 1);
    ps_control_close(control);
}

static void nothing_is_fine(void **state)
{
    (void)state;
    ps_control_report(NULL, "nobody listens");
    ps_control_close(NULL);
}

typedef struct reporter {
    pthread_t thread;
    ps_control *control;
    pthread_barrier_t *start;
    char letter;
} reporter;

static void *report(void *argument)
{
    const reporter *self = argument;
    char sentence[400];
    memset(sentence, self->letter, sizeof sentence);
    sentence[sizeof sentence - 1] = '\0';
    (void)pthread_barrier_wait(self->start);
    ps_control_report(self->control, sentence);
    return NULL;
}

static void assert_one_sentence(const char *text)
{
    assert_non_null(text);
    assert_int_equal(strlen(text), 399);
    assert_true(text[0] >= 'a' && text[0] < 'a' + THREADS);
    for (size_t i = 1; i < 399; i++) {
        assert_int_equal(text[i], text[0]);
    }
}

static void one_problem_of_many_is_kept_whole(void **state)
{
    (void)state;
    for (int round = 0; round < 50; round++) {
        ps_error err = {0};
        ps_control *control;
        pthread_barrier_t start;
        reporter reporters[THREADS];
        assert_ok(&err, ps_control_create(folder, &control, &err));
        assert_int_equal(pthread_barrier_init(&start, NULL, THREADS), 0);
        for (int i = 0; i < THREADS; i++) {
            reporters[i] =
                (reporter){.control = control, .start = &start, .letter = (char)('a' + i)};
            assert_int_equal(pthread_create(&reporters[i].thread, NULL, report, &reporters[i]), 0);
        }
        const char *seen = NULL;
        while (seen == NULL) {
            seen = ps_control_problem(control);
        }
        assert_one_sentence(seen); /* while others still try */
        for (int i = 0; i < THREADS; i++) {
            (void)pthread_join(reporters[i].thread, NULL);
        }
        assert_one_sentence(ps_control_problem(control));
        (void)pthread_barrier_destroy(&start);
        ps_control_close(control);
    }
}

static void write_file(const void *bytes, size_t count)
{
    FILE *out = fopen(file, "wb");
    assert_non_null(out);
    assert_int_equal(fwrite(bytes, 1, count, out), count);
    assert_int_equal(fclose(out), 0);
}

static void assert_refused(ps_code code)
{
    ps_error err = {0};
    ps_control sentinel, *control = &sentinel;
    assert_int_equal(ps_control_open(folder, &control, &err), code);
    assert_ptr_equal(control, &sentinel); /* untouched */
    assert_true(strstr(err.message, file) != NULL);
}

static void foreign_files_are_refused(void **state)
{
    (void)state;
    char bytes[2 * sizeof(ps_control)];
    memset(bytes, 'x', sizeof bytes);
    assert_refused(PS_IO); /* none at all */
    write_file(bytes, 0);
    assert_refused(PS_BAD_INPUT);
    write_file(bytes, sizeof(ps_control) - 1);
    assert_refused(PS_BAD_INPUT);
    write_file(bytes, sizeof bytes);
    assert_refused(PS_BAD_INPUT);
    assert_int_equal(unlink(file), 0);
    assert_int_equal(mkdir(file, 0700), 0);
    assert_refused(PS_IO);
    assert_int_equal(rmdir(file), 0);
}

static void folders_that_cannot_be_are_refused(void **state)
{
    (void)state;
    static char deep[8192];
    ps_error err = {0};
    ps_control sentinel, *control = &sentinel;
    memset(deep, 'd', sizeof deep - 1);
    assert_int_equal(ps_control_create(deep, &control, &err), PS_LIMIT);
    assert_int_equal(ps_control_open(deep, &control, &err), PS_LIMIT);
    assert_int_equal(ps_control_create("/nowhere/at/all", &control, &err), PS_IO);
    assert_int_equal(ps_control_create("/dev/null", &control, &err), PS_IO);
    assert_ptr_equal(control, &sentinel);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_one_maps_all_see, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(a_long_sentence_is_cut, make_folder, remove_folder),
        cmocka_unit_test(nothing_is_fine),
        cmocka_unit_test_setup_teardown(one_problem_of_many_is_kept_whole, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(foreign_files_are_refused, make_folder, remove_folder),
        cmocka_unit_test(folders_that_cannot_be_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
