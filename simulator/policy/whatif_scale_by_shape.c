/* SPDX-License-Identifier: MIT
 *
 * Sizes of buffers by shapes.
 *
 * Recorded shapes tell a buffer's size to the byte: it is that of a tensor the
 * operators at its birth, or those right after it, were given or made.
 */
#include "policy/whatif_scale_buffers_parts.h"

/* A new tensor is used within so many operators, or its shape stays unknown. */
#define LOOK_AHEAD 48u

static void consider(const ps_buffer_stage *self, const ps_shape *shape, uint64_t element_bytes,
                     uint64_t bytes, ps_scaled_buffer *best)
{
    uint64_t wanted, new_bytes;
    if (element_bytes == 0 || !ps_mul_u64(ps__shape_elements(shape), element_bytes, &wanted)) {
        return;
    }
    const ps_block_fit fit = ps__block_fit(self->is_block, wanted, bytes);
    if (fit <= best->fit) {
        return;
    }
    const ps_scaled_shape scaled = ps__scaling_shape(self->scaling, shape);
    if (ps_mul_u64(scaled.new_elements, element_bytes, &new_bytes)) {
        *best = (ps_scaled_buffer){.fit = fit, .growth = scaled.growth, .new_bytes = new_bytes};
    }
}

/* A tensor as given, then of the other element sizes that casts and masks make. */
static void consider_types(const ps_buffer_stage *self, const ps_shape *shape, uint64_t bytes,
                           ps_scaled_buffer *best)
{
    static const uint64_t sizes[] = {4, 2, 1, 8};
    consider(self, shape, shape->element_bytes, bytes, best);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        consider(self, shape, sizes[i], bytes, best);
    }
}

/* What a product makes: rows of the one by columns of the other. */
static void consider_product(const ps_buffer_stage *self, uint32_t range, uint64_t bytes,
                             ps_scaled_buffer *best)
{
    ps_product of;
    if (!ps__scaling_product(self->scaling, range, &of) || of.left->dim_count == 0 ||
        of.right->dim_count < 2) {
        return;
    }
    ps_shape product = *of.left;
    const uint32_t last = of.left->dim_count - 1;
    product.dim[last] = of.right->dim[of.column_dim];
    uint64_t wanted;
    const uint64_t element_bytes = of.left->element_bytes;
    const ps_scaled_shape left = ps__scaling_shape(self->scaling, of.left);
    if (!ps_mul_u64(ps__shape_elements(&product), element_bytes, &wanted) ||
        left.new_dim[last] == 0) {
        return;
    }
    const ps_block_fit fit = ps__block_fit(self->is_block, wanted, bytes);
    if (fit <= best->fit) {
        return;
    }
    const ps_scaled_shape right = ps__scaling_shape(self->scaling, of.right);
    const ps_scaled_shape made = ps__scaling_shape(self->scaling, &product);
    const uint64_t new_elements =
        ps_mul_div_u64(left.new_elements, right.new_dim[of.column_dim], left.new_dim[last]);
    *best = (ps_scaled_buffer){
        .fit = fit,
        .growth = made.new_elements == new_elements ? made.growth : left.growth,
        .new_bytes = new_elements * element_bytes,
    };
}

static void consider_range(const ps_buffer_stage *self, uint32_t range, uint64_t bytes,
                           ps_scaled_buffer *best)
{
    const ps_shapes *shapes = ps__scaling_shapes_of(self->scaling, range);
    if (shapes == NULL) {
        return;
    }
    consider_product(self, range, bytes, best);
    for (uint32_t i = 0; i < shapes->count; i++) {
        consider_types(self, &shapes->tensor[i], bytes, best);
    }
}

ps_scaled_buffer ps__explain_by_shape(const ps_buffer_stage *self, uint32_t row, uint64_t bytes,
                                      bool looks_ahead, uint32_t *maker)
{
    const ps_scaling *scaling = self->scaling;
    const ps_memory_table *memory = &scaling->trace->memory;
    ps_scaled_buffer best = {.fit = PS_FIT_NONE};
    size_t next;
    uint32_t open = ps__scaling_open_at(scaling, memory->tid[row], memory->time_ns[row], &next);
    *maker = ps__scaling_maker_of(scaling, open);
    for (; open != PS_SCALING_NO_RANGE && best.fit != PS_FIT_EXACT; open = scaling->parent[open]) {
        consider_range(self, open, bytes, &best);
    }
    for (size_t i = 0;
         looks_ahead && i < LOOK_AHEAD && next != SIZE_MAX && best.fit != PS_FIT_EXACT; i++) {
        const uint32_t later = ps__scaling_range_of(scaling, memory->tid[row], next + i);
        if (later == PS_SCALING_NO_RANGE) {
            break;
        }
        consider_range(self, later, bytes, &best);
    }
    return best;
}
