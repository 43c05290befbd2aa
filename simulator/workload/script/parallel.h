/* SPDX-License-Identifier: MIT
 *
 * Ranks that train the same model, each on a micro-batch of its own: which
 * scheme divides the states among them, and the settings that its framework
 * has, with the framework's names and defaults.
 *
 * One rank makes every scheme the identity, but for ZeRO that offloads.
 */
#ifndef PS_WORKLOAD_PARALLEL_H
#define PS_WORKLOAD_PARALLEL_H

#include "workload/eager/eager.h"

/** Schemes, one for each line of schemes.def. */
typedef enum ps_parallel_scheme {
    PS_PARALLEL_NONE = 0,
#define SCHEME(sym, symbol, word, shards, doc) PS_PARALLEL_##sym,
#include "workload/scheme/schemes.def"
#undef SCHEME
    PS_PARALLEL_SCHEME_COUNT
} ps_parallel_scheme;

/** DistributedDataParallel's. */
typedef struct ps_ddp_settings {
    int64_t bucket_cap_mib;       /* 0: not given, which is 25 after a first bucket of 1 */
    bool gradient_as_bucket_view; /* gradients lie in the buckets, not beside them */
    bool find_unused_parameters;  /* buckets are small from the start, and never made anew */
} ps_ddp_settings;

/** DeepSpeed's zero_optimization; sizes are numbers of elements. */
typedef struct ps_zero_settings {
    int64_t reduce_bucket_size;
    bool contiguous_gradients;
    bool overlap_comm, has_overlap_comm; /* not given: stage 3 overlaps, 1 and 2 do not */
    bool reduces_to_owners;              /* stage 2: use_multi_rank_bucket_allreduce=False */
    int64_t prefetch_bucket_size;        /* stage 3, as those below */
    int64_t param_persistence_threshold; /* smaller parameters stay gathered */
    int64_t max_live_parameters, max_reuse_distance;
    int64_t sub_group_size;
    uint64_t
        device_bytes; /* that the framework's allocator may have when training begins; 0 unknown */
    bool gathers_in_line; /* computation and gathers wait for one another: one queue for both */
    bool
        resets_in_backward; /* DeepSpeed before 0.16: parameters that are whole are counted from the
                                end of backward, and what the step releases is taken off again */
    /* Offloading. Sizes of what lies on the host follow from the settings above. */
    bool
        offloads_optimizer; /* offload_optimizer: 32-bit copies, moments and gradients on the host */
    bool offloads_parameters;   /* offload_param, stage 3: this rank's parts too */
    int64_t offload_millionths; /* ratio: of sub-groups, the first ones, whose states are there */
    bool stores_optimizer;      /* offload_optimizer: nvme; likewise on the node's disks, stage 3 */
    bool reads_ahead;      /* pipeline_read: the next sub-group's files, beside this one's step */
    bool writes_behind;    /* pipeline_write: the last one's */
    int64_t swap_buffers;  /* buffer_count; 0: DeepSpeed's own */
    bool flushes_beside;   /* gradients are made wide on the device and copied beside the host */
    int64_t update_stride; /* Deep Optimizer States: each k-th sub-group steps on the device */
    bool has_one_copy_stream; /* ... as its first release did it */
    bool delays_update; /* stages 1, 2: steps run beside the next step's forward and backward */
} ps_zero_settings;

/** An update_stride that is still to be chosen, by what the machine does best: stride_choice.h. */
#define PS_ZERO_BEST_STRIDE (-1)

/** offload_ratio in these units. */
#define PS_ZERO_WHOLE 1000000

/** FSDP1's backward_prefetch. */
typedef enum ps_fsdp_prefetch {
    PS_FSDP_BACKWARD_PRE = 0, /* the next unit is gathered before this one's gradients */
    PS_FSDP_BACKWARD_POST,    /* ... after them */
    PS_FSDP_BACKWARD_NONE,
} ps_fsdp_prefetch;

/** FullyShardedDataParallel's and fully_shard's: a unit a block, and one for the rest. */
typedef struct ps_fsdp_settings {
    bool keeps_gathered; /* SHARD_GRAD_OP, or reshard_after_forward=False: parameters stay */
    ps_fsdp_prefetch backward_prefetch;     /* FSDP1 */
    bool forward_prefetch;                  /* FSDP1 */
    bool gathers_unlimited;                 /* FSDP1: limit_all_gathers=False */
    bool has_param_dtype, has_reduce_dtype; /* mixed precision; not given: those of the weights */
    ps_dtype param_dtype, reduce_dtype;
    ps_dtype stored_dtype; /* of shards; set by the training run */
} ps_fsdp_settings;

/** Who trains along, and how. ps_parallel_default gives one rank. */
typedef struct ps_parallel {
    ps_parallel_scheme scheme;
    int64_t ranks;        /* that train together, on data of their own; 0, 1: one */
    int64_t shard_ranks;  /* neighbours that share one copy of what is sharded; 0: all ranks */
    int64_t tensor_ranks; /* neighbours that share each linear module and train on the same data;
                             0, 1: none do */
    int64_t rank;         /* whose workload it is, from 0; neighbours share a copy */
    bool syncs_always;    /* gradients of every micro-batch are exchanged: without no_sync() */
    ps_ddp_settings ddp;
    ps_zero_settings zero;
    ps_fsdp_settings fsdp;
} ps_parallel;

/** No scheme, and every framework's own settings. */
ps_parallel ps_parallel_default(void);

/** True when more than one rank trains by a scheme, or one does whose optimizer is offloaded. */
bool ps_parallel_is_on(const ps_parallel *self);

/** Ranks that share each linear module and each embedding, the fastest axis of the grid; 1: none. */
int64_t ps_parallel_tensor(const ps_parallel *self);

/** Bit of that axis in ps_collective.axes. */
#define PS_PARALLEL_TENSOR_AXIS 1u

/** True when parameters are divided while the model is loaded: they never lie whole together. */
bool ps_parallel_shards(const ps_parallel *self);

/** Scheme of a word of schemes.def or "none"; PS_PARALLEL_SCHEME_COUNT of any other. */
ps_parallel_scheme ps_parallel_scheme_of(const char *word);

/** Words of schemes.def in order; NULL past the end. */
const char *ps_parallel_word_at(size_t index);

/**
 * What accelerate sets where a DeepSpeed configuration says "auto": reduce_bucket_size = h * h,
 * stage3_prefetch_bucket_size = 0.9 * h * h, stage3_param_persistence_threshold = 10 * h.
 *
 * @param hidden  h, the width of the hidden states
 */
void ps_zero_settings_auto(ps_zero_settings *self, int64_t hidden);

#endif
