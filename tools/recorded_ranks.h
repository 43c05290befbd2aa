/* SPDX-License-Identifier: MIT
 *
 * A recorded job on other numbers of GPUs: options, and the network that
 * answers what an exchange costs.
 */
#ifndef PS_TOOLS_RECORDED_RANKS_H
#define PS_TOOLS_RECORDED_RANKS_H

#include "cli/options.h"
#include "cost/collective.h"
#include "job/bus_network.h"
#include "job/cluster_network.h"
#include "policy/data_parallel.h"
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
 * How a recorded job of one GPU is to be trained on several: --policy, and --scheme-option of
 * DistributedDataParallel.
 *
 * @param out  receives the framework's settings; the rest stays
 * @return PS_OK · PS_USAGE another policy, or a setting that recordings do not take
 */
ps_code ps_recorded_ranks_scheme(const ps_args *args, ps_data_parallel *out,
                                 ps_error *err) PS_MUST_USE;

/** Gives ranks the speeds of --rank-speed; the plan may become another one. */
ps_code ps_recorded_ranks_speeds(const ps_args *args, ps_plan **plan, ps_error *err) PS_MUST_USE;

/** Draws the steps of --jitter into the result. */
ps_code ps_recorded_ranks_jitter(const ps_args *args, const ps_plan *plan, ps_result *result,
                                 ps_error *err) PS_MUST_USE;

/** The network between the GPUs that the options name. */
typedef struct ps_recorded_network {
    ps_cluster *cluster;
    ps_collective_model *model;
    ps_cluster_network *of_cluster;
    ps_bus bus;
    ps_network of_bus;
    const ps_network *network; /* one of both */
} ps_recorded_network;

/**
 * Opens the network of so many GPUs: of --cluster, else of the usual machine of `gpu`; with --bus
 * that figure in place of any machine's.
 *
 * @param gpu   name of the GPU they are; may be NULL or empty with --cluster or --bus
 * @param self  where it stays until ps_recorded_network_close; empty after a failure
 * @return PS_OK · PS_USAGE · PS_NOT_FOUND a cluster or a figure that is not known · PS_NOMEM
 */
ps_code ps_recorded_network_open(const ps_args *args, const ps_catalogue *catalogue,
                                 const char *gpu, uint32_t gpus, ps_recorded_network *self,
                                 ps_error *err) PS_MUST_USE;

void ps_recorded_network_close(ps_recorded_network *self);

#endif
