/* SPDX-License-Identifier: MIT
 *
 * The stopwatch of run.sh. Every line it prints is "key value" pairs.
 *
 *   bench run COMMAND...   runs a command, its output thrown away: seconds, processor seconds,
 *                          peak memory
 *   bench read TRACE       reads a trace whole through the library: seconds, events
 *   bench memcpy BYTES     copies memory that no cache holds: seconds
 *
 * Wall times are the least of REPEATS runs: what the machine can do, not what
 * its other users left of it.
 */
#define _DEFAULT_SOURCE /* wait4 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "trace/file.h"

#define REPEATS 3

static double now_s(void)
{
    struct timespec at;
    (void)clock_gettime(CLOCK_MONOTONIC, &at);
    return (double)at.tv_sec + (double)at.tv_nsec * 1e-9;
}

static double least(double a, double b)
{
    return a < b ? a : b;
}

static double seconds_of(struct timeval t)
{
    return (double)t.tv_sec + (double)t.tv_usec * 1e-6;
}

static int run_command(char **command)
{
    double best = 1e30, best_cpu = 1e30;
    long peak_kib = 0;
    for (int i = 0; i < REPEATS; i++) {
        const double begin = now_s();
        const pid_t child = fork();
        if (child == 0) {
            if (freopen("/dev/null", "w", stdout) != NULL) {
                (void)execvp(command[0], command);
            }
            _exit(127);
        }
        int status;
        struct rusage used;
        if (child < 0 || wait4(child, &status, 0, &used) < 0 || !WIFEXITED(status) ||
            WEXITSTATUS(status) != 0) {
            (void)fprintf(stderr, "bench: %s failed\n", command[0]);
            return EXIT_FAILURE;
        }
        best = least(best, now_s() - begin);
        best_cpu = least(best_cpu, seconds_of(used.ru_utime) + seconds_of(used.ru_stime));
        peak_kib = used.ru_maxrss > peak_kib ? used.ru_maxrss : peak_kib;
    }
    (void)printf("seconds %.4f cpu %.4f peak_mib %.1f\n", best, best_cpu,
                 (double)peak_kib / 1024.0);
    return EXIT_SUCCESS;
}

static int read_trace(const char *path)
{
    double best = 1e30;
    uint64_t events = 0;
    for (int i = 0; i < REPEATS; i++) {
        ps_error err = {0};
        ps_trace *trace;
        const double begin = now_s();
        if (ps_trace_read(path, &trace, NULL, &err) != PS_OK) {
            (void)fprintf(stderr, "bench: %s\n", err.message);
            return EXIT_FAILURE;
        }
        best = least(best, now_s() - begin);
        events = ps_trace_event_count(trace);
        ps_trace_destroy(trace);
    }
    (void)printf("seconds %.4f events %" PRIu64 "\n", best, events);
    return EXIT_SUCCESS;
}

static int copy_memory(size_t bytes)
{
    char *from = malloc(bytes), *to = malloc(bytes);
    if (from == NULL || to == NULL || bytes == 0) {
        (void)fprintf(stderr, "bench: no memory for two blocks of %zu bytes\n", bytes);
        free(from);
        free(to);
        return EXIT_FAILURE;
    }
    memset(from, 1, bytes);
    memset(to, 2, bytes);
    double best = 1e30;
    int sum = 0; /* read back, so that no copy can be left out */
    for (int i = 0; i < REPEATS; i++) {
        from[bytes / 2] = (char)i;
        const double begin = now_s();
        memcpy(to, from, bytes);
        best = least(best, now_s() - begin);
        sum += to[bytes / 2];
    }
    (void)printf("seconds %.4f bytes %zu check %d\n", best, bytes, sum);
    free(from);
    free(to);
    return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    if (argc >= 3 && strcmp(argv[1], "run") == 0) {
        return run_command(argv + 2);
    }
    if (argc == 3 && strcmp(argv[1], "read") == 0) {
        return read_trace(argv[2]);
    }
    if (argc == 3 && strcmp(argv[1], "memcpy") == 0) {
        return copy_memory((size_t)strtoull(argv[2], NULL, 10));
    }
    (void)fprintf(stderr, "usage: bench run COMMAND... | read TRACE | memcpy BYTES\n");
    return 2;
}
