/* SPDX-License-Identifier: MIT
 *
 * Context parallelism by all-to-all: every rank has a part of the sequence and
 * all heads outside the attention, the whole sequence and a part of the heads
 * inside it. Tensors go one behind the other:
 *
 *   main stream     copy q   copy k   copy v
 *   communicator             q        k        v
 *   context stream                    order q  order k  order v
 *
 * What the context stream makes lies in memory of its own pool.
 */
#include "workload/eager/ops_host.h"
#include "workload/megatron/parts.h"

#define LANE_CONTEXT PS_EAGER_COMPUTE
#define MAX_TENSORS 3

typedef struct exchange {
    uint32_t count;
    int64_t elements[MAX_TENSORS];
    ps_tensor ordered[MAX_TENSORS], received[MAX_TENSORS];
    ps_tensor *out;
} exchange;

/* Heads, or parts of the sequence, of each rank behind one another. */
static void order(ps__meg *self, exchange *what, uint32_t i)
{
    what->ordered[i] = ps__meg_make(self, what->elements[i]);
    ps__meg_kernel(self, "order", 2 * what->elements[i]);
}

static void start(ps__meg *self, exchange *what, uint32_t i)
{
    what->received[i] = ps__meg_make(self, what->elements[i]);
    ps__meg_start(self, "all_to_all", PS_COLLECTIVE_ALL_TO_ALL, PS__MEG_LANE_EXCHANGE,
                  1u << PS__MEG_CONTEXT, (uint64_t)what->elements[i] * ps_dtype_bytes(self->dtype));
}

static void finish(ps__meg *self, exchange *what, uint32_t i)
{
    ps_op_join(self->e, LANE_CONTEXT, PS__MEG_LANE_EXCHANGE);
    const ps_eager_lane was = ps_eager_set_lane(self->e, LANE_CONTEXT);
    what->out[i] = ps__meg_make(self, what->elements[i]);
    ps__meg_kernel(self, "order", 2 * what->elements[i]);
    (void)ps_eager_set_lane(self->e, was);
}

static void run(ps__meg *self, exchange *what, bool is_before)
{
    for (uint32_t i = 0; i < what->count + 2; i++) {
        if (i > 0 && i < what->count + 1) {
            start(self, what, i - 1);
        }
        if (is_before && i > 1) {
            finish(self, what, i - 2);
        }
        if (i < what->count) {
            order(self, what, i);
        }
        if (!is_before && i > 1) {
            finish(self, what, i - 2);
        }
    }
    ps__meg_await(self, LANE_CONTEXT);
    for (uint32_t i = 0; i < what->count; i++) {
        ps_eager_clear(self->e, &what->ordered[i]);
        ps_eager_clear(self->e, &what->received[i]);
    }
}

void ps__meg_exchange(ps__meg *self, const int64_t *width, uint32_t count, bool is_before,
                      ps_tensor *out)
{
    exchange what = {.count = count, .out = out};
    for (uint32_t i = 0; i < count; i++) {
        what.elements[i] = self->tokens * width[i];
    }
    run(self, &what, is_before);
}
