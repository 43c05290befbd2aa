/* SPDX-License-Identifier: MIT
 *
 * Training runs of a small model whose optimizer lives on the host, simulated
 * on a machine of three links: from the host, to it, and the host's memory.
 * Kernels last a millisecond each.
 */
#ifndef PS_TESTS_OFFLOAD_SCENE_H
#define PS_TESTS_OFFLOAD_SCENE_H

#include "support/test.h"

#include <string.h>

#include "job/job.h"
#include "plan/hazards.h"
#include "run/run_parts.h"
#include "workload/script/build.h"

#define MS INT64_C(1000000)
#define MB UINT64_C(1000000)
#define LAYERS 3
#define LINEARS (7 * LAYERS) /* query, key, value, output, gate, up, down */
#define HIDDEN 64
#define INNER 96
#define TOKENS 32
#define STEPS 5

enum { DOWN, UP, MEMORY, LINKS };

typedef struct toy {
    uint64_t bytes_per_s[LINKS];
} toy;

/** Machines of which each has another slowest part. */
extern const toy machines[3];
#define MACHINES 3u

/** Five steps in 16 bits; LSP-Offload's projectors are of 16 with 2 numbers a column. */
ps_recipe recipe_of(ps_train_policy policy);

/** The workload of a recipe, checked; the caller's. */
ps_workload *build(const ps_recipe *recipe);

/** The recipe is refused with a sentence that begins so. */
void assert_refused(const ps_recipe *recipe, const char *beginning);

/** Wherever the sink fails, the run ends with its failure. */
void assert_every_failure_ends_the_run(const ps_recipe *recipe);

typedef struct scene {
    ps_workload *workload;
    ps_plan *plan;
    ps_run_times times;
} scene;

scene run(const ps_recipe *recipe, const toy *machine);
void end(scene *self);

/** One step's work, as its tasks have it; `down` and `up` are what is called upload and offload. */
typedef struct sums {
    ps_ns step, forward, backward, down, up, host;
} sums;

sums sum_step(const scene *s, size_t step);
bool is_named(const scene *s, size_t task, const char *name);
ps_ns larger(ps_ns a, ps_ns b);

/** Within 4 %. */
void assert_about(ps_ns got, ps_ns expected);

/** [bytes] of all tensors in a kind of host memory. */
uint64_t bytes_in(const ps_workload *w, ps_memory_kind memory);

ps_hazards hazards_of(const scene *s);

#endif
