/* SPDX-License-Identifier: MIT
 *
 * The instruction table and the loop over it. What a pickle could run is in
 * the table as well, with the reason why it is refused.
 */
#include "import/pickle.h"

#include "base/memory.h"
#include "import/pickle_machine.h"

static ps_code op_proto(ps_pickle *self, unsigned arg, ps_error *err)
{
    (void)arg;
    uint64_t protocol;
    PS_TRY(ps_pickle_input_number(&self->input, 1, &protocol, err));
    if (protocol > PS_PICKLE_PROTOCOL_MAX) {
        return ps_fail(err, PS_UNSUPPORTED, "pickle protocol %u, the newest known is %u",
                       (unsigned)protocol, PS_PICKLE_PROTOCOL_MAX);
    }
    return PS_OK;
}

/* Frames only tell a reader how much to fetch at once; the buffer makes that moot. */
static ps_code op_frame(ps_pickle *self, unsigned arg, ps_error *err)
{
    (void)arg;
    return ps_pickle_input_skip(&self->input, 8, err);
}

static ps_code op_stop(ps_pickle *self, unsigned arg, ps_error *err)
{
    (void)arg;
    if (self->depth != 1 || self->mark_count != 0) {
        return ps_fail(err, PS_BAD_INPUT,
                       "STOP with %zu values and %zu marks on the stack, expected one value",
                       self->depth, self->mark_count);
    }
    self->is_stopped = true;
    return PS_OK;
}

typedef enum refusal {
    RUNS_CODE = 1,
    OUT_OF_BAND,
    TEXT_PROTOCOL,
    NOT_WRITTEN,
} refusal;

static const char *const refusal_text[] = {
    [RUNS_CODE] = "would load or run code; only plain data is read",
    [OUT_OF_BAND] = "refers to data outside the file; only plain data is read",
    [TEXT_PROTOCOL] =
        "belongs to text pickles (protocol 0); save the data with protocol 2 or newer",
    [NOT_WRITTEN] = "is not written for plain data",
};

typedef struct instruction {
    const char *name;
    ps_pickle_op *run; /* NULL: refused, arg is the reason */
    unsigned arg;
} instruction;

