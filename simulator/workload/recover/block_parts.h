/* SPDX-License-Identifier: MIT
 *
 * Blocks, in parts (private to this folder):
 *
 *   blocks.c         the ways in order, and which backward block belongs to which
 *   block_modules.c  by module ranges
 *   block_pieces.c   by repetition
 */
#ifndef PS_RECOVER_BLOCK_PARTS_H
#define PS_RECOVER_BLOCK_PARTS_H

#include "workload/recover/recover_parts.h"

/** Appends a block; its texts are copied. PS_OK · PS_NOMEM · PS_LIMIT */
ps_code ps__block_add(ps_recovery *self, const ps_structure_block *block, const char *name,
                      const char *kind, ps_error *err) PS_MUST_USE;

/** Blocks that module ranges name. PS_OK, also without any · PS_NOMEM · PS_USAGE a name of none */
ps_code ps__blocks_of_modules(ps_recovery *self, ps_error *err) PS_MUST_USE;

/** Backward blocks of those, cut by repetition where no operators tell them. PS_OK · PS_NOMEM */
ps_code ps__blocks_of_backward(ps_recovery *self, ps_error *err) PS_MUST_USE;

/** Blocks where no ranges name them: equal pieces of a phase. PS_OK, also without any · PS_NOMEM */
ps_code ps__blocks_of_repetition(ps_recovery *self, ps_error *err) PS_MUST_USE;

#endif
