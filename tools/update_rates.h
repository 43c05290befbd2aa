/* SPDX-License-Identifier: MIT
 *
 * What a machine gives one rank while all of them update on their hosts.
 */
#ifndef PS_TOOLS_UPDATE_RATES_H
#define PS_TOOLS_UPDATE_RATES_H

#include "cluster/cluster.h"
#include "workload/script/stride_choice.h"

/** Of rank 0: links that its node's ranks share are shared evenly. PS_OK · PS_NOMEM */
ps_code ps_update_rates_of(const ps_cluster *cluster, ps_update_rates *out,
                           ps_error *err) PS_MUST_USE;

#endif
