/* SPDX-License-Identifier: MIT
 *
 * Flash attention as PyTorch calls it.
 */
#include "workload/eager/attention_parts.h"

/* Tiles of the backward kernel: lengths are rounded up to 128 rows, widths to 32 elements. */
#define BACKWARD_ROWS 128
#define BACKWARD_LAUNCHES 3 /* sums beside, gradients, the query's to its type */
#define WIDTH_STEP 32

/* From PyTorch 2.7 on widths above 128 are rounded to 64, and the seed lies on the device. */
#define RELEASE_OF_WIDE_STEPS 207
#define WIDEST_OF_SMALL_STEPS 128
#define WIDE_STEP 64

/* Queries of a block when keys are split, and 128 threads a block: two blocks a multiprocessor. */
#define SPLIT_ROWS 64
#define BLOCKS_A_MULTIPROCESSOR 2
#define MOST_SPLITS 128

static int64_t rounded_width(const ps_eager *self, int64_t width)
{
    const bool is_wide =
        ps_eager_release(self) >= RELEASE_OF_WIDE_STEPS && width > WIDEST_OF_SMALL_STEPS;
    return ps_attention_round(width, is_wide ? WIDE_STEP : WIDTH_STEP);
}

/* ---- keys split over blocks, when there are fewer blocks than the device runs at once ---- */

static int64_t divide_up(int64_t value, int64_t by)
{
    return (value + by - 1) / by;
}

/* Keys of a block of the kernel that splits. */
static int64_t keys_a_block(int64_t width)
{
    return width <= 64 ? 256 : width <= 128 ? 128 : 64;
}

/* A count that leaves the last part empty is another count. */
static bool is_eligible(int64_t blocks, int64_t splits)
{
    return splits == 1 || divide_up(blocks, splits) != divide_up(blocks, splits - 1);
}

/* Share of the last wave of blocks that is used: work / waves, of `slots` at once. */
typedef struct share {
    int64_t work, slots;
} share;

static share share_of(int64_t work, int64_t slots)
{
    return (share){work, slots * divide_up(work, slots)};
}

/* The fewest splits that use at least 85 % of what the best count uses; integers throughout. */
static int64_t best_splits(int64_t work, int64_t slots, int64_t blocks)
{
    int64_t most = blocks < slots ? blocks : slots;
    most = most < MOST_SPLITS ? most : MOST_SPLITS;
    share best = {0, 1};
    for (int64_t n = 1; n <= most; n++) {
        const share s = share_of(work * n, slots);
        if (is_eligible(blocks, n) && s.work * best.slots > best.work * s.slots) {
            best = s;
        }
    }
    for (int64_t n = 1; n <= most; n++) {
        const share s = share_of(work * n, slots);
        if (is_eligible(blocks, n) && 20 * s.work * best.slots >= 17 * best.work * s.slots) {
            return n;
        }
    }
    return 1;
}

/* Parts that the keys of a query are cut into; results of parts are put together afterwards. */
static int64_t split_count(const ps_eager *self, const ps_attention_shape *n)
{
    const int64_t slots = BLOCKS_A_MULTIPROCESSOR * ps_eager_multiprocessors(self);
    const int64_t work = n->batch * n->heads * divide_up(n->queries, SPLIT_ROWS);
    if (n->has_dropout || 5 * work >= 4 * slots) {
        return 1; /* no such kernel, or the device is busy */
    }
    return best_splits(work, slots, divide_up(n->keys, keys_a_block(n->head_width)));
}

/* ---- backward ---- */

static ps_tensor copy_of(ps_eager *self, ps_tensor tensor)
{
    const ps_tensor copy =
        ps_op_result(self, ps_eager_elements(self, tensor), ps_eager_dtype(self, tensor));
    ps_op_kernel_by(self, "copy", PS_ACCESS_STRIDED, 2 * ps_eager_bytes(self, tensor),
                    ps_eager_elements(self, tensor));
    return copy;
}

/*
 * Gradient and result as the kernel wants them, by rows; gradients of query, key and value, sums of
 * rows, the query's gradient in 32 bits; and where several heads share a key, the gradients of each
 * before they are added up.
 */
