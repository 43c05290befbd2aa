/* SPDX-License-Identifier: MIT
 *
 * The parameters of a model with their shapes, without training it.
 */
#ifndef PS_WORKLOAD_PARAMETERS_H
#define PS_WORKLOAD_PARAMETERS_H

#include "workload/model/model.h"

/** Parameters in the order in which the library's constructors make them; tied ones once. */
typedef struct ps_parameters {
    ps_parameter_shape *shape;
    size_t count;
    int64_t block_count;
} ps_parameters;

/**
 * Lists a model's parameters.
 *
 * @param out  release with ps_parameters_fini; empty after a failure
 * @return PS_OK · PS_NOT_FOUND a model_type that no family reads · PS_BAD_INPUT a configuration
 *         that cannot be · PS_NOMEM
 */
ps_code ps_parameters_list(const ps_model_config *config, ps_parameters *out,
                           ps_error *err) PS_MUST_USE;

void ps_parameters_fini(ps_parameters *self);

/** Elements of a parameter. */
int64_t ps_parameter_elements(const ps_parameter_shape *self);

#endif
