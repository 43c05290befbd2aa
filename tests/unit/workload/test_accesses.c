/* SPDX-License-Identifier: MIT
 *
 * How kernels that memory bounds go through their operands, and how many elements: rates differ.
 */
#include "unit/workload/scheme_runs.h"

enum { BATCH = 2, TOKENS = 16, WIDTH = 64, HEADS = 4, WORDS = 1000, LAYERS = 4 };

/* Memory-bound operations of step 1 with this name, access and number of elements. */
static size_t count_of(const ps_workload *w, const char *name, ps_access access, uint64_t elements)
{
    size_t count = 0;
    for (uint32_t at = w->step.begin_event[1]; at < w->step.end_event[1]; at++) {
        const uint32_t row = w->event.ref[at];
        count += w->event.kind[at] == PS_WORKLOAD_EVENT_OP && w->op.kind[row] == PS_OP_MEMORY &&
                 strcmp(ps_strings_text(w->strings, w->op.name[row]), name) == 0 &&
                 w->op.access[row] == (uint8_t)access && w->op.elements[row] == elements;
    }
    return count;
}

static ps_workload *build_eager(const char *config, ps_dtype parameters)
{
    ps_recipe r = small_recipe(PS_PARALLEL_NONE, 1);
    r.attention = PS_ATTENTION_EAGER;
    r.parameters = parameters;
    return build(config, &r);
}

static void test_softmax_and_norms_go_by_rows(void **state)
{
    (void)state;
    const uint64_t scores = BATCH * HEADS * TOKENS * TOKENS, states = BATCH * TOKENS * WIDTH;
    ps_workload *w = build_eager(GPT2, PS_DTYPE_F32);
    assert_int_equal(count_of(w, "softmax", PS_ACCESS_ROWS, scores), LAYERS);
    assert_int_equal(count_of(w, "SoftmaxBackward0", PS_ACCESS_ROWS, scores), LAYERS);
    assert_int_equal(count_of(w, "native_layer_norm", PS_ACCESS_ROWS, states), 2 * LAYERS + 1);
    assert_int_equal(count_of(w, "native_layer_norm_backward", PS_ACCESS_ROWS, states),
                     2 * LAYERS + 1);
    ps_workload_destroy(w);
}

static void test_what_is_summed_is_what_is_read(void **state)
{
    (void)state;
    const uint64_t states = BATCH * TOKENS * WIDTH;
    ps_workload *w = build_eager(GPT2, PS_DTYPE_F32);
    /* gradients of gains and of biases of norms; of the biases behind attention and network */
    assert_int_equal(count_of(w, "native_layer_norm_backward", PS_ACCESS_REDUCTION, states),
                     2 * LAYERS + 1);
    assert_true(count_of(w, "sum", PS_ACCESS_REDUCTION, states) >= 2 * LAYERS);
    ps_workload_destroy(w);
}

static void test_places_are_worked_out_where_shapes_or_types_differ(void **state)
{
    (void)state;
    const uint64_t states = BATCH * TOKENS * WIDTH;
    ps_workload *same = build_eager(LLAMA, PS_DTYPE_F32),
                *narrow = build_eager(LLAMA, PS_DTYPE_BF16);
    /* each norm's factor a row, and its weight a column; the residual lies as the states do */
    assert_true(count_of(same, "mul", PS_ACCESS_STRIDED, states) >= 2 * (2 * LAYERS + 1));
    assert_true(count_of(same, "add", PS_ACCESS_CONTIGUOUS, states) >= 2 * LAYERS);
    /* norms are computed in 32 bits, and so is the softmax of as many scores: there and back */
    assert_int_equal(count_of(narrow, "copy", PS_ACCESS_STRIDED, states),
                     count_of(same, "copy", PS_ACCESS_STRIDED, states) + 4 * (2 * LAYERS + 1) +
                         4 * LAYERS);
    ps_workload_destroy(narrow);
    ps_workload_destroy(same);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_softmax_and_norms_go_by_rows),
        cmocka_unit_test(test_what_is_summed_is_what_is_read),
        cmocka_unit_test(test_places_are_worked_out_where_shapes_or_types_differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
