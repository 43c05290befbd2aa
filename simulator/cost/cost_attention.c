/* SPDX-License-Identifier: MIT
 *
 * Fused attention: blocks of query rows (backward: of key rows), each running
 * over all its keys. Under a causal mask the last block has twice the mean.
 *
 *   blocks  = batch x heads x ceil(rows / rows of a block)
 *   mean    = flop / blocks / (rate / multiprocessors)
 *   longest = mean x flop of the full square / flop
 *   time    = max(turns x mean, longest) + turns x block fixed, turns = ceil(blocks / multiprocessors)
 *   rate    = peak x share x d (128 + half) / (128 (d + half)), d up to 128
 *
 * and never less than its traffic. The share is that of the GPU for head
 * dimension d = 128 and many blocks.
 */
#include "cost/cost_parts.h"

/* Head dimension for which the shares are stated. */
enum { SHARE_DIMENSION = 128 };

static uint64_t rate_of(const ps_cost_gpu *gpu, const ps_cost_op *op)
{
    const uint64_t share = gpu->attention_share[op->kind == PS_COST_ATTENTION_BACKWARD];
    const uint64_t half = gpu->attention_half;
    const uint64_t full = ps_mul_div_u64(gpu->peak[op->element], share, PS_RATIO_ONE);
    const uint64_t d = ps_cost_min(op->k, SHARE_DIMENSION);
    const uint64_t scaled =
        ps_mul_div_u64(full, d * (SHARE_DIMENSION + half), SHARE_DIMENSION * (d + half));
    return ps_cost_max(ps_cost_min(scaled, gpu->peak[op->element]), 1);
}

/* Flop without a mask: two products forward, five backward. */
static uint64_t full_square(const ps_cost_op *op)
{
    const uint64_t products = op->kind == PS_COST_ATTENTION_BACKWARD ? 5 : 2;
    const uint64_t one =
        ps_cost_times(ps_cost_times(2 * op->batch, op->m), ps_cost_times(op->n, op->k));
    return ps_cost_times(products, one);
}

ps_cost_part ps_cost_attention(const ps_cost_gpu *gpu, const ps_cost_op *op)
{
    const uint64_t rows = op->kind == PS_COST_ATTENTION_BACKWARD ? op->n : op->m;
    const uint64_t blocks =
        ps_cost_times(ps_cost_ceil(rows, gpu->attention_rows), ps_cost_max(op->batch, 1));
    const uint64_t turns = ps_cost_ceil(blocks, gpu->sm_count);
    const uint64_t flop = ps_cost_flop(op);
    const uint64_t rate = rate_of(gpu, op);
    const uint64_t one = ps_cost_max(flop / blocks, 1);
    const uint64_t square = ps_cost_max(full_square(op) / blocks, one);
    const uint64_t mean = ps_cost_at_rate(ps_cost_times(one, gpu->sm_count), rate);
    const uint64_t longest = ps_cost_at_rate(ps_cost_times(square, gpu->sm_count), rate);
    const uint64_t arithmetic = ps_cost_max(ps_cost_times(turns, mean), longest);
    const uint64_t fixed = ps_cost_times(turns, gpu->attention_fixed_ps);
    const uint64_t traffic = ps_cost_traffic(gpu, op->moved_bytes);
    ps_cost_part out = {.ps = ps_cost_max(arithmetic + fixed, traffic)};
    if (traffic > arithmetic + fixed) {
        out.bound = PS_COST_BY_MEMORY;
    } else {
        out.bound = arithmetic >= fixed ? PS_COST_BY_ARITHMETIC : PS_COST_BY_LATENCY;
    }
    return out;
}
