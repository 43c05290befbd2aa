/* SPDX-License-Identifier: MIT
 *
 * A recorded job for tests of its optimizer on the host: three steps of two
 * parameters, made up, with what is otherwise; and other recordings.
 */
#ifndef PS_TESTS_OPTIMIZER_SCENE_H
#define PS_TESTS_OPTIMIZER_SCENE_H

#include "make_trace.h"
#include "recorded_plans.h"

#include "job/network.h"
#include "policy/whatif.h"

/* The committed recording, the imported one, and that as one of two ranks. */
#define COMMITTED PS_TEST_SOURCE_DIR "/traces/models/gpt2-fp32-sdpa-adamw-long.pstrace"
#define FIXTURE PS_TEST_SOURCE_DIR "/tests/golden/fixtures/optimizer.json"
#define FIXTURE_OF_RANKS PS_TEST_SOURCE_DIR "/tests/golden/fixtures/optimizer_ranks.json"

#define STEP_NS 5000000
#define STEPS 3
#define RESIDENT (UINT64_C(20) << 20)

/** When the collective of a step is over, from its begin. */
#define EXCHANGED_NS 3700000

/** Bytes of the two parameters, 32-bit numbers. */
static const uint64_t size_of[2] = {409600, 819200};
#define ALL_BYTES UINT64_C(1228800)
#define ELEMENTS (ALL_BYTES / 4)

/** What of the recording is otherwise. */
typedef struct scene {
    const char *range;        /* of the optimizer; NULL: AdamW's */
    const char *kernel;       /* of the optimizer; NULL: Adam's */
    const char *call;         /* that launches it; NULL: cudaLaunchKernel */
    bool clips;               /* a kernel between backward and the step */
    bool lacks_range;         /* no optimizer step is told */
    bool lacks_totals;        /* nor how much was live before */
    bool lacks_gradients;     /* of the first step */
    bool makes_states;        /* in the first step */
    bool has_states;          /* made before it, by the optimizer's code */
    bool is_narrow;           /* parameters have 16 bits a number */
    bool closes_over;         /* the step's range holds the backward pass */
    const char *communicates; /* between backward and the step, on another stream: the kind */
    uint64_t resident;        /* [bytes] 0: RESIDENT */
} scene;

ps_trace *record(const scene *of);

/** A recording and what becomes of it. */
typedef struct job {
    ps_trace *trace;
    ps_plan *recorded, *changed;
    ps_structure structure;
    ps_catalogue *catalogue;
    bool delayed;   /* updates run beside the next step */
    uint32_t ranks; /* that do the same, over one link a direction; 0 as 1 */
} job;

/** Takes the trace. Release with fini. */
job load(ps_trace *trace);
job committed(void);
job imported(const char *path);
void fini(job *self);

/** A host behind one link a direction, of 1 byte/ns each. */
extern const ps_network network;

/** Applies nothing to `recorded`, and what is asked for to `changed`. */
ps_code change(job *self, bool optimizer, bool activations, ps_error *err);

/** What the plan says of its optimizer. */
const char *fact(const ps_plan *plan);

/** Simulates; release with play_over, the plan stays. */
play play_plan(ps_plan *plan);
void play_over(play *self);

#endif
