/* SPDX-License-Identifier: MIT
 *
 * DistributedDataParallel: what goes over the wire, in which buckets, when.
 */
#include "unit/workload/scheme_runs.h"

#include "workload/scheme/buckets.h"

#define MIB ((uint64_t)1 << 20)

static void test_a_step_reduces_every_gradient_once(void **state)
{
    const char *const configs[] = {GPT2, OPT, LLAMA};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        const ps_recipe r = small_recipe(PS_PARALLEL_DDP, 4);
        ps_workload *w = build(configs[i], &r);
        const uint64_t bytes = parameters_of(w) * 4;
        for (size_t step = 0; step < 3; step++) {
            assert_int_equal(step_bytes(w, step, PS_COLLECTIVE_ALL_REDUCE, 1), bytes);
        }
        assert_int_equal(step_count(w, 0, PS_COLLECTIVE_ALL_REDUCE), 1); /* one bucket at first */
        assert_int_equal(w->axis.head.count, 1);
        assert_int_equal(w->axis.size[0], 4);
        assert_int_equal(w->axis.place[0], PS_WORKLOAD_ANYWHERE);
        ps_workload_destroy(w);
    }
}

/* Gradients of micro-batches before the last one stay at home, unless nobody says no_sync(). */
static void test_accumulated_gradients_are_reduced_once(void **state)
{
    ps_recipe r = small_recipe(PS_PARALLEL_DDP, 2);
    (void)state;
    r.accumulate = 3;
    for (int always = 0; always < 2; always++) {
        r.parallel.syncs_always = always == 1;
        ps_workload *w = build(GPT2, &r);
        assert_int_equal(step_bytes(w, 1, PS_COLLECTIVE_ALL_REDUCE, 1),
                         parameters_of(w) * 4 * (always == 1 ? 3 : 1));
        ps_workload_destroy(w);
    }
}

/* Buckets beside gradients, or in place of them. */
static void test_buckets_lie_beside_gradients_or_are_they(void **state)
{
    ps_recipe r = small_recipe(PS_PARALLEL_DDP, 2);
    (void)state;
    ps_workload *none, *beside, *view;
    beside = build(GPT2, &r);
    r.parallel.ddp.gradient_as_bucket_view = true;
    view = build(GPT2, &r);
    r.parallel.ranks = 1;
    none = build(GPT2, &r);
    const uint64_t bytes = parameters_of(none) * 4;
    assert_int_equal(peak_bytes(beside, 2) - peak_bytes(none, 2), bytes);
    /* buckets stay in forward, where gradients are not; of a gradient that is put into its bucket
     * there are two for a moment */
    assert_true(peak_bytes(view, 2) > peak_bytes(none, 2));
    assert_true(peak_bytes(view, 2) <= peak_bytes(none, 2) + bytes);
    assert_int_equal(held_bytes(view, PS_ROLE_GRADIENT), bytes);
    assert_int_equal(held_bytes(beside, PS_ROLE_WORKSPACE) - held_bytes(none, PS_ROLE_WORKSPACE),
                     bytes);
    ps_workload_destroy(none);
    ps_workload_destroy(beside);
    ps_workload_destroy(view);
}

/* The only all-reduce of the first step begins when the last gradient is there; later ones before. */
static void test_later_steps_overlap(void **state)
{
    ps_recipe r = small_recipe(PS_PARALLEL_DDP, 2);
    (void)state;
    r.parallel.ddp.bucket_cap_mib = 1;
    ps_workload *w = build("{\"model_type\":\"gpt2\",\"vocab_size\":1000,\"n_positions\":64,"
                           "\"n_embd\":256,\"n_layer\":4,\"n_head\":4}",
                           &r);
    for (size_t step = 0; step < 2; step++) {
        size_t products = 0;
        bool is_reducing = false;
        for (uint32_t at = w->step.begin_event[step]; at < w->step.end_event[step]; at++) {
            const uint32_t row = w->event.ref[at];
            if (w->event.kind[at] != PS_WORKLOAD_EVENT_OP) {
                continue;
            }
            is_reducing = is_reducing || (w->op.collective[row] == PS_COLLECTIVE_ALL_REDUCE);
            products += is_reducing && w->op.kind[row] == PS_OP_MATMUL;
        }
        assert_int_equal(products > 0, step > 0);
    }
    ps_workload_destroy(w);
}

/* ---- buckets ---- */

static ps_code on_alloc(void *context, uint32_t buffer, uint64_t bytes, ps_role role, ps_error *err)
{
    (void)context, (void)buffer, (void)bytes, (void)role, (void)err;
    return PS_OK;
}

/* Sizes in KiB; each bucket's in turn, as they close. */
static void test_a_bucket_closes_when_it_has_reached_its_size(void **state)
{
    const int64_t kib[] = {512, 512, 512, 25 * 1024 - 1, 1, 200 * 1024, 3};
    const uint64_t limit[2] = {MIB, 25 * MIB};
    const int64_t expected[] = {1024, 25 * 1024 + 511, 200 * 1024 + 1, 3};
    ps_tensor parameter[7];
    ps_error err = {0};
    ps_buckets buckets = {0};
    const ps_eager_sink sink = {.alloc = on_alloc};
    ps_eager *e = ps_eager_create(&sink);
    (void)state;
    for (size_t i = 0; i < 7; i++) {
        parameter[i] = ps_eager_make(e, kib[i] * 256, PS_DTYPE_F32, PS_ROLE_PARAMETER);
    }
    const ps_model m = {.e = e, .parameter = parameter, .parameter_count = 7};
    assert_ok(&err, ps_buckets_create(&buckets, &m, &err));
    ps_buckets_fill(&buckets, &m, NULL, 7, limit);
    assert_int_equal(buckets.count, 4);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(buckets.bucket[i].elements, expected[i] * 256);
    }
    assert_int_equal(buckets.bucket_of[4], 2);
    assert_int_equal(ps_buckets_find(&buckets, parameter[5]), 5);
    assert_int_equal(ps_buckets_find(&buckets, parameter[6] + 1), PS_BUCKETS_NONE);
    ps_buckets_reverse(&buckets);
    assert_int_equal(buckets.bucket_of[0], 3);
    assert_int_equal(buckets.bucket_of[6], 0);
    ps_buckets_fini(&buckets);
    ps_eager_destroy(e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_step_reduces_every_gradient_once),
        cmocka_unit_test(test_accumulated_gradients_are_reduced_once),
        cmocka_unit_test(test_buckets_lie_beside_gradients_or_are_they),
        cmocka_unit_test(test_later_steps_overlap),
        cmocka_unit_test(test_a_bucket_closes_when_it_has_reached_its_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
