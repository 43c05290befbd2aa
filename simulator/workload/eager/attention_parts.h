/* SPDX-License-Identifier: MIT
 *
 * What the attention operations share (private to this folder).
 */
#ifndef PS_WORKLOAD_ATTENTION_PARTS_H
#define PS_WORKLOAD_ATTENTION_PARTS_H

#include "workload/eager/eager_parts.h"
#include "workload/eager/ops.h"

/* Numbers of an attention node. */
enum {
    PS_ATTENTION_BATCH,
    PS_ATTENTION_HEADS,
    PS_ATTENTION_KV_HEADS,
    PS_ATTENTION_QUERIES,
    PS_ATTENTION_KEYS,
    PS_ATTENTION_WIDTH,
    PS_ATTENTION_FLAGS
};

/* Bits of PS_ATTENTION_FLAGS. */
enum {
    PS_ATTENTION_SEES_ALL = 1,
    PS_ATTENTION_IS_BY_HEADS = 2,
    PS_ATTENTION_IS_PADDED = 4,
    PS_ATTENTION_HAS_DROPOUT = 8
};

/** Writes a shape into a node. */
void ps_attention_note(ps_node *node, const ps_attention_shape *shape);

/** Tells the kernels: `products` matrix products over the cells of queries and keys. */
void ps_attention_tell(ps_eager *self, const char *name, const ps_node *node, ps_dtype dtype,
                       int64_t products, uint32_t launches);

/** Rounds up to a multiple. */
static inline int64_t ps_attention_round(int64_t value, int64_t to)
{
    return (value + to - 1) / to * to;
}

#endif
