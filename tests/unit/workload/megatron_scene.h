/* SPDX-License-Identifier: MIT
 *
 * Small Megatron jobs for tests: models whose parameters are multiples of 128
 * elements, so that nothing is padded in flat buffers, and what to ask of ranks.
 */
#ifndef PS_TESTS_MEGATRON_SCENE_H
#define PS_TESTS_MEGATRON_SCENE_H

#include "support/test.h"

#include "workload/megatron/megatron.h"
#include "workload/script/build.h"

#define MEG_HIDDEN 384

/** Four layers each; of the mixture's the first has no experts. */
extern const ps_megatron_shape meg_dense, meg_mixture, meg_gpt;

/** 64 tokens, 4 micro-batches, one rank. */
ps_megatron_recipe meg_small(void);
ps_megatron_recipe meg_small_gpt(void);

ps_code meg_try_build(const ps_megatron_shape *shape, const ps_megatron_recipe *recipe,
                      int64_t rank, ps_workload **out, ps_error *err);
/** The caller destroys it. */
ps_workload *meg_build(const ps_megatron_shape *shape, const ps_megatron_recipe *recipe,
                       int64_t rank);
/** PS_USAGE with a sentence that has the word. */
void meg_check_refused(const ps_megatron_shape *shape, const ps_megatron_recipe *recipe,
                       int64_t rank, const char *word);

/** [bytes] of a role that live at the end: of one rank, of all. */
uint64_t meg_role_bytes(const ps_workload *w, ps_role role);
uint64_t meg_sum_of_ranks(const ps_megatron_shape *shape, const ps_megatron_recipe *recipe,
                          ps_role role);

/** Collectives of a kind along axes, 0: any; how many, and their bytes. */
size_t meg_count_collectives(const ps_workload *w, ps_collective_op op, uint32_t axes);
uint64_t meg_collective_bytes(const ps_workload *w, ps_collective_op op, uint32_t axes);

/** [flop] of a block's matrix products. */
uint64_t meg_product_flop(const ps_workload *w, uint32_t block);

#endif
