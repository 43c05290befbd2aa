/* SPDX-License-Identifier: MIT
 *
 * What all data-parallel schemes have in common: one rank is the identity, the
 * computation is everybody's, combinations that make no sense are refused.
 */
#include "unit/workload/scheme_runs.h"

#include "workload/config/models.h"

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

static ps_workload *build_model(const ps_models *models, const char *name, const ps_recipe *r)
{
    ps_error err = {0};
    ps_model_config *config = NULL;
    ps_workload *out = NULL;
    assert_ok(&err, ps_models_find(models, name, &config, &err));
    const ps_build what = {.name = name, .config = config, .recipe = r};
    assert_ok(&err, ps_build_workload(&what, &out, &err));
    assert_ok(&err, ps_workload_check(out, &err));
    ps_model_config_destroy(config);
    return out;
}

/* Every parameter of every family is there when it is needed, and belongs to a block or to none. */
static void test_every_family_can_be_divided(void **state)
{
    static const struct {
        const char *name;
        size_t blocks;
    } model[] = {
        {"openai-community/gpt2", 12},
        {"facebook/opt-125m", 12},
        {"bigscience/bloom-560m", 24},
        {"google-t5/t5-small", 12},
        {"google-bert/bert-base-uncased", 12},
        {"EleutherAI/gpt-neo-125m", 12},
        {"EleutherAI/pythia-70m", 6},
        {"Salesforce/codegen-350M-mono", 20},
        {"EleutherAI/gpt-j-6b", 28},
        {"bigcode/starcoderbase-1b", 24},
        {"microsoft/biogpt", 24},
        {"microsoft/phi-2", 32},
        {"Qwen/Qwen3-0.6B", 28},
        {"google/gemma-2-2b", 26},
        {"deepseek-ai/deepseek-moe-16b-base", 28},
    };
    const ps_parallel_scheme schemes[] = {PS_PARALLEL_FSDP2, PS_PARALLEL_FSDP1, PS_PARALLEL_ZERO3};
    ps_error err = {0};
    ps_models *models = NULL;
    (void)state;
    assert_ok(&err, ps_models_create(&models, &err));
    for (size_t i = 0; i < sizeof model / sizeof model[0]; i++) {
        uint64_t sum[2];
        ps_recipe r = small_recipe(PS_PARALLEL_NONE, 4);
        r.steps = 1;
        r.batch = 1;
        ps_workload *none = build_model(models, model[i].name, &r);
        const size_t count = products(none, 0, &sum[0]);
        for (size_t scheme = 0; scheme < 3; scheme++) {
            r.parallel.scheme = schemes[scheme];
            ps_workload *w = build_model(models, model[i].name, &r);
            assert_int_equal(products(w, 0, &sum[1]), count);
            assert_int_equal(sum[0], sum[1]);
            if (schemes[scheme] != PS_PARALLEL_ZERO3) {
                assert_int_equal(step_count(w, 0, PS_COLLECTIVE_REDUCE_SCATTER),
                                 model[i].blocks + 1);
            }
            ps_workload_destroy(w);
        }
        ps_workload_destroy(none);
    }
    ps_models_destroy(models);
}

static void assert_refused(ps_recipe r, const char *word)
{
    ps_error err = {0};
    ps_workload *w = NULL;
    assert_int_equal(try_build(LLAMA, &r, &w, &err), PS_USAGE);
    assert_null(w);
    assert_non_null(strstr(err.message, word));
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
    r.parallel.rank = 6;
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
