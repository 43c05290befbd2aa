/* SPDX-License-Identifier: MIT
 *
 * The memo of a pickle in 4 bytes an entry.
 *
 * Writers memoise every container and every text although few are fetched
 * again, so entries outnumber everything else in a long file. An entry is
 *
 *   container:  type 3 bits | fetched 1 | tag 4 | node 24
 *   text:       type 3 bits | id 29
 *   the rest:   type 3 bits | index 29 into a list of whole values
 */
#ifndef PS_IMPORT_PICKLE_MEMO_H
#define PS_IMPORT_PICKLE_MEMO_H

#include "import/pickle.h"

typedef struct ps_pickle_memo {
    uint32_t *entry; /* 0: not set */
    size_t count, capacity;
    size_t set_count; /* entries that are set: where MEMOIZE puts the next one */
    ps_pickle_value *whole;
    size_t whole_count, whole_capacity;
} ps_pickle_memo;

void ps_pickle_memo_fini(ps_pickle_memo *self);

/**
 * Remembers a value as entry `index` and, for a container, notes the entry in
 * it, so that the entry can follow what the container becomes.
 *
 * @return PS_OK · PS_NOMEM · PS_LIMIT too many, or an index far beyond those in use
 */
ps_code ps_pickle_memo_put(ps_pickle_memo *self, uint64_t index, ps_pickle_value *value,
                           ps_error *err) PS_MUST_USE;

/** Fetches entry `index`; a container comes back as shared. PS_BAD_INPUT when it was never set. */
ps_code ps_pickle_memo_get(ps_pickle_memo *self, uint64_t index, ps_pickle_value *value,
                           ps_error *err) PS_MUST_USE;

/** Whether a container (on the stack) has been fetched through its entry. */
bool ps_pickle_memo_is_fetched(const ps_pickle_memo *self, const ps_pickle_value *container);

/** Lets the container's entry, if it has one, follow its new tag and node. */
void ps_pickle_memo_update(ps_pickle_memo *self, const ps_pickle_value *container);

#endif
