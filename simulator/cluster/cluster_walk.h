/* SPDX-License-Identifier: MIT
 *
 * A group's GPUs in ascending order, node by node, with a count of crossings
 * for every link of these nodes.
 */
#ifndef PS_CLUSTER_CLUSTER_WALK_H
#define PS_CLUSTER_CLUSTER_WALK_H

#include "cluster/cluster_store.h"

typedef struct ps_walk {
    const ps_cluster *cluster;
    uint32_t *seat; /* of the ranks, ascending */
    uint32_t count, nodes;
    uint32_t *node;  /* of the ranks, ascending */
    uint32_t *times; /* by place of the node among these, then by link of a node */
} ps_walk;

/** Members of one node: seat[first .. first + count) of the walk. */
typedef struct ps_walk_share {
    uint32_t node, first, count;
} ps_walk_share;

/** Checks and sorts a group. PS_OK, then to be ended · PS_NOMEM · PS_USAGE see ps_cluster_place */
ps_code ps_walk_begin(ps_walk *self, const ps_cluster *cluster, const ps_group *group,
                      ps_error *err) PS_MUST_USE;

void ps_walk_end(ps_walk *self);

/** Steps to the next node with members; begin with a zero share. */
bool ps_walk_next(const ps_walk *self, ps_walk_share *at);

/** Place in the node of the share's i-th member. */
uint32_t ps_walk_member(const ps_walk *self, const ps_walk_share *at, uint32_t i);

/** ps_mesh_rings of the members. */
uint32_t ps_walk_rings(const ps_walk *self, const ps_walk_share *at, bool *is_forwarded);

/**
 * Whether a ring's way between the node's ports and its GPUs is a long one. Where the kind states
 * beside which GPUs its ports sit: when no member is one of them. Else when it enters the node beside
 * one GPU and leaves it beside another that has other ports: several members of which no two share
 * ports, while one GPU alone takes its own both ways.
 */
bool ps_walk_changes_rail(const ps_walk *self, const ps_walk_share *at);

/** What the members of a node talk over. */
ps_fabric ps_walk_fabric(const ps_walk *self, const ps_walk_share *at, ps_traffic traffic);

/**
 * Of `inside` ranks of a group, the transfers that go to others of the group, for each byte that
 * one rank sends: one to the next of a ring, or its part of what all send to all, rounded up.
 */
uint32_t ps_walk_leaving(const ps_walk *self, ps_traffic traffic, uint32_t inside);

/** Counts the crossings of RING or DIRECT traffic. */
void ps_walk_cross(ps_walk *self, ps_traffic traffic, bool with_network);

/** Counted links, ascending: steps to the next after *at, which begins at 0, and gives its number
 * and crossings. */
bool ps_walk_next_crossing(const ps_walk *self, size_t *at, ps_crossing *out);

#endif
