/* SPDX-License-Identifier: MIT
 *
 * Fused attention on a GPU of round figures: 10 multiprocessors of 10 TFLOP/s,
 * blocks of 128 rows.
 */
#include "unit/cost/round_card.h"

static ps_cost_op attention(ps_cost_kind kind, uint64_t heads, uint64_t tokens, bool is_causal)
{
    const uint64_t products = kind == PS_COST_ATTENTION_FORWARD ? 2 : 5;
    const uint64_t full = products * 2 * heads * tokens * tokens * 128;
    return (ps_cost_op){
        .kind = kind,
        .element = PS_COST_F16,
        .batch = heads,
        .m = tokens,
        .n = tokens,
        .k = 128,
        .flop = is_causal ? full / 2 : full,
        .moved_bytes = 8 * heads * tokens * 128,
    };
}

static void blocks_go_in_waves(void **state)
{
    (void)state;
    ps_cost_model *model = round_model("", NULL);
    /* 100 blocks, ten turns: 8.39 Gflop at 100 TFLOP/s, half of them under a mask */
    is_about(ns_of(model, attention(PS_COST_ATTENTION_FORWARD, 10, 1280, false)), 1000 + 83886);
    is_about(ns_of(model, attention(PS_COST_ATTENTION_FORWARD, 10, 1280, true)), 1000 + 41943);
    /* backward: 5/2 as many flop at half the share */
    is_about(ns_of(model, attention(PS_COST_ATTENTION_BACKWARD, 10, 1280, false)),
             1000 + 5 * 83886);
    /* 11 heads of one block: two turns, the second with one block */
    const ps_ns ten = ns_of(model, attention(PS_COST_ATTENTION_FORWARD, 10, 128, false));
    const ps_ns eleven = ns_of(model, attention(PS_COST_ATTENTION_FORWARD, 11, 128, false));
    is_about(ten, 1000 + 838);
    is_about(eleven, 1000 + 1677);
    ps_cost_destroy(model);
}

/* Under a causal mask the last block has twice the mean, which nothing hides when blocks are few. */
static void the_longest_block_counts(void **state)
{
    (void)state;
    ps_cost_model *model = round_model("", NULL);
    is_about(ns_of(model, attention(PS_COST_ATTENTION_FORWARD, 1, 1280, true)), 1000 + 8388);
    is_about(ns_of(model, attention(PS_COST_ATTENTION_FORWARD, 1, 1280, false)), 1000 + 8388);
    ps_cost_destroy(model);
}

static void small_head_dimensions_and_block_starts_cost(void **state)
{
    (void)state;
    ps_cost_model *model = round_model("round,attention-half,128,,given: test\n"
                                       "round,attention-fixed,2,us,given: test\n",
                                       NULL);
    ps_cost_op op = attention(PS_COST_ATTENTION_FORWARD, 10, 1280, false);
    is_about(ns_of(model, op), 1000 + 83886 + 10 * 2000);
    op.k = 64; /* 64 / (64 + 128) over 128 / (128 + 128): two thirds */
    op.flop /= 2;
    is_about(ns_of(model, op), 1000 + 83886 / 2 * 3 / 2 + 10 * 2000);
    op.moved_bytes = 1000000000;
    is_about(ns_of(model, op), 1000 + 1000000);
    assert_int_equal(time_of(model, op).bound, PS_COST_BY_MEMORY);
    ps_cost_destroy(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_go_in_waves),
        cmocka_unit_test(the_longest_block_counts),
        cmocka_unit_test(small_head_dimensions_and_block_starts_cost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
