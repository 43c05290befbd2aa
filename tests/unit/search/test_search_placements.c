/* SPDX-License-Identifier: MIT
 *
 * Where states and parameters may lie: which methods have which places, and
 * that what is said to be faster or smaller is so in one direction alone.
 */
#include "support/test.h"

#include <string.h>

#include "base/memory.h"
#include "search/method.h"

static size_t list(const ps_search_space *space, ps_search_method **out)
{
    ps_error err = {0};
    size_t count = 0;
    assert_ok(&err, ps_search_methods(space, out, &count, &err));
    return count;
}

static ps_search_space all_places(int64_t gpus)
{
    return (ps_search_space){.gpus = gpus,
                             .has_training = {true, true, true, true, true},
                             .has_recompute = {true, true},
                             .has_host_optimizer = true,
                             .has_disks = true,
                             .has_host_parameters = true,
                             .has_host_activations = true};
}

static size_t count_placed(const ps_search_space *space, ps_search_placement placement)
{
    ps_search_method *method;
    const size_t count = list(space, &method);
    size_t placed = 0;
    for (size_t i = 0; i < count; i++) {
        placed += method[i].placement == placement;
    }
    ps_free(method);
    return placed;
}

/* ZeRO's optimizer goes to the host in all stages, its parameters and shares of it in the third. */
static void every_scheme_has_the_places_of_its_framework(void **state)
{
    ps_search_space space = {.gpus = 4,
                             .has_training = {true},
                             .has_recompute = {true, false},
                             .only_others = true,
                             .has_host_optimizer = true};
    static const size_t expected[PS_SEARCH_PLACEMENT_COUNT] = {[PS_SEARCH_OPTIMIZER_ON_HOST] = 3,
                                                               [PS_SEARCH_THREE_QUARTERS_ON_HOST] =
                                                                   1,
                                                               [PS_SEARCH_HALF_ON_HOST] = 1,
                                                               [PS_SEARCH_QUARTER_ON_HOST] = 1,
                                                               [PS_SEARCH_STRIDE] = 1,
                                                               [PS_SEARCH_PARAMETERS_ON_HOST] = 1,
                                                               [PS_SEARCH_DISKS_BESIDE] = 1,
                                                               [PS_SEARCH_DISKS] = 1,
                                                               [PS_SEARCH_DISKS_AND_HOST] = 1};
    (void)state;
    for (int with_disks = 0; with_disks < 2; with_disks++) {
        space.has_disks = with_disks == 1;
        for (int i = PS_SEARCH_ON_GPU + 1; i < PS_SEARCH_PLACEMENT_COUNT; i++) {
            const ps_search_placement of = (ps_search_placement)i;
            const bool is_there = space.has_disks || !ps_search_placement_has_disks(of);
            assert_int_equal(count_placed(&space, of), is_there ? expected[i] : 0);
        }
    }
    space.has_host_optimizer = false;
    assert_int_equal(count_placed(&space, PS_SEARCH_OPTIMIZER_ON_HOST), 0);
    space.has_host_optimizer = true;
    space.has_adapters = true;
    assert_int_equal(count_placed(&space, PS_SEARCH_OPTIMIZER_ON_HOST), 0);
}

/* On one GPU a scheme divides nothing: it is there for what it keeps elsewhere. */
static void one_gpu_has_schemes_for_what_they_place(void **state)
{
    ps_search_space space = all_places(1);
    ps_search_method *method;
    size_t placed = 0, frozen = 0;
    (void)state;
    const size_t count = list(&space, &method);
    for (size_t i = 0; i < count; i++) {
        const ps_search_method *m = &method[i];
        const bool is_scheme = m->kind == PS_SEARCH_SCHEME;
        assert_true(!is_scheme || (m->placement != PS_SEARCH_ON_GPU && m->replicas == 1));
        assert_true(!is_scheme || m->training == PS_SEARCH_AS_ASKED);
        assert_false(m->syncs_always);
        placed += is_scheme;
        if (m->placement == PS_SEARCH_FROZEN_ON_HOST) {
            frozen++;
            assert_int_equal(m->training, PS_SEARCH_LORA); /* weights of 4 bits stay */
        }
    }
    assert_true(placed > 9);
    assert_int_equal(frozen, 4); /* activations here or there, recomputed or not */
    ps_free(method);
    space.policy = PS_TRAIN_POLICY_ZERO_OFFLOAD;
    assert_int_equal(count_placed(&space, PS_SEARCH_OPTIMIZER_ON_HOST), 0);
    space.policy = PS_TRAIN_POLICY_NONE;
    space.scheme = PS_PARALLEL_ZERO3;
    assert_true(count_placed(&space, PS_SEARCH_ON_GPU) > 0);
}

