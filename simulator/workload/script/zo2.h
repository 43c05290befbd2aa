/* SPDX-License-Identifier: MIT
 *
 * ZO2: zeroth-order steps with the blocks on the host. Each block comes to the
 * device once a step, gets the update of the step before, is passed twice
 * (moved a little forth, a little back along a random direction), and goes.
 *
 *   upload(0)
 *   for i = 1 .. N-1:  offload(i-2), dual(i-1), upload(i)
 *   offload(N-2), dual(N-1), offload(N-1)
 *
 * Requests to the allocator are in the order in which the host makes them: a
 * block's memory is free when its offload is issued, and the next block's is
 * taken when the dual pass of the one before has been issued. So one block lies
 * on the device while another's temporaries do, and two while nothing runs.
 */
#ifndef PS_WORKLOAD_ZO2_H
#define PS_WORKLOAD_ZO2_H

#include "workload/script/dual.h"

/** Says why a recipe or a model cannot be run by ZO2. PS_OK · PS_USAGE */
ps_code ps_zo2_check(const ps_model *m, ps_error *err);

/**
 * One step. Parameters of blocks lie on the host before and after.
 *
 * @param updates  there was a step before, whose update comes now
 */
void ps_zo2_step(ps_model *m, const ps_batch *batch, bool updates);

/**
 * Host memory that parameters of blocks take from the second step on. An offload that the host does
 * not wait for goes to pinned memory, each tensor to a block of its own (ps_pinned_bytes); before it
 * they lie where they were loaded, unpinned and as large as they are.
 *
 * @return bytes; saturates
 */
uint64_t ps_zo2_host_bytes(const ps_model *m);

/** A module's parameters move along a random direction, in place. */
void ps_zo2_perturb(ps_model *m, const size_t *parameter, size_t count);

/** The update of the step before, in place: matrices decay, vectors do not. */
void ps_zo2_update(ps_model *m, const size_t *parameter, size_t count);

#endif
