/* SPDX-License-Identifier: MIT
 *
 * The machine that a model is to run on, from --gpu, --gpus, --cluster and
 * what goes with them.
 */
#ifndef PS_TOOLS_MODEL_MACHINE_H
#define PS_TOOLS_MODEL_MACHINE_H

#include "cli/options.h"
#include "cluster/cluster.h"
#include "cost/beyond.h"
#include "cost/collective.h"
#include "cost/host.h"
#include "workload/script/train.h"

typedef struct ps_model_machine {
    ps_cluster *cluster;              /* what the GPUs are in */
    ps_collective_model *collectives; /* of the cluster */
    ps_hardware_id gpu;
    uint32_t gpus;
    ps_train_device device;
    ps_beyond beyond;
    uint64_t allocator_bytes; /* of the device's memory, for the framework's allocator */
    ps_cost_host host;
} ps_model_machine;

/**
 * @param out  release with ps_model_machine_fini; empty after a failure
 * @return PS_OK · PS_USAGE no GPU named, a cluster of another one · PS_NOT_FOUND a name that the
 *         catalogue or the kinds of nodes lack · PS_BAD_INPUT a file that does not parse
 */
ps_code ps_model_machine_read(const ps_args *args, const ps_catalogue *catalogue,
                              ps_model_machine *out, ps_error *err) PS_MUST_USE;

/**
 * The cluster of --cluster and --cluster-file, else the usual one of a GPU.
 *
 * @param gpu  name of the GPU; may be NULL with --cluster
 * @param out  to be given to ps_cluster_destroy; written only on PS_OK
 */
ps_code ps_model_machine_cluster(const ps_args *args, const ps_catalogue *catalogue,
                                 const char *gpu, uint32_t gpus, ps_cluster **out,
                                 ps_error *err) PS_MUST_USE;
/** ps_model_machine_read with another number of GPUs than --gpus. */
ps_code ps_model_machine_of(const ps_args *args, const ps_catalogue *catalogue, uint32_t gpus,
                            ps_model_machine *out, ps_error *err) PS_MUST_USE;

/** Another memory of the device than the catalogue's, as --memory gives it; 0: as it is. */
void ps_model_machine_set_memory(ps_model_machine *self, uint64_t bytes);

void ps_model_machine_fini(ps_model_machine *self);

#endif
