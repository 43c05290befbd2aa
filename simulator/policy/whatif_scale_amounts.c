/* SPDX-License-Identifier: MIT
 *
 * How much work an operator does before and after the change.
 *
 * Its shapes tell: the bytes of what it reads and makes, or for a matrix
 * product rows x columns x length of the sums.
 */
#include <string.h>

#include "policy/whatif_scale_work_parts.h"

/* [bytes] of an element whose type was not recorded. */
#define USUAL_ELEMENT_BYTES 4u

/* A table that is looked up is not read from end to end. */
static bool is_table(const char *name, uint32_t argument)
{
    return argument == 0 && (strcmp(name, "embedding") == 0 || strcmp(name, "index_select") == 0);
}

ps_scaled_amount ps__scaled_bytes(const ps_scaling *self, uint32_t range)
{
    ps_scaled_amount sum = {self->born_old[range], self->born_new[range]};
    const ps_shapes *shapes = ps__scaling_shapes_of(self, range);
    for (uint32_t i = 0; shapes != NULL && i < shapes->count; i++) {
        const ps_shape *shape = &shapes->tensor[i];
        const uint64_t element =
            shape->element_bytes == 0 ? USUAL_ELEMENT_BYTES : shape->element_bytes;
        if (is_table(ps__scaling_operator_name(self, range), shape->argument)) {
            continue;
        }
        const ps_scaled_shape scaled = ps__scaling_shape(self, shape);
        sum.old_amount += ps_mul_div_u64(scaled.old_elements, element, 1);
        sum.new_amount += ps_mul_div_u64(scaled.new_elements, element, 1);
    }
    return sum;
}

/* Those of the left times the columns of the right. */
static ps_scaled_amount product_arithmetic(const ps_scaling *self, const ps_product *product)
{
    const ps_scaled_shape left = ps__scaling_shape(self, product->left);
    const ps_scaled_shape right = ps__scaling_shape(self, product->right);
    const uint32_t column = product->column_dim;
    return (ps_scaled_amount){
        .old_amount = ps_mul_div_u64(left.old_elements, 2 * product->right->dim[column], 1),
        .new_amount = ps_mul_div_u64(left.new_elements, 2 * right.new_dim[column], 1),
    };
}

/* Its input times the kernel's elements for each output channel. */
static ps_scaled_amount convolution_arithmetic(const ps_scaling *self, const ps_shape *input,
                                               const ps_shape *kernel)
{
    const ps_scaled_shape scaled = ps__scaling_shape(self, input);
    const uint64_t per_element = ps__shape_elements(kernel) / kernel->dim[1];
    return (ps_scaled_amount){
        .old_amount = ps_mul_div_u64(scaled.old_elements, 2 * per_element, 1),
        .new_amount = ps_mul_div_u64(scaled.new_elements, 2 * per_element, 1),
    };
}

ps_scaled_amount ps__scaled_arithmetic(const ps_scaling *self, uint32_t range)
{
    const ps_shapes *shapes = ps__scaling_shapes_of(self, range);
    ps_product product;
    if (ps__scaling_product(self, range, &product)) {
        return product_arithmetic(self, &product);
    }
    if (shapes != NULL && shapes->count >= 2 &&
        strstr(ps__scaling_operator_name(self, range), "conv") != NULL &&
        shapes->tensor[1].dim_count >= 2 && shapes->tensor[1].dim[1] > 0) {
        return convolution_arithmetic(self, &shapes->tensor[0], &shapes->tensor[1]);
    }
    return (ps_scaled_amount){0};
}
