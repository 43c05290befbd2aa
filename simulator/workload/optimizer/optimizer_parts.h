/* SPDX-License-Identifier: MIT
 *
 * What optimizers are made of. For the files that are optimizers.
 */
#ifndef PS_WORKLOAD_OPTIMIZER_PARTS_H
#define PS_WORKLOAD_OPTIMIZER_PARTS_H

#include "workload/eager/eager_parts.h"
#include "workload/optimizer/optimizer.h"

/** One tensor of one parameter's state. */
typedef struct ps_optimizer_state {
    size_t parameter;
    ps_tensor device, host; /* host 0: it was never there */
} ps_optimizer_state;

/** What sets one optimizer apart. */
typedef struct ps_optimizer_ops {
    ps_optimizer_way way;
    ps_optimizer_style usual; /* what the library does when nobody chooses; never AUTO */
    uint32_t styles;          /* those it has: bits 1 << PS_OPTIMIZER_... */
    bool begins_at_once;      /* states are made with the optimizer, not at the first step */
    bool keeps_grads;         /* nobody calls zero_grad() */
    bool has_rank;            /* looks at the recipe's optimizer_rank */
    bool can_leave; /* each state belongs to one parameter, and stays the tensor that it is */
    /** What a parameter gets before its first update. NULL: nothing, or the update makes it. */
    void (*make_state)(ps_optimizer *self, size_t parameter);
    /** Each step: over the active parameters. Of a hook: over those whose gradient just came. */
    void (*update)(ps_optimizer *self);
    /** Of a hook: before backward. NULL: nothing. */
    void (*begin)(ps_optimizer *self);
    /** After the last update of a step. NULL: nothing. */
    void (*finish)(ps_optimizer *self);
    /** Of PS_OPTIMIZER_ZEROTH_ORDER. */
    void (*perturb)(ps_optimizer *self);
} ps_optimizer_ops;

/** Shared by all. Parameters are numbered as in ps_model. */
struct ps_optimizer {
    ps_eager *e;
    const ps_model *m;
    const ps_optimizer_ops *ops;
    ps_optimizer_style style; /* never AUTO */
    uint64_t steps;           /* done before this one */
    size_t *active;           /* numbers of the parameters that have a gradient, in order */
    uint64_t *numel;          /* their elements */
    size_t active_count;
    bool *has_state;    /* of every parameter */
    ps_tensor *kept;    /* one tensor of every parameter that later steps replace */
    ps_tensor *list[2]; /* two lists like the active parameters, for use during a step */
    bool gathers_norms; /* of a hook */
    ps_tensor *norm;    /* that it gathered, one a parameter at most */
    size_t norm_count;
    ps_tensor factor;          /* on the device, of all parameters: of clipped gradients; a table */
    bool is_on_host;           /* states lie there between steps */
    size_t making;             /* parameter whose state is made */
    ps_optimizer_state *state; /* of all parameters, in order of making; of such alone */
    size_t state_count, state_capacity;
};

/* States on the host: nothing happens where they stay on the device. */

/** A tensor was made for the parameter that got its state last. */
void ps_optimizer_note_state(ps_optimizer *self, ps_tensor made);

/** States of the active parameters come to the device; those that are made now are there. */
void ps_optimizer_bring_states(ps_optimizer *self);

/** ... and go to the host, one waiting copy each; then their memory goes. */
void ps_optimizer_send_states(ps_optimizer *self);

/** One multi-tensor call: `lists` go together, of which `passes` are read or written. */
typedef struct ps_foreach {
    const char *name;
    uint32_t lists, passes;
    bool has_scalars; /* one scalar a tensor goes along */
} ps_foreach;

/** Kernels of multi-tensor calls over the active parameters, one entry a call. */
void ps_optimizer_calls(ps_optimizer *self, const ps_foreach *call, size_t count);

/** Kernels of calls on one parameter alone: `passes` over its bytes. */
void ps_optimizer_passes(ps_optimizer *self, size_t parameter, const ps_foreach *call,
                         size_t count);

/** The step counters where they are tensors on the device. */
void ps_optimizer_count_steps(ps_optimizer *self);

/** A tensor that stays, filled with zeros. */
ps_tensor ps_optimizer_keep(ps_optimizer *self, int64_t elements, ps_dtype dtype);

/** A tensor like a parameter that stays. */
ps_tensor ps_optimizer_keep_like(ps_optimizer *self, size_t parameter);

/** A tensor like a parameter for a while. */
ps_tensor ps_optimizer_like(ps_optimizer *self, size_t parameter);

/** True when the parameter had no state; from now on it has one. */
bool ps_optimizer_begins(ps_optimizer *self, size_t parameter);

/** A foreach operation's results: list[which], in order. */
void ps_optimizer_list(ps_optimizer *self, int which);

/** Drops that list from its end, as Python drops a list. */
void ps_optimizer_drop_list(ps_optimizer *self, int which);

static inline ps_tensor ps_optimizer_parameter(const ps_optimizer *self, size_t parameter)
{
    return self->m->parameter[parameter];
}

static inline const ps_parameter_shape *ps_optimizer_shape(const ps_optimizer *self,
                                                           size_t parameter)
{
    return &self->m->shape[parameter];
}

#define PS_STYLE_BIT(sym) (1u << PS_OPTIMIZER_##sym)
#define PS_CALLS(self, calls) \
    ps_optimizer_calls((self), (calls), sizeof(calls) / sizeof((calls)[0]))
#define PS_PASSES(self, parameter, calls) \
    ps_optimizer_passes((self), (parameter), (calls), sizeof(calls) / sizeof((calls)[0]))

/** Runs the step of each active parameter, one after the other. */
void ps_optimizer_each(ps_optimizer *self, void (*step)(ps_optimizer *self, size_t parameter));

#endif
