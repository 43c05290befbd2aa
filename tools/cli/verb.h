/* SPDX-License-Identifier: MIT
 *
 * The verb seam: what can the command do?
 *
 * A verb is one const table in one file and one line in verbs.def (and in
 * CMakeLists.txt). To add `peakstep count FILE`:
 *
 *   verb_count.c   static const ps_option options[] = {PS_OPTION_JSON_ROW, {0}};
 *                  static const ps_operand operands[] = {{.name = "FILE", .help = "..."}, {0}};
 *                  static ps_code run(const ps_args *args, ps_output *out, ps_error *err) {..}
 *                  const ps_verb ps_verb_count = {.name = "count", .. .run = run};
 *   verbs.def      X(count)
 *
 * run() writes data to `out` and returns a code; main prints the error with
 * its frames and turns the code into the exit status. `--help` comes from the
 * table. A golden case under tests/golden/count/ completes it.
 */
#ifndef PS_TOOLS_CLI_VERB_H
#define PS_TOOLS_CLI_VERB_H

#include "cli/options.h"
#include "cli/output.h"

/** One line of the examples. */
typedef struct ps_example {
    const char *command; /* as typed */
    const char *what;    /* one sentence */
} ps_example;

typedef struct ps_verb {
    const char *name;           /* unique, kebab-case */
    const char *summary;        /* one line, lower case, no full stop, at most 58 columns */
    const char *description;    /* paragraphs; lines that begin with a blank are kept */
    const ps_operand *operands; /* ended by {0}; NULL none */
    const ps_option *options;   /* ended by {0}; NULL none */
    const ps_example *examples; /* ended by {0} */
    const char *no_means;       /* what exit status 1 says; NULL: does not occur */
    ps_code (*run)(const ps_args *args, ps_output *out, ps_error *err);
} ps_verb;

#define X(name) extern const ps_verb ps_verb_##name;
#include "verbs.def"
#undef X

/** All verbs in the order of verbs.def, ended by NULL. */
const ps_verb *const *ps_verbs(void);

/** The verb of a name; else PS_USAGE with what was probably meant. */
ps_code ps_verbs_find(const char *name, const ps_verb **out, ps_error *err) PS_MUST_USE;

#endif
