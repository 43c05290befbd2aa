/* SPDX-License-Identifier: MIT
 *
 * AdamW8bit of bitsandbytes: moments of one byte an element, with a largest
 * value of 32 bits each 256 elements, and two tables that all parameters
 * share. Parameters of fewer than 4096 elements have moments of 32 bits.
 */
#include "workload/optimizer/optimizer_parts.h"

#define MIN_8BIT_ELEMENTS 4096
#define BLOCK_ELEMENTS 256 /* older releases of bitsandbytes: 2048 */
#define TABLE_VALUES 256
#define MOMENTS 2

static bool is_narrow(int64_t elements)
{
    return elements >= MIN_8BIT_ELEMENTS;
}

static int64_t elements_of(const ps_optimizer *self, size_t parameter)
{
    return ps_eager_elements(self->e, ps_optimizer_parameter(self, parameter));
}

static bool has_tables(const ps_optimizer *self)
{
    return self->factor != 0;
}

/* They come to the device with the first parameter that needs them. */
static void make_tables(ps_optimizer *self)
{
    for (int i = 0; i < MOMENTS; i++) {
        self->factor = ps_optimizer_keep(self, TABLE_VALUES, PS_DTYPE_F32);
    }
}

static void make_state(ps_optimizer *self, size_t parameter)
{
    const int64_t elements = elements_of(self, parameter);
    const int64_t blocks = (elements + BLOCK_ELEMENTS - 1) / BLOCK_ELEMENTS;
    if (is_narrow(elements) && !has_tables(self)) {
        make_tables(self);
    }
    for (int i = 0; i < MOMENTS; i++) {
        /* PS_DTYPE_BOOL: one byte an element */
        (void)ps_optimizer_keep(self, elements, is_narrow(elements) ? PS_DTYPE_BOOL : PS_DTYPE_F32);
    }
    for (int i = 0; i < MOMENTS && is_narrow(elements); i++) {
        (void)ps_optimizer_keep(self, blocks, PS_DTYPE_F32);
    }
}

/* One kernel reads gradient, parameter and moments, and writes the latter three. */
static void step(ps_optimizer *self, size_t parameter)
{
    const uint64_t elements = (uint64_t)elements_of(self, parameter);
    const uint64_t bytes = ps_eager_bytes(self->e, ps_optimizer_parameter(self, parameter));
    const uint64_t state_bytes =
        is_narrow((int64_t)elements)
            ? MOMENTS * (elements + elements / BLOCK_ELEMENTS * ps_dtype_bytes(PS_DTYPE_F32))
            : MOMENTS * elements * ps_dtype_bytes(PS_DTYPE_F32);
    ps_op_kernel(self->e, is_narrow((int64_t)elements) ? "adamw_8bit_blockwise" : "adamw_32bit",
                 3 * bytes + 2 * state_bytes);
}

static void update(ps_optimizer *self)
{
    ps_optimizer_each(self, step);
}

const ps_optimizer_ops ps_optimizer_adamw_8bit = {.usual = PS_OPTIMIZER_LOOP,
                                                  .styles = PS_STYLE_BIT(LOOP),
                                                  .make_state = make_state,
                                                  .update = update};
