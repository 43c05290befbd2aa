/* SPDX-License-Identifier: MIT
 *
 * peakstep help: the overview, or the page of one verb.
 */
#include "cli/help.h"

static ps_code run(const ps_args *args, ps_output *out, ps_error *err)
{
    const ps_verb *verb;
    if (args->operand_count == 0) {
        ps_help_overview(out);
        return PS_OK;
    }
    PS_TRY(ps_verbs_find(args->operand[0], &verb, err));
    ps_help_verb(out, verb);
    return PS_OK;
}

static const ps_operand operands[] = {
    {.name = "VERB", .is_optional = true, .help = "verb to explain; without it all are listed"},
    {0},
};

static const ps_example examples[] = {
    {"peakstep help", "Lists the verbs."},
    {"peakstep help import", "The same page as \"peakstep import --help\"."},
    {0},
};

const ps_verb ps_verb_help = {
    .name = "help",
    .summary = "tells what the command can do",
    .description = "Shows the verbs, or everything about one of them, on standard output.",
    .operands = operands,
    .examples = examples,
    .run = run,
};
