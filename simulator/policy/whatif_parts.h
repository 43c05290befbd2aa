/* SPDX-License-Identifier: MIT
 *
 * Stages of applying a what-if (private to this folder).
 */
#ifndef PS_POLICY_WHATIF_PARTS_H
#define PS_POLICY_WHATIF_PARTS_H

#include "policy/whatif.h"

/** Entry of a device of the plan; PS_NOT_FOUND when its name is unknown or not in the catalogue. */
ps_code ps__whatif_recorded_gpu(const ps_plan *plan, uint32_t device, const ps_catalogue *catalogue,
                                ps_hardware_id *out, ps_error *err) PS_MUST_USE;

/** Kernels, fills and device copies rescaled to another GPU by what bounds them. */
ps_code ps__whatif_compute(ps_plan *plan, const ps_catalogue *catalogue, ps_hardware_id target,
                           ps_error *err) PS_MUST_USE;

/** [ns] part of every kernel that no rate and no size changes: 1st percentile of the lengths. */
ps_code ps__whatif_fixed_part(const ps_plan *plan, ps_ns *out, ps_error *err) PS_MUST_USE;

/** Buffers and work for another batch or sequence. *is_scaled: something changed. */
ps_code ps__whatif_scale(ps_plan *plan, const ps_catalogue *catalogue,
                         const ps_whatif_scale *change, bool *is_scaled, ps_error *err) PS_MUST_USE;

/** Host copies become transfers on links of the new bandwidth. */
ps_code ps__whatif_copies(ps_plan *plan, const ps_catalogue *catalogue, const ps_whatif *change,
                          const ps_hardware_id *target, ps_error *err) PS_MUST_USE;

/** Slots of a cluster's GPUs by the new bandwidth, or those of another GPU. */
ps_code ps__whatif_slots(ps_plan *plan, const ps_catalogue *catalogue, const ps_whatif *change,
                         const ps_hardware_id *target, ps_error *err) PS_MUST_USE;

/** Collectives of data-parallel groups among another number of ranks. PS_OK · PS_USAGE groups that
 * are not known, or whose collectives divide what ranks hold · PS_BAD_INPUT · PS_NOMEM */
ps_code ps__rank_change(ps_plan *plan, const ps_rank_change *change, ps_error *err) PS_MUST_USE;

/** Allocator model, settings, starting cache, capacity and limit. */
ps_code ps__whatif_memory(ps_plan *plan, const ps_catalogue *catalogue, const ps_whatif *change,
                          const ps_hardware_id *target, bool is_scaled, ps_error *err) PS_MUST_USE;

#endif
