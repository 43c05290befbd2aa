/* SPDX-License-Identifier: MIT
 *
 * Stands in for libpeakstep_tracer.so: every call of the hook becomes one line
 * of PEAKSTEP_RECORD_DIR/<pid>.calls, written at once so that nothing is lost
 * when the job dies. FAKE_WINDOW="A:B" makes is_recording true in steps A..B-1.
 */
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int64_t current_step = -1;

static FILE *calls(void)
{
    static FILE *file;
    char path[4096];

    if (file == NULL) {
        (void)snprintf(path, sizeof path, "%s/%ld.calls", getenv("PEAKSTEP_RECORD_DIR"),
                       (long)getpid());
        file = fopen(path, "a");
        if (file != NULL) {
            (void)setvbuf(file, NULL, _IOLBF, 0);
        }
    }
    return file;
}

uint32_t peakstep_hook_abi(void)
{
    return 1;
}

int peakstep_is_recording(void)
{
    const char *window = getenv("FAKE_WINDOW");
    int64_t first = 0;
    int64_t end = 0;

    if (window == NULL || sscanf(window, "%" SCNd64 ":%" SCNd64, &first, &end) != 2) {
        return 1;
    }
    return current_step >= first && current_step < end;
}

void peakstep_step(uint64_t index)
{
    current_step = (int64_t)index;
    (void)fprintf(calls(), "step\t%" PRIu64 "\n", index);
}

void peakstep_range(const char *name, uint32_t category, int64_t start_ns, int64_t end_ns)
{
    (void)fprintf(calls(), "range\t%s\t%" PRIu32 "\t%" PRId64 "\t%" PRId64 "\n", name, category,
                  start_ns, end_ns);
}

void peakstep_fact(const char *key, const char *value)
{
    (void)fprintf(calls(), "fact\t%s\t%s\n", key, value);
}

void peakstep_loss(const char *name, uint64_t count)
{
    (void)fprintf(calls(), "loss\t%s\t%" PRIu64 "\n", name, count);
}
