/* SPDX-License-Identifier: MIT
 *
 * How many records a second the tracer's writer sustains on one core, at how
 * many bytes a record, in how much memory.
 *
 *   bench_tracer OUT.pstrace SECONDS [RECORDS_PER_S]
 *
 * A producer hands in buffers with the records of a transformer's training
 * step (launch calls, kernels, some copies, events and waits), made anew each
 * time with moving clocks and correlations, as fast as the writer takes them
 * or at a given rate; the processor time counted is the writer's own. Prints "key value" pairs.
 */
#define _GNU_SOURCE /* RUSAGE_THREAD */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>

#include "cupti_records.h"
#include "recorder.h"
#include "support/cupti_stream.h"

#define NAMES 120
#define STREAM 7

static const uint64_t base_ns = UINT64_C(1760000000000000000);

typedef struct producer {
    cupti_layout layout;
    char name[NAMES][96];
    uint64_t host_ns, device_ns, random;
    uint32_t correlation;
    uint64_t records;
} producer;

static uint64_t next_random(producer *self)
{
    self->random ^= self->random << 13;
    self->random ^= self->random >> 7;
    self->random ^= self->random << 17;
    return self->random;
}

static void make_names(producer *self)
{
    for (int i = 0; i < NAMES; i++) {
        (void)snprintf(
            self->name[i], sizeof self->name[i],
            "_ZN2at6native27unrolled_elementwise_kernel%dINS0_13AUnaryFunctorIfffEEEEvT_", i);
    }
}

static bool add_copy(producer *self, unsigned char *data, size_t bytes, size_t *at)
{
    unsigned char *record = cupti_add(self->layout, data, bytes, at, PS_CUPTI_MEMCPY);
    if (record == NULL) {
        return false;
    }
    cupti_put_u8(record, 4, 1);
    cupti_put_u8(record, 5, 2);
    cupti_put_u8(record, 6, 3);
    cupti_put_u64(record, 8, 4096 * (1 + next_random(self) % 64));
    cupti_put_u64(record, 16, self->device_ns);
    cupti_put_u64(record, 24, self->device_ns + 2500);
    cupti_put_u32(record, 40, STREAM);
    cupti_put_u32(record, 44, self->correlation);
    return true;
}

/* One launch and its kernel, now and then a copy instead. */
static bool add_launch(producer *self, unsigned char *data, size_t bytes, size_t *at)
{
    const bool is_copy = self->correlation % 41 == 0;
    const uint64_t call_ns = 2600 + next_random(self) % 900;
    const uint64_t kernel_ns = 3000 + next_random(self) % 40000;
    if (cupti_add_call(self->layout, data, bytes, at, is_copy ? 41 : 211, self->host_ns,
                       self->host_ns + call_ns, self->correlation) == NULL) {
        return false;
    }
    self->host_ns += call_ns + 1500 + next_random(self) % 6000;
    const char *name = self->name[self->correlation % NAMES];
    const bool is_there =
        is_copy ? add_copy(self, data, bytes, at)
                : cupti_add_kernel(self->layout, data, bytes, at, name, self->device_ns,
                                   self->device_ns + kernel_ns, self->correlation) != NULL;
    self->device_ns += kernel_ns + 800;
    self->correlation++;
    self->records += 2;
    return is_there;
}

static size_t fill(producer *self, unsigned char *data, size_t bytes)
{
    size_t at = 0;
    while (bytes - at >= 512 && add_launch(self, data, bytes, &at)) {
    }
    return at;
}

/* ---- the source ---- */

static double writer_s;

static void flush(void *context, bool is_final)
{
    struct rusage used;
    (void)context;
    (void)is_final;
    if (getrusage(RUSAGE_THREAD, &used) == 0) {
        writer_s = (double)used.ru_utime.tv_sec + (double)used.ru_utime.tv_usec * 1e-6 +
                   (double)used.ru_stime.tv_sec + (double)used.ru_stime.tv_usec * 1e-6;
    }
}

static uint64_t no_drops(void *context)
{
    (void)context;
    return 0;
}

static const char *name_of(void *context, ps_call_api api, uint32_t id)
{
    (void)context;
    (void)api;
    return id == 211 ? "cudaLaunchKernel" : "cudaMemcpyAsync";
}

static double now_s(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static long resident_mib(void)
{
    struct rusage used;
    (void)getrusage(RUSAGE_SELF, &used);
    return used.ru_maxrss / 1024;
}

/* Hands in buffers while the writer keeps up; a spare instead of a buffer means to wait. */
static long produce(producer *self, ps_buffers *buffers, double seconds, double rate)
{
    const double begin_s = now_s(), end_s = begin_s + seconds;
    const struct timespec pause = {.tv_nsec = 200000};
    long early_mib = 0;
    while (now_s() < end_s) {
        size_t bytes;
        if (rate > 0 && (double)self->records > rate * (now_s() - begin_s)) {
            (void)nanosleep(&pause, NULL);
            continue;
        }
        unsigned char *data = ps_buffers_lend(buffers, &bytes);
        if (data == NULL || bytes < PS_BUFFER_BYTES) {
            if (data != NULL) {
                ps_buffers_drop(buffers, data, 0);
            }
            (void)nanosleep(&pause, NULL);
            continue;
        }
        (void)ps_buffers_hand_in(buffers, data, fill(self, data, bytes));
        if (early_mib == 0 && now_s() > end_s - seconds * 0.8) {
            early_mib = resident_mib();
        }
    }
    return early_mib;
}

/* A positive number, or 0. */
static double number_of(const char *text)
{
    char *end;
    const double value = strtod(text, &end);
    return end != text && *end == '\0' && value > 0 ? value : 0;
}

int main(int argc, char **argv)
{
    static producer self = {.layout = CUPTI_13, .random = 88172645463325252u, .correlation = 1};
    ps_recorder *recorder;
    ps_error err = {0};
    struct stat file;
    const double seconds = argc > 2 ? number_of(argv[2]) : 0;
    if (seconds == 0 || argc > 4) {
        (void)fprintf(stderr, "usage: bench_tracer OUT.pstrace SECONDS [RECORDS_PER_S]\n");
        return 2;
    }
    self.host_ns = base_ns + 1000;
    self.device_ns = base_ns + 9000;
    make_names(&self);
    const ps_recorder_options options = {.path = argv[1],
                                         .base_ns = (ps_ns)base_ns,
                                         .budget_bytes = (uint64_t)256 << 20,
                                         .level = 1};
    if (ps_recorder_start(&options, &recorder, &err) != PS_OK) {
        (void)fprintf(stderr, "bench_tracer: %s\n", err.message);
        return EXIT_FAILURE;
    }
    const ps_record_source source = {cupti_next, flush, no_drops, name_of, &self.layout};
    ps_recorder_connect(recorder, &source);
    const double begin_s = now_s();
    const long early_mib =
        produce(&self, ps_recorder_buffers(recorder), seconds, argc > 3 ? number_of(argv[3]) : 0);
    ps_recorder_stop(recorder);
    const double wall_s = now_s() - begin_s;
    ps_recorder_destroy(recorder);
    (void)stat(argv[1], &file);
    (void)printf("records %" PRIu64 " wall_s %.2f writer_s %.2f records_per_writer_s %.0f "
                 "bytes_per_record %.3f early_mib %ld peak_mib %ld\n",
                 self.records, wall_s, writer_s, (double)self.records / writer_s,
                 (double)file.st_size / (double)self.records, early_mib, resident_mib());
    return EXIT_SUCCESS;
}
