/* SPDX-License-Identifier: MIT
 *
 * Where a device's time goes: at every moment the most useful thing that runs
 * (compute before collective before copy) gets the time, the rest is waiting
 * for the host. A sweep over sorted edges.
 */
#include <stdlib.h>

#include "base/memory.h"
#include "run/steady.h"

typedef enum occupant { OCCUPANT_COMPUTE, OCCUPANT_COLLECTIVE, OCCUPANT_COPY } occupant;

#define OCCUPANT_COUNT 3

typedef struct edge {
    ps_ns at;
    int8_t change; /* +1 begins, -1 ends */
    uint8_t what;
} edge;

static int by_time(const void *a, const void *b)
{
    const edge *x = a, *y = b;
    if (x->at != y->at) {
        return x->at < y->at ? -1 : 1;
    }
    return x->change - y->change;
}

static bool is_on_device(const ps_plan *plan, size_t task, uint32_t device, occupant *what)
{
    const uint32_t lane = plan->task.lane[task];
    if (plan->lane.kind[lane] != PS_LANE_STREAM || plan->lane.device[lane] != device + 1) {
        return false;
    }
    switch ((ps_task_kind)plan->task.kind[task]) {
    case PS_TASK_KERNEL:
    case PS_TASK_MEMSET:
        *what = OCCUPANT_COMPUTE;
        return true;
    case PS_TASK_COLLECTIVE:
        *what = OCCUPANT_COLLECTIVE;
        return true;
    case PS_TASK_MEMCPY:
        *what = OCCUPANT_COPY;
        return true;
    case PS_TASK_HOST:
    case PS_TASK_WAIT:
    case PS_TASK_EXCHANGE:
    case PS_TASK_CPU:
    case PS_TASK_KIND_COUNT:
        break;
    }
    return false;
}

static void charge(ps_result_time *out, const size_t running[OCCUPANT_COUNT], ps_ns length)
{
    if (running[OCCUPANT_COMPUTE] > 0) {
        out->compute_ns += length;
    } else if (running[OCCUPANT_COLLECTIVE] > 0) {
        out->collective_ns += length;
    } else if (running[OCCUPANT_COPY] > 0) {
        out->copy_ns += length;
    } else {
        out->host_ns += length;
    }
    out->all_copies_ns += running[OCCUPANT_COPY] > 0 ? length : 0;
    out->all_collectives_ns += running[OCCUPANT_COLLECTIVE] > 0 ? length : 0;
}

ps_code ps__run_occupancy(const ps_plan *plan, const ps_run_times *times, uint32_t device,
                          const ps_window *window, ps_result_time *out, ps_error *err)
{
    occupant what;
    size_t tasks = 0;
    for (size_t i = 0; i < plan->task.head.count; i++) {
        tasks += is_on_device(plan, i, device, &what);
    }
    edge *edges = ps_calloc(tasks * 2, sizeof *edges);
    if (edges == NULL) {
        return ps_fail_nomem(err);
    }
    size_t count = 0;
    for (size_t i = 0; i < plan->task.head.count; i++) {
        const ps_ns inside = ps__window_share(window, times->start_ns[i], times->end_ns[i]);
        if (inside > 0 && is_on_device(plan, i, device, &what)) {
            const ps_ns begin =
                times->start_ns[i] > window->begin_ns ? times->start_ns[i] : window->begin_ns;
            if (what == OCCUPANT_COMPUTE) {
                out->phase_ns[plan->task.phase[i]] += inside;
            }
            edges[count++] = (edge){begin, 1, (uint8_t)what};
            edges[count++] = (edge){begin + inside, -1, (uint8_t)what};
        }
    }
    qsort(edges, count, sizeof *edges, by_time);
    size_t running[OCCUPANT_COUNT] = {0};
    ps_ns last = window->begin_ns;
    for (size_t i = 0; i < count; i++) {
        charge(out, running, edges[i].at - last);
        last = edges[i].at;
        running[edges[i].what] += edges[i].change > 0 ? 1 : SIZE_MAX; /* wraps to minus one */
    }
    charge(out, running, window->end_ns - last);
    ps_free(edges);
    return PS_OK;
}
