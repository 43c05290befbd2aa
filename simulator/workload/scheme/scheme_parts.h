/* SPDX-License-Identifier: MIT
 *
 * What schemes are made of. For the files that are schemes.
 */
#ifndef PS_WORKLOAD_SCHEME_PARTS_H
#define PS_WORKLOAD_SCHEME_PARTS_H

#include "workload/eager/eager_parts.h"
#include "workload/eager/ops.h"
#include "workload/eager/ops_collective.h"
#include "workload/eager/ops_host.h"
#include "workload/scheme/scheme.h"

/** What sets one scheme apart. All but check, wrap and destroy may be NULL: nothing. */
typedef struct ps_scheme_ops {
    ps_code (*check)(const ps_recipe *recipe, ps_error *err);
    /** Makes self->state; the model is loaded. */
    ps_code (*wrap)(ps_scheme *self, ps_error *err);
    void (*destroy)(ps_scheme *self); /* also after a failed wrap */
    void (*begin_forward)(ps_scheme *self);
    void (*end_forward)(ps_scheme *self, ps_model_output *out);
    void (*begin_backward)(ps_scheme *self);
    void (*end_backward)(ps_scheme *self);
    void (*begin_step)(ps_scheme *self);
    void (*step)(ps_scheme *self, ps_optimizer *optimizer); /* in place of the script's */
    void (*end_step)(ps_scheme *self);
    void (*grads_gone)(ps_scheme *self);
    bool has_masters;     /* what the optimizer steps over has 32 bits */
    bool has_local_norms; /* a rank's gradients are a part: norms are added up over shards */
} ps_scheme_ops;

struct ps_scheme {
    const ps_scheme_ops *ops;
    ps_model *m;
    ps_eager *e;
    const ps_parallel *settings;
    int64_t tensor;   /* ranks that share each linear module, on the same data */
    int64_t shards;   /* ranks that share one copy, or one of these ranks' parts of it */
    int64_t replicas; /* copies: ranks / tensor / shards */
    int64_t place;    /* among those that share a copy */
    bool is_uneven;   /* ranks differ in what they hold */
    bool syncs;       /* gradients of the micro-batch that runs are exchanged */
    uint32_t runs;    /* mark of the collectives, where memory waits for them; 0: nobody asked */
    ps_model *of;     /* what the optimizer steps over */
    ps_model_hooks hooks;
    void *state; /* the scheme's own */
};

/** Bits of ps_collective.axes: those that share a copy, those that have one alike, all. */
uint32_t ps_scheme_shard_axes(const ps_scheme *self);
uint32_t ps_scheme_replica_axes(const ps_scheme *self);
uint32_t ps_scheme_all_axes(const ps_scheme *self);

/** A collective in `lane`, behind the lane of this moment. */
void ps_scheme_collect(ps_scheme *self, ps_collective_op op, ps_eager_lane lane, uint32_t axes,
                       ps_dtype dtype, uint64_t bytes);

/** One kernel over `bytes`. */
static inline void ps_scheme_kernel(ps_scheme *self, const char *name, uint64_t bytes)
{
    ps_op_kernel(self->e, name, bytes);
}

/**
 * Tensors go from rank 0 to all, coalesced up to 250 MiB of a type at a time.
 *
 * @param lane  of the communicator
 */
void ps_scheme_broadcast(ps_scheme *self, const ps_tensor *list, size_t count, ps_eager_lane lane);

/** Buffers of a block, or of none (0), come to the device. */
void ps_scheme_bring_buffers(ps_scheme *self, uint32_t block);

/** Bytes go to the host or come from there, and the host waits. */
void ps_scheme_copy_host(ps_scheme *self, uint64_t bytes);

/** A buffer of `elements`, owned by the caller; nothing for none. */
ps_tensor ps_scheme_make(ps_scheme *self, int64_t elements, ps_dtype dtype, ps_role role);

/** What a taker of gradients does with that of a tensor that is no parameter: it keeps it, as backward does. */
void ps_scheme_keep_grad(ps_scheme *self, ps_tensor leaf, ps_tensor owned);

/** Fails with PS_NOMEM, and returns NULL, when there is no memory. */
void *ps_scheme_calloc(ps_scheme *self, size_t count, size_t bytes);

/** ceil(a / b) */
static inline int64_t ps_scheme_share(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

#endif