static void flash_backward(ps_eager *self, ps_node *node, const ps_tensor *grads, ps_tensor *out)
{
    const int64_t *n = node->number;
    const ps_dtype dtype = ps_eager_dtype(self, grads[0]);
    const int64_t rows = ps_attention_round(n[PS_ATTENTION_QUERIES], BACKWARD_ROWS);
    const int64_t width = rounded_width(self, n[PS_ATTENTION_WIDTH]);
    const int64_t lines = n[PS_ATTENTION_BATCH] * n[PS_ATTENTION_HEADS];
    const bool is_shared = n[PS_ATTENTION_HEADS] != n[PS_ATTENTION_KV_HEADS];
    const bool is_by_heads = (n[PS_ATTENTION_FLAGS] & PS_ATTENTION_IS_BY_HEADS) != 0;
    ps_tensor shared[2] = {0, 0};
    /* a gradient that was padded lies by heads, any other comes from a copy by rows */
    const bool is_padded = (n[PS_ATTENTION_FLAGS] & PS_ATTENTION_IS_PADDED) != 0;
    ps_tensor grad = is_padded && is_by_heads ? copy_of(self, grads[0]) : 0;
    ps_tensor result = is_by_heads ? copy_of(self, grads[0]) : 0;
    for (uint32_t i = 0; i < 3; i++) {
        out[i] = ps_op_result(self, node->edge[i].elements, dtype);
    }
    ps_tensor sums = ps_op_result(self, lines * rows, PS_DTYPE_F32);
    ps_tensor query = ps_op_result(self, lines * rows * width, PS_DTYPE_F32);
    for (int i = 0; i < 2 && is_shared; i++) {
        shared[i] = ps_op_result(self, lines * n[PS_ATTENTION_KEYS] * n[PS_ATTENTION_WIDTH], dtype);
    }
    ps_attention_tell(self, "flash_attention_backward", node, dtype, 5, BACKWARD_LAUNCHES);
    ps_eager_drop(self, shared[1]);
    ps_eager_drop(self, shared[0]);
    ps_eager_clear(self, &query);
    ps_eager_clear(self, &sums);
    ps_eager_clear(self, &result);
    ps_eager_clear(self, &grad);
}

static const ps_node_ops flash_ops = {"ScaledDotProductFlashAttentionBackward0", flash_backward};

/* ---- forward ---- */

/* Sums and results of each part: dead when the call returns. */
static void make_parts(ps_eager *self, const ps_attention_shape *shape, ps_tensor part[2])
{
    const int64_t splits = split_count(self, shape);
    if (splits == 1) {
        return;
    }
    const int64_t rows = splits * shape->batch * shape->heads * shape->queries;
    part[0] = ps_op_result(self, rows, PS_DTYPE_F32);
    part[1] = ps_op_result(self, rows * rounded_width(self, shape->head_width), PS_DTYPE_F32);
}

/* Seed and offset of the random numbers, on the device even where nothing is dropped. */
static void make_seed(ps_eager *self, const ps_attention_shape *shape, ps_tensor seed[2])
{
    if (ps_eager_release(self) < RELEASE_OF_WIDE_STEPS) {
        return;
    }
    seed[0] = ps_op_result(self, 2, PS_DTYPE_I64);
    seed[1] = ps_op_result(self, 1, PS_DTYPE_I64);
    if (shape->has_dropout) {
        ps_eager_assign(self, &seed[0], ps_op_result(self, 2, PS_DTYPE_I64));
    }
}

ps_tensor ps_op_flash_attention(ps_eager *self, ps_tensor query, ps_tensor key, ps_tensor value,
                                const ps_attention_shape *shape)
{
    const ps_tensor inputs[] = {query, key, value};
    ps_node *node = ps_op_record(self, &flash_ops, inputs, 3);
    ps_node plain = {0};
    ps_node *about = node != NULL ? node : &plain;
    ps_tensor part[2] = {0, 0}, seed[2] = {0, 0};
    ps_attention_note(about, shape);
    const ps_tensor out =
        ps_op_result(self, ps_eager_elements(self, query), ps_eager_dtype(self, query));
    const int64_t lines = shape->batch * shape->heads;
    const ps_tensor sums = ps_op_result(self, lines * shape->queries, PS_DTYPE_F32);
    make_parts(self, shape, part);
    make_seed(self, shape, seed);
    ps_attention_tell(self, "flash_attention", about, ps_eager_dtype(self, query), 2, 1);
    const ps_tensor saved[] = {key, query, value, sums, out, seed[0], seed[1]};
    for (size_t i = 0; i < sizeof saved / sizeof saved[0]; i++) {
        ps_op_save(self, node, saved[i]);
    }
    ps_eager_drop(self, part[1]);
    ps_eager_drop(self, part[0]);
    ps_eager_drop(self, sums);
    ps_eager_drop(self, seed[0]);
    ps_eager_drop(self, seed[1]);
    ps_op_output(self, node, out, 0);
    return out;
}
