/* SPDX-License-Identifier: MIT
 *
 * PyTorch's memory-efficient attention.
 *
 * Backward adds up gradients of queries from several blocks. They meet in tiles of 32-bit numbers
 * in a workspace; each tile has a lock before it. Where a block's accumulators do not hold its part
 * of the gradients of keys and values, those are in the workspace too. Which tiles, is a matter of
 * the kernels that PyTorch was built with: the first one whose width suffices and whose shared
 * memory the device has.
 */
#include "workload/eager/attention_parts.h"

/* Sums of rows are kept for whole tiles of 32 queries. */
#define SUM_ROWS 32

/* 32-bit words before a tile: a lock, a counter, and padding to 16 bytes. */
#define TILE_LOCK 4

/* Widest result that the forward kernel of 16-bit numbers holds in accumulators. */
#define WIDEST_HELD 128

/* How a backward kernel cuts its work. */
typedef struct tiling {
    int64_t queries, keys; /* of a block */
    int64_t width;         /* of a tile of the query's gradient */
    bool holds_keys;       /* accumulators hold gradients of keys and values */
    bool computes_sums;    /* of gradient times result, in the kernel */
} tiling;

static bool is_half(ps_dtype dtype)
{
    return dtype != PS_DTYPE_F32;
}

/* More than 100 KB of shared memory a block: data centre devices (8.0, 9.0, 10.x) and Orin (8.7). */
static bool has_large_blocks(int64_t capability)
{
    return capability == 80 || capability == 87 || (capability >= 90 && capability < 120);
}

/* Without dropout there is a kernel for widths up to 96 that fits the 99 KB of 8.6 and 8.9. */
static bool has_small_kernel(int64_t width, bool has_dropout, int64_t capability)
{
    return width <= 96 && !has_dropout && (capability == 86 || capability == 89);
}

static tiling half_tiling(int64_t width, bool has_dropout, int64_t capability)
{
    if (width <= 64) {
        return (tiling){64, 64, 64, true, true};
    }
    if (width > WIDEST_HELD) {
        return (tiling){128, 64, 64, false, capability >= 75};
    }
    if (capability < 80 || has_small_kernel(width, has_dropout, capability)) {
        return (tiling){128, 64, 64, true, true};
    }
    return has_large_blocks(capability) ? (tiling){128, 128, 128, true, true}
                                        : (tiling){64, 64, 64, false, true};
}

/* In 32 bits gradients of keys are added up where they end up. */
static tiling tiling_of(ps_dtype dtype, const int64_t *n, int64_t capability)
{
    const int64_t width = n[PS_ATTENTION_WIDTH];
    if (is_half(dtype)) {
        return half_tiling(width, (n[PS_ATTENTION_FLAGS] & PS_ATTENTION_HAS_DROPOUT) != 0,
                           capability);
    }
    return (tiling){width > 64 && has_large_blocks(capability) ? 128 : 64, 64, 64, true, false};
}

/* 32-bit words of workspace for a head of a sequence. */
static int64_t workspace_of(const int64_t *n, const tiling *t)
{
    const int64_t width = n[PS_ATTENTION_WIDTH];
    const int64_t tiles = ps_attention_round(n[PS_ATTENTION_QUERIES], t->queries) / t->queries *
                          (ps_attention_round(width, t->width) / t->width);
    const int64_t keys = t->holds_keys ? 0
                                       : ps_attention_round(n[PS_ATTENTION_KEYS], t->keys) *
                                             ps_attention_round(width, t->queries);
    return 2 * keys + tiles * (t->queries * t->width + TILE_LOCK);
}

