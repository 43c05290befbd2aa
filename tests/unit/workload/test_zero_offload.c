/* SPDX-License-Identifier: MIT
 *
 * ZeRO-Offload: step times against the sums that its schedules are drawn with,
 * what lies on the host, and that its plans are sound.
 */
#include "offload_scene.h"

#include <stdlib.h>

static void test_zero_offload_takes_the_sum_of_its_drawing(void **state)
{
    const ps_recipe recipe = recipe_of(PS_TRAIN_POLICY_ZERO_OFFLOAD);
    bool was_hidden = false, was_seen = false;
    (void)state;
    for (size_t i = 0; i < MACHINES; i++) {
        scene s = run(&recipe, &machines[i]);
        const sums t = sum_step(&s, 2);
        assert_about(t.step, t.forward + larger(t.backward, t.up) + t.host + t.down);
        was_hidden = was_hidden || t.up < t.backward;
        was_seen = was_seen || t.up > t.backward;
        end(&s);
    }
    assert_true(was_hidden && was_seen);
}

static void test_a_delayed_update_runs_beside_the_next_step(void **state)
{
    ps_recipe recipe = recipe_of(PS_TRAIN_POLICY_ZERO_OFFLOAD);
    bool was_hidden = false, was_seen = false;
    recipe.offload.zero.is_delayed = true;
    (void)state;
    for (size_t i = 0; i < MACHINES; i++) {
        scene s = run(&recipe, &machines[i]);
        const sums t = sum_step(&s, 3);
        const ps_ns device = t.down + t.forward + larger(t.backward, t.up);
        assert_about(t.step, larger(t.host, device));
        was_hidden = was_hidden || t.host < device;
        was_seen = was_seen || t.host > device;
        end(&s);
    }
    assert_true(was_hidden && was_seen);
}

static uint64_t fact(const ps_workload *w, const char *key)
{
    return strtoull(ps_workload_meta(w, key), NULL, 10);
}

static void test_zero_offload_has_14_bytes_of_the_host_a_parameter(void **state)
{
    const ps_recipe recipe = recipe_of(PS_TRAIN_POLICY_ZERO_OFFLOAD);
    ps_workload *w = build(&recipe);
    (void)state;
    const uint64_t parameters = fact(w, PS_WORKLOAD_META_TRAINED);
    assert_true(bytes_in(w, PS_MEMORY_PINNED) == 14 * parameters);
    assert_int_equal(bytes_in(w, PS_MEMORY_PAGEABLE), 0);
    ps_workload_destroy(w);
}

static void test_transfers_may_have_32_bits(void **state)
{
    ps_recipe recipe = recipe_of(PS_TRAIN_POLICY_ZERO_OFFLOAD);
    scene narrow = run(&recipe, &machines[1]);
    recipe.offload.zero = (ps_zero_offload_settings){.has_transfer = true};
    scene wide = run(&recipe, &machines[1]);
    (void)state;
    const sums two = sum_step(&narrow, 2), four = sum_step(&wide, 2);
    assert_about(four.down, 2 * two.down);
    assert_about(four.up, 2 * two.up);
    end(&narrow);
    end(&wide);
}

/* Sums over a step of two micro-batches: in the second, gradients cross three times. */
static void test_later_micro_batches_fetch_what_earlier_ones_left(void **state)
{
    ps_recipe recipe = recipe_of(PS_TRAIN_POLICY_ZERO_OFFLOAD);
    scene one = run(&recipe, &machines[0]);
    recipe.accumulate = 2;
    scene two = run(&recipe, &machines[0]);
    size_t earlier = 0;
    (void)state;
    const sums a = sum_step(&one, 2), b = sum_step(&two, 2);
    assert_true(b.up == 2 * a.up && b.down == a.down && b.host == a.host);
    for (size_t i = 0; i < two.plan->task.head.count; i++) {
        earlier += two.plan->task.kind[i] == PS_TASK_MEMCPY && is_named(&two, i, "earlier");
    }
    assert_int_equal(earlier, STEPS * (LINEARS + 2 * LAYERS + 3)); /* norms, words, norm, head */
    end(&one);
    end(&two);
}

/* Whatever the durations, nothing is read before it is there, nor used again too early. */
static void test_its_plans_are_sound(void **state)
{
    (void)state;
    for (int i = 0; i < 8; i++) {
        ps_recipe recipe = recipe_of(PS_TRAIN_POLICY_ZERO_OFFLOAD);
        recipe.offload.zero.is_delayed = (i & 1) != 0;
        recipe.offload.zero.has_transfer = (i & 2) != 0; /* 32 bits */
        recipe.accumulate = (i & 4) != 0 ? 2 : 1;
        scene s = run(&recipe, &machines[0]);
        assert_true(s.plan->access.head.count > 0);
        assert_int_equal(hazards_of(&s).total, 0);
        end(&s);
    }
}

static void test_a_failing_sink_ends_a_run(void **state)
{
    ps_recipe recipe = recipe_of(PS_TRAIN_POLICY_ZERO_OFFLOAD);
    recipe.offload.zero.is_delayed = true;
    recipe.steps = 2;
    (void)state;
    assert_every_failure_ends_the_run(&recipe);
}

static void test_what_is_not_described_is_refused(void **state)
{
    (void)state;
    ps_recipe r = recipe_of(PS_TRAIN_POLICY_ZERO_OFFLOAD);
    r.optimizer = "lomo";
    assert_refused(&r, "zero-offload steps by the host's Adam");
    r = recipe_of(PS_TRAIN_POLICY_ZERO_OFFLOAD);
    r.clips = true;
    assert_refused(&r, "zero-offload with autocast");
    r = recipe_of(PS_TRAIN_POLICY_ZERO_OFFLOAD);
    r.is_forward_only = true;
    assert_refused(&r, "zero-offload trains");
    r = recipe_of(PS_TRAIN_POLICY_ZERO_OFFLOAD);
    r.parallel.scheme = PS_PARALLEL_DDP;
    r.parallel.ranks = 2;
    assert_refused(&r, "ddp");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_zero_offload_takes_the_sum_of_its_drawing),
        cmocka_unit_test(test_a_delayed_update_runs_beside_the_next_step),
        cmocka_unit_test(test_zero_offload_has_14_bytes_of_the_host_a_parameter),
        cmocka_unit_test(test_transfers_may_have_32_bits),
        cmocka_unit_test(test_later_micro_batches_fetch_what_earlier_ones_left),
        cmocka_unit_test(test_its_plans_are_sound),
        cmocka_unit_test(test_a_failing_sink_ends_a_run),
        cmocka_unit_test(test_what_is_not_described_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
