/* SPDX-License-Identifier: MIT
 *
 * Help pages, made from the tables of the verbs.
 */
#ifndef PS_TOOLS_CLI_HELP_H
#define PS_TOOLS_CLI_HELP_H

#include "cli/verb.h"

/** What the command is and its verbs. */
void ps_help_overview(ps_output *out);

/** Everything about one verb. */
void ps_help_verb(ps_output *out, const ps_verb *verb);

#endif
