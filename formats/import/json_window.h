/* SPDX-License-Identifier: MIT
 *
 * A window over a stream of JSON text: what is read but not yet used.
 *
 *   guard │ used │ bytes[begin .. end) unread │ free │ padding
 *
 * One byte in front and PS_JSON_PADDING bytes behind belong to the window
 * too, so that a part of it can be framed by brackets in place.
 */
#ifndef PS_IMPORT_JSON_WINDOW_H
#define PS_IMPORT_JSON_WINDOW_H

#include "base/source.h"

/** Largest window, and so the largest single event that can be read. */
#define PS_JSON_WINDOW_MAX_BYTES ((size_t)64 << 20)

typedef struct ps_json_window {
    ps_source *source; /* borrowed */
    char *bytes;       /* bytes[-1] exists */
    size_t capacity;
    size_t begin, end;
    uint64_t base; /* [bytes] offset of bytes[0] in the source */
    bool is_over;  /* the source gave its last byte */
} ps_json_window;

/**
 * Starts in the caller's storage; reads nothing yet.
 *
 * @param capacity  [bytes] 1 .. PS_JSON_WINDOW_MAX_BYTES; grows when one event needs more
 */
ps_code ps_json_window_init(ps_json_window *self, ps_source *source, size_t capacity,
                            ps_error *err) PS_MUST_USE;

void ps_json_window_fini(ps_json_window *self);

/**
 * Drops what is used and reads on; indices into the window change.
 *
 * @param grew  false when nothing was added because the source is over
 * @return PS_OK · PS_LIMIT unread bytes fill the largest window · PS_NOMEM · as ps_source_read
 */
ps_code ps_json_window_more(ps_json_window *self, bool *grew, ps_error *err) PS_MUST_USE;

/** Skips whitespace; *next is the character then at begin, not used up. '\0' when the source is over. */
ps_code ps_json_window_skip_space(ps_json_window *self, char *next, ps_error *err) PS_MUST_USE;

/** [bytes] position of an index in the source. */
static inline uint64_t ps_json_window_offset(const ps_json_window *self, size_t index)
{
    return self->base + index;
}

#endif
