/* SPDX-License-Identifier: MIT
 *
 * Stages of moving a recorded job's optimizer to the host (private to this
 * folder).
 *
 *   steps      when the optimizer ran, by which thread    offload_optimizer_steps.c
 *   exchanges  what ranks do to gradients before them     offload_ranks.c
 *   kind       what it keeps for each parameter           offload_optimizer_kind.c
 *   gradients  which buffers, and when they are ready     offload_optimizer_gradients.c
 *   tensors    parameters: which buffers                  offload_optimizer_tensors.c
 *   states     which buffers, or how large                offload_optimizer_states.c
 *   rows       what goes, and what comes in its place     offload_optimizer.c,
 *                                                         offload_optimizer_update.c
 *   memory     on the host, and what leaves the device    offload_optimizer_memory.c
 */
#ifndef PS_POLICY_OFFLOAD_OPTIMIZER_H
#define PS_POLICY_OFFLOAD_OPTIMIZER_H

#include "policy/gradients.h"
#include "policy/offload_parts.h"
#include "policy/plan_edit.h"

/** Gradients whose copies may still run while the device computes on, as of the policy for models. */
#define PS_OFFLOAD_LEAVING 4

/** Steps whose gradients, then weights, the host may have at once, when updates are delayed. */
#define PS_OFFLOAD_SIDES 2

/** Begins the names of an optimizer's steps: "Optimizer.step#AdamW.step". */
#define PS_OFFLOAD_STEP_RANGE "Optimizer.step#"

/** [bytes] of a number of the host's copies and states. */
#define PS_OFFLOAD_WIDE_BYTES 4

/** A trained parameter; the same in every step. */
typedef struct ps_offload_parameter {
    uint64_t bytes;        /* of the parameter, and of its gradient */
    uint64_t device_bytes; /* that the allocator gives it; `bytes` where sizes are as asked for */
    uint32_t element_bytes;
    uint32_t buffer;     /* of the plan, or NONE: among what was resident before the recording */
    bool keeps_gradient; /* its gradient's memory is from before the recording, too */
    bool streams; /* it lies in the host, and comes with its block: see offload_parameters.c */
} ps_offload_parameter;

/** A parameter's gradient in one step, in the order in which they are ready. */
typedef struct ps_offload_gradient {
    uint32_t parameter;   /* row */
    uint32_t buffer;      /* of the plan, or NONE: in memory from before the recording */
    bool can_go;          /* it has memory of its own, which it gives back for no other stream */
    size_t free;          /* where it was recorded to: row of memop, or SIZE_MAX */
    ps_offload_place out; /* it is ready; of a step that `streams` */
} ps_offload_gradient;

/** One step of the optimizer. */
typedef struct ps_offload_step {
    ps_ns begin_ns, end_ns;
    uint32_t lane;           /* of the thread that runs it */
    uint32_t first_host;     /* the first host task that goes */
    uint32_t next_host;      /* the thread's first one behind it, or NONE */
    uint32_t before, behind; /* tasks of the stream around it that stay, or NONE */
    size_t memop;            /* first row of a request behind its begin */
    ps_ns head_ns;           /* of the thread's time in the step, what is before first_host ... */
    ps_ns tail_ns;           /* ... and before next_host */
    size_t gradient;         /* row of its first gradient; one for every parameter */
    bool streams;            /* gradients leave as they come, not all at the end of backward */
} ps_offload_step;

/** X(symbol, how large states from before the recording are, and how that is known) */
#define PS_OFFLOAD_STATE_TYPES(X)                                                               \
    X(LIKE_PARAMETERS, "taken to be as large as the parameters each, of what was live before")  \
    X(KERNELS_16_BIT, "of 16 bits each, the type that kernels of steps name, of what was live " \
                      "before")                                                                 \
    X(KERNELS_32_BIT, "of 32 bits each, the type that kernels of steps name, of what was live " \
                      "before")                                                                 \
    X(8_BIT, "of 8 bits each by their class or kernels, of what was live before")               \
    X(32_BIT, "of 32 bits each by their class or kernels, of what was live before")

typedef enum ps_offload_state_type {
#define PS_OFFLOAD_STATE_ENUM(sym, doc) PS_OFFLOAD_STATES_##sym,
    PS_OFFLOAD_STATE_TYPES(PS_OFFLOAD_STATE_ENUM)
#undef PS_OFFLOAD_STATE_ENUM
} ps_offload_state_type;

/** What the optimizer keeps, and how that is known. */
typedef struct ps_offload_kind {
    const char *name;  /* "adam", "sgd" */
    const char *style; /* "fused", "foreach", "single-tensor" */
    uint32_t states;   /* of an element: 2 Adam's moments, 1 momentum, 0 */
    uint32_t most_states;
    uint32_t passes; /* over the gradient; more than one: states are small beside parameters */
    ps_offload_state_type state_type;
    const char *how;        /* static text */
    uint32_t element_bytes; /* that its kernels name; 0 unknown */
} ps_offload_kind;

/** The newest collective of a stream before a step. */
typedef struct ps_offload_exchange {
    size_t step;
    uint32_t task;
} ps_offload_exchange;

typedef struct ps_offload_optimizer {
    ps_offload_step *step;
    size_t step_count, step_capacity;
    ps_offload_parameter *parameter;
    size_t parameter_count;
    ps_offload_gradient *gradient; /* step after step */
    ps_offload_kind kind;
    ps_offload_exchange *exchange; /* none of a job of one rank */
    size_t exchange_count, exchange_capacity;
    bool *drop_task, *drop_buffer; /* per row of the plan as recorded */
    size_t buffer_count;           /* rows of the latter */
    size_t dropped_kernels;
    uint64_t state_bytes;    /* [bytes] on the device */
    const char *states_how;  /* they are known; static text */
    uint64_t resident_bytes; /* [bytes] of them from before the recording: nobody names them */
    bool touches;            /* kernels between backward and step may use gradients */
    bool is_placed;          /* the recording says when each gradient is ready */
    uint32_t compute;        /* lane */
} ps_offload_optimizer;

