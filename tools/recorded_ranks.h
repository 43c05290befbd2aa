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

/** Rows for a verb's table of options, beside --gpus and --cluster. */
#define PS_RECORDED_RANKS_OPTION_ROWS                                                             \
    {                                                                                             \
        .name = "bus", .kind = PS_OPTION_QUANTITY, .value = "RATE", .unit = PS_UNIT_BANDWIDTH,    \
        .min = 1000,                                                                              \
        .help = "of a recording: bus bandwidth that collectives reach, as nccl-tests prints it, " \
                "in place of what is known of the cluster"                                        \
    }

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
