/* SPDX-License-Identifier: MIT
 *
 * The writer of one observed process: a thread of its own that turns filled
 * buffers and marks into chunks on disk.
 *
 *   buffers ─┐
 *            ├─► writer thread ──decode──► chunk ──zstd──► PARTS/<pid>.device.pstrace
 *   marks  ──┘       every 65536 rows, and at least every PS_RECORDER_PERIOD_NS
 *
 * The file grows chunk by chunk, so a process that is killed leaves all but
 * the last period. A disk that is full, or --max-bytes, ends the recording and
 * not the job: what comes later is counted.
 */
#ifndef PS_TRACER_RECORDER_H
#define PS_TRACER_RECORDER_H

#include "buffers.h"
#include "control.h"
#include "decode.h"
#include "marks.h"

/** [ns] longest time a row stays in memory. */
#define PS_RECORDER_PERIOD_NS INT64_C(400000000)

/** Where records come from: CUPTI, or a test. All functions are called by the writer thread. */
typedef struct ps_record_source {
    /** Record behind *record in a buffer (NULL: the first); false at the end. */
    bool (*next)(void *context, unsigned char *data, size_t valid_bytes, unsigned char **record);
    /** Asks for all finished records to be handed in. */
    void (*flush)(void *context, bool is_final);
    /** Records that the source itself lost since the last call. */
    uint64_t (*dropped)(void *context);
    /** See ps_decoder_create. */
    ps_call_name_fn name_of;
    void *context;
} ps_record_source;

typedef struct ps_recorder_options {
    const char *path;      /* of the file to write */
    ps_ns base_ns;         /* Unix time of row time 0 */
    uint64_t budget_bytes; /* of memory, all together */
    uint64_t max_bytes;    /* of the file; 0 no bound */
    int level;             /* zstd */
    ps_control *control;   /* borrowed; NULL none */
} ps_recorder_options;

typedef struct ps_recorder ps_recorder;

/**
 * Creates the file and starts the writer.
 *
 * @return PS_OK · PS_IO · PS_NOMEM
 */
ps_code ps_recorder_start(const ps_recorder_options *options, ps_recorder **out,
                          ps_error *err) PS_MUST_USE;

/** Connects the source of records; before it, and without, only marks are written. Any thread, once. */
void ps_recorder_connect(ps_recorder *self, const ps_record_source *source);

/** For the source's buffers and the hook's marks. Borrowed for the recorder's life. */
ps_buffers *ps_recorder_buffers(ps_recorder *self);
ps_marks *ps_recorder_marks(ps_recorder *self);

/**
 * Writes everything, ends the file and the thread. Takes as long as the disk does.
 * Buffers and marks stay usable, for the source and other threads may still be at work.
 */
void ps_recorder_stop(ps_recorder *self);

/** Frees a stopped recorder that nothing uses any more; NULL is fine. */
void ps_recorder_destroy(ps_recorder *self);

#endif
