/* SPDX-License-Identifier: MIT
 *
 * A training script while it runs (private to this folder).
 */
#ifndef PS_WORKLOAD_TRAIN_SCRIPT_H
#define PS_WORKLOAD_TRAIN_SCRIPT_H

#include "workload/eager/ops_host.h"
#include "workload/optimizer/optimizer.h"
#include "workload/scheme/scheme.h"
#include "workload/script/activations.h"
#include "workload/script/grad_scaler.h"
#include "workload/script/hift.h"
#include "workload/script/lsp.h"
#include "workload/script/masters.h"
#include "workload/script/train.h"
#include "workload/script/weights.h"
#include "workload/script/zero_offload.h"
#include "workload/script/zo2.h"

/** What the script's variables hold. */
typedef struct ps_script {
    const ps_training *run;
    ps_model m;
    ps_scheme *scheme;             /* NULL: one rank */
    ps_activations *activations;   /* NULL: they stay on the device */
    ps_weights *weights;           /* likewise */
    ps_masters masters;            /* empty unless the recipe has them */
    ps_lsp *lsp;                   /* NULL: another policy */
    ps_zero_offload *zero_offload; /* likewise */
    ps_optimizer *optimizer;
    ps_zo2 *zo2;   /* NULL: another policy */
    ps_hift *hift; /* NULL: every step trains all layers */
    int64_t step;  /* number of the one that runs */
    ps_grad_scaler scaler;
    ps_batch batch;
    ps_model_output output; /* of the last forward, while the script keeps it */
    ps_tensor loss;
    int64_t micro_batch; /* number over the whole run */
} ps_script;

/** One step, as the optimizer wants it. */
void ps_script_step(ps_script *self);

void ps_script_drop_batch(ps_script *self);

#endif
