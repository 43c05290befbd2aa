/* SPDX-License-Identifier: MIT
 *
 * Steps of disturbed computation.
 */
#include "run/jitter.h"

#include <stdlib.h>

#include "base/memory.h"
#include "base/units.h"
#include "run/run_parts.h"
#include "run/unfold.h"

#define LEAST_FACTOR (PS_RATIO_ONE / 10)
#define MAX_SAMPLES ((size_t)1 << 26)

/* ---- numbers ---- */

/* The next of a sequence, and a number mixed from it (splitmix64). */
static uint64_t next_number(uint64_t *state)
{
    *state += 0x9e3779b97f4a7c15u;
    uint64_t mixed = *state;
    mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9u;
    mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111ebu;
    return mixed ^ mixed >> 31;
}

uint64_t ps_jitter_factor(const ps_jitter *jitter, uint32_t rank, uint32_t step, uint32_t draw)
{
    enum { PAIRS = 6 };
    uint64_t state = jitter->seed;
    state = next_number(&state) ^ rank;
    state = next_number(&state) ^ step;
    state = next_number(&state) ^ draw;
    uint64_t sum = 0; /* of twelve numbers below 2^32: mean 6 x 2^32, deviation 2^32 */
    for (int i = 0; i < PAIRS; i++) {
        const uint64_t number = next_number(&state);
        sum += (number & UINT32_MAX) + (number >> 32);
    }
    const uint64_t mean = (uint64_t)PAIRS << 32;
    if (sum >= mean) {
        return PS_RATIO_ONE + ps_mul_div_u64(sum - mean, jitter->deviation, (uint64_t)1 << 32);
    }
    const uint64_t less = ps_mul_div_u64(mean - sum, jitter->deviation, (uint64_t)1 << 32);
    return less < PS_RATIO_ONE - LEAST_FACTOR ? PS_RATIO_ONE - less : LEAST_FACTOR;
}

/* ---- one draw ---- */

typedef struct drawing {
    const ps_plan *plan;
    const ps_jitter *jitter;
    uint32_t *step_of; /* per task: the step it was begun in, undisturbed; steps count from 1 */
    int64_t *dur_ns;
    ps_run_times times;
    ps_ns *sample;
    size_t count;
} drawing;

