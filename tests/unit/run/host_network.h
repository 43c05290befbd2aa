/* SPDX-License-Identifier: MIT
 *
 * A host behind one link a direction, for tests.
 */
#ifndef PS_TESTS_HOST_NETWORK_H
#define PS_TESTS_HOST_NETWORK_H

#include "job/network.h"

/** @param rate  [bytes/s] of each direction; borrowed while the network is in use */
ps_network host_network(uint64_t *rate);

#endif
