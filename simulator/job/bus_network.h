/* SPDX-License-Identifier: MIT
 *
 * A network of which one figure is known: the bus bandwidth that collectives
 * reach, as nccl-tests prints it. Every exchange has it to itself.
 */
#ifndef PS_JOB_BUS_NETWORK_H
#define PS_JOB_BUS_NETWORK_H

#include "job/network.h"

typedef struct ps_bus {
    uint64_t bytes_per_s; /* > 0 */
    ps_ns latency_ns;     /* of any exchange */
    ps_basis basis;       /* of both */
} ps_bus;

/**
 * The network of a bus, which is borrowed and must outlive it.
 *
 * An exchange of S bytes among n ranks takes latency + f S / bandwidth, with f = 2 (n - 1) / n for
 * all-reduce, (n - 1) / n for all-gather, reduce-scatter and all-to-all, 1 for the others: the
 * factors by which nccl-tests defines bus bandwidth.
 */
ps_network ps_bus_network(ps_bus *bus);

#endif
