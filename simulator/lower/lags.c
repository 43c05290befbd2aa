/* SPDX-License-Identifier: MIT
 *
 * Why did a device task start when it did?
 *
 *   start = max( end of the stream's previous task + gap,
 *                start of the launching call       + launch lag,
 *                end of an awaited other task      + wait lag )
 *
 * Only one of the three was binding. That edge gets the whole recorded
 * delay; the others get the trace's own typical lag, or less where even that
 * would have been too late. Typical lags are medians over tasks where the
 * binding edge is beyond doubt: launch lag where the stream had been idle
 * since before the call, gap where the launch lay far in the past.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "lower/lowering.h"

/* A launch this long before the stream got free was certainly waiting in the queue. */
#define CERTAINLY_QUEUED_NS 100000

/* Used only when a trace has no task that shows a typical lag; origin: common launch latency of
 * current drivers, 3-10 us, reported as a guess through the plan's meta. */
#define GUESSED_LAUNCH_LAG_NS 5000
#define GUESSED_GAP_NS 1000

#define MAX_SAMPLES 65536u

typedef struct samples {
    ps_ns *value;
    size_t count;
} samples;

static int by_value(const void *a, const void *b)
{
    ps_ns x, y;
    x = *(const ps_ns *)a;
    y = *(const ps_ns *)b;
    return (x > y) - (x < y);
}

static ps_ns median(samples *s, ps_ns fallback)
{
    if (s->count == 0) {
        return fallback;
    }
    qsort(s->value, s->count, sizeof *s->value, by_value);
    return s->value[s->count / 2];
}

static void add_sample(samples *s, ps_ns value)
{
    if (s->count < MAX_SAMPLES) {
        s->value[s->count++] = value;
    }
}

static void sample_lane(const ps_lowering *self, uint32_t lane, samples *lags, samples *gaps)
{
    const lane_queue *queue = &self->queue[lane];
    for (size_t i = 1; i < queue->count; i++) {
        const uint32_t task = queue->task[i];
        const uint32_t launch = self->launch[task - self->host_count];
        if (launch == PS_NONE) {
            continue;
        }
        const ps_ns idle_since = self->rec_end[queue->task[i - 1]];
        const ps_ns called = self->rec_start[launch];
        if (idle_since <= called && called <= self->rec_start[task]) {
            add_sample(lags, self->rec_start[task] - called);
        } else if (called + CERTAINLY_QUEUED_NS <= idle_since) {
            add_sample(gaps, self->rec_start[task] - idle_since);
        }
    }
}

static ps_code find_typical_lags(ps_lowering *self, ps_error *err)
{
    samples lags = {.value = ps_calloc(MAX_SAMPLES, sizeof(ps_ns))};
    samples gaps = {.value = ps_calloc(MAX_SAMPLES, sizeof(ps_ns))};
    ps_code code = PS_OK;
    if (lags.value == NULL || gaps.value == NULL) {
        code = ps_fail_nomem(err);
    } else {
        for (uint32_t lane = 0; lane < self->plan->lane.head.count; lane++) {
            if (self->plan->lane.kind[lane] == PS_LANE_STREAM) {
                sample_lane(self, lane, &lags, &gaps);
            }
        }
        self->typical_launch_lag_ns = median(&lags, GUESSED_LAUNCH_LAG_NS);
        self->typical_gap_ns = median(&gaps, GUESSED_GAP_NS);
    }
    ps_free(lags.value);
    ps_free(gaps.value);
    return code;
}

static ps_ns least(ps_ns a, ps_ns b)
{
    const ps_ns smaller = a < b ? a : b;
    return smaller < 0 ? 0 : smaller;
}

/* One edge that could have held the task back. */
typedef struct edge {
    bool is_there;
    ps_ns since;   /* recorded time of the awaited edge */
    ps_ns typical; /* lag it usually costs */
} edge;

/* Lags of the edges of one task: the binding one explains the recorded start. */
static void divide_delay(ps_ns start, const edge edges[3], ps_ns lag[3])
{
    int binding = -1;
    for (int i = 0; i < 3; i++) {
        if (edges[i].is_there && edges[i].since <= start &&
            (binding < 0 ||
             edges[i].since + edges[i].typical > edges[binding].since + edges[binding].typical)) {
            binding = i;
        }
    }
    for (int i = 0; i < 3; i++) {
        const ps_ns delay = start - edges[i].since;
        lag[i] = i == binding ? delay : least(edges[i].typical, delay);
    }
}

static ps_code lag_task(ps_lowering *self, uint32_t task, uint32_t previous, ps_error *err)
{
    const size_t i = task - self->host_count;
    const uint32_t launch = self->launch[i], cross = self->cross[i];
    const ps_ns start = self->rec_start[task];
    const edge edges[3] = {
        {previous != PS_NONE, previous == PS_NONE ? 0 : self->rec_end[previous],
         self->typical_gap_ns},
        {launch != PS_NONE, launch == PS_NONE ? 0 : self->rec_start[launch],
         self->typical_launch_lag_ns},
        {cross != PS_NONE, cross == PS_NONE ? 0 : self->rec_end[cross], self->typical_gap_ns},
    };
    ps_ns lag[3];
    divide_delay(start, edges, lag);
    if (previous != PS_NONE) {
        self->plan->task.gap_ns[task] = lag[0];
    } else if (launch == PS_NONE) {
        self->plan->task.gap_ns[task] = start; /* nothing explains it but its time */
    }
    if (launch != PS_NONE) {
        PS_TRY(ps__lower_add_dep(self, task, launch, PS_DEP_START_AFTER_START, lag[1],
                                 PS_DEP_RECORDED, err));
    }
    if (cross != PS_NONE) {
        PS_TRY(ps__lower_add_dep(self, task, cross, PS_DEP_START_AFTER_END, lag[2],
                                 (ps_dep_origin)self->cross_origin[i], err));
    }
    return PS_OK;
}

static ps_code write_facts(ps_lowering *self, ps_error *err)
{
    char text[32];
    (void)snprintf(text, sizeof text, "%lld", (long long)self->typical_launch_lag_ns);
    PS_TRY(ps_plan_set_meta(self->plan, PS_PLAN_META_LAUNCH_LAG, text, err));
    (void)snprintf(text, sizeof text, "%lld", (long long)self->typical_gap_ns);
    return ps_plan_set_meta(self->plan, PS_PLAN_META_KERNEL_GAP, text, err);
}

ps_code ps__lower_lags(ps_lowering *self, ps_error *err)
{
    if (self->plan->task.head.count == self->host_count) {
        return PS_OK;
    }
    PS_TRY(find_typical_lags(self, err));
    for (uint32_t lane = 0; lane < self->plan->lane.head.count; lane++) {
        const lane_queue *queue = &self->queue[lane];
        if (self->plan->lane.kind[lane] != PS_LANE_STREAM) {
            continue;
        }
        for (size_t i = 0; i < queue->count; i++) {
            PS_TRY(lag_task(self, queue->task[i], i > 0 ? queue->task[i - 1] : PS_NONE, err));
        }
    }
    return write_facts(self, err);
}
