/* SPDX-License-Identifier: MIT
 *
 * A reader of Python pickles that never runs anything and never builds the
 * object tree: protocols 1 to 5, plain data only.
 *
 *   bytes ─► instructions ─► stack ─┬─ a container is filled ─► visitor ─► tag, node
 *                              ▲    │
 *                              └────┴── memo: 4 bytes an entry
 *
 * A pickle is a program for a stack machine that creates a container empty and
 * fills it later. Whenever a list, dict or tuple receives items, the visitor
 * sees them once and says in 28 bits what the container has become: a tag and
 * a node number of the visitor's own store. The items themselves are gone
 * afterwards, so memory grows with what is shared (texts, memo entries), not
 * with the length of the file.
 *
 * Deliberately absent: classes, calls, persistent ids and buffers (refused by
 * name), text pickles of protocol 0, containers that contain themselves.
 */
#ifndef PS_IMPORT_PICKLE_H
#define PS_IMPORT_PICKLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/source.h"
#include "base/strings.h"

/** Newest protocol understood. */
#define PS_PICKLE_PROTOCOL_MAX 5u
/** Values on the machine's stack at once; a writer that does not batch its lists needs one an item. */
#define PS_PICKLE_STACK_MAX ((size_t)1 << 24)
/** Marks open at once, that is how deep containers nest. */
#define PS_PICKLE_DEPTH_MAX ((size_t)4096)
/** Memo entries; 4 bytes each. */
#define PS_PICKLE_MEMO_MAX ((size_t)1 << 28)
/** [bytes] all distinct texts together. */
#define PS_PICKLE_TEXT_MAX_BYTES ((size_t)256 << 20)
/** Tags are below this. */
#define PS_PICKLE_TAG_LIMIT 16u
/** Node numbers are below this. */
#define PS_PICKLE_NODE_LIMIT (1u << 24)

typedef enum ps_pickle_type {
    PS_PICKLE_NONE,
    PS_PICKLE_BOOL,
    PS_PICKLE_INT,  /* fits int64_t */
    PS_PICKLE_UINT, /* above INT64_MAX, fits uint64_t */
    PS_PICKLE_FLOAT,
    PS_PICKLE_TEXT,
    PS_PICKLE_OTHER, /* bytes, sets, longer integers: known to be there, content dropped */
    PS_PICKLE_LIST,
    PS_PICKLE_DICT,
    PS_PICKLE_TUPLE,
} ps_pickle_type;

/** One value on the stack. Which member of `as` counts follows from the type. */
typedef struct ps_pickle_value {
    uint8_t type;   /* ps_pickle_type */
    uint8_t tag;    /* containers: what the visitor made of it; 0 nothing was put in yet */
    bool is_shared; /* containers: fetched from the memo, so it is a second reference */
    uint32_t memo;  /* containers: memo entry that names it + 1; 0 none */
    union {
        bool boolean;
        int64_t integer;
        uint64_t natural;
        double real;
        ps_str text; /* id in ps_pickle_strings */
        struct {
            uint32_t node;  /* the visitor's; < PS_PICKLE_NODE_LIMIT */
            uint32_t count; /* items put in so far; unknown (0) when is_shared */
        } box;
    } as;
} ps_pickle_value;

typedef struct ps_pickle ps_pickle;

/**
 * What the reader reports. Every function may set container->tag (non-zero)
 * and container->as.box.node and nothing else, and must not read the pickle.
 * Items are borrowed for the call. A failure ends the reading; the reader adds
 * the byte offset.
 */
typedef struct ps_pickle_visitor {
    void *self;
    /** `count` items are appended to a list. May come several times for one list. */
    ps_code (*on_list)(void *self, ps_pickle_value *list, const ps_pickle_value *items,
                       size_t count, ps_error *err);
    /** `pair_count` pairs key, value, key, value ... are put into a dict. May come several times. */
    ps_code (*on_dict)(void *self, ps_pickle_value *dict, const ps_pickle_value *pairs,
                       size_t pair_count, ps_error *err);
    /** A tuple is made, possibly of no items. Comes once a tuple. */
    ps_code (*on_tuple)(void *self, ps_pickle_value *tuple, const ps_pickle_value *items,
                        size_t count, ps_error *err);
} ps_pickle_visitor;

/**
 * A reader at the start of a source. Source and visitor are borrowed until destroy.
 *
 * @return PS_OK · PS_NOMEM
 */
ps_code ps_pickle_create(ps_source *source, const ps_pickle_visitor *visitor, ps_pickle **out,
                         ps_error *err) PS_MUST_USE;

/** NULL is fine. */
void ps_pickle_destroy(ps_pickle *self);

/**
 * The texts of the pickle. A caller that interns the words it knows before
 * ps_pickle_read can compare ids instead of texts.
 */
ps_strings *ps_pickle_strings(ps_pickle *self);

/**
 * Reads the one pickle that fills the source.
 *
 * @param top  the value the pickle stands for; written only on PS_OK
 * @return PS_OK · PS_TRUNCATED ends before its STOP · PS_BAD_INPUT malformed, or bytes follow ·
 *         PS_UNSUPPORTED class, call or other refused instruction, a container changed after it
 *         was shared · PS_LIMIT one of the limits above · PS_NOMEM · PS_IO · what the visitor said.
 *         The error carries the offset of the instruction.
 */
ps_code ps_pickle_read(ps_pickle *self, ps_pickle_value *top, ps_error *err) PS_MUST_USE;

/** During a visitor's call: the stack slot of the container it is told about. */
size_t ps_pickle_slot(const ps_pickle *self);

/** A value below that slot. Borrowed until the reader moves on. */
const ps_pickle_value *ps_pickle_at(const ps_pickle *self, size_t slot);

/**
 * Where the group begins that a slot belongs to: the first slot above the
 * innermost mark at or below it. The container being collected for lies just
 * beneath. 0 when there is no mark.
 */
size_t ps_pickle_group(const ps_pickle *self, size_t slot);

/** Bytes of texts so far that were no UTF-8 and read as '?'. */
uint64_t ps_pickle_bad_text_bytes(const ps_pickle *self);

/** true and *out = the value, when it is an integer >= 0. */
bool ps_pickle_get_u64(const ps_pickle_value *value, uint64_t *out);

#endif
