/* SPDX-License-Identifier: MIT
 *
 * Megatron jobs from options.
 */
#ifndef PS_TOOLS_MEGATRON_CASE_H
#define PS_TOOLS_MEGATRON_CASE_H

#include "job/ranks.h"
#include "model_machine.h"
#include "workload/config/config.h"

/** True when --tp, --pp, --cp or --ep is given, or --policy megatron. */
bool ps_megatron_case_is(const ps_args *args);

/**
 * Builds the workloads of all ranks; replicas are what the degrees leave of the GPUs.
 *
 * @param out  release with ps_ranks_fini; empty after a failure
 * @return PS_OK · PS_USAGE degrees that do not divide the GPUs, an option that Megatron has not ·
 *         what ps_megatron_shape_read and ps_megatron_build say
 */
ps_code ps_megatron_case_build(const ps_model_config *config, const ps_args *args,
                               const ps_model_machine *machine, ps_ranks *out,
                               ps_error *err) PS_MUST_USE;

#endif
