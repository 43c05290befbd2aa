/* SPDX-License-Identifier: MIT
 *
 * The writer thread.
 */
#include "recorder.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>

#include "base/container.h"
#include "base/memory.h"
#include "trace/builder.h"
#include "trace/file.h"

/* Of the memory budget, what the writer itself needs: a chunk, its encoding, marks. */
#define OWN_BYTES ((uint64_t)48 << 20)

struct ps_recorder {
    pthread_t thread;
    ps_recorder_options options;
    ps_record_source source;
    _Atomic bool is_connected, shall_stop;
    ps_buffers *buffers;
    ps_marks *marks;
    ps_decoder *decoder; /* made when the source connects */
    ps_trace *chunk, *mark_rows;
    ps_container_writer *writer; /* NULL after a failed write */
    bool is_full;                /* max_bytes reached, or the disk refused */
    uint64_t dropped;            /* since the last chunk */
    int64_t flushed_at_ns;
};

static int64_t monotonic_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* ---- chunks to disk ---- */

static void clear(ps_trace *rows)
{
    for (int i = 0; i < PS_TRACE_TABLE_COUNT; i++) {
        ps_table_clear(ps_trace_table(rows, (ps_trace_table_id)i));
    }
    ps_strings_clear(rows->strings);
}

/* The recording ends here; the job goes on. */
static void give_up(ps_recorder *self, const ps_error *err)
{
    char sentence[PS_CONTROL_PROBLEM_BYTES];
    ps_error_format(err, sentence, sizeof sentence);
    ps_control_report(self->options.control, sentence);
    ps_container_abandon(self->writer);
    self->writer = NULL;
    self->is_full = true;
}

/* Without a file the page shared with `record` is the only place left to say so. */
static void count_lost(const ps_recorder *self, const ps_trace *rows)
{
    uint64_t lost = ps_trace_event_count(rows) + rows->driver_memory.head.count;
    for (size_t i = 0; i < rows->loss.head.count; i++) {
        lost += rows->loss.severity[i] >= PS_SEVERITY_LOSS ? rows->loss.count[i] : 0;
    }
    if (self->options.control != NULL) {
        (void)atomic_fetch_add(&self->options.control->lost, lost);
    }
}

static void write_rows(ps_recorder *self, ps_trace *rows)
{
    ps_error err = {0};
    ps_code code = ps_trace_sort(rows, &err);
    if (code == PS_OK && self->writer != NULL) {
        code = ps_trace_write_chunk(self->writer, rows, &err);
    }
    if (code != PS_OK) {
        give_up(self, &err);
    }
    if (self->writer == NULL) {
        count_lost(self, rows);
    }
    clear(rows);
    if (self->writer != NULL && self->options.max_bytes > 0 &&
        ps_container_written_bytes(self->writer) >= self->options.max_bytes && !self->is_full) {
        self->is_full = true;
        ps_marks_fact(self->marks, "stopped-by", "max-bytes");
    }
}

static void write_chunk(ps_recorder *self)
{
    ps_error err = {0};
    if (self->is_connected && ps_decoder_settle(self->decoder, self->chunk, &err) != PS_OK) {
        give_up(self, &err);
    }
    self->dropped += ps_buffers_take_dropped(self->buffers);
    self->dropped += self->is_connected ? self->source.dropped(self->source.context) : 0;
    if (ps_trace_add_loss(self->chunk, "dropped-records", self->dropped, &err) == PS_OK) {
        self->dropped = 0;
    }
    write_rows(self, self->chunk);
    if (self->is_connected) {
        ps_decoder_new_chunk(self->decoder);
    }
}

/* Of the marks that come after the end of the recording, facts and losses go into the next chunk. */
static void keep_notes(ps_recorder *self, ps_trace *rows)
{
    ps_trace *chunk = self->chunk;
    self->dropped += rows->range.head.count + rows->driver_memory.head.count;
    for (size_t i = 0; i < rows->meta.head.count; i++) {
        self->dropped +=
            ps_trace_set_meta(chunk, ps_strings_text(rows->strings, rows->meta.key[i]),
                              ps_strings_text(rows->strings, rows->meta.value[i]), NULL) != PS_OK;
    }
    for (size_t i = 0; i < rows->loss.head.count; i++) {
        self->dropped +=
            ps_trace_add_loss(chunk, ps_strings_text(rows->strings, rows->loss.name[i]),
                              rows->loss.count[i], NULL) != PS_OK;
    }
    clear(rows);
}

static void write_marks(ps_recorder *self)
{
    if (!ps_marks_swap(self->marks, &self->mark_rows)) {
        return;
    }
    if (self->is_full) {
        keep_notes(self, self->mark_rows);
    } else {
        write_rows(self, self->mark_rows);
    }
}

/* ---- buffers ---- */

static bool is_chunk_full(const ps_recorder *self)
{
    return ps_trace_event_count(self->chunk) + self->chunk->driver_memory.head.count >=
           PS_TRACE_CHUNK_ROWS;
}

