/* SPDX-License-Identifier: MIT
 *
 * ZeRO's optimizer on the host (private to this folder): sub-groups of 32-bit
 * copies, moments and gradients, the way of gradients to them, and steps.
 *
 *   gradient   16 bits, device ──► accumulated, pinned ──► device ──► 32 bits, pinned
 *   step       host: scaled, Adam ──► narrow, pageable ──► parameter on the device
 *
 * Memory that the host's steps work on is pageable, but all of it is pinned
 * where sub-groups visit the device (Deep Optimizer States). With states on
 * disks (ZeRO-Infinity) it is the swap buffers.
 *
 *   offload.c            their memory
 *   offload_check.c      what offloading cannot be combined with
 *   offload_gradients.c  the way of gradients
 *   offload_step.c       steps on the host and on the device
 *   offload_stride.c     sub-groups that visit the device
 *   offload_storage.c    states on disks
 */
#ifndef PS_WORKLOAD_OFFLOAD_H
#define PS_WORKLOAD_OFFLOAD_H

#include "workload/eager/ops_host.h"
#include "workload/scheme/zero.h"

/** [bytes] that the host moves in its memory, an element of a step. */
enum {
    PS_OFFLOAD_UNSCALE_BYTES = 8, /* a gradient read and written */
    PS_OFFLOAD_NARROW_BYTES = 6,  /* 32 bits read, 16 written */
    PS_OFFLOAD_ADAM_BYTES = 28,   /* copy and moments read and written, the gradient read */
};

/** [bytes] of elements in 32 bits, and in the type of the weights. */
static inline uint64_t ps_offload_wide(int64_t elements)
{
    return (uint64_t)elements * ps_dtype_bytes(PS_DTYPE_F32);
}

static inline uint64_t ps_offload_narrow(const ps_scheme *scheme, int64_t elements)
{
    return (uint64_t)elements * ps_dtype_bytes(ps_zero_type(scheme));
}

/** Streams that carry copy, first and second moment; the last carries 16-bit parameters. */
#define PS_OFFLOAD_STATES 3
#define PS_OFFLOAD_NARROW_STREAM (PS_EAGER_STREAM + PS_OFFLOAD_STATES)

/** Swap buffers that a step works on: copy, moments, gradient. */
#define PS_OFFLOAD_SWAPPED (PS_OFFLOAD_STATES + 1)
#define PS_OFFLOAD_MAX_BUFFERS 64

/** Pinned buffers that files come to and go from, each as large as the largest sub-group. */
typedef struct ps_offload_swap {
    ps_tensor buffer[PS_OFFLOAD_MAX_BUFFERS];
    size_t count;
    int64_t elements; /* of each */
    size_t filling;   /* in backward: the one that gradients go to; those before it are written */
    int64_t filled;   /* elements of it */
} ps_offload_swap;

/** One sub-group. */
typedef struct ps_offload_group {
    int64_t elements;
    bool is_resident;                   /* its states lie on the device for good */
    bool visits;                        /* it steps on the device */
    ps_tensor state[PS_OFFLOAD_STATES]; /* 32-bit copy, first and second moment */
    ps_tensor grad;                     /* 32 bits, where the states lie */
    ps_tensor narrow_grad; /* of one that visits: 16 bits, on the device until its step */
    ps_tensor wide_grad;   /* ... and its copy in 32 bits there */
    int64_t stored;        /* elements of this step's gradient on disks */
    bool is_filling;       /* ... of which some are in the buffer that is being filled */
    uint32_t sent;         /* mark of the copy that brings its parameters to the device; 0 none */
} ps_offload_group;

typedef struct ps_offload {
    ps_scheme *scheme;
    ps_offload_group *group;
    size_t count;
    ps_tensor part;                       /* this rank's parameters, 16 bits */
    ps_tensor accumulated;                /* its gradients, 16 bits, pinned */
    ps_tensor visitor[PS_OFFLOAD_STATES]; /* on the device: states of the sub-group there ... */
    ps_tensor last[PS_OFFLOAD_STATES];    /* ... and of another size, of the one before it */
    size_t visiting;                      /* that sub-group + 1; 0 none */
    ps_offload_swap swap;                 /* of states on disks */
} ps_offload;

