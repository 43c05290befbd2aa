/* SPDX-License-Identifier: MIT
 *
 * What surrounds the list of events in a JSON file.
 *
 *   {"schemaVersion": 1, "traceEvents": [ ... ], "baseTimeNanoseconds": 17}
 *    └─ kept ─────────┘                  list    └─ kept ───────────────┘
 *
 * or a bare list with nothing around it. The members around are kept as one
 * small JSON text to be read at the end, because a member that changes the
 * meaning of the events may come after them.
 */
#ifndef PS_IMPORT_JSON_OUTER_H
#define PS_IMPORT_JSON_OUTER_H

#include "import/json_window.h"

/** [bytes] most text kept; members that do not fit are counted and left out. */
#define PS_JSON_OUTER_MAX_BYTES ((size_t)8 << 20)

typedef struct ps_json_outer {
    const char *list_key; /* borrowed: name of the member that is the list */
    char *text;           /* "[{" members so far */
    size_t bytes, capacity;
    size_t member_count;
    uint64_t left_out; /* members too large to keep */
    uint64_t list_count;
    bool is_bare; /* the file is just the list */
} ps_json_outer;

/** Starts in the caller's storage. */
void ps_json_outer_init(ps_json_outer *self, const char *list_key);

void ps_json_outer_fini(ps_json_outer *self);

/**
 * Reads from the start of the file to just behind the '[' of the list.
 *
 * @param in_list  false when the file ended without another list
 * @return PS_OK · PS_BAD_INPUT not JSON, or the list is none · PS_TRUNCATED · PS_NOMEM · as the source
 */
ps_code ps_json_outer_start(ps_json_outer *self, ps_json_window *window, bool *in_list,
                            ps_error *err) PS_MUST_USE;

/** Continues behind the ']' of the list; see ps_json_outer_start. */
ps_code ps_json_outer_resume(ps_json_outer *self, ps_json_window *window, bool *in_list,
                             ps_error *err) PS_MUST_USE;

/** Skips one whole value at the window's begin. */
ps_code ps_json_outer_skip_value(ps_json_window *window, ps_error *err) PS_MUST_USE;

/**
 * The kept members as a list of one object, "[{...}]", with padding for a
 * ps_json_batch. Call once, at the end.
 *
 * @param text  borrowed until fini
 */
ps_code ps_json_outer_text(ps_json_outer *self, char **text, size_t *bytes,
                           ps_error *err) PS_MUST_USE;

#endif
