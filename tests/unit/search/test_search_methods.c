/* SPDX-License-Identifier: MIT
 *
 * The space of methods: every line of the lists, every degree that divides.
 */
#include "support/test.h"

#include "base/memory.h"
#include "search/method.h"

static size_t schemes(void)
{
    size_t count = 0;
    while (ps_parallel_word_at(count) != NULL) {
        count++;
    }
    return count;
}

/* Those that can exchange gradients after every micro-batch or keep them whole. */
static size_t dividing_schemes(void)
{
    ps_parallel parallel = ps_parallel_default();
    size_t count = 0;
    parallel.ranks = 2;
    for (size_t i = 0; i < schemes(); i++) {
        parallel.scheme = (ps_parallel_scheme)(i + 1);
        count += ps_parallel_shards(&parallel);
    }
    return count;
}

static size_t list(const ps_search_space *space, ps_search_method **out)
{
    ps_error err = {0};
    size_t count = 0;
    assert_ok(&err, ps_search_methods(space, out, &count, &err));
    return count;
}

static void every_scheme_and_degree_is_there(void **state)
{
    const ps_search_space space = {.gpus = 8,
                                   .has_training = {true},
                                   .has_recompute = {true, true},
                                   .heads = 32,
                                   .layers = 32};
    ps_search_method *method;
    (void)state;
    /* tensor x pipeline with a product that divides 8: 10 pairs; Gemini's modules among 2, 4, 8 */
    const size_t count = list(&space, &method);
    assert_int_equal(count, 2 * (schemes() + dividing_schemes() + 10 + 3));
    for (size_t i = 0; i < count; i++) {
        const ps_search_method *m = &method[i];
        assert_int_equal(m->replicas * m->tensor * m->pipeline, 8);
        assert_true(m->recomputes == (i % 2 == 1));
    }
    ps_free(method);
}

static void degrees_divide_heads_and_layers(void **state)
{
    const ps_search_space space = {.gpus = 8,
                                   .has_training = {true},
                                   .has_recompute = {true, false},
                                   .only_megatron = true,
                                   .heads = 12,
                                   .layers = 2};
    ps_search_method *method;
    (void)state;
    const size_t count = list(&space, &method);
    assert_int_equal(count, 6); /* 1x1 1x2 2x1 2x2 4x1 4x2 */
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(12 % method[i].tensor, 0);
        assert_int_equal(2 % method[i].pipeline, 0);
    }
    ps_free(method);
}

static void what_is_asked_for_is_kept(void **state)
{
    char name[PS_SEARCH_NAME_BYTES];
    ps_search_space space = {.gpus = 8,
                             .has_training = {true, true},
                             .has_recompute = {true, false},
                             .only_others = true,
                             .scheme = ps_parallel_scheme_of("ddp")};
    ps_search_method *method;
    (void)state;
    assert_int_equal(list(&space, &method), 2);
    assert_false(ps_search_is_family(&method[0], &method[1]));
    ps_free(method);
    space = (ps_search_space){.gpus = 8,
                              .has_training = {true},
                              .has_recompute = {true, false},
                              .only_megatron = true,
                              .tensor = 2};
    assert_int_equal(list(&space, &method), 3); /* pp 1, 2, 4 */
    ps_free(method);
    space = (ps_search_space){.gpus = 8,
                              .has_training = {true},
                              .has_recompute = {true, false},
                              .only_others = true,
                              .scheme = ps_parallel_scheme_of("gemini")};
    assert_int_equal(list(&space, &method), 4); /* tp 1, 2, 4, 8 */
    ps_search_method_name(&method[2], name);
    assert_string_equal(name, "gemini tp 4 dp 2");
    assert_true(ps_search_is_family(&method[0], &method[2]));
    ps_free(method);
    space.tensor = 2;
    assert_int_equal(list(&space, &method), 1);
    assert_int_equal(method[0].tensor, 2);
    ps_free(method);
    space.tensor = 1;
    assert_int_equal(list(&space, &method), 1);
    assert_int_equal(method[0].replicas, 8);
    ps_free(method);
}

/* What trains another model than was asked for must be asked for. */
static void projected_gradients_are_asked_for(void **state)
{
    ps_search_space space = {.gpus = 1, .has_training = {true}, .has_recompute = {true, false}};
    ps_search_method *method;
    (void)state;
    const size_t without = list(&space, &method);
    for (size_t i = 0; i < without; i++) {
        assert_int_not_equal(method[i].policy, PS_TRAIN_POLICY_LSP);
    }
    ps_free(method);
    space.has_lsp = true;
    assert_int_equal(list(&space, &method), without + 1);
    ps_free(method);
    space.has_lsp = false;
    space.policy = PS_TRAIN_POLICY_LSP;
    assert_int_equal(list(&space, &method), 1);
    assert_int_equal(method[0].policy, PS_TRAIN_POLICY_LSP);
    ps_free(method);
}

static void one_gpu_has_no_schemes(void **state)
{
    const ps_search_space space = {
        .gpus = 1, .has_training = {true, true, true}, .has_recompute = {true, false}};
    char name[PS_SEARCH_NAME_BYTES];
    size_t singles = 0;
    ps_search_method *method;
    (void)state;
    const size_t count = list(&space, &method);
    for (size_t i = 0; i < count; i++) {
        assert_true(method[i].kind == PS_SEARCH_SINGLE || method[i].kind == PS_SEARCH_POLICY);
        singles += method[i].kind == PS_SEARCH_SINGLE;
    }
    assert_int_equal(singles, 3);
    ps_search_method_name(&method[0], name);
    assert_string_equal(name, "single GPU");
    ps_search_method_name(&method[count - 1], name);
    assert_string_equal(name, "single GPU + QLoRA");
    ps_free(method);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_scheme_and_degree_is_there),
        cmocka_unit_test(degrees_divide_heads_and_layers),
        cmocka_unit_test(what_is_asked_for_is_kept),
        cmocka_unit_test(projected_gradients_are_asked_for),
        cmocka_unit_test(one_gpu_has_no_schemes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
