/* SPDX-License-Identifier: MIT
 *
 * Embedding. Its backward adds rows up; with many indices it sorts them first,
 * by cub, whose buffers are part of what a step needs.
 */
#include "workload/eager_parts.h"
#include "workload/ops.h"

enum { EMBEDDING_WIDTH };

/* Up to this many indices one kernel adds them without sorting. */
#define UNSORTED_INDICES 3072

/* Rows that one thread adds up when indices repeat. */
#define ROWS_A_THREAD 10

#define INDEX_BYTES 8

static ps_tensor scratch(ps_eager *self, int64_t bytes)
{
    return ps_eager_make(self, bytes, PS_DTYPE_BOOL, PS_ROLE_TEMPORARY);
}

static ps_tensor indices(ps_eager *self, int64_t count)
{
    return ps_eager_make(self, count, PS_DTYPE_I64, PS_ROLE_TEMPORARY);
}

/* cub's radix sort of pairs: both halves twice, counts of each tile of 4608, bins. Observed sizes. */
static int64_t sort_bytes(int64_t count)
{
    const int64_t list = (INDEX_BYTES * count + 255) / 256 * 256;
    return 2 * list + 1024 * ((count + 4607) / 4608) + 16895;
}

/* cub's scans; a step of 256 bytes every `count_a_step`. Observed sizes. */
static void scan(ps_eager *self, int64_t count, int64_t count_a_step)
{
    ps_tensor bytes = scratch(self, 1279 + 256 * (count / count_a_step));
    ps_eager_clear(self, &bytes);
}

/* Segments of equal indices, each cut into parts, parts added up in 32 bits. */
static ps_tensor add_by_segments(ps_eager *self, const ps_node *node, ps_tensor grad)
{
    const int64_t width = node->number[EMBEDDING_WIDTH];
    const int64_t count = ps_eager_elements(self, grad) / width;
    const int64_t rows = node->edge[0].elements / width;
    const int64_t segments = count < rows ? count : rows;
    const int64_t parts = segments + count / ROWS_A_THREAD;
    ps_tensor sorted = indices(self, count), origin = indices(self, count);
    ps_tensor range = indices(self, count), sorting = scratch(self, sort_bytes(count));
    ps_eager_clear(self, &sorting);
    ps_eager_clear(self, &range);
    const ps_tensor out = ps_op_result(self, node->edge[0].elements, ps_eager_dtype(self, grad));
    ps_tensor offsets = indices(self, count), segment_count = indices(self, 1);
    ps_tensor ones = indices(self, count);
    scan(self, count, 131072);
    ps_eager_clear(self, &ones);
    ps_tensor part_counts = indices(self, segments), part_offsets = indices(self, segments);
    scan(self, segments, 16384);
    ps_tensor part_count = indices(self, 1), part_begin = indices(self, parts);
    ps_tensor sums = ps_eager_make(self, parts * width, PS_DTYPE_F32, PS_ROLE_TEMPORARY);
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

static void embedding_backward(ps_eager *self, ps_node *node, const ps_tensor *grads,
                               ps_tensor *out)
{
    const int64_t count = ps_eager_elements(self, grads[0]) / node->number[EMBEDDING_WIDTH];
    out[0] = count > UNSORTED_INDICES
                 ? add_by_segments(self, node, grads[0])
                 : ps_op_result(self, node->edge[0].elements, ps_eager_dtype(self, grads[0]));
    ps_op_kernel(self, "embedding_dense_backward", 2 * ps_eager_bytes(self, grads[0]));
}

static const ps_node_ops embedding_ops = {"EmbeddingBackward0", embedding_backward};

ps_tensor ps_op_embedding(ps_eager *self, ps_tensor weight, ps_tensor ids, int64_t width)
{
    ps_node *node = ps_op_record(self, &embedding_ops, &weight, 1);
    ps_op_save(self, node, ids);
    if (node != NULL) {
        node->number[EMBEDDING_WIDTH] = width;
    }
    const ps_tensor out =
        ps_op_result(self, ps_eager_elements(self, ids) * width, ps_eager_dtype(self, weight));
    if (out != 0) {
        ps_op_kernel(self, "embedding", 2 * ps_eager_bytes(self, out));
    }
    ps_op_output(self, node, out, 0);
    return out;
}
