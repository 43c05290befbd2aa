/* SPDX-License-Identifier: MIT
 *
 * Which parameters of stage 3 are whole, and when others are fetched: DeepSpeed's
 * parameter coordinator (private to this folder).
 *
 *   1st micro-batch   module after module is fetched and released; the order is noted
 *   2nd and on        after a module's own parameters, those of the order that come next are
 *                     fetched ahead; a module's parameters are not released when they are used
 *                     again within a distance, or when the look ahead has passed over a use of them
 *
 * Modules without parameters look ahead too: of these the model's, its inner model's and blocks' do.
 *
 * A parameter that the model uses without calling the module that has it is found out when it is used
 * first: then it is gathered by itself, on one rank too. From then on it is a parameter of the model,
 * which fetches it as forward begins and as backward does.
 *
 * Two or more parameters that are fetched together go through one buffer, which lives until the
 * last of them has been asked for.
 */
#ifndef PS_WORKLOAD_ZERO3_GATHER_H
#define PS_WORKLOAD_ZERO3_GATHER_H

#include "workload/scheme/units.h"
#include "workload/scheme/zero.h"

#define PS_ZERO3_FETCHES 3 /* parameters that the host asks for before it waits for the first */

typedef enum ps_zero3_status {
    PS_ZERO3_AWAY = 0,
    PS_ZERO3_IN_FLIGHT,
    PS_ZERO3_WHOLE,
} ps_zero3_status;

/** A parameter. */
typedef struct ps_zero3_param {
    ps_zero3_status status;
    bool persists, is_active; /* stays gathered; a module that has it is at work */
    size_t handle;            /* of the gather that brings it + 1; 0 none */
    size_t next;              /* in that gather + 1; 0: the last */
    uint32_t sent;            /* mark of the copy that brings what the host stepped over; 0 none */
    size_t asked_until;       /* last step of the order it was fetched for, + 1; 0 none */
} ps_zero3_param;

/** A gather under way. */
typedef struct ps_zero3_handle {
    ps_tensor flat; /* 0: of one parameter, straight into its place */
    size_t first;   /* parameter + 1; 0: the slot is free */
    size_t pending; /* parameters that nobody has asked for yet */
    bool is_done;
} ps_zero3_handle;

/** A module with parameters, by the numbers of those; PS_UNITS_NONE where it has fewer. */
typedef struct ps_zero3_module {
    size_t own[PS_MODULE_OWN];
} ps_zero3_module;

typedef struct ps_zero3_use {
    size_t param, step;
} ps_zero3_use;

typedef enum ps_zero3_trace {
    PS_ZERO3_INVALID,
    PS_ZERO3_RECORDING,
    PS_ZERO3_COMPLETE
} ps_zero3_trace;

typedef struct ps_zero3_gather {
    ps_scheme *scheme;
    ps_units *units;
    ps_eager_lane lane, memory_lane;
    ps_tensor host_part; /* this rank's parts, where they are offloaded; borrowed */
    ps_zero3_param *param;
    ps_zero3_handle *handle; /* as many as parameters */
    size_t *list;            /* parameters, for a moment */
    ps_zero3_trace trace;
    ps_zero3_module *order; /* modules as they are fetched */
    size_t order_count, order_capacity;
    ps_zero3_use *use; /* their parameters */
    size_t use_count, use_capacity;
    size_t step, next_use;
    uint32_t fetched[PS_ZERO3_FETCHES]; /* marks of the newest parameters that came, 0 at first */
    size_t turn;                        /* the oldest of them */
    bool knows_external;                /* what another module uses has been used once */
    ps_tensor external_copy;            /* of one rank's, in the pass that found it out */
    int64_t whole_elements;
} ps_zero3_gather;

/** @param self  release with ps_zero3_gather_fini. PS_OK · PS_NOMEM */
ps_code ps_zero3_gather_init(ps_zero3_gather *self, ps_scheme *scheme, ps_units *units,
                             ps_error *err) PS_MUST_USE;
void ps_zero3_gather_fini(ps_zero3_gather *self);

/** A micro-batch begins, or its backward has ended: see ps_zero_settings. */
void ps_zero3_gather_reset(ps_zero3_gather *self);

/** The model itself, before its forward pass and before its backward pass ... */
void ps_zero3_fetch_model(ps_zero3_gather *self);
/** ... behind its forward pass ... */
void ps_zero3_release_model(ps_zero3_gather *self);
/** ... and where it uses the parameter that another module has. */
void ps_zero3_use_external(ps_zero3_gather *self);

/** A module without parameters: the model within the model, a block. */
void ps_zero3_fetch_container(ps_zero3_gather *self);

void ps_zero3_fetch(ps_zero3_gather *self, const ps_zero3_module *module);
void ps_zero3_release(ps_zero3_gather *self, const ps_zero3_module *module);

/** All go, those that stay too ... */
void ps_zero3_release_all(ps_zero3_gather *self);
/** ... and the latter come again, one by one. */
void ps_zero3_fetch_persistent(ps_zero3_gather *self);

/** Elements of a rank's part: padded to the number of ranks. */
int64_t ps_zero3_part(const ps_zero3_gather *self, size_t param);

#endif
