/* SPDX-License-Identifier: MIT
 *
 * A matrix product as libraries run it: the output in tiles, each computed by
 * one block on one multiprocessor, step by step along the contraction; the
 * contraction split over several blocks where tiles are too few.
 *
 *   turns      = ceil(tiles x splits / multiprocessors)
 *   arithmetic = turns x flop of a tile / (rate / multiprocessors x tile efficiency)
 *   latency    = ceil(turns / blocks side by side) x steps x step latency
 *   compute    = max(arithmetic, latency) + ceil(turns / side by side) x tile fixed
 *   time       = max(compute, traffic) + overlap loss x min(compute, traffic)
 *
 * over the tile and the split that give the least, as the library's choice is
 * meant to. The efficiency of a tile of r x c outputs is that of operand
 * traffic inside the chip, 1 / (1 + half x (1/r + 1/c)), over the largest's.
 */
#include "cost/cost_parts.h"

typedef struct tile {
    uint64_t rows, columns;
} tile;

static const tile tiles[] = {
#define TILE(rows, columns) {rows, columns},
#include "cost/tiles.def"
#undef TILE
};
static const uint64_t splits[] = {1, 2, 3, 4, 6, 8, 12, 16};

/* A part of a split contraction is at least so many steps deep. */
enum { LEAST_STEPS = 4 };

/* Outputs of the blocks that can run side by side on one multiprocessor, and how many those are. */
enum { SIDE_OUTPUTS = 128 * 128, SIDE_BLOCKS = 4 };

/* Rates and latencies that one product meets. */
typedef struct machine {
    const ps_cost_gpu *gpu;
    uint64_t rate;     /* [flop/s] whole GPU, largest tile */
    uint64_t step_ps;  /* least time of a step */
    uint64_t fixed_ps; /* start and end of a tile */
    uint64_t step;     /* elements of the contraction in a step */
    bool is_matrix;
} machine;

/* [bytes] on which matrix units want the rows of their operands to begin. */
enum { ROW_BYTES = 16 };

static bool is_aligned(const ps_cost_op *op)
{
    const uint64_t bytes = ps_cost_element_bytes(op->element);
    const bool is_transposed = op->layout == PS_COST_NT || op->layout == PS_COST_NT_WIDE;
    const uint64_t depth = is_transposed ? op->m : op->k; /* how A lies in memory */
    return depth * bytes % ROW_BYTES == 0 && op->n * bytes % ROW_BYTES == 0;
}

static machine machine_of(const ps_cost_gpu *gpu, const ps_cost_op *op)
{
    const bool is_matrix = gpu->has_matrix_units[op->element];
    const uint64_t full = gpu->rate[op->element];
    const uint64_t slow = ps_mul_div_u64(full, gpu->unaligned_share, PS_RATIO_ONE);
    return (machine){
        .gpu = gpu,
        .rate = is_matrix && !is_aligned(op) ? ps_cost_max(slow, 1) : full,
        .step_ps = is_matrix ? gpu->step_ps : gpu->vector_step_ps,
        .fixed_ps = is_matrix ? gpu->tile_fixed_ps : gpu->vector_tile_fixed_ps,
        .step = ps_cost_max(gpu->step_bytes / ps_cost_element_bytes(op->element), 1),
        .is_matrix = is_matrix,
    };
}

/* [ps] that a multiprocessor computes on one tile: flop over its rate over the tile's efficiency. */
static uint64_t tile_time(const machine *on, tile of, uint64_t depth)
{
    const uint64_t half = on->gpu->tile_half;
    const uint64_t outputs = of.rows * of.columns;
    const uint64_t largest = tiles[0].rows * tiles[0].columns;
    const uint64_t slowed = outputs + half * (of.rows + of.columns);
    const uint64_t flop = ps_cost_times(2 * depth, outputs);
    const uint64_t plain = ps_cost_at_rate(ps_cost_times(flop, on->gpu->sm_count), on->rate);
    /* efficiency of the largest over that of this one */
    return ps_mul_div_u64(ps_mul_div_u64(plain, slowed, outputs), largest,
                          largest + half * (tiles[0].rows + tiles[0].columns));
}

static uint64_t traffic_of(const machine *on, const ps_cost_op *op, uint64_t split)
{
    uint64_t bytes = ps_cost_bytes(op);
    if (split > 1) { /* partial sums in 32 bits, written and read */
        const uint64_t outputs = ps_cost_times(ps_cost_times(op->m, op->n), op->batch);
        bytes = ps_cost_min(bytes + ps_cost_times(outputs, 8 * split), PS_COST_MAX);
    }
    return ps_cost_traffic(on->gpu, bytes);
}

static ps_cost_part try_tile(const machine *on, const ps_cost_op *op, tile of, uint64_t split)
{
    const uint64_t depth = ps_round_up_u64(ps_cost_ceil(op->k, split), on->step);
    const uint64_t count =
        ps_cost_times(ps_cost_times(ps_cost_ceil(op->m, of.rows), ps_cost_ceil(op->n, of.columns)),
                      op->batch * split);
    const uint64_t turns = ps_cost_ceil(count, on->gpu->sm_count);
    const uint64_t side =
        ps_cost_max(ps_cost_min(SIDE_OUTPUTS / (of.rows * of.columns), SIDE_BLOCKS), 1);
    const uint64_t rounds = ps_cost_ceil(turns, side);
    const uint64_t arithmetic = ps_cost_times(turns, tile_time(on, of, depth));
    const uint64_t latency = ps_cost_times(rounds, ps_cost_times(depth / on->step, on->step_ps));
    const uint64_t fixed = ps_cost_times(rounds, on->fixed_ps);
    const uint64_t compute = ps_cost_max(arithmetic, latency) + fixed;
    const uint64_t traffic = traffic_of(on, op, split);
    const uint64_t longer = ps_cost_max(compute, traffic);
    const uint64_t loss =
        ps_mul_div_u64(ps_cost_min(compute, traffic), on->gpu->overlap_loss, PS_RATIO_ONE);
    ps_cost_part out = {.ps = longer + loss + (split > 1 ? on->gpu->split_fixed_ps : 0)};
    if (traffic > compute) {
        out.bound = PS_COST_BY_MEMORY;
    } else {
        out.bound = arithmetic >= latency + fixed ? PS_COST_BY_ARITHMETIC : PS_COST_BY_LATENCY;
    }
    out.ps = ps_cost_min(out.ps, PS_COST_MAX);
    return out;
}

ps_cost_part ps_cost_matmul(const ps_cost_gpu *gpu, const ps_cost_op *op)
{
    const machine on = machine_of(gpu, op);
    ps_cost_part best = {.ps = UINT64_MAX};
    for (size_t t = 0; t < sizeof tiles / sizeof tiles[0]; t++) {
        if (!on.is_matrix && tiles[t].rows * tiles[t].columns > SIDE_OUTPUTS) {
            continue; /* accumulators of larger tiles do not fit the registers of vector units */
        }
        for (size_t s = 0; s < sizeof splits / sizeof splits[0]; s++) {
            if (splits[s] > 1 && op->k / splits[s] < LEAST_STEPS * on.step) {
                break;
            }
            const ps_cost_part found = try_tile(&on, op, tiles[t], splits[s]);
            if (found.ps < best.ps) {
                best = found;
            }
        }
    }
    return best;
}
