/* SPDX-License-Identifier: MIT
 *
 * A set of addresses that answers "which member comes next?" in a few steps.
 *
 * All addresses that can ever be members are offered first and sorted; the
 * set itself is bits over their ranks, and a tree of 64 bits a node above:
 *
 *   level 1            1 0 1            bit: some bit of the word below is set
 *   level 0    0100..  0000..  0010..   bit: the address of this rank is a member
 */
#ifndef PS_TRACE_ADDRESS_SET_H
#define PS_TRACE_ADDRESS_SET_H

#include <stddef.h>

#include "base/status.h"

#define PS_ADDRESS_LEVELS 6u

typedef struct ps_address_set {
    uint64_t *address; /* sorted and unique once sealed */
    size_t count, capacity;
    uint64_t *level[PS_ADDRESS_LEVELS];
    size_t level_count;
} ps_address_set;

/** Starts an empty set in the caller's storage; allocates nothing. */
void ps_address_set_init(ps_address_set *self);

void ps_address_set_fini(ps_address_set *self);

/** Announces an address that may become a member. Before sealing only. */
ps_code ps_address_set_offer(ps_address_set *self, uint64_t address, ps_error *err) PS_MUST_USE;

/** Ends the offers. The set has no members yet. */
ps_code ps_address_set_seal(ps_address_set *self, ps_error *err) PS_MUST_USE;

/** Makes an offered address a member; others are ignored. */
void ps_address_set_put(ps_address_set *self, uint64_t address);

/** Removes a member, if it is one. */
void ps_address_set_take(ps_address_set *self, uint64_t address);

/** Least member above an offered address, or UINT64_MAX. */
uint64_t ps_address_set_next(const ps_address_set *self, uint64_t address);

#endif