static const instruction instructions[256] = {
    [0x80] = {"PROTO", op_proto, 0},
    [0x95] = {"FRAME", op_frame, 0},
    ['.'] = {"STOP", op_stop, 0},

    ['N'] = {"NONE", ps_pickle_op_none, 0},
    [0x88] = {"NEWTRUE", ps_pickle_op_bool, 1},
    [0x89] = {"NEWFALSE", ps_pickle_op_bool, 0},
    ['I'] = {"INT", ps_pickle_op_decimal, 0},
    ['L'] = {"LONG", ps_pickle_op_decimal, 0},
    ['J'] = {"BININT", ps_pickle_op_int, 4},
    ['K'] = {"BININT1", ps_pickle_op_int, 1},
    ['M'] = {"BININT2", ps_pickle_op_int, 2},
    [0x8a] = {"LONG1", ps_pickle_op_long, 1},
    [0x8b] = {"LONG4", ps_pickle_op_long, 4},
    ['G'] = {"BINFLOAT", ps_pickle_op_float, 0},
    ['T'] = {"BINSTRING", ps_pickle_op_text, 4},
    ['U'] = {"SHORT_BINSTRING", ps_pickle_op_text, 1},
    [0x8c] = {"SHORT_BINUNICODE", ps_pickle_op_text, 1},
    ['X'] = {"BINUNICODE", ps_pickle_op_text, 4},
    [0x8d] = {"BINUNICODE8", ps_pickle_op_text, 8},
    ['C'] = {"SHORT_BINBYTES", ps_pickle_op_bytes, 1},
    ['B'] = {"BINBYTES", ps_pickle_op_bytes, 4},
    [0x8e] = {"BINBYTES8", ps_pickle_op_bytes, 8},
    [0x96] = {"BYTEARRAY8", ps_pickle_op_bytes, 8},

    [0x94] = {"MEMOIZE", ps_pickle_op_memoize, 0},
    ['q'] = {"BINPUT", ps_pickle_op_put, 1},
    ['r'] = {"LONG_BINPUT", ps_pickle_op_put, 4},
    ['h'] = {"BINGET", ps_pickle_op_get, 1},
    ['j'] = {"LONG_BINGET", ps_pickle_op_get, 4},

    ['('] = {"MARK", ps_pickle_op_mark, 0},
    ['0'] = {"POP", ps_pickle_op_pop, 0},
    ['1'] = {"POP_MARK", ps_pickle_op_pop_mark, 0},
    ['}'] = {"EMPTY_DICT", ps_pickle_op_empty, PS_PICKLE_DICT},
    ['d'] = {"DICT", ps_pickle_op_make, PS_PICKLE_DICT},
    ['s'] = {"SETITEM", ps_pickle_op_setitem, 0},
    ['u'] = {"SETITEMS", ps_pickle_op_setitems, 0},
    [']'] = {"EMPTY_LIST", ps_pickle_op_empty, PS_PICKLE_LIST},
    ['l'] = {"LIST", ps_pickle_op_make, PS_PICKLE_LIST},
    ['a'] = {"APPEND", ps_pickle_op_append, 0},
    ['e'] = {"APPENDS", ps_pickle_op_appends, 0},
    [')'] = {"EMPTY_TUPLE", ps_pickle_op_tuple, 0},
    ['t'] = {"TUPLE", ps_pickle_op_make, PS_PICKLE_TUPLE},
    [0x85] = {"TUPLE1", ps_pickle_op_tuple, 1},
    [0x86] = {"TUPLE2", ps_pickle_op_tuple, 2},
    [0x87] = {"TUPLE3", ps_pickle_op_tuple, 3},
    [0x8f] = {"EMPTY_SET", ps_pickle_op_empty, PS_PICKLE_OTHER},
    [0x90] = {"ADDITEMS", ps_pickle_op_additems, 0},
    [0x91] = {"FROZENSET", ps_pickle_op_make, PS_PICKLE_OTHER},

    ['c'] = {"GLOBAL", NULL, RUNS_CODE},
    [0x93] = {"STACK_GLOBAL", NULL, RUNS_CODE},
    ['R'] = {"REDUCE", NULL, RUNS_CODE},
    ['b'] = {"BUILD", NULL, RUNS_CODE},
    ['i'] = {"INST", NULL, RUNS_CODE},
    ['o'] = {"OBJ", NULL, RUNS_CODE},
    [0x81] = {"NEWOBJ", NULL, RUNS_CODE},
    [0x92] = {"NEWOBJ_EX", NULL, RUNS_CODE},
    [0x82] = {"EXT1", NULL, RUNS_CODE},
    [0x83] = {"EXT2", NULL, RUNS_CODE},
    [0x84] = {"EXT4", NULL, RUNS_CODE},
    ['P'] = {"PERSID", NULL, OUT_OF_BAND},
    ['Q'] = {"BINPERSID", NULL, OUT_OF_BAND},
    [0x97] = {"NEXT_BUFFER", NULL, OUT_OF_BAND},
    [0x98] = {"READONLY_BUFFER", NULL, OUT_OF_BAND},
    ['F'] = {"FLOAT", NULL, TEXT_PROTOCOL},
    ['S'] = {"STRING", NULL, TEXT_PROTOCOL},
    ['V'] = {"UNICODE", NULL, TEXT_PROTOCOL},
    ['g'] = {"GET", NULL, TEXT_PROTOCOL},
    ['p'] = {"PUT", NULL, TEXT_PROTOCOL},
    ['2'] = {"DUP", NULL, NOT_WRITTEN},
};

