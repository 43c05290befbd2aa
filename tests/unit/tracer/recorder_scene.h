/* SPDX-License-Identifier: MIT
 *
 * A recorder fed by a made-up source, and its file as it grows.
 */
#ifndef PS_TESTS_UNIT_TRACER_RECORDER_SCENE_H
#define PS_TESTS_UNIT_TRACER_RECORDER_SCENE_H

#include "support/test.h"

#include <stdatomic.h>

#include "cupti_records.h"
#include "recorder.h"
#include "support/cupti_stream.h"
#include "trace/file.h"

#define FEED_BASE_NS INT64_C(1760000000000000000)

/** The recorder and what was given to it: kernels with correlations 1, 2, ... that begin in order. */
typedef struct feed {
    ps_recorder *recorder;
    cupti_layout layout;
    uint32_t correlation; /* of the next kernel */
    uint64_t clock_ns, rng;
    _Atomic uint64_t source_drops; /* to be told at the next chunk */
    _Atomic uint32_t flushes;
} feed;

/** File that this process records to; no other test's. */
const char *feed_path(void);

/** Options that record to feed_path, without any bound. */
ps_recorder_options feed_options(void);

/** Starts a recorder with a connected source. */
void feed_open(feed *self, const ps_recorder_options *options);

/** Stops and frees it. */
void feed_close(feed *self);

/** Fills a buffer with at most `count` kernels; returns the bytes used. */
size_t feed_fill(feed *self, unsigned char *data, size_t bytes, uint32_t count);

/** Hands in `count` kernels, waiting for whole buffers. */
void feed_kernels(feed *self, uint32_t count);

/** Name of the kernel with a correlation. Kept for the process. */
const char *feed_name(uint32_t correlation);

/** Reads a copy of the file as it is now; the caller destroys it. */
ps_trace *feed_read_copy(const char *path, ps_container_state *state);

/** Fails unless the kernels are those with correlations 1, 2, ... as given; returns how many. */
uint32_t feed_check_kernels(const feed *self, const ps_trace *trace);

/** Sum of a loss over all its rows. */
uint64_t feed_loss(const ps_trace *trace, const char *name);

/** [bytes] of a file; 0 when there is none. */
uint64_t feed_file_bytes(const char *path);

void feed_sleep_ms(long ms);
int64_t feed_now_ns(void);

#endif
