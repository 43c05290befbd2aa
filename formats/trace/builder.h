/* SPDX-License-Identifier: MIT
 *
 * Writing a trace in bounded memory: rows go in one at a time in recording
 * order, chunks come out as they fill.
 *
 *   importer / tracer ──add──► chunk under construction ──full──► encode ──► file
 *
 * The caller appends rows to `chunk` with ps_trace_add and then calls
 * ps_trace_builder_step once per row or group of rows. Strings are interned
 * per chunk, so ids die at every step that flushes: intern again, do not keep
 * ids across steps.
 */
#ifndef PS_TRACE_BUILDER_H
#define PS_TRACE_BUILDER_H

#include "trace/trace.h"

typedef struct ps_trace_builder ps_trace_builder;

/** Rows after which a chunk is written. */
#define PS_TRACE_CHUNK_ROWS 65536u

/**
 * Starts a trace file. The data goes to a temporary file beside `path` and is
 * renamed at finish, so a failed run leaves nothing half-written.
 *
 * @param path  where the trace will appear; borrowed for the call
 * @return PS_OK · PS_IO cannot create · PS_NOMEM
 * Lifetime: *out is owned by the caller until finish or abandon.
 */
ps_code ps_trace_builder_open(const char *path, ps_trace_builder **out, ps_error *err) PS_MUST_USE;

/** A builder that keeps everything in one in-memory trace instead of a file (tests, pipelines). */
ps_code ps_trace_builder_open_memory(ps_trace_builder **out, ps_error *err) PS_MUST_USE;

/** The chunk under construction. Borrowed; its tables are emptied when a step flushes. */
ps_trace *ps_trace_builder_chunk(ps_trace_builder *self);

/** Flushes the chunk when it is full. Call after every complete row. */
ps_code ps_trace_builder_step(ps_trace_builder *self, ps_error *err) PS_MUST_USE;

/** Remembers a fact (meta) for the end of the file; may be called any time. */
ps_code ps_trace_builder_meta(ps_trace_builder *self, const char *key, const char *value,
                              ps_error *err) PS_MUST_USE;

/** Counts a loss (see losses.def); written at the end of the file. */
ps_code ps_trace_builder_loss(ps_trace_builder *self, const char *name, uint64_t count,
                              ps_error *err) PS_MUST_USE;

/**
 * Writes the last chunk, index, footer and the finished mark, and renames.
 * For a memory builder the trace is handed over through ps_trace_builder_take
 * before. The builder is gone afterwards, also on failure.
 */
ps_code ps_trace_builder_finish(ps_trace_builder *self, ps_error *err) PS_MUST_USE;

/** Takes the trace of a memory builder: *out is owned by the caller. The builder is gone afterwards. */
ps_code ps_trace_builder_take(ps_trace_builder *self, ps_trace **out, ps_error *err) PS_MUST_USE;

/** Drops everything and removes the temporary file; NULL is fine. */
void ps_trace_builder_abandon(ps_trace_builder *self);

#endif
