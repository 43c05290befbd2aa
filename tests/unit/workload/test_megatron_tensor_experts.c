/* SPDX-License-Identifier: MIT
 *
 * Latent attention and experts over tensor ranks: together they hold the model
 * once, but for what each has whole, and multiply what one rank would.
 */
#include "megatron_scene.h"

/* Of a layer: norms, the narrow products of attention and the router lie on every tensor rank. */
static void tensor_ranks_share_each_expert(void **state)
{
    const uint64_t words = 2 * 1024 * MEG_HIDDEN,
                   wide = 128 * 8 * 24 + 256 * 8 * 32 + 8 * 16 * MEG_HIDDEN;
    const uint64_t whole =
        4 * (2 * MEG_HIDDEN + 128 + 256 + MEG_HIDDEN * (128 + 264)) + 3 * 8 * MEG_HIDDEN;
    const uint64_t shared = 3 * 3 * MEG_HIDDEN * 80, experts = 3 * 8 * 3 * MEG_HIDDEN * 40;
    const uint64_t divided = words + 4 * wide + 3 * MEG_HIDDEN * 176 + shared;
    static const int64_t tensors[] = {1, 2, 4};
    (void)state;
    for (size_t i = 0; i < sizeof tensors / sizeof tensors[0]; i++) {
        ps_megatron_recipe recipe = meg_small();
        recipe.tensor = tensors[i];
        recipe.data = 4;
        recipe.expert = 2;
        const uint64_t once = divided + (uint64_t)recipe.tensor * (whole + MEG_HIDDEN);
        assert_int_equal(meg_sum_of_ranks(&meg_mixture, &recipe, PS_ROLE_PARAMETER),
                         2 * (4 * once + 2 * experts));
        assert_int_equal(meg_sum_of_ranks(&meg_mixture, &recipe, PS_ROLE_OPTIMIZER_STATE),
                         12 * (once + experts));
    }
}

static void experts_exchange_what_each_tensor_rank_has(void **state)
{
    ps_megatron_recipe recipe = meg_small();
    (void)state;
    recipe.steps = 1;
    recipe.micro_batches = 3;
    recipe.data = 2;
    recipe.expert = 2;
    ps_workload *w = meg_build(&meg_mixture, &recipe, 0);
    /* rows and their weights, there and back, forward and backward */
    assert_int_equal(meg_count_collectives(w, PS_COLLECTIVE_ALL_TO_ALL, 1u << 2), 3 * 3 * 6);
    const uint64_t alone = meg_collective_bytes(w, PS_COLLECTIVE_ALL_TO_ALL, 1u << 2);
    ps_workload_destroy(w);
    recipe.tensor = 2;
    w = meg_build(&meg_mixture, &recipe, 0);
    assert_int_equal(meg_count_collectives(w, PS_COLLECTIVE_ALL_TO_ALL, 1u << 2), 3 * 3 * 6);
    assert_int_equal(2 * meg_collective_bytes(w, PS_COLLECTIVE_ALL_TO_ALL, 1u << 2), alone);
    /* attention 3 and 3, 1 and 3; experts 3 and 3, 2 and 3; dense 1 and 2, 1 and 1; ends as dense */
    assert_int_equal(meg_count_collectives(w, PS_COLLECTIVE_ALL_GATHER, 1),
                     3 * (4 * 6 + 3 * 6 + 3 + 1 + 3));
    assert_int_equal(meg_count_collectives(w, PS_COLLECTIVE_REDUCE_SCATTER, 1),
                     3 * (4 * 4 + 3 * 5 + 2 + 1 + 1));
    /* the router's counts, and gradients of what both have whole */
    assert_int_equal(meg_count_collectives(w, PS_COLLECTIVE_ALL_REDUCE, 1), 3 * 3 + 1);
    ps_workload_destroy(w);
}

/* Tensor ranks together multiply what one would: tokens by weights, each once. */
static void tensor_ranks_divide_the_products(void **state)
{
    static const int64_t tensors[] = {2, 4};
    ps_megatron_recipe recipe = meg_small();
    (void)state;
    recipe.steps = 1;
    recipe.micro_batches = 1;
    recipe.data = 2;
    recipe.expert = 2;
    recipe.sequence = 256;
    ps_workload *one = meg_build(&meg_mixture, &recipe, 0);
    for (size_t i = 0; i < sizeof tensors / sizeof tensors[0]; i++) {
        recipe.tensor = tensors[i];
        ps_workload *part = meg_build(&meg_mixture, &recipe, 0);
        for (uint32_t block = 1; block <= 4; block++) {
            assert_int_equal((uint64_t)recipe.tensor * meg_product_flop(part, block),
                             meg_product_flop(one, block));
        }
        ps_workload_destroy(part);
    }
    ps_workload_destroy(one);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tensor_ranks_share_each_expert),
        cmocka_unit_test(experts_exchange_what_each_tensor_rank_has),
        cmocka_unit_test(tensor_ranks_divide_the_products),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
