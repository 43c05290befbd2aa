/* SPDX-License-Identifier: MIT
 *
 * A process that is killed leaves all but the last second of its recording.
 *
 *   killed JOB TRACER CUPTI COUNT [SEED]
 *
 * Kills COUNT recorded jobs at random moments and reads what they left. The seed is printed.
 */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "control.h"
#include "settings.h"
#include "trace/check.h"
#include "trace/file.h"

#define SECOND_NS INT64_C(1000000000)
#define PATH_BYTES 4096

/* A job that would run for minutes. */
static const char *const STEPS[] = {"60000", "1000"};

/* [ns] from the beginning to the kill */
#define LONGEST_NS (2 * SECOND_NS)

typedef struct setting {
    const char *job, *tracer, *cupti;
    char folder[PATH_BYTES];
} setting;

static uint64_t next_random(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *state >> 33;
}

static int64_t now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * SECOND_NS + now.tv_nsec;
}

static int fail(const char *what, const ps_error *err)
{
    char text[512] = "";
    if (err != NULL) {
        ps_error_format(err, text, sizeof text);
    }
    (void)printf("FAILED: %s %s\n", what, text);
    return 1;
}

static void run_job(const setting *self)
{
    (void)setenv(PS_ENV_FOLDER, self->folder, 1);
    (void)setenv(PS_ENV_CUPTI, self->cupti, 1);
    (void)setenv("CUDA_INJECTION64_PATH", self->tracer, 1);
    (void)execl(self->job, self->job, STEPS[0], STEPS[1], "--threads", "2", (char *)NULL);
    _exit(127);
}

/* Starts a job, kills it after `wait_ns`; false when it was not there any more. */
static bool kill_one(const setting *self, int64_t wait_ns, pid_t *child, int64_t *killed_ns)
{
    const struct timespec length = {.tv_sec = (time_t)(wait_ns / SECOND_NS),
                                    .tv_nsec = (long)(wait_ns % SECOND_NS)};
    int status = 0;
    *child = fork();
    if (*child == 0) {
        run_job(self);
    }
    (void)nanosleep(&length, NULL);
    *killed_ns = now_ns();
    return *child > 0 && kill(*child, SIGKILL) == 0 && waitpid(*child, &status, 0) == *child &&
           WIFSIGNALED(status);
}

/* Unix time of the last host call. */
static int64_t last_time_ns(const ps_trace *trace)
{
    const char *base = ps_trace_meta(trace, PS_META_BASE_TIME);
    const size_t count = trace->call.head.count;
    int64_t last_ns = 0;
    for (size_t i = 0; i < count; i++) {
        const int64_t end_ns = trace->call.start_ns[i] + trace->call.dur_ns[i];
        last_ns = end_ns > last_ns ? end_ns : last_ns;
    }
    return base == NULL || count == 0 ? 0 : last_ns + strtoll(base, NULL, 10);
}

/* What a job left that ran from `start_ns` to `killed_ns`. */
static int examine(const char *path, int64_t start_ns, int64_t killed_ns)
{
    ps_error err = {0};
    ps_trace *trace = NULL;
    struct stat found;
    if (stat(path, &found) != 0 || found.st_size == 0) {
        return killed_ns - start_ns < SECOND_NS ? 0 : fail("no file after a second", NULL);
    }
    if (ps_trace_read(path, &trace, NULL, &err) != PS_OK) {
        return fail("not readable:", &err);
    }
    int failed = 0;
    if (ps_trace_check(trace, NULL, NULL, NULL, &err) != PS_OK) {
        failed = fail("not sound:", &err);
    }
    const int64_t last_ns = last_time_ns(trace);
    const int64_t kept_ns = last_ns > start_ns ? last_ns : start_ns;
    (void)printf("killed after %4lld ms: %zu calls, the last %lld ms before the end\n",
                 (long long)((killed_ns - start_ns) / 1000000), trace->call.head.count,
                 (long long)((killed_ns - kept_ns) / 1000000));
    if (killed_ns - kept_ns > SECOND_NS) {
        failed = fail("more than a second is lost", NULL);
    }
    ps_trace_destroy(trace);
    return failed;
}

static int try_one(const setting *self, uint64_t *state)
{
    char path[PATH_BYTES + 64];
    pid_t child;
    int64_t killed_ns;
    const int64_t start_ns = now_ns();
    const int64_t wait_ns = (int64_t)(next_random(state) % (uint64_t)LONGEST_NS);
    if (!kill_one(self, wait_ns, &child, &killed_ns)) {
        return fail("the job ended by itself", NULL);
    }
    (void)snprintf(path, sizeof path, "%s/%ld.device.pstrace", self->folder, (long)child);
    const int failed = examine(path, start_ns, killed_ns);
    (void)unlink(path);
    return failed;
}

static int try_all(const setting *self, long count, uint64_t seed)
{
    uint64_t state = seed;
    int failures = 0;
    for (long i = 0; i < count; i++) {
        failures += try_one(self, &state);
    }
    (void)printf("%ld killed, %d failures, seed %llu\n", count, failures, (unsigned long long)seed);
    return failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    ps_error err = {0};
    ps_control *page = NULL;
    if (argc < 5) {
        return 2;
    }
    setting self = {.job = argv[1], .tracer = argv[2], .cupti = argv[3]};
    const char *temporary = getenv("TMPDIR");
    (void)snprintf(self.folder, sizeof self.folder, "%s/peakstep-killed.XXXXXX",
                   temporary != NULL ? temporary : "/tmp");
    if (mkdtemp(self.folder) == NULL || ps_control_create(self.folder, &page, &err) != PS_OK) {
        return fail("no folder:", &err);
    }
    const uint64_t seed = argc > 5 ? strtoull(argv[5], NULL, 10) : (uint64_t)now_ns();
    const int status = try_all(&self, strtol(argv[4], NULL, 10), seed);
    const char *problem = ps_control_problem(page);
    if (problem != NULL) {
        (void)printf("the problem told: %s\n", problem);
    }
    char path[PATH_BYTES + 64];
    (void)snprintf(path, sizeof path, "%s/%s", self.folder, PS_CONTROL_FILE);
    (void)unlink(path);
    (void)rmdir(self.folder);
    ps_control_close(page);
    return problem == NULL ? status : EXIT_FAILURE;
}
