/* SPDX-License-Identifier: MIT
 *
 * Shape and work of an attention kernel.
 */
#include "workload/eager/attention_parts.h"

void ps_attention_note(ps_node *node, const ps_attention_shape *shape)
{
    node->number[PS_ATTENTION_BATCH] = shape->batch;
    node->number[PS_ATTENTION_HEADS] = shape->heads;
    node->number[PS_ATTENTION_KV_HEADS] = shape->kv_heads;
    node->number[PS_ATTENTION_QUERIES] = shape->queries;
    node->number[PS_ATTENTION_KEYS] = shape->keys;
    node->number[PS_ATTENTION_WIDTH] = shape->head_width;
    node->number[PS_ATTENTION_FLAGS] = (shape->sees_all ? PS_ATTENTION_SEES_ALL : 0) |
                                       (shape->is_by_heads ? PS_ATTENTION_IS_BY_HEADS : 0) |
                                       (shape->is_padded ? PS_ATTENTION_IS_PADDED : 0) |
                                       (shape->has_dropout ? PS_ATTENTION_HAS_DROPOUT : 0);
}

void ps_attention_tell(ps_eager *self, const char *name, const ps_node *node, ps_dtype dtype,
                       int64_t products, uint32_t launches)
{
    const int64_t *n = node->number;
    const int64_t lines = n[PS_ATTENTION_BATCH] * n[PS_ATTENTION_HEADS];
    const int64_t cells = lines * n[PS_ATTENTION_QUERIES] * n[PS_ATTENTION_KEYS];
    const int64_t rows = lines * (n[PS_ATTENTION_QUERIES] + n[PS_ATTENTION_KEYS]);
    /* two operations a cell and element; a causal kernel leaves half of the cells out */
    const int64_t operations = (n[PS_ATTENTION_FLAGS] & PS_ATTENTION_SEES_ALL) != 0 ? 2 : 1;
    const ps_eager_kernel kernel = {
        .name = name,
        .kind = PS_KERNEL_ATTENTION,
        .dtype = dtype,
        .flop = (uint64_t)(operations * products * cells * n[PS_ATTENTION_WIDTH]),
        .moved_bytes = (uint64_t)(rows * n[PS_ATTENTION_WIDTH]) * ps_dtype_bytes(dtype),
        .batch = (uint64_t)(n[PS_ATTENTION_BATCH] * n[PS_ATTENTION_HEADS]),
        .m = (uint64_t)n[PS_ATTENTION_QUERIES],
        .n = (uint64_t)n[PS_ATTENTION_KEYS],
        .k = (uint64_t)n[PS_ATTENTION_WIDTH],
        .launches = launches,
    };
    ps_op_tell(self, &kernel);
}
