/* SPDX-License-Identifier: MIT
 *
 * Linear modules and embeddings of which each rank has a part.
 */
#include "workload/model/row_parallel.h"

#include <inttypes.h>
#include <stdio.h>

#include "workload/eager/eager_parts.h"
#include "workload/eager/ops_collective.h"
#include "workload/eager/ops_matrix.h"

#define REFUSAL_BYTES 160

static ps_op_group group_of(const ps_model *m)
{
    return (ps_op_group){.ranks = ps_parallel_tensor(&m->recipe->parallel),
                         .axes = PS_PARALLEL_TENSOR_AXIS};
}

bool ps_row_parallel_is_on(const ps_model *m)
{
    return group_of(m).ranks > 1;
}

int64_t ps_row_parallel_share(ps_model *m, int64_t whole)
{
    const int64_t ranks = group_of(m).ranks;
    char text[REFUSAL_BYTES];
    if (whole % ranks != 0) {
        (void)snprintf(text, sizeof text,
                       "%" PRId64 " tensor-parallel ranks cannot share the %" PRId64
                       " inputs of a module evenly",
                       ranks, whole);
        ps_eager_fail(m->e, PS_USAGE, text);
    }
    return whole / ranks;
}

ps_tensor ps_row_parallel_linear(ps_model *m, const ps_linear *with, ps_tensor x)
{
    ps_eager *e = m->e;
    const ps_op_group group = group_of(m);
    const int64_t rows = ps_eager_elements(e, x) / with->in, in = with->in / group.ranks;
    ps_tensor share = ps_op_take_share(e, x, group);
    ps_tensor out = with->is_flat ? ps_op_linear_flat(e, share, with->weight, rows, in, with->out)
                                  : ps_op_linear(e, share, with->weight, rows, in, with->out);
    ps_eager_clear(e, &share);
    ps_eager_assign(e, &out, ps_op_sum_shares(e, out, group));
    if (with->bias != 0) {
        ps_eager_assign(e, &out, ps_op_add(e, out, with->bias));
    }
    return out;
}

ps_tensor ps_row_parallel_gather(ps_model *m, ps_tensor owned)
{
    if (!ps_row_parallel_is_on(m)) {
        return owned;
    }
    ps_tensor share = owned;
    const ps_tensor out = ps_op_gather_shares(m->e, share, group_of(m));
    ps_eager_clear(m->e, &share);
    return out;
}
