/* SPDX-License-Identifier: MIT
 *
 * Lengths of batches of running text, where each line is one sequence and a
 * batch is padded to its longest line.
 */
#ifndef PS_WORKLOAD_LENGTHS_H
#define PS_WORKLOAD_LENGTHS_H

#include <stddef.h>
#include <stdint.h>

/**
 * Draws lengths of batches. The same seed gives the same lengths everywhere.
 *
 * @param batch  lines of a batch
 * @param limit  tokens at which a line is cut
 * @param out    receives `count` lengths, 1 .. limit
 */
void ps_lengths_draw(uint64_t seed, int64_t batch, int64_t limit, int64_t *out, size_t count);

#endif
