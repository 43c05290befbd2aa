/* SPDX-License-Identifier: MIT
 *
 * Building of small engine inputs.
 */
#include "scene.h"

#include <assert.h>

uint32_t scene_task(scene *self, uint32_t lane, int64_t gap_ns, int64_t dur_ns)
{
    const size_t row = self->task_count;
    assert(row < SCENE_MAX_TASKS);
    self->task_count++;
    self->lane[row] = lane;
    self->gap_ns[row] = gap_ns;
    self->dur_ns[row] = dur_ns;
    if (lane >= self->lane_count) {
        self->lane_count = (size_t)lane + 1;
    }
    return (uint32_t)row;
}

void scene_dep_add(scene *self, uint32_t task, ps_engine_dep_kind kind, uint32_t before,
                   int64_t lag_ns)
{
    assert(self->dep_count < SCENE_MAX_DEPS);
    self->dep[self->dep_count] = (scene_dep){task, before, kind, lag_ns};
    self->dep_count++;
}

uint32_t scene_link(scene *self, uint64_t bytes_per_s)
{
    assert(self->link_count < SCENE_MAX_LINKS);
    self->link_bytes_per_s[self->link_count] = bytes_per_s;
    self->link_count++;
    return (uint32_t)self->link_count - 1;
}

void scene_move(scene *self, uint32_t task, uint64_t bytes, uint64_t rate_bytes_per_s)
{
    self->bytes[task] = bytes;
    self->rate_bytes_per_s[task] = rate_bytes_per_s;
}

void scene_cross(scene *self, uint32_t task, uint32_t link)
{
    assert(self->transfer_count < SCENE_MAX_TRANSFERS);
    self->transfer[self->transfer_count] = (scene_transfer){task, link};
    self->transfer_count++;
}

uint32_t scene_flow(scene *self, int64_t start_ns, uint64_t bytes, uint64_t rate, uint32_t link)
{
    const uint32_t task = scene_task(self, (uint32_t)self->lane_count, start_ns, 0);
    scene_move(self, task, bytes, rate);
    scene_cross(self, task, link);
    return task;
}

/* Stable insertion sorts by task; the arrays are small. */
static void sort_rows(scene *self)
{
    for (size_t i = 1; i < self->dep_count; i++) {
        const scene_dep row = self->dep[i];
        size_t at = i;
        for (; at > 0 && self->dep[at - 1].task > row.task; at--) {
            self->dep[at] = self->dep[at - 1];
        }
        self->dep[at] = row;
    }
    for (size_t i = 1; i < self->transfer_count; i++) {
        const scene_transfer row = self->transfer[i];
        size_t at = i;
        for (; at > 0 && self->transfer[at - 1].task > row.task; at--) {
            self->transfer[at] = self->transfer[at - 1];
        }
        self->transfer[at] = row;
    }
}

ps_engine_input scene_input(scene *self)
{
    sort_rows(self);
    for (size_t i = 0; i < self->dep_count; i++) {
        self->dep_task[i] = self->dep[i].task;
        self->dep_before[i] = self->dep[i].before;
        self->dep_kind[i] = (uint8_t)self->dep[i].kind;
        self->dep_lag_ns[i] = self->dep[i].lag_ns;
    }
    for (size_t i = 0; i < self->transfer_count; i++) {
        self->transfer_task[i] = self->transfer[i].task;
        self->transfer_link[i] = self->transfer[i].link;
    }
    return (ps_engine_input){
        .lane_count = self->lane_count,
        .task_count = self->task_count,
        .lane = self->lane,
        .gap_ns = self->gap_ns,
        .dur_ns = self->dur_ns,
        .bytes = self->bytes,
        .rate_bytes_per_s = self->rate_bytes_per_s,
        .dep_count = self->dep_count,
        .dep_task = self->dep_task,
        .dep_before = self->dep_before,
        .dep_kind = self->dep_kind,
        .dep_lag_ns = self->dep_lag_ns,
        .link_count = self->link_count,
        .link_bytes_per_s = self->link_bytes_per_s,
        .transfer_count = self->transfer_count,
        .transfer_task = self->transfer_task,
        .transfer_link = self->transfer_link,
    };
}

ps_code scene_run(scene *self, ps_error *err)
{
    const ps_engine_input input = scene_input(self);
    return ps_engine_run(&input, NULL, NULL, self->start_ns, self->end_ns, err);
}

int64_t scene_makespan(const scene *self)
{
    int64_t last = 0;
    for (size_t i = 0; i < self->task_count; i++) {
        last = self->end_ns[i] > last ? self->end_ns[i] : last;
    }
    return last;
}
