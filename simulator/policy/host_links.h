/* SPDX-License-Identifier: MIT
 *
 * Other bandwidths for the links between GPUs and their hosts, in a plan whose
 * links are those of a cluster (simulator/cluster names them).
 *
 *   slots      node0.gpu3.slot.in, .slot.out, .slot.both
 *   uplinks    node0.switch1.up, .down
 *   memory     node0.memory1, and what pinned pages of it stream: node0.memory1.pinned
 *   threads    node0.gpu3.threads
 *
 * Rows of a plan stand for all links of their class, and a cluster has one kind
 * of node: a change is one of all GPUs.
 */
#ifndef PS_POLICY_HOST_LINKS_H
#define PS_POLICY_HOST_LINKS_H

#include "cluster/catalogue.h"
#include "plan/plan.h"

/** Bandwidths of a slot; all > 0. */
typedef struct ps_slot_rates {
    uint64_t in_bytes_per_s,
        out_bytes_per_s;       /* to the GPU, from it: as large pinned copies reach it */
    uint64_t both_bytes_per_s; /* the two together */
} ps_slot_rates;

/** True when copies or exchanges of the plan cross slots. */
bool ps_host_links_has_slots(const ps_plan *plan);

/** True when something of the plan loads the memory of a host. */
bool ps_host_links_has_memory(const ps_plan *plan);

/** Slots as the plan has them. A direction that nothing crosses has the other's bandwidth. */
ps_slot_rates ps_host_links_slots(const ps_plan *plan);

/** Memory of a socket as the plan has it, the least; 0: nothing loads it. */
uint64_t ps_host_links_memory(const ps_plan *plan);

/**
 * Sets the slots, with an uplink of a switch in the ratio of its direction.
 *
 * Copies of pinned memory may have the new slot, those of pageable memory what they had and never
 * more than the slot. Exchanges that cross slots and no network change in the ratio of the slots;
 * copies that cross no link last at least as long as the new slot takes for their bytes.
 * What was measured has the basis scaled then.
 *
 * @return PS_OK · PS_USAGE the plan has no slots
 */
ps_code ps_host_links_set_slots(ps_plan *plan, const ps_slot_rates *to, ps_error *err) PS_MUST_USE;

/**
 * Sets the memory of every socket; what pinned pages stream changes in the ratio. Threads whose cores are not known may have all of the new one.
 *
 * @param bytes_per_s  > 0
 * @return PS_OK · PS_USAGE nothing of the plan loads the memory of a host
 */
ps_code ps_host_links_set_memory(ps_plan *plan, uint64_t bytes_per_s, ps_error *err) PS_MUST_USE;

/** What the threads of a rank together can stream, the least; 0: no host computes. */
uint64_t ps_host_links_threads(const ps_plan *plan);

/** Sets that. PS_OK · PS_USAGE no host computes */
ps_code ps_host_links_set_threads(ps_plan *plan, uint64_t bytes_per_s, ps_error *err) PS_MUST_USE;

#endif
