/* SPDX-License-Identifier: MIT
 *
 * The catalogue's figures of one GPU, made ready for arithmetic. What runs at
 * the clock of the multiprocessors (rates, the last cache, latencies) is taken
 * at the clock that the GPU holds under load; device memory has its own.
 */
#include "cost/cost_parts.h"

typedef struct reading {
    const ps_catalogue *catalogue;
    ps_hardware_id id;
    uint64_t clock; /* [millionths] of the boost clock */
    ps_error *err;
} reading;

static ps_code need(const reading *self, ps_figure_id id, uint64_t *out)
{
    ps_figure figure;
    PS_TRY(ps_catalogue_need(self->catalogue, self->id, id, &figure, self->err));
    *out = figure.value;
    return PS_OK;
}

/* [ps] at the clock held, of a duration at the boost clock. */
static ps_code need_time(const reading *self, ps_figure_id id, uint64_t *out)
{
    uint64_t ns;
    PS_TRY(need(self, id, &ns));
    *out =
        ps_cost_min(ps_mul_div_u64(ps_cost_times(ns, PS_COST_PS_PER_NS), PS_RATIO_ONE, self->clock),
                    PS_COST_MAX);
    return PS_OK;
}

static uint64_t share_of(uint64_t value, uint64_t share)
{
    return ps_cost_max(ps_mul_div_u64(value, share, PS_RATIO_ONE), 1);
}

/* A format without matrix units, or unknown, runs on the fp32 units. */
static ps_code read_rates(const reading *self, ps_cost_gpu *out)
{
    static const ps_figure_id figures[] = {
#define FIGURE_OF(sym, name, bytes, figure) PS_FIGURE_##figure,
        PS_COST_ELEMENTS(FIGURE_OF)
#undef FIGURE_OF
    };
    uint64_t vector_rate, vector_share, matrix_share;
    PS_TRY(need(self, PS_FIGURE_FP32_RATE, &vector_rate));
    PS_TRY(need(self, PS_FIGURE_VECTOR_SHARE, &vector_share));
    PS_TRY(need(self, PS_FIGURE_MATMUL_SHARE, &matrix_share));
    PS_TRY(need(self, PS_FIGURE_SUSTAINED_SHARE, &out->sustained_share));
    for (size_t i = 0; i < PS_COST_ELEMENT_COUNT; i++) {
        ps_figure found;
        out->has_matrix_units[i] =
            figures[i] != PS_FIGURE_FP32_RATE &&
            ps_catalogue_get(self->catalogue, self->id, figures[i], &found) && found.value > 0;
        out->peak[i] = out->has_matrix_units[i] ? found.value : vector_rate;
        const uint64_t share = out->has_matrix_units[i] ? matrix_share : vector_share;
        out->rate[i] = share_of(share_of(out->peak[i], share), self->clock);
    }
    return PS_OK;
}

static ps_code read_memory(const reading *self, ps_cost_gpu *out)
{
    uint64_t bandwidth, stream, size, share, fade, speed;
    PS_TRY(need(self, PS_FIGURE_MEMORY_BANDWIDTH, &bandwidth));
    PS_TRY(need(self, PS_FIGURE_STREAM_SHARE, &stream));
    PS_TRY(need(self, PS_FIGURE_L2_SIZE, &size));
    PS_TRY(need(self, PS_FIGURE_L2_SHARE, &share));
    PS_TRY(need(self, PS_FIGURE_L2_FADE, &fade));
    PS_TRY(need(self, PS_FIGURE_L2_SPEED, &speed));
    out->memory_rate = share_of(bandwidth, stream);
    out->cache_rate =
        ps_cost_max(share_of(share_of(out->memory_rate, speed), self->clock), out->memory_rate);
    out->cached_bytes = ps_mul_div_u64(size, share, PS_RATIO_ONE);
    out->uncached_bytes = ps_mul_div_u64(out->cached_bytes, fade, PS_RATIO_ONE);
    return PS_OK;
}

