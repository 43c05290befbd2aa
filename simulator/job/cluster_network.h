/* SPDX-License-Identifier: MIT
 *
 * A cluster of cluster/ with the collectives of cost/ as the network of a job.
 */
#ifndef PS_JOB_CLUSTER_NETWORK_H
#define PS_JOB_CLUSTER_NETWORK_H

#include "cost/collective.h"
#include "job/network.h"

typedef struct ps_cluster_network ps_cluster_network;

/**
 * @param cluster      borrowed, as is
 * @param collectives  its model
 * @param out          to be given to ps_cluster_network_destroy; untouched on failure
 * @return PS_OK · PS_NOMEM
 */
ps_code ps_cluster_network_create(const ps_cluster *cluster, const ps_collective_model *collectives,
                                  ps_cluster_network **out, ps_error *err) PS_MUST_USE;

/** NULL is fine. */
void ps_cluster_network_destroy(ps_cluster_network *self);

/** Lives as long as `self`. Not for several threads at a time. */
const ps_network *ps_cluster_network_view(const ps_cluster_network *self);

#endif
