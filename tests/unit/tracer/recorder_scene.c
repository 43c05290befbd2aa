/* SPDX-License-Identifier: MIT
 *
 * A recorder fed by a made-up source.
 */
#include "recorder_scene.h"

#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define NAMES 500u

const char *feed_name(uint32_t correlation)
{
    static char names[NAMES][24];
    char *name = names[correlation % NAMES];
    if (name[0] == '\0') {
        (void)snprintf(name, sizeof names[0], "kernel %u", (unsigned)(correlation % NAMES));
    }
    return name;
}

const char *feed_path(void)
{
    static char path[512];
    (void)snprintf(path, sizeof path, "%s/recorder_%ld.pstrace", PS_TEST_BINARY_DIR,
                   (long)getpid());
    return path;
}

ps_recorder_options feed_options(void)
{
    return (ps_recorder_options){.path = feed_path(),
                                 .base_ns = FEED_BASE_NS,
                                 .budget_bytes = (uint64_t)96 << 20,
                                 .level = 1};
}

static void flush(void *context, bool is_final)
{
    feed *self = context;
    (void)is_final;
    atomic_fetch_add(&self->flushes, 1);
}

static uint64_t dropped(void *context)
{
    feed *self = context;
    return atomic_exchange(&self->source_drops, 0);
}

static bool next(void *context, unsigned char *data, size_t valid_bytes, unsigned char **record)
{
    feed *self = context;
    return cupti_next(&self->layout, data, valid_bytes, record);
}

static const char *name_of(void *context, ps_call_api api, uint32_t id)
{
    (void)context;
    (void)api;
    (void)id;
    return "cudaLaunchKernel";
}

void feed_open(feed *self, const ps_recorder_options *options)
{
    ps_error err = {0};
    const ps_record_source source = {next, flush, dropped, name_of, self};
    for (uint32_t i = 0; i < NAMES; i++) {
        (void)feed_name(i); /* no thread makes them */
    }
    memset(self, 0, sizeof *self);
    self->layout = CUPTI_13;
    self->correlation = 1;
    self->rng = 1;
    assert_ok(&err, ps_recorder_start(options, &self->recorder, &err));
    ps_recorder_connect(self->recorder, &source);
}

void feed_close(feed *self)
{
    ps_recorder_stop(self->recorder);
    ps_recorder_destroy(self->recorder);
}

static uint64_t random_step(feed *self)
{
    self->rng = self->rng * 6364136223846793005u + 1442695040888963407u;
    return 1 + (self->rng >> 33) % 100000;
}

size_t feed_fill(feed *self, unsigned char *data, size_t bytes, uint32_t count)
{
    size_t at = 0;
    for (uint32_t i = 0; i < count; i++) {
        const uint64_t start = (uint64_t)FEED_BASE_NS + self->clock_ns;
        if (cupti_add_kernel(self->layout, data, bytes, &at, feed_name(self->correlation), start,
                             start + self->correlation % 7, self->correlation) == NULL) {
            break;
        }
        self->correlation++;
        self->clock_ns += random_step(self);
    }
    return at;
}

void feed_kernels(feed *self, uint32_t count)
{
    ps_buffers *buffers = ps_recorder_buffers(self->recorder);
    const uint32_t end = self->correlation + count;
    while (self->correlation < end) {
        size_t bytes;
        unsigned char *data = ps_buffers_lend(buffers, &bytes);
        assert_non_null(data);
        if (bytes < PS_BUFFER_BYTES) {
            ps_buffers_drop(buffers, data, 0);
            feed_sleep_ms(1);
        } else {
            const size_t used = feed_fill(self, data, bytes, end - self->correlation);
            assert_true(ps_buffers_hand_in(buffers, data, used));
        }
    }
}

ps_trace *feed_read_copy(const char *path, ps_container_state *state)
{
    static unsigned char block[65536];
    char copy[512];
    ps_error err = {0};
    ps_trace *trace;
    (void)snprintf(copy, sizeof copy, "%s.copy", path);
    FILE *in = fopen(path, "rb"), *out = fopen(copy, "wb");
    assert_non_null(in);
    assert_non_null(out);
    for (size_t got = sizeof block; got > 0;) {
        got = fread(block, 1, sizeof block, in);
        assert_int_equal(fwrite(block, 1, got, out), got);
    }
    (void)fclose(in);
    assert_int_equal(fclose(out), 0);
    assert_ok(&err, ps_trace_read(copy, &trace, state, &err));
    (void)unlink(copy);
    return trace;
}

uint32_t feed_check_kernels(const feed *self, const ps_trace *trace)
{
    feed again = {.rng = 1};
    const ps_kernel_table *kernel = &trace->kernel;
    assert_true(kernel->head.count < self->correlation);
    for (size_t i = 0; i < kernel->head.count; i++) {
        assert_int_equal(kernel->correlation[i], i + 1);
        assert_int_equal(kernel->start_ns[i], again.clock_ns);
        assert_int_equal(kernel->dur_ns[i], (i + 1) % 7);
        assert_int_equal(kernel->stream[i], 7);
        assert_string_equal(ps_strings_text(trace->strings, kernel->name[i]),
                            feed_name((uint32_t)i + 1));
        assert_string_equal(ps_strings_text(trace->strings, kernel->launch[i]),
                            "128,1,1|256,1,1|32|0");
        again.clock_ns += random_step(&again);
    }
    return (uint32_t)kernel->head.count;
}

uint64_t feed_loss(const ps_trace *trace, const char *name)
{
    uint64_t count = 0;
    for (size_t i = 0; i < trace->loss.head.count; i++) {
        if (strcmp(ps_strings_text(trace->strings, trace->loss.name[i]), name) == 0) {
            count += trace->loss.count[i];
        }
    }
    return count;
}

uint64_t feed_file_bytes(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 ? (uint64_t)info.st_size : 0;
}

void feed_sleep_ms(long ms)
{
    const struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    (void)nanosleep(&pause, NULL);
}

int64_t feed_now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}