/* Elements a second of the whole GPU, by the way through the operands. */
static ps_code read_elements(const reading *self, ps_cost_gpu *out)
{
    static const ps_figure_id figures[PS_COST_ACCESS_COUNT] = {
        PS_FIGURE_CONTIGUOUS_RATE, PS_FIGURE_STRIDED_RATE, PS_FIGURE_ROWS_RATE,
        PS_FIGURE_REDUCTION_RATE};
    for (size_t i = 0; i < PS_COST_ACCESS_COUNT; i++) {
        uint64_t per_us;
        PS_TRY(need(self, figures[i], &per_us));
        const uint64_t per_s = ps_cost_times(ps_cost_times(per_us, 1000000), out->sm_count);
        out->element_rate[i] = share_of(per_s, self->clock);
    }
    out->access_fixed_ps[PS_COST_CONTIGUOUS] = 0;
    PS_TRY(need_time(self, PS_FIGURE_STRIDED_FIXED, &out->access_fixed_ps[PS_COST_STRIDED]));
    PS_TRY(need_time(self, PS_FIGURE_ROWS_FIXED, &out->access_fixed_ps[PS_COST_ROWS]));
    return need_time(self, PS_FIGURE_REDUCTION_FIXED, &out->access_fixed_ps[PS_COST_REDUCTION]);
}

static ps_code read_tiles(const reading *self, ps_cost_gpu *out)
{
    PS_TRY(need(self, PS_FIGURE_SM_COUNT, &out->sm_count));
    PS_TRY(need(self, PS_FIGURE_TILE_HALF, &out->tile_half));
    PS_TRY(need(self, PS_FIGURE_STEP_DEPTH, &out->step_bytes));
    PS_TRY(need(self, PS_FIGURE_OVERLAP_LOSS, &out->overlap_loss));
    PS_TRY(need_time(self, PS_FIGURE_TILE_FIXED, &out->tile_fixed_ps));
    PS_TRY(need_time(self, PS_FIGURE_VECTOR_TILE_FIXED, &out->vector_tile_fixed_ps));
    PS_TRY(need_time(self, PS_FIGURE_STEP_LATENCY, &out->step_ps));
    PS_TRY(need_time(self, PS_FIGURE_VECTOR_STEP_LATENCY, &out->vector_step_ps));
    PS_TRY(need_time(self, PS_FIGURE_SPLIT_FIXED, &out->split_fixed_ps));
    PS_TRY(need(self, PS_FIGURE_UNALIGNED_SHARE, &out->unaligned_share));
    return need_time(self, PS_FIGURE_KERNEL_FLOOR, &out->floor_ps);
}

static ps_code read_attention(const reading *self, ps_cost_gpu *out)
{
    PS_TRY(need(self, PS_FIGURE_ATTENTION_FORWARD_SHARE, &out->attention_share[0]));
    PS_TRY(need(self, PS_FIGURE_ATTENTION_BACKWARD_SHARE, &out->attention_share[1]));
    PS_TRY(need(self, PS_FIGURE_ATTENTION_HALF, &out->attention_half));
    PS_TRY(need_time(self, PS_FIGURE_ATTENTION_FIXED, &out->attention_fixed_ps));
    PS_TRY(need(self, PS_FIGURE_ATTENTION_ROWS, &out->attention_rows));
    for (size_t i = 0; i < 2; i++) {
        out->attention_share[i] = share_of(out->attention_share[i], self->clock);
    }
    return PS_OK;
}

ps_code ps_cost_read_gpu(const ps_catalogue *catalogue, ps_hardware_id id, ps_cost_gpu *out,
                         ps_error *err)
{
    reading self = {.catalogue = catalogue, .id = id, .err = err};
    ps_cost_gpu gpu = {0};
    PS_TRY(need(&self, PS_FIGURE_CLOCK_SHARE, &self.clock));
    PS_TRY(read_rates(&self, &gpu));
    PS_TRY(read_memory(&self, &gpu));
    PS_TRY(read_tiles(&self, &gpu));
    PS_TRY(read_elements(&self, &gpu));
    PS_TRY(read_attention(&self, &gpu));
    *out = gpu;
    return PS_OK;
}
