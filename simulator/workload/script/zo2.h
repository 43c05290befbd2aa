/* SPDX-License-Identifier: MIT
 *
 * ZO2: zeroth-order steps with the blocks on the host. Each block comes to the
 * device, is updated with the step before's slope, is passed through twice
 * (a little forth and a little back along a random direction), and goes.
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
#include "workload/script/zo2_settings.h"

/** Says why a recipe or a model cannot be run by ZO2. PS_OK · PS_USAGE */
ps_code ps_zo2_check(const ps_model *m, ps_error *err);

/** A run: where the parameters of blocks lie on the host. */
typedef struct ps_zo2 ps_zo2;

/** What the driver takes for a request and for a release, beside waiting for the device. */
typedef struct ps_zo2_driver {
    ps_ns malloc_ns, free_ns;
} ps_zo2_driver;

/**
 * Begins a run of a loaded model that ps_zo2_check lets pass: parameters of blocks lie in pageable
 * memory of the host from now on, as they were loaded.
 *
 * @param out  release with ps_zo2_destroy; written on PS_OK. The model must outlive it
 * @return PS_OK · PS_NOMEM
 */
ps_code ps_zo2_create(ps_model *m, const ps_zo2_driver *driver, ps_zo2 **out,
                      ps_error *err) PS_MUST_USE;

/** Host memory of the parameters goes, unless the eager model has failed. NULL is fine. */
void ps_zo2_destroy(ps_zo2 *self);

/** One step. Parameters of blocks lie on the host before and after. */
void ps_zo2_step(ps_zo2 *self, const ps_batch *batch);

/** A module's parameters move along a random direction, in place. */
void ps_zo2_perturb(ps_model *m, const size_t *parameter, size_t count);

/** The update of the step before, in place: matrices decay, vectors do not. */
void ps_zo2_update(ps_model *m, const size_t *parameter, size_t count);

#endif
