/* SPDX-License-Identifier: MIT
 *
 * Small engine inputs written by hand or by a generator: fixed arrays, rows
 * added in any order, sorted when the input is taken.
 */
#ifndef PS_TESTS_ENGINE_SCENE_H
#define PS_TESTS_ENGINE_SCENE_H

#include "engine/engine.h"

#define SCENE_MAX_TASKS 256
#define SCENE_MAX_DEPS 1024
#define SCENE_MAX_LINKS 32
#define SCENE_MAX_TRANSFERS 1024

typedef struct scene_dep {
    uint32_t task, before;
    ps_engine_dep_kind kind;
    int64_t lag_ns;
} scene_dep;

typedef struct scene_transfer {
    uint32_t task, link;
} scene_transfer;

typedef struct scene {
    size_t lane_count, task_count, dep_count, link_count, transfer_count;
    uint32_t lane[SCENE_MAX_TASKS];
    int64_t gap_ns[SCENE_MAX_TASKS];
    int64_t dur_ns[SCENE_MAX_TASKS];
    uint64_t bytes[SCENE_MAX_TASKS];
    uint64_t rate_bytes_per_s[SCENE_MAX_TASKS];
    scene_dep dep[SCENE_MAX_DEPS];
    uint64_t link_bytes_per_s[SCENE_MAX_LINKS];
    scene_transfer transfer[SCENE_MAX_TRANSFERS];
    /* columns made of dep and transfer, and the result */
    uint32_t dep_task[SCENE_MAX_DEPS], dep_before[SCENE_MAX_DEPS];
    uint8_t dep_kind[SCENE_MAX_DEPS];
    int64_t dep_lag_ns[SCENE_MAX_DEPS];
    uint32_t transfer_task[SCENE_MAX_TRANSFERS], transfer_link[SCENE_MAX_TRANSFERS];
    int64_t start_ns[SCENE_MAX_TASKS], end_ns[SCENE_MAX_TASKS];
} scene;

/** Adds a task (and its lane); returns its row. */
uint32_t scene_task(scene *self, uint32_t lane, int64_t gap_ns, int64_t dur_ns);

/** Makes the task wait. */
void scene_dep_add(scene *self, uint32_t task, ps_engine_dep_kind kind, uint32_t before,
                   int64_t lag_ns);

/** Adds a link; returns its row. */
uint32_t scene_link(scene *self, uint64_t bytes_per_s);

/** Gives the task bytes and its own limit (0 none); the links follow with scene_cross. */
void scene_move(scene *self, uint32_t task, uint64_t bytes, uint64_t rate_bytes_per_s);

void scene_cross(scene *self, uint32_t task, uint32_t link);

/** Adds a task on a lane of its own that moves bytes over one link; returns its row. */
uint32_t scene_flow(scene *self, int64_t start_ns, uint64_t bytes, uint64_t rate, uint32_t link);

/** The columns, sorted; borrowed from the scene. */
ps_engine_input scene_input(scene *self);

/** Runs the engine into start_ns and end_ns. */
ps_code scene_run(scene *self, ps_error *err) PS_MUST_USE;

/** Last end of all tasks. */
int64_t scene_makespan(const scene *self);

#endif