static void decode_buffer(ps_recorder *self, const ps_full_buffer *buffer)
{
    unsigned char *record = NULL, *end = buffer->data + buffer->valid_bytes;
    void *context = self->source.context;
    bool has_record = self->source.next(context, buffer->data, buffer->valid_bytes, &record);
    while (has_record) {
        unsigned char *const now = record;
        has_record = self->source.next(context, buffer->data, buffer->valid_bytes, &record);
        const size_t bytes = (size_t)((has_record ? record : end) - now);
        if (self->is_full) {
            self->dropped++;
            continue;
        }
        if (ps_decode_record(self->decoder, self->chunk, now, bytes, NULL) != PS_OK) {
            self->dropped++; /* this one; the end of the period makes room again */
        }
        if (is_chunk_full(self)) {
            write_chunk(self);
        }
    }
}

static void use_buffer(ps_recorder *self, ps_full_buffer buffer)
{
    if (buffer.valid_bytes > 0) {
        decode_buffer(self, &buffer);
    }
    ps_buffers_give_back(self->buffers, buffer);
}

/* All buffers that are full now; a source that fills them as fast does not hold us here. */
static void drain(ps_recorder *self)
{
    for (size_t i = ps_buffers_count(self->buffers); i > 0; i--) {
        const ps_full_buffer buffer = ps_buffers_take(self->buffers, 0);
        if (buffer.data == NULL) {
            return;
        }
        use_buffer(self, buffer);
    }
}

/* Everything that is finished, onto disk. */
static void flush(ps_recorder *self, bool is_final)
{
    if (self->is_connected) {
        self->source.flush(self->source.context, is_final);
        drain(self);
    }
    /* a file that has its size grows no more; what is lost from then on is told at the end */
    if (!self->is_full || is_final || self->writer == NULL) {
        write_chunk(self);
    }
    write_marks(self);
    self->flushed_at_ns = monotonic_ns();
}

static void finish(ps_recorder *self)
{
    ps_error err = {0};
    flush(self, true);
    flush(self, true); /* the losses and facts that the first one brought */
    if (self->writer != NULL) {
        const ps_code code = ps_container_finish(self->writer, &err);
        self->writer = NULL;
        if (code != PS_OK) {
            give_up(self, &err);
        }
    }
}

static void *run(void *argument)
{
    ps_recorder *self = argument;
    self->flushed_at_ns = monotonic_ns();
    while (!self->shall_stop) {
        const int64_t left = self->flushed_at_ns + PS_RECORDER_PERIOD_NS - monotonic_ns();
        const ps_full_buffer buffer = ps_buffers_take(self->buffers, left > 0 ? left : 0);
        if (buffer.data != NULL) {
            use_buffer(self, buffer);
        }
        if (monotonic_ns() - self->flushed_at_ns >= PS_RECORDER_PERIOD_NS) {
            flush(self, false);
        }
    }
    finish(self);
    return NULL;
}

/* ---- life ---- */

void ps_recorder_destroy(ps_recorder *self)
{
    if (self == NULL) {
        return;
    }
    ps_container_abandon(self->writer);
    ps_decoder_destroy(self->decoder);
    ps_trace_destroy(self->chunk);
    ps_trace_destroy(self->mark_rows);
    ps_marks_destroy(self->marks);
    ps_buffers_destroy(self->buffers);
    ps_free(self);
}

/* The job's signals are the job's: none is delivered to the writer. */
static int start_thread(ps_recorder *self)
{
    sigset_t all, before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    const int failed = pthread_create(&self->thread, NULL, run, self);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failed;
}

static ps_code prepare(ps_recorder *self, ps_error *err)
{
    const uint64_t budget = self->options.budget_bytes;
    self->buffers = ps_buffers_create(budget > OWN_BYTES ? budget - OWN_BYTES : 0);
    self->marks = ps_marks_create();
    self->chunk = ps_trace_create();
    self->mark_rows = ps_trace_create();
    if (self->buffers == NULL || self->marks == NULL || self->chunk == NULL ||
        self->mark_rows == NULL) {
        return ps_fail_nomem(err);
    }
    return ps_container_create_live(self->options.path, PS_ARTEFACT_TRACE, self->options.level,
                                    &self->writer, err);
}

ps_code ps_recorder_start(const ps_recorder_options *options, ps_recorder **out, ps_error *err)
{
    ps_recorder *self = ps_calloc(1, sizeof *self);
    if (self == NULL) {
        return ps_fail_nomem(err);
    }
    self->options = *options;
    ps_code code = prepare(self, err);
    if (code == PS_OK) {
        const int failed = start_thread(self);
        code = failed == 0 ? PS_OK : ps_fail_errno(err, failed, "cannot start the writer thread");
    }
    self->options.path = NULL; /* borrowed for the call only */
    if (code != PS_OK) {
        ps_recorder_destroy(self);
        return code;
    }
    *out = self;
    return PS_OK;
}

void ps_recorder_connect(ps_recorder *self, const ps_record_source *source)
{
    self->source = *source;
    self->decoder = ps_decoder_create(self->options.base_ns, source->name_of, source->context);
    if (self->decoder != NULL) {
        self->is_connected = true;
    }
}

ps_buffers *ps_recorder_buffers(ps_recorder *self)
{
    return self->buffers;
}

ps_marks *ps_recorder_marks(ps_recorder *self)
{
    return self->marks;
}

void ps_recorder_stop(ps_recorder *self)
{
    self->shall_stop = true;
    ps_buffers_wake(self->buffers);
    (void)pthread_join(self->thread, NULL);
    ps_buffers_close(self->buffers);
}
