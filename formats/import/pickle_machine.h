/* SPDX-License-Identifier: MIT
 *
 * The stack machine, shared by the files that carry out its instructions:
 * pickle.c (the table and the loop), pickle_scalar.c (numbers, texts, memo)
 * and pickle_container.c (marks, lists, dicts, tuples).
 */
#ifndef PS_IMPORT_PICKLE_MACHINE_H
#define PS_IMPORT_PICKLE_MACHINE_H

#include "import/pickle.h"
#include "import/pickle_input.h"
#include "import/pickle_memo.h"

struct ps_pickle {
    ps_pickle_input input;
    const ps_pickle_visitor *visitor;
    ps_strings *strings;
    ps_pickle_memo memo;
    ps_pickle_value *stack;
    size_t depth, stack_capacity;
    size_t *mark; /* stack depth when each open mark was set */
    size_t mark_count, mark_capacity;
    size_t visited_slot;      /* where the container lies that the visitor is told about */
    uint64_t op_offset_bytes; /* of the instruction being carried out */
    uint64_t bad_text_bytes;
    bool is_stopped;
};

/** One instruction; `arg` is the table's constant for it (operand width, item count, ...). */
typedef ps_code ps_pickle_op(ps_pickle *self, unsigned arg, ps_error *err);

/** Puts a value on the stack. */
ps_code ps_pickle_push(ps_pickle *self, const ps_pickle_value *value, ps_error *err) PS_MUST_USE;

/** PS_BAD_INPUT unless `count` values lie above the innermost mark. */
ps_code ps_pickle_require(const ps_pickle *self, size_t count, ps_error *err) PS_MUST_USE;

/* Numbers and texts. */
ps_pickle_op ps_pickle_op_none;    /* arg unused */
ps_pickle_op ps_pickle_op_bool;    /* arg: the value */
ps_pickle_op ps_pickle_op_int;     /* arg: operand bytes; 4 are signed */
ps_pickle_op ps_pickle_op_long;    /* arg: bytes of the length */
ps_pickle_op ps_pickle_op_decimal; /* one line of digits */
ps_pickle_op ps_pickle_op_float;   /* 8 bytes, big-endian */
ps_pickle_op ps_pickle_op_text;    /* arg: bytes of the length */
ps_pickle_op ps_pickle_op_bytes;   /* arg: bytes of the length */

/* Memo. */
ps_pickle_op ps_pickle_op_memoize; /* the next free entry */
ps_pickle_op ps_pickle_op_put;     /* arg: operand bytes */
ps_pickle_op ps_pickle_op_get;     /* arg: operand bytes */

/* Containers. */
ps_pickle_op ps_pickle_op_mark;
ps_pickle_op ps_pickle_op_pop;
ps_pickle_op ps_pickle_op_pop_mark;
ps_pickle_op ps_pickle_op_empty; /* arg: ps_pickle_type */
ps_pickle_op ps_pickle_op_make;  /* arg: ps_pickle_type; items since the mark */
ps_pickle_op ps_pickle_op_tuple; /* arg: items */
ps_pickle_op ps_pickle_op_append;
ps_pickle_op ps_pickle_op_appends;
ps_pickle_op ps_pickle_op_setitem;
ps_pickle_op ps_pickle_op_setitems;
ps_pickle_op ps_pickle_op_additems;

#endif
