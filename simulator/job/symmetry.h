/* SPDX-License-Identifier: MIT
 *
 * Which vertices of a graph cannot be told apart by what surrounds them: the
 * coarsest equitable partition, found by refining colours until every vertex
 * of a colour has the same colours around it, each as often, over edges with
 * the same labels.
 *
 * For a job it is exact to simulate one vertex of each class. Its dynamics
 * are deterministic and a vertex's next state depends on its own and on the
 * multiset of its neighbours' alone (a rank waits for its groups, a group for
 * its ranks and links, a link serves its groups fairly). Vertices of a class
 * begin in the same state and see the same multiset of classes, so by
 * induction over events they stay in the same state.
 */
#ifndef PS_JOB_SYMMETRY_H
#define PS_JOB_SYMMETRY_H

#include <stddef.h>

#include "base/status.h"

/** An edge, in both directions; several between two vertices count several times. */
typedef struct ps_symmetry_edge {
    uint32_t a, b;
    uint32_t label;
} ps_symmetry_edge;

/**
 * Refines colours.
 *
 * @param key     per vertex: what tells vertices apart from the beginning, any numbers
 * @param colour  per vertex: receives classes from 0 on, numbered by their lowest vertex
 * @param count   receives the number of classes
 * @return PS_OK · PS_NOMEM
 * Cost: O(rounds * edges log edges), at most a round a class.
 */
ps_code ps_symmetry_refine(const ps_symmetry_edge *edge, size_t edge_count, const uint64_t *key,
                           size_t vertex_count, uint32_t *colour, uint32_t *count,
                           ps_error *err) PS_MUST_USE;

#endif
