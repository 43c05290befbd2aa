/* SPDX-License-Identifier: MIT
 *
 * The events of a Chrome trace of any length, one at a time, in bounded
 * memory.
 *
 * The file is read through a window. Its whole events are framed by brackets
 * in place and handed to a ps_json_batch; the rest is carried over. Recorders
 * have written unescaped quotes and bytes that are no UTF-8: such events are
 * skipped or repaired, and counted, and reading goes on at the next event.
 */
#ifndef PS_IMPORT_JSON_EVENTS_H
#define PS_IMPORT_JSON_EVENTS_H

#include "base/source.h"
#include "import/json_batch.h"

/** Window that keeps a batch within a processor's cache. */
#define PS_JSON_EVENTS_WINDOW_BYTES ((size_t)1 << 20)

typedef struct ps_json_events ps_json_events;

/** What was found broken so far. */
typedef struct ps_json_damage {
    uint64_t event_count;  /* events given out */
    uint64_t skipped;      /* events that could not be read */
    uint64_t bad_bytes;    /* bytes that were no UTF-8, replaced by '?' */
    uint64_t first_offset; /* [bytes] of the first skipped event */
    uint64_t left_out;     /* members around the list that were too large to keep */
} ps_json_damage;

/**
 * @param source    borrowed until close; nothing read yet
 * @param list_key  name of the list of events in the outer object; borrowed until close
 * @param open_key  name of the member opened one level in every event; borrowed until close
 * @param window_bytes  1 .. ; grows when one event needs more
 */
ps_code ps_json_events_open(ps_source *source, const char *list_key, const char *open_key,
                            size_t window_bytes, ps_json_events **out, ps_error *err) PS_MUST_USE;

/**
 * The next event.
 *
 * @param object  borrowed until the next call
 * @param has     false when the file is over; then *object is not written
 * @return PS_OK · PS_TRUNCATED the file ends inside · PS_BAD_INPUT not JSON · PS_CORRUPT hardly any
 *         event can be read · PS_LIMIT one event is too large · PS_NOMEM · as the source
 */
ps_code ps_json_events_next(ps_json_events *self, ps_json_item *object, bool *has,
                            ps_error *err) PS_MUST_USE;

/** [bytes] where a piece of the current event lies in the file. */
uint64_t ps_json_events_offset(const ps_json_events *self, const char *piece);

/** Number of lists of events met; 0 when the file has none. */
uint64_t ps_json_events_list_count(const ps_json_events *self);

ps_json_damage ps_json_events_damage(const ps_json_events *self);

/**
 * The members around the list as "[{...}]", for a ps_json_batch. Call once,
 * after the last event.
 *
 * @param text  borrowed until close; may be changed by the caller
 */
ps_code ps_json_events_outer(ps_json_events *self, char **text, size_t *bytes,
                             ps_error *err) PS_MUST_USE;

void ps_json_events_close(ps_json_events *self);

#endif
