/* SPDX-License-Identifier: MIT
 *
 * Output files that appear whole or not at all: bytes go to a temporary file
 * in the same folder, which is renamed when everything has been written.
 * Devices and pipes (/dev/null, /dev/stdout) are written in place.
 */
#ifndef PS_BASE_SINK_H
#define PS_BASE_SINK_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

typedef struct ps_sink ps_sink;

/** Creates the output; PS_IO when the folder is missing or not writable, or path is a folder. */
ps_code ps_sink_create(const char *path, ps_sink **out, ps_error *err) PS_MUST_USE;

/**
 * Creates the output under its own name at once: what was written so far survives the writer's
 * death, from flush to flush. For recordings; finish renames nothing, abandon removes nothing.
 */
ps_code ps_sink_create_live(const char *path, ps_sink **out, ps_error *err) PS_MUST_USE;

/** Hands all bytes written so far to the system. */
ps_code ps_sink_flush(ps_sink *self, ps_error *err) PS_MUST_USE;

/** Appends bytes; PS_IO when the disk is full. */
ps_code ps_sink_write(ps_sink *self, const void *bytes, size_t count, ps_error *err) PS_MUST_USE;

/** [bytes] written so far. */
uint64_t ps_sink_offset(const ps_sink *self);

/** Flushes, syncs, renames. The sink is gone afterwards; on failure nothing is left behind. */
ps_code ps_sink_finish(ps_sink *self, ps_error *err) PS_MUST_USE;

/** Removes what was written; NULL is fine. */
void ps_sink_abandon(ps_sink *self);

#endif
