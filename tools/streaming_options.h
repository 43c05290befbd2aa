/* SPDX-License-Identifier: MIT
 *
 * Options of what goes to the host and comes back, block by block.
 */
#ifndef PS_TOOLS_STREAMING_OPTIONS_H
#define PS_TOOLS_STREAMING_OPTIONS_H

#include "cli/options.h"
#include "workload/script/recipe.h"

#define PS_STREAMING_OPTION_ROWS                                                               \
    {.name = "offload-activations",                                                            \
     .kind = PS_OPTION_CHOICE,                                                                 \
     .value = "none|streamed|save-on-cpu",                                                     \
     .help = "what backward needs waits in host memory: streamed: of blocks, beside the "      \
             "computation; save-on-cpu: PyTorch's context, everything, and the host waits"},   \
        {.name = "offload-parameters",                                                         \
         .help = "parameters of blocks lie in host memory, and come before their block runs, " \
                 "forward and backward: with --lora those that are not trained; of a "         \
                 "recording of one GPU all, and what its optimizer writes goes back"},         \
        {.name = "offload-prefetch",                                                           \
         .kind = PS_OPTION_QUANTITY,                                                           \
         .value = "N",                                                                         \
         .unit = PS_UNIT_COUNT,                                                                \
         .min = 0,                                                                             \
         .max = 4096,                                                                          \
         .help = "blocks that are brought ahead of the one that runs; 1 when absent"},         \
        {.name = "offload-keep-first",                                                         \
         .kind = PS_OPTION_QUANTITY,                                                           \
         .value = "K",                                                                         \
         .unit = PS_UNIT_COUNT,                                                                \
         .min = 0,                                                                             \
         .max = 4096,                                                                          \
         .help = "so many first blocks stay on the device"},                                   \
    {                                                                                          \
        .name = "offload-keep-last", .kind = PS_OPTION_QUANTITY, .value = "K",                 \
        .unit = PS_UNIT_COUNT, .min = 0, .max = 4096,                                          \
        .help = "so many last blocks stay, whose backward comes first"                         \
    }

/** PS_OK · PS_USAGE a setting without what it is a setting of */
ps_code ps_streaming_options_read(const ps_args *args, ps_streaming *out,
                                  ps_error *err) PS_MUST_USE;

#endif
