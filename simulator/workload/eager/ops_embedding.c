/* SPDX-License-Identifier: MIT
 *
 * Embedding. Its backward adds rows up; with many indices it sorts them first,
 * by cub, whose buffers are part of what a step needs.
 */
#include "workload/eager/eager_parts.h"
#include "workload/eager/ops.h"
#include "workload/eager/scratch.h"

enum { EMBEDDING_WIDTH, EMBEDDING_COPIES };

/* Up to this many indices one kernel adds them without sorting. */
#define UNSORTED_INDICES 3072

/* Rows that one thread adds up when indices repeat. */
#define ROWS_A_THREAD 10

#define INDEX_BITS 64

static ps_tensor scratch(ps_eager *self, int64_t bytes)
{
    return ps_eager_make(self, bytes, PS_DTYPE_BOOL, PS_ROLE_TEMPORARY);
}

static ps_tensor indices(ps_eager *self, int64_t count)
{
    return ps_eager_make(self, count, PS_DTYPE_I64, PS_ROLE_TEMPORARY);
}

/*
 * cub's scans keep a word a tile, and 32 more, in pieces of 256 bytes, and ask for 255 to align
 * them. Tiles and words are those of the two scans as PyTorch is built; from 2.7 on cub keeps one
 * more piece, and offsets of 64 bits where they had 32.
 */
#define SCAN_PIECE 256
#define SCAN_SPARE_TILES 32
#define UNIQUE_TILE 4608
#define SUM_TILE 896
#define SUM_WORD_BYTES 16
#define RELEASE_OF_WIDE_OFFSETS 207

static void scan(ps_eager *self, int64_t count, int64_t tile, int64_t word_bytes)
{
    const int64_t words = (count + tile - 1) / tile + SCAN_SPARE_TILES;
    const int64_t pieces = (words * word_bytes + SCAN_PIECE - 1) / SCAN_PIECE +
                           (ps_eager_release(self) >= RELEASE_OF_WIDE_OFFSETS ? 1 : 0);
    ps_tensor bytes = scratch(self, SCAN_PIECE * pieces + SCAN_PIECE - 1);
    ps_eager_clear(self, &bytes);
}

static void find_segments(ps_eager *self, int64_t count)
{
    scan(self, count, UNIQUE_TILE, ps_eager_release(self) >= RELEASE_OF_WIDE_OFFSETS ? 16 : 8);
}

static uint64_t index_bytes(int64_t count)
{
    return (uint64_t)count * ps_dtype_bytes(PS_DTYPE_I64);
}

/* Segments of equal indices, each cut into parts, parts added up in 32 bits. */
static ps_tensor add_by_segments(ps_eager *self, int64_t rows, int64_t width, ps_tensor grad)
{
    const int64_t count = ps_eager_elements(self, grad) / width;
    const int64_t segments = count < rows ? count : rows;
    const int64_t parts = segments + count / ROWS_A_THREAD;
    ps_tensor sorted = indices(self, count), origin = indices(self, count);
    ps_tensor range = indices(self, count),
              sorting = scratch(self, ps_scratch_sort_bytes(count, INDEX_BITS));
    ps_op_kernel(self, "arange", index_bytes(count));
    ps_scratch_tell_sort(self, count, INDEX_BITS);
    ps_eager_clear(self, &sorting);
    ps_eager_clear(self, &range);
    const ps_tensor out = ps_op_result(self, rows * width, ps_eager_dtype(self, grad));
    ps_op_kernel(self, "fill", ps_eager_bytes(self, out));
    ps_tensor offsets = indices(self, count), segment_count = indices(self, 1);
    ps_tensor ones = indices(self, count);
    find_segments(self, count);
    ps_op_kernel(self, "scan_init", SCAN_PIECE);
    ps_op_kernel(self, "unique", 3 * index_bytes(count));
    ps_eager_clear(self, &ones);
    ps_tensor part_counts = indices(self, segments), part_offsets = indices(self, segments);
    ps_op_kernel(self, "count_parts", 2 * index_bytes(segments));
    scan(self, segments, SUM_TILE, SUM_WORD_BYTES);
    ps_op_kernel(self, "scan_init", SCAN_PIECE);
    ps_op_kernel(self, "scan", 2 * index_bytes(segments));
    ps_tensor part_count = indices(self, 1), part_begin = indices(self, parts);
    ps_op_kernel(self, "count_parts", index_bytes(1));
    ps_op_kernel(self, "begin_parts", index_bytes(parts));
    ps_tensor sums = ps_eager_make(self, parts * width, PS_DTYPE_F32, PS_ROLE_TEMPORARY);
    ps_op_kernel_by(self, "embedding_dense_backward", PS_ACCESS_STRIDED,
                    ps_eager_bytes(self, grad) + ps_eager_bytes(self, sums),
                    ps_eager_elements(self, grad));
    ps_op_kernel(self, "embedding_dense_backward", 2 * ps_eager_bytes(self, sums));
    ps_eager_clear(self, &sums);
    ps_eager_clear(self, &part_begin);
    ps_eager_clear(self, &part_count);
    ps_eager_clear(self, &part_offsets);
    ps_eager_clear(self, &part_counts);
    ps_eager_clear(self, &segment_count);
    ps_eager_clear(self, &offsets);
    ps_eager_clear(self, &origin);
    ps_eager_clear(self, &sorted);
    return out;
}