/* MeZO and LOMO are other trainings; neither has gradients that ranks exchange, MeZO no backward. */
static void other_optimizers_are_for_one_gpu(void **state)
{
    const ps_search_space one = all_places(1), several = all_places(2);
    ps_search_method *method;
    size_t zo2 = 0, mezo = 0, lomo = 0;
    (void)state;
    size_t count = list(&one, &method);
    for (size_t i = 0; i < count; i++) {
        const ps_search_method *m = &method[i];
        const bool is_mezo = m->training == PS_SEARCH_MEZO;
        assert_true(!is_mezo || (!m->recomputes && !m->streams_activations));
        assert_true(is_mezo || m->policy != PS_TRAIN_POLICY_ZO2);
        assert_int_equal(ps_search_has_one_micro_batch(m),
                         is_mezo || m->training == PS_SEARCH_LOMO);
        zo2 += m->policy == PS_TRAIN_POLICY_ZO2;
        mezo += is_mezo;
        lomo += m->training == PS_SEARCH_LOMO;
    }
    assert_int_equal(zo2, 1);
    assert_int_equal(mezo, 2);
    assert_int_equal(lomo, 4);
    ps_free(method);
    count = list(&several, &method);
    for (size_t i = 0; i < count; i++) {
        assert_null(ps_search_training_optimizer(method[i].training));
    }
    ps_free(method);
}

/* Over every pair: nothing beats itself, no two beat each other, and what is smaller comes first. */
static void orders_have_one_direction(void **state)
{
    (void)state;
    for (int64_t gpus = 1; gpus <= 2; gpus++) {
        ps_search_space space = all_places(gpus);
        ps_search_method *method;
        size_t faster = 0, smaller = 0;
        const size_t count = list(&space, &method);
        for (size_t i = 0; i < count; i++) {
            for (size_t k = 0; k < count; k++) {
                const ps_search_method *a = &method[i], *b = &method[k];
                const bool is_faster = ps_search_is_faster(a, b);
                const bool is_smaller = ps_search_is_smaller(a, b);
                assert_false(is_faster && ps_search_is_faster(b, a));
                assert_false(is_smaller && ps_search_is_smaller(b, a));
                assert_true(!is_smaller || i < k);
                assert_true(!is_faster || a->training == b->training);
                assert_true(!is_faster || (!a->recomputes || b->recomputes));
                assert_int_equal(ps_search_is_method(a, b), i == k);
                faster += is_faster;
                smaller += is_smaller;
            }
        }
        assert_true(faster > count);
        assert_true(smaller > 8);
        ps_free(method);
    }
}

static void families_are_named_after_their_place(void **state)
{
    ps_search_method of = {.kind = PS_SEARCH_SCHEME,
                           .scheme = PS_PARALLEL_ZERO3,
                           .placement = PS_SEARCH_HALF_ON_HOST,
                           .tensor = 1,
                           .pipeline = 1,
                           .replicas = 2};
    ps_search_method whole = of, parameters = of;
    char name[PS_SEARCH_NAME_BYTES];
    (void)state;
    ps_search_method_name(&of, name);
    assert_string_equal(name, "zero3 + optimizer on host offload_ratio=0.5");
    whole.placement = PS_SEARCH_OPTIMIZER_ON_HOST;
    whole.streams_activations = true;
    ps_search_method_name(&whole, name);
    assert_string_equal(name, "zero3 + optimizer on host + activations on host");
    parameters.placement = PS_SEARCH_PARAMETERS_ON_HOST;
    ps_search_family_name(&parameters, name);
    assert_string_equal(name, "zero3 + optimizer, parameters on host");
    assert_true(ps_search_is_family(&of, &whole));
    assert_false(ps_search_is_method(&of, &whole));
    assert_false(ps_search_is_family(&of, &parameters));
}

/* The longest name and the longest list of settings have room. */
static void names_and_settings_have_room(void **state)
{
    (void)state;
    for (int64_t gpus = 1; gpus <= 2; gpus++) {
        const ps_search_space space = all_places(gpus);
        ps_search_method *method;
        const size_t count = list(&space, &method);
        for (size_t i = 0; i < count; i++) {
            const ps_search_placement placement = method[i].placement;
            char name[PS_SEARCH_NAME_BYTES];
            size_t settings = 0;
            ps_search_method_name(&method[i], name);
            assert_true(strlen(name) < PS_SEARCH_NAME_BYTES - 1);
            while (ps_search_placement_setting(placement, settings) != NULL) {
                assert_non_null(strchr(ps_search_placement_setting(placement, settings), '='));
                settings++;
            }
            assert_int_equal(settings > 0, placement != PS_SEARCH_ON_GPU &&
                                               placement != PS_SEARCH_FROZEN_ON_HOST);
        }
        ps_free(method);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_scheme_has_the_places_of_its_framework),
        cmocka_unit_test(one_gpu_has_schemes_for_what_they_place),
        cmocka_unit_test(other_optimizers_are_for_one_gpu),
        cmocka_unit_test(orders_have_one_direction),
        cmocka_unit_test(families_are_named_after_their_place),
        cmocka_unit_test(names_and_settings_have_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
