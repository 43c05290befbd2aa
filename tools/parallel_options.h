/* SPDX-License-Identifier: MIT
 *
 * How many GPUs, and how a job is divided among them, as options.
 */
#ifndef PS_TOOLS_PARALLEL_OPTIONS_H
#define PS_TOOLS_PARALLEL_OPTIONS_H

#include "cli/options.h"

/** [ranks] of the largest job. */
#define PS_MAX_GPUS 65536

/** Rows that every input takes. */
#define PS_PARALLEL_OPTION_ROWS                                                                    \
    {.name = "gpus",                                                                               \
     .kind = PS_OPTION_QUANTITY,                                                                   \
     .value = "N",                                                                                 \
     .unit = PS_UNIT_COUNT,                                                                        \
     .min = 1,                                                                                     \
     .max = PS_MAX_GPUS,                                                                           \
     .help = "GPUs that train together; 1 when absent"},                                           \
        {.name = "cluster",                                                                        \
         .kind = PS_OPTION_TEXT,                                                                   \
         .value = "NAME",                                                                          \
         .help = "kind of node that the GPUs are in, such as dgx-a100-80; the usual one of --gpu " \
                 "when absent"},                                                                   \
        {.name = "collectives",                                                                    \
         .kind = PS_OPTION_TEXT,                                                                   \
         .value = "[KIND=]FILE",                                                                   \
         .is_repeatable = true,                                                                    \
         .help = "measured times of collectives, which win over formulas: rows of "                \
                 "collective,ranks,nodes,bytes,time, or with all-reduce=FILE and its like what "   \
                 "nccl-tests printed"},                                                            \
        {.name = "cores",                                                                          \
         .kind = PS_OPTION_QUANTITY,                                                               \
         .value = "N",                                                                             \
         .unit = PS_UNIT_COUNT,                                                                    \
         .min = 1,                                                                                 \
         .max = 4096,                                                                              \
         .help = "threads of the host bound to a rank, for what it computes there; its share of "  \
                 "the cores when absent"},                                                         \
        {.name = "binding",                                                                        \
         .kind = PS_OPTION_CHOICE,                                                                 \
         .value = "socket|none",                                                                   \
         .help = "where threads and memory of a rank are: on the socket of its GPU, or on all "    \
                 "cores and where memory is first touched; socket when absent"},                   \
        {.name = "distribution",                                                                   \
         .kind = PS_OPTION_CHOICE,                                                                 \
         .value = "block|cyclic",                                                                  \
         .help = "which GPUs of several nodes are which ranks: node by node, or dealt over the "   \
                 "nodes in turn; block when absent"},                                              \
    {                                                                                              \
        .name = "cluster-file", .kind = PS_OPTION_TEXT, .value = "FILE",                           \
        .help = "CSV file with further kinds of nodes (see docs/EXTENDING.md)"                     \
    }

/** Rows that say how a model is divided. */
#define PS_DEGREE_OPTION_ROWS                                                                    \
    {.name = "tp",                                                                               \
     .kind = PS_OPTION_QUANTITY,                                                                 \
     .value = "N",                                                                               \
     .unit = PS_UNIT_COUNT,                                                                      \
     .min = 1,                                                                                   \
     .max = PS_MAX_GPUS,                                                                         \
     .help = "Megatron: GPUs that share every layer (tensor parallel, with sequence parallel); " \
             "with --policy gemini: that share every linear module by its inputs"},              \
        {.name = "pp",                                                                           \
         .kind = PS_OPTION_QUANTITY,                                                             \
         .value = "N",                                                                           \
         .unit = PS_UNIT_COUNT,                                                                  \
         .min = 1,                                                                               \
         .max = PS_MAX_GPUS,                                                                     \
         .help = "Megatron: stages of a pipeline, one forward one backward"},                    \
        {.name = "cp",                                                                           \
         .kind = PS_OPTION_QUANTITY,                                                             \
         .value = "N",                                                                           \
         .unit = PS_UNIT_COUNT,                                                                  \
         .min = 1,                                                                               \
         .max = PS_MAX_GPUS,                                                                     \
         .help = "Megatron: GPUs that share every sequence (context parallel, all-to-all)"},     \
        {.name = "ep",                                                                           \
         .kind = PS_OPTION_QUANTITY,                                                             \
         .value = "N",                                                                           \
         .unit = PS_UNIT_COUNT,                                                                  \
         .min = 1,                                                                               \
         .max = PS_MAX_GPUS,                                                                     \
         .help = "Megatron: GPUs among which experts are spread"},                               \
        {.name = "layers",                                                                       \
         .kind = PS_OPTION_QUANTITY,                                                             \
         .value = "N",                                                                           \
         .unit = PS_UNIT_COUNT,                                                                  \
         .min = 1,                                                                               \
         .max = 100000,                                                                          \
         .help = "Megatron: so many layers in place of the model's"},                            \
    {                                                                                            \
        .name = "every-rank",                                                                    \
        .help = "simulate each rank, also those that do the same: slower, the same figures"      \
    }

#endif