ps_code ps_pickle_create(ps_source *source, const ps_pickle_visitor *visitor, ps_pickle **out,
                         ps_error *err)
{
    ps_pickle *self = ps_calloc(1, sizeof *self);
    if (self == NULL) {
        return ps_fail_nomem(err);
    }
    self->visitor = visitor;
    self->strings = ps_strings_create();
    if (self->strings == NULL || ps_pickle_input_init(&self->input, source, err) != PS_OK ||
        ps_grow((void **)&self->stack, &self->stack_capacity, 1, PS_PICKLE_STACK_MAX,
                sizeof *self->stack, err) != PS_OK) {
        ps_pickle_destroy(self);
        return ps_fail_nomem(err);
    }
    *out = self;
    return PS_OK;
}

void ps_pickle_destroy(ps_pickle *self)
{
    if (self == NULL) {
        return;
    }
    ps_pickle_input_fini(&self->input);
    ps_pickle_memo_fini(&self->memo);
    ps_strings_destroy(self->strings);
    ps_free(self->stack);
    ps_free(self->mark);
    ps_free(self);
}

ps_strings *ps_pickle_strings(ps_pickle *self)
{
    return self->strings;
}

ps_code ps_pickle_push(ps_pickle *self, const ps_pickle_value *value, ps_error *err)
{
    if (self->depth >= self->stack_capacity) {
        if (self->depth >= PS_PICKLE_STACK_MAX) {
            return ps_fail(err, PS_LIMIT, "more than %zu values wait on the pickle's stack",
                           PS_PICKLE_STACK_MAX);
        }
        PS_TRY(ps_grow((void **)&self->stack, &self->stack_capacity, self->depth + 1,
                       PS_PICKLE_STACK_MAX, sizeof *self->stack, err));
    }
    self->stack[self->depth++] = *value;
    return PS_OK;
}

static ps_code run_one(ps_pickle *self, ps_error *err)
{
    unsigned char *byte;
    PS_TRY(ps_pickle_input_take(&self->input, 1, &byte, err));
    const instruction *op = &instructions[*byte];
    if (op->run != NULL) {
        return op->run(self, op->arg, err);
    }
    if (op->name == NULL) {
        return ps_fail(err, PS_BAD_INPUT, "0x%02x is not a pickle instruction", *byte);
    }
    return ps_fail(err, PS_UNSUPPORTED, "the pickle instruction %s %s", op->name,
                   refusal_text[op->arg]);
}

ps_code ps_pickle_read(ps_pickle *self, ps_pickle_value *top, ps_error *err)
{
    while (!self->is_stopped) {
        self->op_offset_bytes = ps_pickle_input_offset(&self->input);
        const ps_code code = run_one(self, err);
        if (code != PS_OK) {
            if (err != NULL && !err->has_offset) {
                err->has_offset = true;
                err->offset_bytes = self->op_offset_bytes;
            }
            return code;
        }
    }
    PS_TRY(ps_pickle_input_expect_end(&self->input, err));
    *top = self->stack[0];
    return PS_OK;
}

size_t ps_pickle_slot(const ps_pickle *self)
{
    return self->visited_slot;
}

const ps_pickle_value *ps_pickle_at(const ps_pickle *self, size_t slot)
{
    return &self->stack[slot];
}

size_t ps_pickle_group(const ps_pickle *self, size_t slot)
{
    for (size_t i = self->mark_count; i-- > 0;) {
        if (self->mark[i] <= slot) {
            return self->mark[i];
        }
    }
    return 0;
}

uint64_t ps_pickle_bad_text_bytes(const ps_pickle *self)
{
    return self->bad_text_bytes;
}

bool ps_pickle_get_u64(const ps_pickle_value *value, uint64_t *out)
{
    if (value->type == PS_PICKLE_UINT) {
        *out = value->as.natural;
        return true;
    }
    if (value->type == PS_PICKLE_INT && value->as.integer >= 0) {
        *out = (uint64_t)value->as.integer;
        return true;
    }
    return false;
}
