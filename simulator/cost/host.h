/* SPDX-License-Identifier: MIT
 *
 * What the host spends on launching: an eager framework walks through Python,
 * its dispatcher and autograd before every kernel, and the device waits when
 * kernels are shorter than that.
 */
#ifndef PS_COST_HOST_H
#define PS_COST_HOST_H

#include "base/checked.h"
#include "cluster/catalogue.h"

/* X(symbol, figure of the catalogue) */
#define PS_COST_PHASES(X)        \
    X(FORWARD, FORWARD_LAUNCH)   \
    X(BACKWARD, BACKWARD_LAUNCH) \
    X(OPTIMIZER, OPTIMIZER_LAUNCH)

/** Part of a step, by what its launches cost the host. */
typedef enum ps_cost_phase {
#define PS_COST_PHASE_ENUM(sym, figure) PS_COST_##sym,
    PS_COST_PHASES(PS_COST_PHASE_ENUM)
#undef PS_COST_PHASE_ENUM
        PS_COST_PHASE_COUNT
} ps_cost_phase;

/** [ns] between two launches without a profiler, by phase. */
typedef struct ps_cost_host {
    ps_ns launch_ns[PS_COST_PHASE_COUNT];
    ps_ns dispatch_ns; /* of an operation on a Python subclass of tensors, beyond its launch */
    ps_ns hook_ns;     /* a framework's hooks around one module; 0 unknown */
    ps_ns late_ns; /* what a collective waits for the last rank's host, in the mean; 0 unknown */
} ps_cost_host;

/**
 * Figures of a host class: recorded times over what the profiler that recorded
 * them costs.
 *
 * @return PS_OK · PS_NOT_FOUND a figure that the host lacks
 */
ps_code ps_cost_host_read(const ps_catalogue *catalogue, ps_hardware_id host, ps_cost_host *out,
                          ps_error *err) PS_MUST_USE;

/** [ns] that the host needs for `launches` kernels of a phase; saturates at PS_TIME_NEVER. */
ps_ns ps_cost_host_ns(const ps_cost_host *self, ps_cost_phase phase, uint64_t launches);

/** [ns] beyond their launches of so many operations on a subclass of tensors; saturates likewise. */
ps_ns ps_cost_dispatch_ns(const ps_cost_host *self, uint64_t dispatches);

/** A list of tensors in one multi-tensor call of PyTorch ("foreach"). */
typedef struct ps_cost_foreach {
    const uint64_t *numel; /* elements of each tensor */
    size_t count;
    uint32_t depth;      /* lists that go together: 1 to 5, e.g. 4 for a fused Adam */
    bool has_scalars;    /* one scalar a tensor goes along */
    bool has_large_args; /* kernel arguments up to 32 KiB: newer PyTorch on CUDA 12.1 and later */
} ps_cost_foreach;

/**
 * Kernels that one multi-tensor call launches: tensors are cut into chunks of
 * 65,536 elements, one block each, and a launch is full at so many blocks or
 * so many whole tensors as its arguments can hold.
 *
 * @return PS_OK · PS_USAGE a depth PyTorch does not have
 */
ps_code ps_cost_foreach_launches(const ps_cost_foreach *call, uint64_t *out,
                                 ps_error *err) PS_MUST_USE;

#endif
