/* SPDX-License-Identifier: MIT
 *
 * The machine around the GPUs, as options.
 */
#ifndef PS_TOOLS_HOST_OPTIONS_H
#define PS_TOOLS_HOST_OPTIONS_H

#include "cli/options.h"

/** Rows of verbs that simulate; --cores is with --cluster. */
#define PS_HOST_OPTION_ROWS                                                                       \
    {.name = "host-memory",                                                                       \
     .kind = PS_OPTION_QUANTITY,                                                                  \
     .value = "RATE",                                                                             \
     .unit = PS_UNIT_BANDWIDTH,                                                                   \
     .min = 1000,                                                                                 \
     .help = "bandwidth of a socket's memory, which copies and computation of the host share"},   \
    {                                                                                             \
        .name = "host-capacity", .kind = PS_OPTION_QUANTITY, .value = "SIZE",                     \
        .unit = PS_UNIT_SIZE, .min = 1,                                                           \
        .help = "memory of a node, in place of its kind's; what does not fit is explained, exit " \
                "status 1"                                                                        \
    }

#endif
