/* SPDX-License-Identifier: MIT
 *
 * A recorded job on other numbers of GPUs, as options ask for it.
 */
#ifndef PS_TOOLS_RECORDED_RANKS_H
#define PS_TOOLS_RECORDED_RANKS_H

#include "cli/options.h"
#include "load_plan.h"
#include "policy/whatif.h"
#include "result/result.h"

/** Rows for a verb's table of options, beside --gpus and --cluster. */
#define PS_RECORDED_RANKS_OPTION_ROWS                                                             \
    {.name = "bus",                                                                               \
     .kind = PS_OPTION_QUANTITY,                                                                  \
     .value = "RATE",                                                                             \
     .unit = PS_UNIT_BANDWIDTH,                                                                   \
     .min = 1000,                                                                                 \
     .help = "of a recording: bus bandwidth that collectives reach, as nccl-tests prints it, in " \
             "place of what is known of the cluster"},                                            \
        {.name = "offload-optimizer",                                                             \
         .help = "of a recording of one rank: its optimizer runs on the host, with its states "   \
                 "there (ZeRO-Offload); gradients go as they are ready, weights come back"},      \
        {.name = "data-parallel-group",                                                           \
         .kind = PS_OPTION_TEXT,                                                                  \
         .value = "NAME",                                                                         \
         .is_repeatable = true,                                                                   \
         .help = "of a recording of several ranks: a group of ranks that train on data of their " \
                 "own, whose number --gpus changes; all: every group"},                           \
        {.name = "rank-speed",                                                                    \
         .kind = PS_OPTION_TEXT,                                                                  \
         .value = "RANK=SPEED",                                                                   \
         .is_repeatable = true,                                                                   \
         .help = "what a rank's GPU computes goes at that part of its speed: 3=0.9"},             \
        {.name = "jitter",                                                                        \
         .kind = PS_OPTION_QUANTITY,                                                              \
         .value = "SHARE",                                                                        \
         .unit = PS_UNIT_RATIO,                                                                   \
         .min = 1,                                                                                \
         .max = 1000000,                                                                          \
         .help = "standard deviation of a step's computation on a GPU, such as 5%: steps are "    \
                 "drawn too, and their median and 95th percentile shown"},                        \
    {                                                                                             \
        .name = "draws", .kind = PS_OPTION_QUANTITY, .value = "N", .unit = PS_UNIT_COUNT,         \
        .min = 1, .max = 1000000, .help = "of --jitter; 100 when absent"                          \
    }

/**
 * Applies changes to a recorded plan, and with --gpus another number of ranks: of one GPU by
 * DistributedDataParallel, of several in its data-parallel groups.
 *
 * @param change  the other changes; completed
 * @return as ps_whatif_apply · PS_USAGE options that do not go together or with the input ·
 *         PS_NOT_FOUND a cluster, or a figure of it, that is not known
 */
ps_code ps_recorded_ranks_apply(const ps_args *args, const ps_catalogue *catalogue,
                                ps_whatif *change, const ps_loaded *input,
                                ps_error *err) PS_MUST_USE;

/** Gives ranks the speeds of --rank-speed; the plan may become another one. */
ps_code ps_recorded_ranks_speeds(const ps_args *args, ps_plan **plan, ps_error *err) PS_MUST_USE;

/** Draws the steps of --jitter into the result. */
ps_code ps_recorded_ranks_jitter(const ps_args *args, const ps_plan *plan, ps_result *result,
                                 ps_error *err) PS_MUST_USE;

#endif
