/* SPDX-License-Identifier: MIT
 *
 * A workload from a trace: what one device did in its steps, without where
 * and when it did it.
 */
#ifndef PS_RECOVER_WORKLOAD_H
#define PS_RECOVER_WORKLOAD_H

#include "workload/recover/structure.h"
#include "workload/workload.h"

/**
 * Makes the workload of one device.
 *
 * Tensors are the buffers of the plan, sizes as recorded (a fact says whether
 * these are blocks); what was live at the origin is allocated before the first
 * step. Ops are the recorded kernels, copies and fills in the order in which
 * the host launched them, with their recorded lengths. Findings are those of
 * the structure.
 *
 * @param plan    identity plan of the trace, unchanged but for roles
 * @param device  row of the plan's devices
 * @param out     owned by the caller; passes ps_workload_check
 * @return PS_OK · PS_NOMEM · PS_LIMIT · PS_BAD_INPUT the trace has no such device
 */
ps_code ps_recover(const ps_trace *trace, const ps_plan *plan, const ps_structure *structure,
                   uint32_t device, ps_workload **out, ps_error *err) PS_MUST_USE;

#endif
