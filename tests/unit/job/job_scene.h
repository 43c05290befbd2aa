/* SPDX-License-Identifier: MIT
 *
 * Jobs made by hand, on a small network whose figures are easy to work with.
 */
#ifndef PS_TESTS_JOB_SCENE_H
#define PS_TESTS_JOB_SCENE_H

#include "support/test.h"

#include "job/job.h"
#include "result/result.h"

#define SCENE_MAX_RANKS 64

/** Each rank has a port out and a port in; nodes of several ranks have one of each to the others. */
typedef struct scene_network {
    uint32_t ranks, ranks_per_node;
    uint64_t port_bytes_per_s, node_bytes_per_s;
} scene_network;

/**
 * A collective costs 1000 ns a member and sends its bytes over every member's ports, and over those
 * of the nodes when it spans several; never faster than the slowest port it crosses.
 */
ps_network scene_network_of(scene_network *self);

typedef struct scene {
    ps_workload *workload[SCENE_MAX_RANKS];
    size_t workload_count;
    uint32_t workload_of[SCENE_MAX_RANKS];
    uint32_t speed_permille[SCENE_MAX_RANKS];
    bool has_speeds;
    scene_network network;
    ps_ns late_ns; /* what the host adds to each collective */
} scene;

/** An empty workload of a grid; the scene owns it. */
ps_workload *scene_workload(scene *self, const uint32_t *size, const uint32_t *place,
                            size_t axis_count);

/** A kernel of a given length. */
void scene_kernel(ps_workload *w, ps_ns dur_ns);

/** A kernel of unknown length that moves so many bytes in its way. */
void scene_memory(ps_workload *w, ps_access access, uint64_t bytes);

/** A collective in a lane, behind the main lane; the main lane waits for it when `is_waited_for`. */
void scene_collective(ps_workload *w, ps_collective_op op, uint32_t axes, uint8_t lane,
                      uint64_t bytes, bool is_waited_for);

/** SEND to or RECV from a place of an axis, likewise. */
void scene_message(ps_workload *w, ps_collective_op op, uint32_t axis, uint32_t peer, uint8_t lane,
                   uint64_t bytes);

/** A copy between the device and memory of the host; the kind tells the direction. */
typedef struct scene_copy_of {
    uint8_t lane; /* ps_workload_lane */
    ps_copy_kind kind;
    ps_memory_kind memory;
    uint64_t bytes;
    uint32_t mark; /* 0: none */
    bool is_blocking;
} scene_copy_of;

void scene_copy(ps_workload *w, const scene_copy_of *what);

/** Computation of the host, in its own thread (MAIN) or a worker's, over so many bytes of memory. */
void scene_cpu(ps_workload *w, uint8_t lane, uint64_t bytes, uint32_t mark);

/** A lane waits for the last run of a mark; the host does. */
void scene_join_mark(ps_workload *w, uint8_t lane, uint32_t mark);
void scene_wait_mark(ps_workload *w, uint32_t mark);

/** A lane waits for what another was given so far. */
void scene_join(ps_workload *w, uint8_t lane, uint8_t awaited);

/** A tensor in memory of the host that lives from here on; its row. */
uint32_t scene_host_tensor(ps_workload *w, ps_memory_kind memory, uint64_t bytes);
void scene_free(ps_workload *w, uint32_t tensor);

/** Ends the last step here. */
void scene_end_steps(ps_workload *w);

/** A tensor that lives from here on. */
void scene_tensor(ps_workload *w, uint64_t bytes);

void scene_begin_step(ps_workload *w);

/** Lowers; with what it returned in *code. NULL unless PS_OK. */
ps_plan *scene_lower(scene *self, bool folds, ps_code *code, ps_error *err);

void scene_fini(scene *self);

#endif
