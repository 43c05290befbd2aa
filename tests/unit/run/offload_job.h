/* SPDX-License-Identifier: MIT
 *
 * Recordings whose tensors go to the host, for tests, and what the tests say of
 * them.
 */
#ifndef PS_TESTS_OFFLOAD_JOB_H
#define PS_TESTS_OFFLOAD_JOB_H

#include "make_trace.h"
#include "recorded_plans.h"

#include "cluster/catalogue.h"
#include "policy/offload.h"

/** Of the link, each direction: one byte takes 1 ns. */
#define RATE_BYTES_PER_S ((uint64_t)1000000000)

#define MODELS PS_TEST_SOURCE_DIR "/traces/models/"

/** A recording, its plan, and what becomes of it. */
typedef struct job {
    ps_trace *trace;
    ps_plan *recorded, *changed;
    ps_structure structure;
    ps_catalogue *catalogue;
    uint64_t rate;
} job;

/** What a trace is, lowered twice, with its structure. Takes the trace. */
job loaded(ps_trace *trace);

/** A recording of traces/models. */
job committed(const char *name);

/** Completes the recorded plan, and changes the other one. */
ps_code change_as(job *self, ps_offload offload, ps_error *err);

/** Parameters in the host, one block ahead. */
ps_code change(job *self, ps_error *err);

void fini(job *self);

/** [bytes] of the added copies one way. */
uint64_t copied_bytes(const ps_plan *plan, ps_copy_kind kind);

/** [ns] of copying a block's two parameters. */
ps_ns block_ns(const job *self);

/** [ns] from the end of the embedding to the end of the nth task of a name. */
ps_ns ran_ns(ps_plan *plan, const char *name, unsigned nth);

/** [bytes] live at the peak; *host is the peak of pinned memory. */
uint64_t peak_live_bytes(const ps_plan *plan, uint64_t *host);

/** Requests of recorded tasks, in their order and at their moments. */
void assert_recorded_requests(const ps_plan *a, const ps_plan *b);

/** The first wait between lanes that can be dropped without harm, or NO_ROW. */
size_t needless_wait(ps_plan *plan);

#endif
