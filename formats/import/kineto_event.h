/* SPDX-License-Identifier: MIT
 *
 * One event of a Kineto file with its members in their places, and typed
 * access to them.
 *
 * Recorders write the same value as number or as text, and under several
 * names; that is settled here. What is absent and what is of the wrong type
 * are different: absent has a default, wrong refuses the file.
 */
#ifndef PS_IMPORT_KINETO_EVENT_H
#define PS_IMPORT_KINETO_EVENT_H

#include "base/checked.h"
#include "import/json_batch.h"

/** Members that are looked at. */
typedef enum ps_kineto_key {
    PS_KINETO_NO_KEY = 0,
#define X(symbol, scope, text) PS_KINETO_##symbol,
#define Y(symbol, scope, text)
#include "import/kineto_keys.def"
#undef X
#undef Y
    PS_KINETO_KEY_COUNT
} ps_kineto_key;

/** Categories that are known. */
typedef enum ps_kineto_category {
    PS_KINETO_NO_CATEGORY = 0,
#define X(symbol, text) PS_KINETO_IS_##symbol,
#define Y(symbol, text)
#include "import/kineto_categories.def"
#undef X
#undef Y
    PS_KINETO_CATEGORY_COUNT
} ps_kineto_category;

#define PS_KINETO_WORD_SLOTS 256u

/** Fixed words by hash, so that the twenty names of an event cost little. */
typedef struct ps_kineto_words {
    struct {
        const char *text;
        uint32_t bytes;
        uint8_t scope;
        uint8_t id;
    } slot[PS_KINETO_WORD_SLOTS];
} ps_kineto_words;

/** Fills the table from the .def lists; it is never changed afterwards. */
void ps_kineto_words_init(ps_kineto_words *self);

/** Category by its text, PS_KINETO_NO_CATEGORY when unknown. */
ps_kineto_category ps_kineto_words_category(const ps_kineto_words *self, const ps_json_field *text);

/** One event. Borrowed from the object it was read from. */
typedef struct ps_kineto_event {
    const ps_json_field *field[PS_KINETO_KEY_COUNT]; /* NULL: absent */
    uint64_t offset;                                 /* [bytes] in the file */
    uint64_t index;                                  /* position among the events, from 1 */
} ps_kineto_event;

/** Sorts the members of an object into their places; of a name given twice the last counts. */
void ps_kineto_event_read(ps_kineto_event *self, const ps_kineto_words *words,
                          const ps_json_item *object);

/** A whole number, also when written as text or with a fraction (rounded); `otherwise` when absent or no number. */
uint64_t ps_kineto_event_u64(const ps_kineto_event *self, ps_kineto_key key, uint64_t otherwise);

/** Signed version of ps_kineto_event_u64. */
int64_t ps_kineto_event_i64(const ps_kineto_event *self, ps_kineto_key key, int64_t otherwise);

/** A stream or event id; UINT64_MAX when absent or written as one of the recorder's "none" (-1, 2^32 - 1). */
uint64_t ps_kineto_event_id_or_none(const ps_kineto_event *self, ps_kineto_key key);

/** True when the member is a string with exactly this inside. */
bool ps_kineto_event_is(const ps_kineto_event *self, ps_kineto_key key, const char *text);

/** True when the member is a string that begins like this. */
bool ps_kineto_event_begins(const ps_kineto_event *self, ps_kineto_key key, const char *text);

/**
 * Begin of the event.
 *
 * @param out  [ns] as in the file: Unix time, or since the file's base time
 * @return PS_OK · PS_BAD_INPUT no number, or outside 64 bits. The member must be present
 */
ps_code ps_kineto_event_start(const ps_kineto_event *self, ps_ns *out, ps_error *err) PS_MUST_USE;

/** Length of the event, [ns] >= 0; PS_BAD_INPUT also when negative. */
ps_code ps_kineto_event_duration(const ps_kineto_event *self, ps_ns *out,
                                 ps_error *err) PS_MUST_USE;

/** Reports a member that cannot be used: "event 12: "dur" is -5, must not be negative". */
ps_code ps_kineto_event_refuse(const ps_kineto_event *self, const ps_json_field *field,
                               const char *rule, ps_error *err);

#endif
