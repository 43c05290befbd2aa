/* SPDX-License-Identifier: MIT
 *
 * Jobs on a machine with round figures, by the clusters and costs of the
 * simulator itself: what is worked out by hand here passes through all of it.
 */
#ifndef PS_TESTS_JOB_LAB_H
#define PS_TESTS_JOB_LAB_H

#include "job_scene.h"

#define LAB_GB UINT64_C(1000000000)

/** Rates of a node in GB/s; its GPUs are spread over sockets and switches in order. */
typedef struct lab_machine {
    uint32_t gpus, sockets, gpus_per_switch;
    uint32_t pcie, both_percent; /* of a slot each way; both ways together, in percent of one */
    uint32_t uplink, memory;     /* of a switch; of a socket */
    uint32_t cores, core_stream; /* of a socket; of one core */
    uint32_t pageable;           /* the most a copy of pageable memory has */
    uint32_t capacity_gib;       /* memory of a node */
} lab_machine;

/** Two GPUs behind one switch, of which each could fill the uplink. */
extern const lab_machine lab_pair;

/** A plan of the scene's workloads on so many GPUs of the machine, and when its tasks ran. */
typedef struct lab_run {
    ps_plan *plan;
    ps_result result;
    int64_t *start_ns, *end_ns;
} lab_run;

/** The scene's own network is not used; its ranks are. */
lab_run lab_simulate(scene *self, const lab_machine *machine, bool folds);

/** Simulates the plan again, after a change. */
void lab_again(lab_run *self);

void lab_end(lab_run *self);

/** Row of the nth task of a kind on lanes whose name ends so. */
uint32_t lab_task(const lab_run *self, const char *lane, ps_task_kind kind, size_t nth);

/** [ns] of a task beyond its own length: what it had its links for. */
ps_ns lab_moving(const lab_run *self, uint32_t task);

/**
 * Fails when a link carried more than it can: between a begin and an end of transfers, over what
 * ran wholly between them.
 *
 * @param seed  printed
 */
void lab_check_links(const lab_run *self, uint64_t seed);

#endif
