/* SPDX-License-Identifier: MIT
 *
 * Traces as files.
 */
#ifndef PS_TRACE_FILE_H
#define PS_TRACE_FILE_H

#include "base/container.h"
#include "trace/trace.h"

/** Writes all rows of a trace as one chunk. */
ps_code ps_trace_write_chunk(ps_container_writer *writer, const ps_trace *trace,
                             ps_error *err) PS_MUST_USE;

/**
 * Reads a trace file whole, whatever is left of it: damaged chunks and a cut
 * end are counted as losses in the trace. Rows are sorted by start.
 *
 * @param state  how the file was found; may be NULL
 * @return PS_OK · PS_IO · PS_BAD_INPUT not a trace · PS_UNSUPPORTED newer major version
 */
ps_code ps_trace_read(const char *path, ps_trace **out, ps_container_state *state,
                      ps_error *err) PS_MUST_USE;

/** ps_trace_read over borrowed memory. */
ps_code ps_trace_read_memory(const void *bytes, size_t count, ps_trace **out,
                             ps_container_state *state, ps_error *err) PS_MUST_USE;

/** Sorts every timed table but `memory` by start; rows with equal start keep their order. */
ps_code ps_trace_sort(ps_trace *trace, ps_error *err) PS_MUST_USE;

/** Sorts `memory` by time, keeping the order of equal times: for sources that write it by thread. */
ps_code ps_trace_sort_memory(ps_trace *trace, ps_error *err) PS_MUST_USE;

#endif
