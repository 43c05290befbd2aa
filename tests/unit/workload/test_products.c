/* SPDX-License-Identifier: MIT
 *
 * How the factors of a linear module's three products lie in memory: that decides whether rows
 * begin where matrix units want them, whatever the number of tokens.
 */
#include "unit/workload/scheme_runs.h"

static const char *const families[] = {GPT2, OPT, LLAMA};

/* Products of linear modules in a step with this layout, m, n and k; `size` NULL: any. */
static size_t count_of(const ps_workload *w, ps_operand_layout layout, const uint64_t size[3])
{
    size_t count = 0;
    for (uint32_t at = w->step.begin_event[1]; at < w->step.end_event[1]; at++) {
        const uint32_t row = w->event.ref[at];
        count += w->event.kind[at] == PS_WORKLOAD_EVENT_OP && w->op.kind[row] == PS_OP_MATMUL &&
                 strcmp(ps_strings_text(w->strings, w->op.name[row]), "mm") == 0 &&
                 w->op.k[row] > 1 && w->op.layout[row] == (uint8_t)layout &&
                 (size == NULL ||
                  (w->op.m[row] == size[0] && w->op.n[row] == size[1] && w->op.k[row] == size[2]));
    }
    return count;
}

static void test_a_forward_product_has_both_gradients(void **state)
{
    (void)state;
    for (size_t family = 0; family < 3; family++) {
        ps_recipe r = small_recipe(PS_PARALLEL_NONE, 1);
        r.length = 15;
        ps_workload *w = build(families[family], &r);
        const size_t forward = count_of(w, PS_OPERANDS_TN, NULL);
        assert_true(forward >= 3 * 4 + 1);
        assert_int_equal(count_of(w, PS_OPERANDS_NN, NULL), forward);
        assert_int_equal(count_of(w, PS_OPERANDS_NT, NULL), forward);
        assert_int_equal(count_of(w, PS_OPERANDS_UNKNOWN, NULL), 0);
        ps_workload_destroy(w);
    }
}

static void test_tokens_are_what_a_weights_gradient_sums_over(void **state)
{
    (void)state;
    ps_recipe r = small_recipe(PS_PARALLEL_NONE, 1);
    r.length = 15;
    ps_workload *w = build(LLAMA, &r);
    const uint64_t tokens = 2 * 15, in = 176, out = 64; /* the way back from the wide layer */
    assert_int_equal(count_of(w, PS_OPERANDS_TN, (uint64_t[]){tokens, out, in}), 4);
    assert_int_equal(count_of(w, PS_OPERANDS_NN, (uint64_t[]){tokens, in, out}), 4);
    assert_int_equal(count_of(w, PS_OPERANDS_NT, (uint64_t[]){out, in, tokens}), 4);
    ps_workload_destroy(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_forward_product_has_both_gradients),
        cmocka_unit_test(test_tokens_are_what_a_weights_gradient_sums_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