/* Steps begun at a time, beginnings ascending. */
static uint32_t steps_begun(const ps_ns *begin, size_t count, ps_ns at)
{
    size_t low = 0, high = count;
    while (low < high) {
        const size_t mid = low + (high - low) / 2;
        if (begin[mid] <= at) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return (uint32_t)low;
}

/* Uses the room of the samples for the beginnings. */
static void find_steps(drawing *self)
{
    const ps_plan_step_table *step = &self->plan->step;
    ps_ns *begin = self->sample;
    for (size_t i = 0; i < step->head.count; i++) {
        begin[i] =
            step->begin_task[i] == PS_PLAN_WHOLE
                ? 0
                : ps__run_moment(&self->times, step->begin_task[i], step->begin_offset_ns[i]);
    }
    for (size_t i = 0; i < self->plan->task.head.count; i++) {
        self->step_of[i] = steps_begun(begin, step->head.count, self->times.start_ns[i]);
    }
}

static void disturb(drawing *self, uint32_t draw)
{
    const ps_plan *plan = self->plan;
    uint64_t factor = 0;
    uint32_t rank = UINT32_MAX, step = UINT32_MAX;
    for (size_t i = 0; i < plan->task.head.count; i++) {
        self->dur_ns[i] = plan->task.dur_ns[i];
        if (!ps__run_is_compute(plan, i)) {
            continue;
        }
        const uint32_t device = plan->lane.device[plan->task.lane[i]];
        const uint32_t of = device == 0 ? 0 : plan->device.rank[device - 1];
        if (of != rank || self->step_of[i] != step) {
            rank = of;
            step = self->step_of[i];
            factor = ps_jitter_factor(self->jitter, rank, step, draw);
        }
        const uint64_t dur = ps_mul_div_u64((uint64_t)plan->task.dur_ns[i], factor, PS_RATIO_ONE);
        self->dur_ns[i] = dur > INT64_MAX ? INT64_MAX : (int64_t)dur;
    }
}

static int by_time(const void *a, const void *b)
{
    const ps_ns x = *(const ps_ns *)a, y = *(const ps_ns *)b;
    return (x > y) - (x < y);
}

static ps_code draw_all(drawing *self, ps_jitter_times *out, ps_error *err)
{
    const size_t steps = self->plan->step.head.count;
    const size_t first = steps > 1 ? 1 : 0;
    PS_TRY(ps__run_times(self->plan, NULL, &self->times, err));
    find_steps(self);
    for (uint32_t draw = 0; draw < self->jitter->draws; draw++) {
        disturb(self, draw);
        PS_TRY(ps__run_times(self->plan, self->dur_ns, &self->times, err));
        for (size_t i = first; i < steps; i++) {
            self->sample[self->count++] = ps__run_step_time(self->plan, &self->times, i);
        }
    }
    qsort(self->sample, self->count, sizeof *self->sample, by_time);
    /* nearest rank: the smallest sample that so many of a hundred do not exceed */
    out->median_ns = self->sample[(self->count * 50 + 99) / 100 - 1];
    out->p95_ns = self->sample[(self->count * 95 + 99) / 100 - 1];
    return PS_OK;
}

static ps_code draw_plan(const ps_plan *plan, const ps_jitter *jitter, ps_jitter_times *out,
                         ps_error *err)
{
    const size_t tasks = plan->task.head.count + 1, steps = plan->step.head.count;
    if (steps == 0 || steps > MAX_SAMPLES / jitter->draws) {
        return ps_fail(err, PS_LIMIT, "%u draws of %zu steps: 1 to %zu can be taken together",
                       jitter->draws, steps, MAX_SAMPLES);
    }
    drawing self = {.plan = plan,
                    .jitter = jitter,
                    .step_of = ps_calloc(tasks, sizeof *self.step_of),
                    .dur_ns = ps_calloc(tasks, sizeof *self.dur_ns),
                    .sample = ps_calloc(steps * jitter->draws, sizeof *self.sample)};
    const bool has_room = self.step_of != NULL && self.dur_ns != NULL && self.sample != NULL;
    const ps_code code = has_room ? draw_all(&self, out, err) : ps_fail_nomem(err);
    ps_free(self.step_of);
    ps_free(self.dur_ns);
    ps_free(self.sample);
    ps_free(self.times.start_ns);
    ps_free(self.times.end_ns);
    return code;
}

/* ---- ranks one by one ---- */

static bool is_folded(const ps_plan *plan)
{
    for (size_t i = 0; i < plan->device.head.count; i++) {
        if (plan->device.stands_for[i] > 1) {
            return true;
        }
    }
    return false;
}

ps_code ps_run_jitter(const ps_plan *plan, const ps_jitter *jitter, ps_jitter_times *out,
                      ps_error *err)
{
    ps_plan *unfolded;
    if (!is_folded(plan)) {
        return draw_plan(plan, jitter, out, err);
    }
    const uint32_t ranks = plan->device.stands_for[0];
    ps_unfold_part *part = ps_calloc(ranks, sizeof *part);
    if (part == NULL) {
        return ps_fail_nomem(err);
    }
    for (uint32_t i = 0; i < ranks; i++) {
        part[i] = (ps_unfold_part){i, 1};
    }
    ps_code code = ps_plan_unfold(plan, part, ranks, false, &unfolded, err);
    ps_free(part);
    if (code == PS_OK) {
        code = draw_plan(unfolded, jitter, out, err);
        ps_plan_destroy(unfolded);
    }
    return code;
}
