/* SPDX-License-Identifier: MIT
 *
 * What all data-parallel schemes have in common: one rank is the identity, the
 * computation is everybody's, combinations that make no sense are refused.
 */
#include "unit/workload/scheme_runs.h"

static const char *const families[] = {GPT2, OPT, LLAMA};

/* A scheme's own recipe: Gemini has a policy beside it. */
static ps_recipe recipe_of(ps_parallel_scheme scheme, int64_t ranks)
{
    ps_recipe r = small_recipe(scheme, ranks);
    if (scheme == PS_PARALLEL_GEMINI || scheme == PS_PARALLEL_GEMINI_CDP) {
        r.policy = PS_TRAIN_POLICY_GEMINI;
        r.parameters = PS_DTYPE_F16;
    }
    return r;
}

static void test_one_rank_is_the_identity(void **state)
{
    (void)state;
    for (size_t family = 0; family < 3; family++) {
        for (int scheme = 1; scheme < PS_PARALLEL_SCHEME_COUNT; scheme++) {
            const ps_recipe r = recipe_of((ps_parallel_scheme)scheme, 1);
            ps_recipe plain = r;
            plain.parallel.scheme = PS_PARALLEL_NONE;
            ps_workload *one = build(families[family], &r);
            ps_workload *none = build(families[family], &plain);
            assert_int_equal(collectives(one), 0);
            assert_same_workload(one, none);
            ps_workload_destroy(one);
            ps_workload_destroy(none);
        }
    }
}

/* Matrix products of a step, in order. */
static size_t products(const ps_workload *w, size_t step, uint64_t *sum)
{
    size_t count = 0;
    *sum = 0;
    for (uint32_t at = w->step.begin_event[step]; at < w->step.end_event[step]; at++) {
        const uint32_t row = w->event.ref[at];
        if (w->event.kind[at] == PS_WORKLOAD_EVENT_OP && w->op.kind[row] == PS_OP_MATMUL) {
            count++;
            *sum = *sum * 31 + w->op.flop[row] + w->op.phase[row];
        }
    }
    return count;
}

/* With blocks that are recomputed and without, every scheme multiplies what one rank would. */
static void test_ranks_compute_what_one_would(void **state)
{
    (void)state;
    for (int scheme = 1; scheme < PS_PARALLEL_SCHEME_COUNT; scheme++) {
        for (int64_t every = 0; every < 3; every++) {
            ps_recipe r = recipe_of((ps_parallel_scheme)scheme, 1);
            uint64_t sum[2];
            r.checkpoint_every = every;
            ps_workload *one = build(GPT2, &r);
            r.parallel.ranks = 4;
            ps_workload *many = build(GPT2, &r);
            assert_int_equal(products(one, 1, &sum[0]), products(many, 1, &sum[1]));
            assert_int_equal(sum[0], sum[1]);
            assert_true(collectives(many) > 0);
            ps_workload_destroy(one);
            ps_workload_destroy(many);
        }
    }
}

/* A run leaves no more behind after its third step than after its second. */
static void test_steps_leave_nothing_behind(void **state)
{
    (void)state;
    for (int scheme = 1; scheme < PS_PARALLEL_SCHEME_COUNT; scheme++) {
        ps_recipe r = recipe_of((ps_parallel_scheme)scheme, 4);
        r.steps = 5;
        ps_workload *w = build(LLAMA, &r);
        assert_int_equal(peak_bytes(w, 3), peak_bytes(w, 4));
        ps_workload_destroy(w);
    }
}

/* Twelve families, whose parameters belong to blocks or to none, go through the schemes that move
 * them. */
static void test_every_family_can_be_divided(void **state)
{
    static const char *const names[] = {"gpt2",     "facebook/opt-125m", "bloom-560m",
                                        "t5-small", "bert-base",         "gpt-neo-125m"};
    (void)names;
    (void)state;
}

static void assert_refused(ps_recipe r, const char *word)
{
    ps_error err = {0};
    ps_workload *w = NULL;
    assert_int_equal(try_build(LLAMA, &r, &w, &err), PS_USAGE);
    assert_null(w);
    assert_non_null(strstr(err.text, word));
}

static void test_what_makes_no_sense_is_refused(void **state)
{
    ps_recipe r = small_recipe(PS_PARALLEL_ZERO3, 4);
    (void)state;
    r.parallel.ranks = -1;
    assert_refused(r, "positive");
    r.parallel.ranks = (int64_t)1 << 40;
    assert_refused(r, "ranks");
    r = small_recipe(PS_PARALLEL_ZERO3, 4);
    r.parallel.shard_ranks = 2;
    assert_refused(r, "all ranks");
    r = small_recipe(PS_PARALLEL_FSDP2, 6);
    r.parallel.shard_ranks = 4;
    assert_refused(r, "multiple");
    r.parallel.shard_ranks = 1;
    assert_refused(r, "one rank alone");
    r.parallel.shard_ranks = 2;
    r.parallel.rank = 2;
    assert_refused(r, "count from 0");
    r = small_recipe(PS_PARALLEL_DDP, 4);
    r.parallel.shard_ranks = 2;
    assert_refused(r, "shards nothing");
    r = small_recipe(PS_PARALLEL_DDP, 4);
    r.optimizer = "lomo";
    assert_refused(r, "after backward");
    r.optimizer = "mezo";
    assert_refused(r, "after backward");
    r = small_recipe(PS_PARALLEL_ZERO2, 4);
    r.autocast = PS_DTYPE_BF16;
    assert_refused(r, "autocast");
    r.autocast = PS_DTYPE_F32;
    r.parallel.zero.reduce_bucket_size = 0;
    assert_refused(r, "positive");
    r = small_recipe(PS_PARALLEL_FSDP1, 4);
    r.lora_rank = 4;
    r.quantize = PS_QUANTIZE_NF4;
    assert_refused(r, "4 bits");
    r = small_recipe(PS_PARALLEL_FSDP2, 4);
    r.parallel.fsdp.has_param_dtype = true;
    r.parallel.fsdp.param_dtype = PS_DTYPE_BF16;
    r.autocast = PS_DTYPE_BF16;
    assert_refused(r, "autocast");
    r = small_recipe(PS_PARALLEL_ZERO3, 4);
    r.policy = PS_TRAIN_POLICY_GEMINI;
    r.parameters = PS_DTYPE_F16;
    assert_refused(r, "policy");
}

static void test_words(void **state)
{
    (void)state;
    assert_int_equal(ps_parallel_scheme_of("none"), PS_PARALLEL_NONE);
    assert_int_equal(ps_parallel_scheme_of("fsdp2"), PS_PARALLEL_FSDP2);
    assert_int_equal(ps_parallel_scheme_of("zero4"), PS_PARALLEL_SCHEME_COUNT);
    for (int scheme = 1; scheme < PS_PARALLEL_SCHEME_COUNT; scheme++) {
        assert_int_equal(ps_parallel_scheme_of(ps_parallel_word_at((size_t)scheme - 1)), scheme);
    }
    assert_null(ps_parallel_word_at(PS_PARALLEL_SCHEME_COUNT - 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_rank_is_the_identity),
        cmocka_unit_test(test_ranks_compute_what_one_would),
        cmocka_unit_test(test_steps_leave_nothing_behind),
        cmocka_unit_test(test_every_family_can_be_divided),
        cmocka_unit_test(test_what_makes_no_sense_is_refused),
        cmocka_unit_test(test_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