/* What the kernels take in rows and is given otherwise. */
typedef enum copies {
    COPIES_NOTHING = 0,
    COPIES_GRADIENT = 1,
    COPIES_INDICES = 2,
} copies;

static ps_tensor in_rows(ps_eager *self, const ps_node *node, ps_tensor grad)
{
    const int64_t elements = ps_eager_elements(self, grad);
    switch ((copies)node->number[EMBEDDING_COPIES]) {
    case COPIES_GRADIENT:
        return ps_op_plain(self, "copy", elements, ps_eager_dtype(self, grad));
    case COPIES_INDICES:
        return ps_op_plain(self, "copy", elements / node->number[EMBEDDING_WIDTH], PS_DTYPE_I64);
    case COPIES_NOTHING:
        break;
    }
    return 0;
}

ps_tensor ps_op_embedding_gradient(ps_eager *self, ps_tensor grad, int64_t rows, int64_t width)
{
    if (ps_eager_has_failed(self)) {
        return 0;
    }
    if (ps_eager_elements(self, grad) / width > UNSORTED_INDICES) {
        return add_by_segments(self, rows, width, grad);
    }
    const ps_tensor out = ps_op_plain(self, "fill", rows * width, ps_eager_dtype(self, grad));
    ps_op_kernel_by(self, "embedding_dense_backward", PS_ACCESS_STRIDED,
                    2 * ps_eager_bytes(self, grad), ps_eager_elements(self, grad));
    return out;
}

static void embedding_backward(ps_eager *self, ps_node *node, const ps_tensor *grads,
                               ps_tensor *out)
{
    const int64_t width = node->number[EMBEDDING_WIDTH];
    ps_tensor copy = in_rows(self, node, grads[0]);
    out[0] = ps_op_embedding_gradient(self, grads[0], node->edge[0].elements / width, width);
    ps_eager_clear(self, &copy);
}

static const ps_node_ops embedding_ops = {"EmbeddingBackward0", embedding_backward};

static ps_tensor look_up(ps_eager *self, ps_tensor weight, ps_tensor ids, int64_t width,
                         copies copied)
{
    ps_node *node = ps_op_record(self, &embedding_ops, &weight, 1);
    ps_op_save(self, node, ids);
    if (node != NULL) {
        node->number[EMBEDDING_WIDTH] = width;
        node->number[EMBEDDING_COPIES] = copied;
    }
    const ps_tensor out =
        ps_op_result(self, ps_eager_elements(self, ids) * width, ps_eager_dtype(self, weight));
    if (out != 0) {
        ps_op_kernel_by(self, "embedding", PS_ACCESS_STRIDED, 2 * ps_eager_bytes(self, out),
                        ps_eager_elements(self, out));
    }
    ps_op_output(self, node, out, 0);
    return out;
}

ps_tensor ps_op_embedding(ps_eager *self, ps_tensor weight, ps_tensor ids, int64_t width)
{
    return look_up(self, weight, ids, width, COPIES_NOTHING);
}

ps_tensor ps_op_embedding_repeated(ps_eager *self, ps_tensor weight, ps_tensor ids, int64_t count,
                                   int64_t width)
{
    const int64_t row = ps_eager_elements(self, ids);
    ps_tensor seen = ps_op_view_of(self, ids, count);
    /* one index is seen as a list of any length */
    ps_tensor list = count > row && row > 1 ? ps_op_plain(self, "copy", count, PS_DTYPE_I64) : 0;
    const ps_tensor out =
        look_up(self, weight, seen, width, count > row ? COPIES_INDICES : COPIES_NOTHING);
    ps_eager_clear(self, &list);
    ps_eager_clear(self, &seen);
    return out;
}

ps_tensor ps_op_embedding_transposed(ps_eager *self, ps_tensor weight, ps_tensor ids, int64_t width)
{
    return look_up(self, weight, ids, width, COPIES_GRADIENT);
}
