/* SPDX-License-Identifier: MIT
 *
 * Rows from one trace into another, and a whole trace into a file.
 */
#ifndef PS_TRACE_ROWS_H
#define PS_TRACE_ROWS_H

#include "trace/trace.h"

/**
 * Appends rows of one table, their texts interned in the receiving trace.
 *
 * @param first, count  rows of `from`; must exist
 * @return PS_OK · PS_NOMEM · PS_LIMIT
 */
ps_code ps_trace_copy_rows(ps_trace *into, ps_trace_table_id id, const ps_trace *from, size_t first,
                           size_t count, ps_error *err) PS_MUST_USE;

/** Of the device rows from `first` on, keeps one of each ordinal: the first. */
void ps_trace_keep_first_devices(ps_trace *trace, size_t first);

/**
 * Writes a trace, chunk by chunk; the file appears whole or not at all.
 *
 * @param trace  sorted as ps_trace_read leaves it; borrowed for the call
 */
ps_code ps_trace_save(const char *path, const ps_trace *trace, ps_error *err) PS_MUST_USE;

#endif
