/* SPDX-License-Identifier: MIT
 *
 * Another batch size or sequence length for a recorded run.
 *
 * Every buffer and every kernel is asked what it grows with. The answer comes
 * from mechanism, best evidence first:
 *
 *   shapes      recorded dimensions of the operators' inputs: each dimension is
 *               the batch, the sequence, or neither
 *   sizes       bytes that the recorded batch and sequence divide
 *   roles       parameters, gradients and optimizer state never grow
 *
 * What cannot be decided is kept as recorded and counted. docs/MODEL.md tells
 * the rules.
 */
#ifndef PS_POLICY_WHATIF_SCALE_H
#define PS_POLICY_WHATIF_SCALE_H

#include "workload/recover/overrides.h"
#include "workload/recover/structure.h"

/** Which batch and sequence, and the recording that the plan was lowered from. */
typedef struct ps_whatif_scale {
    uint64_t batch, sequence;                   /* 0: as recorded */
    uint64_t recorded_batch, recorded_sequence; /* 0: to be found in the trace */
    const ps_trace *trace;                      /* NULL: the input was a plan, which is refused */
    const ps_structure *structure;
    const ps_overrides *overrides; /* NULL none */
} ps_whatif_scale;

/** Facts of a plan that was scaled. */
#define PS_PLAN_META_BATCH "scaled-batch"       /* "16 -> 128" */
#define PS_PLAN_META_SEQUENCE "scaled-sequence" /* "66 -> 128" */
#define PS_PLAN_META_SCALE_BASIS "scaled-by"    /* how sizes were told apart */
#define PS_PLAN_META_SCALE_HOST "scaled-host"   /* host time that the new run does not spend */
#define PS_PLAN_META_SCALE_WORK "scaled-work"   /* kernels by how their time was scaled */

/**
 * Finds the recorded batch and sequence: facts of the trace, else the indices
 * of an embedding (batch, sequence), else the leading dimension that all
 * convolutions and normalisations share (batch).
 *
 * @param batch, sequence  0 where the trace does not tell
 * @return PS_OK · PS_NOMEM
 */
ps_code ps_scale_find_recorded(const ps_trace *trace, uint64_t *batch, uint64_t *sequence,
                               ps_error *err) PS_MUST_USE;

#endif
