/* SPDX-License-Identifier: MIT
 *
 * Options of training that goes group by group.
 */
#ifndef PS_TOOLS_HIFT_OPTIONS_H
#define PS_TOOLS_HIFT_OPTIONS_H

#include "cli/options.h"
#include "workload/script/recipe.h"

#define PS_HIFT_OPTION_ROWS                                                                     \
    {.name = "hift",                                                                            \
     .kind = PS_OPTION_QUANTITY,                                                                \
     .value = "LAYERS",                                                                         \
     .unit = PS_UNIT_COUNT,                                                                     \
     .min = 1,                                                                                  \
     .max = 65536,                                                                              \
     .help = "HiFT: a step trains so many layers (embeddings, each block and the head are one " \
             "each), the next step the next ones; states of the others lie on the host. "       \
             "Without --steps each group has two steps"},                                       \
    {                                                                                           \
        .name = "hift-order", .kind = PS_OPTION_CHOICE, .value = "bottom-up|top-down|random",   \
        .help = "whose turn comes first: bottom-up when absent; random: shuffled by --seed"     \
    }

/** PS_OK · PS_USAGE an order without groups */
ps_code ps_hift_options_read(const ps_args *args, ps_hift_settings *out, ps_error *err) PS_MUST_USE;

#endif
