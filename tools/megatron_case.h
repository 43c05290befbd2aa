/* SPDX-License-Identifier: MIT
 *
 * Megatron jobs from options.
 */
#ifndef PS_TOOLS_MEGATRON_CASE_H
#define PS_TOOLS_MEGATRON_CASE_H

#include "job/ranks.h"
#include "model_machine.h"
#include "workload/config/config.h"
#include "workload/megatron/megatron.h"

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

/** The shape of a model with --layers. As ps_megatron_shape_read. */
ps_code ps_megatron_case_shape(const ps_model_config *config, const ps_args *args,
                               ps_megatron_shape *out, ps_error *err) PS_MUST_USE;

/** What options say of a Megatron job, but for its replicas. PS_OK · PS_USAGE */
ps_code ps_megatron_case_recipe(const ps_args *args, const ps_megatron_shape *shape,
                                ps_megatron_recipe *out, ps_error *err) PS_MUST_USE;

/**
 * ps_megatron_case_build of a recipe that is there already.
 *
 * @param name   of the model, shown to people
 * @param given  its replicas are not looked at
 */
ps_code ps_megatron_case_build_recipe(const char *name, const ps_megatron_shape *shape,
                                      const ps_megatron_recipe *given,
                                      const ps_model_machine *machine, ps_ranks *out,
                                      ps_error *err) PS_MUST_USE;

#endif
