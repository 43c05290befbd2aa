/* SPDX-License-Identifier: MIT
 *
 * Rotary positions of type "longrope": one set of frequencies for texts of the
 * length a model was first trained with, another for longer ones.
 */
#ifndef PS_WORKLOAD_LONGROPE_H
#define PS_WORKLOAD_LONGROPE_H

#include "workload/model/model.h"

/** The frequencies of a module. Tensors are the model's, as long as it lives. */
typedef struct ps_longrope {
    int64_t positions; /* of the first training; 0: the module has one set, and never looks */
    int64_t width;     /* elements that turn */
    ps_tensor used;    /* the module's buffer */
    ps_tensor shorter, longer; /* on the device since they were first needed; 0 before */
} ps_longrope;

/** longrope_frequency_update: before each pass, looks how long the sequences are. */
void ps_longrope_update(ps_model *m, ps_longrope *self, int64_t length);

#endif
