/* SPDX-License-Identifier: MIT
 *
 * What ranks with experts do: messages, gradients, and how their kernels go
 * through what they read.
 */
#include "megatron_scene.h"

#include <string.h>

#define EXPERT_AXIS (1u << 2)

static bool is_named(const ps_workload *w, size_t op, const char *name)
{
    return strcmp(ps_strings_text(w->strings, w->op.name[op]), name) == 0;
}

/* Rows there and back, their probabilities there; the same of gradients. */
static void experts_exchange_six_times_a_layer(void **state)
{
    ps_megatron_recipe recipe = meg_small();
    (void)state;
    recipe.steps = 1;
    recipe.micro_batches = 3;
    recipe.data = 4;
    recipe.expert = 2;
    ps_workload *w = meg_build(&meg_mixture, &recipe, 0);
    /* micro-batches x layers with experts x messages */
    assert_int_equal(meg_count_collectives(w, PS_COLLECTIVE_ALL_TO_ALL, EXPERT_AXIS), 3 * 3 * 6);
    ps_workload_destroy(w);
}

static uint64_t bytes_named(const ps_workload *w, const char *name)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < w->op.head.count; i++) {
        bytes += is_named(w, i, name) ? w->op.moved_bytes[i] : 0;
    }
    return bytes;
}

/* An expert sees the tokens of all replicas: its gradient is a mean also where nobody shares it. */
static void gradients_of_experts_are_scaled(void **state)
{
    ps_megatron_recipe recipe = meg_small();
    (void)state;
    recipe.steps = 1;
    recipe.clips = false;
    recipe.data = recipe.expert = 2;
    ps_workload *w = meg_build(&meg_mixture, &recipe, 0);
    /* a gradient's norm reads it, the scale reads and writes it */
    assert_true(bytes_named(w, "norm") > 0);
    assert_int_equal(bytes_named(w, "scale"), 2 * bytes_named(w, "norm"));
    ps_workload_destroy(w);
    recipe.data = recipe.expert = 1;
    w = meg_build(&meg_mixture, &recipe, 0);
    assert_int_equal(bytes_named(w, "scale"), 0);
    ps_workload_destroy(w);
}

/* Tokens that go to experts are copied by place, and the largest are found a row at a time. */
static void operations_say_their_way(void **state)
{
    static const struct {
        const char *name;
        ps_access access;
    } expected[] = {{"permute", PS_ACCESS_STRIDED},    {"sort", PS_ACCESS_STRIDED},
                    {"restore", PS_ACCESS_STRIDED},    {"topk", PS_ACCESS_ROWS},
                    {"cross_entropy", PS_ACCESS_ROWS}, {"rms_norm", PS_ACCESS_CONTIGUOUS},
                    {"swiglu", PS_ACCESS_CONTIGUOUS}};
    ps_megatron_recipe recipe = meg_small();
    (void)state;
    recipe.data = recipe.expert = 2;
    ps_workload *w = meg_build(&meg_mixture, &recipe, 0);
    for (size_t k = 0; k < sizeof expected / sizeof expected[0]; k++) {
        size_t found = 0;
        for (size_t i = 0; i < w->op.head.count; i++) {
            if (is_named(w, i, expected[k].name)) {
                assert_int_equal(w->op.access[i], expected[k].access);
                found++;
            }
        }
        assert_true(found > 0);
    }
    ps_workload_destroy(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(experts_exchange_six_times_a_layer),
        cmocka_unit_test(gradients_of_experts_are_scaled),
        cmocka_unit_test(operations_say_their_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