/** The plan as recorded, and what is found in it. */
typedef struct ps_offload_search {
    const ps_plan *plan;
    const ps_offload *change;
    ps_offload_stream stream;
    ps_gradients gradients;
    size_t *pass;         /* per step: its row of gradients.backward */
    size_t *alloc, *free; /* per buffer: rows of memop, or SIZE_MAX */
    ps_offload_optimizer *out;
} ps_offload_search;

/** [ns] When a gradient is ready. */
ps_ns ps__offload_ready_ns(const ps_offload_search *self, size_t gradient);

/**
 * Steps with their backward passes and what goes with them, and the kind.
 * PS_OK · PS_USAGE the evidence that is missing · PS_NOMEM
 */
ps_code ps__offload_optimizer_steps(ps_offload_search *self, ps_error *err) PS_MUST_USE;

/** Collectives that each step's gradients come out of; steps are known. PS_OK · PS_NOMEM */
ps_code ps__offload_find_exchanges(ps_offload_search *self, ps_error *err) PS_MUST_USE;

/** What the optimizer is. PS_OK · PS_USAGE one whose steps the host does not know */
ps_code ps__offload_optimizer_kind(ps_offload_search *self, ps_error *err) PS_MUST_USE;

/** Lives of buffers, trained parameters, and the gradients of each step. PS_OK · PS_USAGE · PS_NOMEM */
ps_code ps__offload_optimizer_gradients(ps_offload_search *self, ps_error *err) PS_MUST_USE;

/** Buffers of states, or their size. PS_OK · PS_USAGE which they are is not known */
ps_code ps__offload_optimizer_states(ps_offload_search *self, ps_error *err) PS_MUST_USE;

/** Buffers of parameters and states. PS_OK · PS_USAGE · PS_NOMEM */
ps_code ps__offload_optimizer_tensors(ps_offload_search *self, ps_error *err) PS_MUST_USE;

/** [ns] When a buffer was asked for; INT64_MIN: it was there before. */
ps_ns ps__offload_born_ns(const ps_offload_search *self, uint32_t buffer);

/** [ns] When its free was asked for; PS_TIME_NEVER: it was not. */
ps_ns ps__offload_freed_ns(const ps_offload_search *self, uint32_t buffer);

bool ps__offload_is_on_device(const ps_plan *plan, uint32_t buffer);

/**
 * Finds what goes and where, in the plan as recorded.
 *
 * @param out  release with ps__offload_optimizer_fini; written only on PS_OK
 * @return PS_OK · PS_USAGE a recording that cannot be changed so, with the reason · PS_BAD_INPUT
 *         gradients that are not recorded · PS_NOMEM
 */
ps_code ps__offload_optimizer_find(const ps_plan *plan, const ps_offload *change,
                                   ps_offload_optimizer *out, ps_error *err) PS_MUST_USE;

void ps__offload_optimizer_fini(ps_offload_optimizer *self);

/** An optimizer being moved. */
typedef struct ps_offload_moving {
    ps_offload_building *b;
    const ps_offload_optimizer *places;
    const ps_offload_step *step;
    uint32_t begin;                      /* host task in whose course host memory is asked for */
    uint32_t transfer[PS_OFFLOAD_SIDES]; /* buffers, pinned: gradients, then weights */
    size_t side;                         /* the step's, of those */
    uint32_t worker;                     /* lane of delayed updates */
    uint32_t work;                       /* the newest update, or NONE */
    uint32_t state[4];    /* buffers, pinned: 32-bit copy, and what the optimizer keeps */
    uint32_t *parameter;  /* per parameter: its buffer */
    uint32_t *kept;       /* per parameter: the buffer of a gradient that stays, or NONE */
    uint32_t *copy;       /* per gradient of the step: its copy to the host */
    uint32_t first;       /* of the step's new host tasks, or NONE */
    ps_network_path path; /* of the update */
} ps_offload_moving;

/** Elements, and bytes, of all trained parameters. */
uint64_t ps__offload_elements(const ps_offload_optimizer *places);
uint64_t ps__offload_bytes(const ps_offload_optimizer *places);

/** A task of the thread that steps, in place of the step's own. */
ps_code ps__offload_step_task(ps_offload_moving *self, ps_task_kind kind, const char *name,
                              uint32_t *out, ps_error *err) PS_MUST_USE;

/** Memory of the step's gradients that have not gone yet goes in the course of a call. */
ps_code ps__offload_let_rest_go(ps_offload_moving *self, uint32_t call, ps_error *err) PS_MUST_USE;

/** The update of the step's gradients, and weights that come back. */
ps_code ps__offload_update(ps_offload_moving *self, ps_error *err) PS_MUST_USE;

/** Host memory with its node, and buffers for what nobody names. */
ps_code ps__offload_make_memory(ps_offload_moving *self, ps_error *err) PS_MUST_USE;

/** Says in the plan what was moved. */
ps_code ps__offload_optimizer_fact(ps_offload_building *b, const ps_offload_optimizer *places,
                                   ps_error *err) PS_MUST_USE;

/** Rows that go and come, of an insertion that the caller finishes. */
ps_code ps__offload_optimizer(ps_offload_building *b, const ps_offload_optimizer *places,
                              ps_error *err) PS_MUST_USE;

/** Once tasks have their places: buffers and resident bytes go. */
ps_code ps__offload_optimizer_memory(ps_offload_building *b, const ps_offload_optimizer *places,
                                     ps_error *err) PS_MUST_USE;

#endif
