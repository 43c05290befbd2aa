/* SPDX-License-Identifier: MIT
 *
 * What the files of the cost model share: the GPU's figures, and time in
 * picoseconds until the last step, so that sums of short parts round once.
 */
#ifndef PS_COST_COST_PARTS_H
#define PS_COST_COST_PARTS_H

#include "cost/cost.h"

/** [ps] in [ns] and in [s] */
#define PS_COST_PS_PER_NS 1000u
#define PS_COST_PS_PER_S UINT64_C(1000000000000)

/** Largest count of flop, bytes or [ps] in intermediate results. */
#define PS_COST_MAX ((uint64_t)1 << 62)

/** Figures in base units; durations in [ps] at the clock that the GPU holds. */
typedef struct ps_cost_gpu {
    uint64_t peak[PS_COST_ELEMENT_COUNT]; /* [flop/s] of the format at the boost clock */
    uint64_t rate[PS_COST_ELEMENT_COUNT]; /* [flop/s] that large products reach */
    bool has_matrix_units[PS_COST_ELEMENT_COUNT];
    uint64_t sm_count;
    uint64_t memory_rate;    /* [bytes/s] memory-bound kernels reach */
    uint64_t cache_rate;     /* [bytes/s] of the last cache, not below memory_rate */
    uint64_t cached_bytes;   /* up to here operands stay in the last cache */
    uint64_t uncached_bytes; /* from here on nothing does */
    uint64_t floor_ps, tile_fixed_ps, vector_tile_fixed_ps, split_fixed_ps, attention_fixed_ps;
    uint64_t step_bytes, step_ps, vector_step_ps;
    uint64_t tile_half;
    uint64_t element_rate[PS_COST_ACCESS_COUNT]; /* [elements/s] of all multiprocessors */
    uint64_t access_fixed_ps[PS_COST_ACCESS_COUNT];
    uint64_t unaligned_share;    /* [millionths] */
    uint64_t sustained_share;    /* [millionths], at most one */
    uint64_t overlap_loss;       /* [millionths] */
    uint64_t attention_share[2]; /* [millionths] forward, backward */
    uint64_t attention_half, attention_rows;
} ps_cost_gpu;

/** A duration before it is rounded, and what it is made of. */
typedef struct ps_cost_part {
    uint64_t ps;
    ps_cost_bound bound;
} ps_cost_part;

/** Measured shares of one GPU; owned by the model. */
typedef struct ps_cost_shapes ps_cost_shapes;

struct ps_cost_model {
    ps_cost_gpu gpu;
    ps_cost_shapes *shapes; /* NULL: none */
};

ps_code ps_cost_read_gpu(const ps_catalogue *catalogue, ps_hardware_id id, ps_cost_gpu *out,
                         ps_error *err) PS_MUST_USE;

static inline uint64_t ps_cost_min(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static inline uint64_t ps_cost_max(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/** a / b rounded up; b > 0 */
static inline uint64_t ps_cost_ceil(uint64_t a, uint64_t b)
{
    return a / b + (a % b != 0);
}

/** a * b, at most PS_COST_MAX. */
static inline uint64_t ps_cost_times(uint64_t a, uint64_t b)
{
    return ps_cost_min(ps_mul_div_u64(a, b, 1), PS_COST_MAX);
}

/** [ps] that `amount` takes at `rate` a second (> 0), rounded up; at most PS_COST_MAX. */
static inline uint64_t ps_cost_at_rate(uint64_t amount, uint64_t rate)
{
    return ps_cost_min(ps_mul_div_u64(amount, PS_COST_PS_PER_S, rate), PS_COST_MAX - 1) + 1;
}

/** [ps] of traffic: at the cache's speed while it fits, at the memory's once nothing fits. */
uint64_t ps_cost_traffic(const ps_cost_gpu *gpu, uint64_t bytes);

/** Times without the start of the kernel; by formulas. */
ps_cost_part ps_cost_matmul(const ps_cost_gpu *gpu, const ps_cost_op *op);
ps_cost_part ps_cost_attention(const ps_cost_gpu *gpu, const ps_cost_op *op);
ps_cost_part ps_cost_memory(const ps_cost_gpu *gpu, const ps_cost_op *op);

/** Whole analytic time of one operation in [ps], start included. */
ps_cost_part ps_cost_analytic(const ps_cost_gpu *gpu, const ps_cost_op *op);

/** [flop] of an operation, its own count where it gives one. */
uint64_t ps_cost_flop(const ps_cost_op *op);

/** [bytes] moved by an operation, its own count where it gives one. */
uint64_t ps_cost_bytes(const ps_cost_op *op);

uint64_t ps_cost_element_bytes(ps_cost_element element);

/**
 * Reads the built-in shapes of a GPU and those of the options.
 *
 * @param name  of the GPU in the catalogue
 */
ps_code ps_cost_shapes_create(const ps_cost_gpu *gpu, const ps_catalogue *catalogue,
                              ps_hardware_id id, const ps_cost_options *options,
                              ps_cost_shapes **out, ps_error *err) PS_MUST_USE;

void ps_cost_shapes_destroy(ps_cost_shapes *self);

/**
 * Replaces the analytic time by what was measured of the same shape or of
 * shapes near it.
 *
 * @param io     [ps] analytic in, corrected out
 * @return the basis of *io
 */
ps_basis ps_cost_shapes_apply(const ps_cost_shapes *self, const ps_cost_op *op, uint64_t *io);

#endif
