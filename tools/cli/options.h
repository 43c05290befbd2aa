/* SPDX-License-Identifier: MIT
 *
 * One table of options a verb: the parser, `--help` and everything generated
 * (completion, manual page) read it, so that an option is described once.
 *
 *   --name VALUE, --name=VALUE, -n VALUE, -nVALUE, flags together as in -qh
 *
 * Options and operands may be mixed; "--" ends the options. Every verb has
 * -q and -h besides its own. How to add a verb: cli/verb.h.
 */
#ifndef PS_TOOLS_CLI_OPTIONS_H
#define PS_TOOLS_CLI_OPTIONS_H

#include <stddef.h>

#include "base/units.h"

typedef enum ps_option_kind {
    PS_OPTION_FLAG = 0,
    PS_OPTION_TEXT,
    PS_OPTION_CHOICE,   /* one of the words in `value` */
    PS_OPTION_QUANTITY, /* a number with a unit, see base/units.h */
} ps_option_kind;

/** One option. A table of them ends with {0}. */
typedef struct ps_option {
    const char *name;  /* long name, kebab-case, no dashes */
    const char *value; /* what help calls the value: "PATH"; of a CHOICE the words: "csv|jsonl" */
    const char *fallback; /* value when absent, as one would type it; NULL none */
    const char *help;     /* begins in lower case, no full stop; unit and default are added */
    uint64_t min, max;    /* of a QUANTITY, in base units; max 0: no upper bound */
    ps_option_kind kind;
    ps_unit_kind unit;  /* of a QUANTITY */
    char letter;        /* short name; 0 none */
    bool is_required;   /* also shown in the synopsis */
    bool is_repeatable; /* may be given several times; order is kept */
} ps_option;

/** One operand: what stands without dashes. A table of them ends with {0}. */
typedef struct ps_operand {
    const char *name; /* upper case */
    const char *help;
    bool is_optional;
    bool is_repeatable; /* only the last one: one or more */
} ps_operand;

/** The option every reporting verb has. */
#define PS_OPTION_JSON_ROW                                                \
    {                                                                     \
        .name = "json", .help = "write one JSON document instead of text" \
    }

/** The options of every verb. */
const ps_option *ps_common_options(void);

/** What one command line says. Filled by ps_args_parse; texts are borrowed from argv. */
typedef struct ps_args {
    const ps_option *options;
    struct ps_args_value {
        const ps_option *option;
        const char *text; /* NULL of a flag */
    } * value;
    size_t value_count, value_capacity;
    const char **operand;
    size_t operand_count, operand_capacity;
} ps_args;

/**
 * Reads a command line.
 *
 * Stops at --help: the rest is not looked at, nothing is required.
 *
 * @param options   ended by {0}; NULL none
 * @param operands  ended by {0}; NULL none
 * @param argv      argc words behind the verb; borrowed until ps_args_fini
 * @return PS_OK · PS_USAGE with one sentence · PS_NOMEM
 */
ps_code ps_args_parse(ps_args *self, const ps_option *options, const ps_operand *operands, int argc,
                      char *const *argv, ps_error *err) PS_MUST_USE;

void ps_args_fini(ps_args *self);

/* Options are asked for by their long name; a name outside the table is a programming error. */

/** True when the option was given. */
bool ps_args_has(const ps_args *self, const char *name);

/** Value of an option, else its default, else NULL. */
const char *ps_args_text(const ps_args *self, const char *name);

/** How often a repeatable option was given. */
size_t ps_args_count(const ps_args *self, const char *name);

/** Value number `i` of a repeatable option. */
const char *ps_args_at(const ps_args *self, const char *name, size_t i);

/** Position of the chosen word in the option's list. */
size_t ps_args_choice(const ps_args *self, const char *name);

/** A quantity in base units, given or default; 0 when there is neither. */
uint64_t ps_args_quantity(const ps_args *self, const char *name);

#endif
