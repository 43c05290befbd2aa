/* SPDX-License-Identifier: MIT
 *
 * Parts of a recording made by hand: a device part from rows, history parts
 * as pickles.
 */
#ifndef PS_TESTS_MAKE_PARTS_H
#define PS_TESTS_MAKE_PARTS_H

#include <stdbool.h>
#include <sys/types.h>

#include "trace/trace.h"

/** A new, empty folder below the build folder. Borrowed until the next call. */
const char *parts_folder(void);

/** An empty device part in memory that carries the facts of one: base time 1e18 ns, pid, source. */
ps_trace *parts_device(pid_t pid);

/** A host call and the driver memory it returned at its end. */
void parts_driver_alloc(ps_trace *device, ps_ns start_ns, ps_ns dur_ns, uint64_t addr,
                        uint64_t bytes, uint64_t correlation);

/** Writes and frees the device part. `is_finished` false: without index, as a killed process leaves it. */
void parts_write_device(const char *folder, pid_t pid, ps_trace *device, bool is_finished);

/** One entry of an allocator history; the times are Unix microseconds. */
typedef struct history_entry {
    const char *action;
    uint64_t addr, size, time_us;
} history_entry;

/** Writes a history part: a pickle of protocol 2, with one segment at the end that holds one block. */
void parts_write_history(const char *folder, pid_t pid, unsigned sequence,
                         const history_entry *entries, size_t count);

/** Writes a file of the folder from text. */
void parts_write_text(const char *folder, const char *name, const char *text);

#endif
