/* SPDX-License-Identifier: MIT
 *
 * A slope a head: powers of a base, and of another one for heads past a power of two.
 */
#include "workload/family/alibi.h"

#include "workload/model/masks.h"

#define MAX_LOCALS 6

/* Variables of the function, which live until it returns. */
typedef struct locals {
    ps_tensor of[MAX_LOCALS];
    int count;
} locals;

static ps_tensor keep(locals *own, ps_tensor owned)
{
    own->of[own->count++] = owned;
    return owned;
}

/* base ** 1 .. count: the base comes from the host, exponents are whole numbers of 32 bits */
static ps_tensor powers(ps_model *m, locals *own, int64_t count)
{
    (void)keep(own, ps_op_plain(m->e, "copy", 1, PS_DTYPE_F32));
    (void)keep(own, ps_op_plain(m->e, "arange", count, PS_DTYPE_F32));
    return ps_op_plain(m->e, "pow", count, PS_DTYPE_F32);
}

static int64_t power_of_two_below(int64_t heads)
{
    int64_t power = 1;
    while (power <= heads / 2) {
        power *= 2;
    }
    return power;
}

static ps_tensor slopes(ps_model *m, locals *own, int64_t heads)
{
    const int64_t usual = power_of_two_below(heads);
    ps_tensor out = powers(m, own, usual);
    if (usual < heads) {
        ps_tensor extra = powers(m, own, heads - usual);
        ps_eager_assign(m->e, &out, ps_op_plain(m->e, "cat", heads, PS_DTYPE_F32));
        ps_eager_clear(m->e, &extra);
    }
    return keep(own, out);
}

/* (mask.cumsum(-1) - 1) * mask */
static void number_tokens(ps_model *m, locals *own, ps_tensor mask, int64_t batch)
{
    const int64_t elements = ps_eager_elements(m->e, mask);
    const ps_dtype dtype = ps_eager_dtype(m->e, mask);
    ps_tensor number = ps_mask_count(m, mask, batch);
    ps_eager_assign(m->e, &number, ps_op_plain(m->e, "sub", elements, dtype));
    ps_eager_assign(m->e, &number, ps_op_plain(m->e, "mul", elements, dtype));
    (void)keep(own, number);
}

ps_tensor ps_alibi_make(ps_model *m, ps_tensor mask, int64_t batch, int64_t heads, ps_dtype dtype)
{
    locals own = {0};
    (void)slopes(m, &own, heads);
    number_tokens(m, &own, mask, batch);
    ps_tensor out = ps_op_plain(m->e, "mul", heads * ps_eager_elements(m->e, mask), PS_DTYPE_F32);
    ps_eager_assign(m->e, &out, ps_op_to(m->e, out, dtype));
    for (int i = 0; i < own.count; i++) {
        ps_eager_clear(m->e, &own.of[i]);
    }
    return out;
}
