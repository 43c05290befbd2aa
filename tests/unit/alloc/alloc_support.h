/* SPDX-License-Identifier: MIT
 *
 * A model under test with a log of what it did, and short forms of requests
 * that fail the test when they fail.
 */
#ifndef PS_TESTS_ALLOC_SUPPORT_H
#define PS_TESTS_ALLOC_SUPPORT_H

#include "support/test.h"

#include "alloc/allocator.h"
#include "trace/trace.h"

#define KIB ((uint64_t)1024)
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)

#define BENCH_MAX_EVENTS 4096u

/** One model and everything it told. */
typedef struct bench {
    ps_allocator *model;
    ps_alloc_config config;
    ps_alloc_event event[BENCH_MAX_EVENTS];
    size_t event_count;
    uint64_t next_addr; /* addresses given to new segments and ranges; 0: invented ones */
    uint64_t addr_step; /* added after each; wraps, so it may go down */
} bench;

/** Creates a model from a PYTORCH_CUDA_ALLOC_CONF text; limit 0 is none, memory 0 unknown. */
void bench_open(bench *self, const char *model, const char *conf, uint64_t limit_bytes,
                uint64_t device_memory_bytes);

void bench_close(bench *self);

/** Requests on stream 0 of the default pool. */
ps_alloc_block bench_alloc(bench *self, uint64_t bytes);

ps_alloc_block bench_alloc_on(bench *self, uint64_t bytes, uint64_t stream, ps_pool_id pool);

/** A request that must be refused. */
ps_alloc_shortage bench_refuse(bench *self, uint64_t bytes);

void bench_free(bench *self, ps_alloc_block block);

/** Frees with another stream still at work. */
void bench_free_later(bench *self, ps_alloc_block block);

void bench_release(bench *self);

const ps_alloc_stats *bench_stats(const bench *self);

/** Events of one kind in the log. */
size_t bench_count(const bench *self, ps_alloc_event_kind kind);

/** Checks one event of the log. */
void bench_expect(const bench *self, size_t index, ps_alloc_event_kind kind, uint64_t addr,
                  uint64_t bytes);

/* Traces of memory events, row by row. */

ps_trace *rows_create(const char *conf);

void rows_add(ps_trace *trace, ps_memory_action action, uint64_t addr, uint64_t bytes,
              uint64_t stream);

/** A final segment of the default pool; its blocks follow with rows_block. */
void rows_segment(ps_trace *trace, uint64_t addr, uint64_t bytes, bool is_large,
                  bool is_expandable);

/** A block of the segment added last; its totals follow. */
void rows_block(ps_trace *trace, uint64_t addr, uint64_t bytes, uint64_t requested_bytes,
                ps_block_state state);

#endif