static inline const ps_zero_settings *ps_offload_settings_of(const ps_offload *self)
{
    return &self->scheme->settings->zero;
}

/** DeepSpeed's buffer_count, 4 where it is not given. */
static inline int64_t ps_offload_buffers(const ps_zero_settings *of)
{
    return of->swap_buffers > 0 ? of->swap_buffers : 4;
}

/** Refuses what offloading cannot be combined with. PS_OK · PS_USAGE */
ps_code ps_offload_check(const ps_recipe *recipe, ps_error *err) PS_MUST_USE;

/**
 * Makes the states of sub-groups whose `elements` are set.
 *
 * @param part  borrowed; the parameters on the device, or on the host where they are offloaded
 */
void ps_offload_make(ps_offload *self, ps_tensor part);

/** Releases nothing of the eager model's: the array alone. */
void ps_offload_fini(ps_offload *self);

/**
 * A reduced gradient, 16 bits, of a sub-group's parameter: to the host, back, and at the last
 * micro-batch of a step on to its sub-group. In the lane of this moment.
 *
 * @param adds   gradients of earlier micro-batches are there
 * @param is_last  the step follows
 * @param mark   of the last copy; 0 none
 */
void ps_offload_take_grad(ps_offload *self, size_t group, int64_t elements, bool adds, bool is_last,
                          uint32_t mark);

/** Steps of all sub-groups, one after the other, or by stride. */
void ps_offload_step(ps_offload *self);
void ps_offload_step_by_stride(ps_offload *self);

/** Makes the swap buffers. Sub-groups are made. */
void ps_offload_make_swap(ps_offload *self);
/** A gradient's last stop, of a sub-group whose states are on disks. */
void ps_offload_store_grad(ps_offload *self, ps_offload_group *of, int64_t elements);
/** Steps of all sub-groups, each read from disks and written back. */
void ps_offload_step_from_storage(ps_offload *self);

/* ---- for all ---- */

/** The larger of all sub-groups' elements. */
int64_t ps_offload_largest(const ps_offload *self);

/** A tensor in that memory. */
ps_tensor ps_offload_make_in(ps_offload *self, ps_memory_kind memory, int64_t elements,
                             ps_dtype dtype, ps_role role);

/** A copy by way of pinned memory, in the lane of this moment, for ps_op_host_copy. */
static inline ps_host_copy ps_offload_copy_now(const ps_scheme *scheme, ps_copy_kind kind,
                                               uint64_t bytes)
{
    return (ps_host_copy){.name = "copy",
                          .kind = kind,
                          .memory = PS_MEMORY_PINNED,
                          .lane = ps_eager_lane_now(scheme->e),
                          .bytes = bytes};
}

/** unscale, then Adam, by the host. */
typedef struct ps_offload_host_step {
    const ps_tensor *state; /* PS_OFFLOAD_STATES */
    ps_tensor grad;
    int64_t elements;
    ps_memory_kind memory; /* most of which the states lie in */
    ps_eager_lane lane;    /* PS_EAGER_MAIN: the host's own thread; or a worker's */
} ps_offload_host_step;

void ps_offload_step_on_host(ps_scheme *scheme, const ps_offload_host_step *what);

/** Adam by kernels on states and a 32-bit gradient that lie on the device. */
void ps_offload_step_on_device(ps_scheme *scheme, const ps_tensor state[PS_OFFLOAD_STATES],
                               ps_tensor grad, int64_t elements);

/** copy_() of a 32-bit copy on the host to 16 bits: on the device, or on the host where they are. */
void ps_offload_write_back(ps_offload *self, ps_tensor copy, int64_t elements);

/** The device's own copy in 16 bits of what it stepped over. */
void ps_offload_narrow_on_device(ps_scheme *scheme, ps_tensor from, int64_t elements);

/** A gradient of 16 bits in 32, on the device, owned by the caller. */
ps_tensor ps_offload_widen_on_device(ps_scheme *scheme, int64_t elements);

#endif