/* (gradient * result).sum(-1) in 32 bits, transposed to (batch, heads, queries) */
static ps_tensor sums_beside(ps_eager *self, const int64_t *n, ps_tensor grad)
{
    const int64_t elements = ps_eager_elements(self, grad);
    const int64_t rows = n[PS_ATTENTION_BATCH] * n[PS_ATTENTION_HEADS] * n[PS_ATTENTION_QUERIES];
    ps_tensor wide[2] = {0, 0};
    for (int i = 0; i < 2 && is_half(ps_eager_dtype(self, grad)); i++) {
        wide[i] = ps_op_plain(self, "copy", elements, PS_DTYPE_F32);
    }
    ps_tensor product = ps_op_plain(self, "mul", elements, PS_DTYPE_F32);
    ps_tensor sums = ps_op_plain(self, "sum", rows, PS_DTYPE_F32);
    if (n[PS_ATTENTION_HEADS] > 1 && n[PS_ATTENTION_QUERIES] > 1) {
        ps_eager_assign(self, &sums, ps_op_plain(self, "copy", rows, PS_DTYPE_F32));
    }
    ps_eager_clear(self, &product);
    ps_eager_clear(self, &wide[1]);
    ps_eager_clear(self, &wide[0]);
    return sums;
}

static void efficient_backward(ps_eager *self, ps_node *node, const ps_tensor *grads,
                               ps_tensor *out)
{
    const int64_t *n = node->number;
    const int64_t lines = n[PS_ATTENTION_BATCH] * n[PS_ATTENTION_HEADS];
    const ps_dtype dtype = ps_eager_dtype(self, grads[0]);
    const tiling t = tiling_of(dtype, n, ps_eager_capability(self));
    for (uint32_t i = 0; i < 3; i++) {
        out[i] = ps_op_result(self, node->edge[i].elements, dtype);
    }
    ps_tensor sums = t.computes_sums
                         ? ps_op_result(self, lines * n[PS_ATTENTION_QUERIES], PS_DTYPE_F32)
                         : sums_beside(self, n, grads[0]);
    ps_tensor shared =
        ps_eager_make(self, lines * workspace_of(n, &t), PS_DTYPE_F32, PS_ROLE_TEMPORARY);
    if (n[PS_ATTENTION_KEYS] > t.keys) { /* blocks of keys add to the same places */
        ps_op_kernel(self, "fill", ps_eager_bytes(self, shared));
    }
    ps_attention_tell(self, "efficient_attention_backward", node, dtype, 5, 1);
    ps_eager_clear(self, &sums);
    ps_eager_clear(self, &shared);
}

static const ps_node_ops efficient_ops = {"ScaledDotProductEfficientAttentionBackward0",
                                          efficient_backward};

/* A wide result of 16-bit numbers is added up in memory. */
static void add_up(ps_eager *self, ps_tensor result, int64_t width)
{
    if (is_half(ps_eager_dtype(self, result)) && width > WIDEST_HELD) {
        ps_tensor wide = ps_op_result(self, ps_eager_elements(self, result), PS_DTYPE_F32);
        ps_eager_clear(self, &wide);
    }
}

ps_tensor ps_op_efficient_attention(ps_eager *self, ps_tensor query, ps_tensor key, ps_tensor value,
                                    ps_tensor mask, const ps_attention_shape *shape)
{
    const ps_tensor inputs[] = {query, key, value};
    ps_node *node = ps_op_record(self, &efficient_ops, inputs, 3);
    ps_node plain = {0};
    ps_attention_note(node != NULL ? node : &plain, shape);
    const ps_tensor out =
        ps_op_result(self, ps_eager_elements(self, query), ps_eager_dtype(self, query));
    const int64_t lines = shape->batch * shape->heads;
    ps_tensor sums = 0; /* backward alone needs them */
    if (node != NULL) {
        sums =
            ps_op_result(self, lines * ps_attention_round(shape->queries, SUM_ROWS), PS_DTYPE_F32);
    }
    if (out != 0) {
        add_up(self, out, shape->head_width);
    }
    ps_attention_tell(self, "efficient_attention", node != NULL ? node : &plain,
                      ps_eager_dtype(self, query), 2, 1);
    const ps_tensor saved[] = {mask, key, query, value, sums, out};
    for (size_t i = 0; i < sizeof saved / sizeof saved[0]; i++) {
        ps_op_save(self, node, saved[i]);
    }
    ps_eager_clear(self, &sums);
    ps_op_output(self, node, out, 0);
    return out;
}
