/* SPDX-License-Identifier: MIT
 *
 * Generator and reshuffling of scenes.
 */
#include "scene_random.h"

#include <string.h>

uint64_t dice_roll(dice *self, uint64_t below)
{
    self->state ^= self->state << 13;
    self->state ^= self->state >> 7;
    self->state ^= self->state << 17;
    return (self->state >> 11) % below;
}

/* 60^3: three saturated links in turn, shared by at most six flows, leave whole numbers. */
#define DIVISIBLE UINT64_C(216000)

static int64_t random_time(dice *d, bool is_tied)
{
    switch (dice_roll(d, 4)) {
    case 0:
        return 0;
    case 1:
        return (int64_t)dice_roll(d, 4) * 1000000;
    default:
        return is_tied ? (int64_t)dice_roll(d, 8) * 500000 : (int64_t)dice_roll(d, 5000000);
    }
}

static uint64_t random_rate(dice *d, bool is_divisible)
{
    return is_divisible ? DIVISIBLE * (1 + dice_roll(d, 20)) : 1000 + dice_roll(d, 5000000);
}

static void add_links(scene *self, dice *d, scene_shape shape, uint32_t task)
{
    bool is_crossed[SCENE_MAX_LINKS] = {false};
    const uint64_t crossings = 1 + dice_roll(d, self->link_count);
    const uint64_t bytes = shape.is_tied ? 216 * dice_roll(d, 5) : dice_roll(d, 1000);
    const bool is_limited = dice_roll(d, 3) == 0;
    scene_move(self, task, bytes, is_limited ? random_rate(d, shape.is_divisible) : 0);
    for (uint64_t i = 0; i < crossings; i++) {
        const uint32_t link = (uint32_t)dice_roll(d, self->link_count);
        if (!is_crossed[link]) {
            is_crossed[link] = true;
            scene_cross(self, task, link);
        }
    }
}

void scene_random(scene *self, dice *d, scene_shape shape)
{
    *self = (scene){0};
    const uint64_t lanes = 1 + dice_roll(d, shape.lanes);
    const uint64_t tasks = 1 + dice_roll(d, shape.tasks);
    const uint64_t links = dice_roll(d, (uint64_t)shape.links + 1);
    const uint64_t deps = dice_roll(d, (uint64_t)shape.deps + 1);
    for (uint64_t i = 0; i < links; i++) {
        (void)scene_link(self, random_rate(d, shape.is_divisible));
    }
    for (uint64_t i = 0; i < tasks; i++) {
        const uint32_t lane =
            (uint32_t)dice_roll(d, lanes); /* one roll a statement: a fixed order */
        const int64_t gap_ns = random_time(d, shape.is_tied);
        const int64_t dur_ns = random_time(d, shape.is_tied);
        const uint32_t task = scene_task(self, lane, gap_ns, dur_ns);
        if (links > 0 && dice_roll(d, 2) == 0) {
            add_links(self, d, shape, task);
        }
    }
    for (uint64_t i = 0; i < deps && tasks > 1; i++) {
        uint32_t task = 1 + (uint32_t)dice_roll(d, tasks - 1);
        uint32_t before = (uint32_t)dice_roll(d, task);
        if (shape.has_circles && dice_roll(d, 12) == 0) {
            const uint32_t swap = task;
            task = before;
            before = swap;
        }
        const ps_engine_dep_kind kind = (ps_engine_dep_kind)dice_roll(d, 4);
        scene_dep_add(self, task, kind, before, random_time(d, shape.is_tied));
    }
}

/* order[i]: where i goes; a random permutation. */
static void permute(uint32_t *order, size_t count, dice *d)
{
    for (size_t i = 0; i < count; i++) {
        order[i] = (uint32_t)i;
    }
    for (size_t i = count; i > 1; i--) {
        const size_t other = (size_t)dice_roll(d, i);
        const uint32_t swap = order[i - 1];
        order[i - 1] = order[other];
        order[other] = swap;
    }
}

void scene_shuffle(const scene *from, scene *to, uint32_t *row_of, dice *d)
{
    uint32_t lane_of[SCENE_MAX_TASKS];
    uint32_t link_of[SCENE_MAX_LINKS];
    uint32_t dep_of[SCENE_MAX_DEPS];
    bool is_taken[SCENE_MAX_TASKS] = {false};
    *to = (scene){.link_count = from->link_count,
                  .dep_count = from->dep_count,
                  .lane_count = from->lane_count};
    permute(lane_of, from->lane_count, d);
    permute(link_of, from->link_count, d);
    permute(dep_of, from->dep_count, d);
    while (to->task_count < from->task_count) {
        const uint32_t lane = (uint32_t)dice_roll(d, from->lane_count);
        uint32_t row = 0;
        while (row < from->task_count && (is_taken[row] || from->lane[row] != lane)) {
            row++;
        }
        if (row == from->task_count) {
            continue;
        }
        is_taken[row] = true;
        row_of[row] = scene_task(to, lane_of[lane], from->gap_ns[row], from->dur_ns[row]);
        scene_move(to, row_of[row], from->bytes[row], from->rate_bytes_per_s[row]);
    }
    for (size_t i = 0; i < from->link_count; i++) {
        to->link_bytes_per_s[link_of[i]] = from->link_bytes_per_s[i];
    }
    for (size_t i = 0; i < from->dep_count; i++) {
        const scene_dep dep = from->dep[i];
        to->dep[dep_of[i]] =
            (scene_dep){row_of[dep.task], row_of[dep.before], dep.kind, dep.lag_ns};
    }
    for (size_t i = from->transfer_count; i > 0; i--) {
        scene_cross(to, row_of[from->transfer[i - 1].task], link_of[from->transfer[i - 1].link]);
    }
}
