/* SPDX-License-Identifier: MIT
 *
 * Stages of moving a recorded job's tensors to the host (private to this
 * folder).
 */
#ifndef PS_POLICY_OFFLOAD_PARTS_H
#define PS_POLICY_OFFLOAD_PARTS_H

#include "cluster/catalogue.h"
#include "policy/offload.h"
#include "policy/plan_insert.h"

#define PS_OFFLOAD_NONE UINT32_MAX

/** A place between two tasks of the stream that computes. */
typedef struct ps_offload_place {
    uint32_t before, behind; /* tasks of the stream that end there and begin there, or NONE */
    uint32_t host;           /* host task behind which the place is, on the thread that launches
                                what follows */
    size_t memop;            /* first row of memop behind it */
} ps_offload_place;

/** A tensor that waits in the host. */
typedef struct ps_offload_tensor {
    uint32_t buffer;
    size_t free;          /* row of memop */
    uint32_t last_reader; /* newest task of the stream when it was freed */
} ps_offload_tensor;

/** What one block keeps in one step. */
typedef struct ps_offload_group {
    size_t first, count;  /* of the tensors */
    ps_offload_place out; /* its forward pass has been launched */
    ps_offload_place go;  /* that of the next block has, too: memory goes */
    ps_offload_place in;  /* the block above begins its backward pass */
    ps_offload_place use; /* the block's own begins */
} ps_offload_group;

typedef struct ps_offload_places {
    ps_offload_group *group;
    size_t group_count, group_capacity;
    ps_offload_tensor *tensor;
    size_t tensor_count, tensor_capacity;
    uint32_t compute; /* lane */
    uint32_t steps;
} ps_offload_places;

/**
 * Finds what can go, in the plan as recorded.
 *
 * @param out  release with ps__offload_places_fini; written only on PS_OK
 * @return PS_OK · PS_USAGE a recording that cannot be changed so, with the reason · PS_NOMEM
 */
ps_code ps__offload_find(const ps_plan *plan, const ps_offload *change, ps_offload_places *out,
                         ps_error *err) PS_MUST_USE;

void ps__offload_places_fini(ps_offload_places *self);

/**
 * Moves activations.
 *
 * @param plan    its tasks and requests are still those that the places name; unusable after a
 *                failure
 * @param gpu     whose figures say what a launch and the start of a copy take
 * @param places  found before anything of the plan changed
 * @return PS_OK · PS_NOT_FOUND a host that is not described, a figure that is missing · PS_NOMEM
 */
ps_code ps__offload_activations(ps_plan *plan, const ps_catalogue *catalogue, ps_hardware_id gpu,
                                const ps_offload *change, const ps_offload_places *places,
                                ps_error *err) PS_MUST_USE;

#endif
