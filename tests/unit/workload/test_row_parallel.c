/* SPDX-License-Identifier: MIT
 *
 * Ranks that share each linear module by its inputs: together they compute and
 * hold what one would, and what they exchange follows from the modules' shapes.
 */
#include "unit/workload/scheme_runs.h"

#include "workload/config/models.h"

#define TENSOR 1u /* bits of axes */
#define DATA 2u

#define BIGCODE                                                               \
    "{\"model_type\":\"gpt_bigcode\",\"vocab_size\":1000,\"n_positions\":64," \
    "\"n_embd\":64,\"n_layer\":3,\"n_head\":4,\"attention_softmax_in_fp32\":true}"
#define CODEGEN                                                           \
    "{\"model_type\":\"codegen\",\"vocab_size\":1000,\"n_positions\":64," \
    "\"n_embd\":64,\"n_layer\":3,\"n_head\":4,\"rotary_dim\":8}"

static const char *const families[] = {GPT2, OPT, LLAMA};

static ps_recipe recipe_of(int64_t ranks, int64_t tensor)
{
    ps_recipe r = small_recipe(PS_PARALLEL_GEMINI, ranks);
    r.policy = PS_TRAIN_POLICY_GEMINI;
    r.parameters = PS_DTYPE_F16;
    r.parallel.tensor_ranks = tensor;
    return r;
}

static void test_nobody_to_share_with_is_the_identity(void **state)
{
    (void)state;
    for (size_t family = 0; family < 3; family++) {
        const ps_recipe none = recipe_of(4, 0), one = recipe_of(4, 1);
        ps_workload *a = build(families[family], &none), *b = build(families[family], &one);
        assert_same_workload(a, b);
        ps_workload_destroy(a);
        ps_workload_destroy(b);
    }
}

/* [flop] of products of a name in step 1: those of linear modules are mm, attention's are bmm. A
 * product of a column and one number is what rotary positions are made of. */
static uint64_t flop_of(const ps_workload *w, const char *name)
{
    uint64_t flop = 0;
    for (uint32_t at = w->step.begin_event[1]; at < w->step.end_event[1]; at++) {
        const uint32_t row = w->event.ref[at];
        if (w->event.kind[at] == PS_WORKLOAD_EVENT_OP && w->op.kind[row] == PS_OP_MATMUL &&
            w->op.k[row] > 1 && strcmp(ps_strings_text(w->strings, w->op.name[row]), name) == 0) {
            flop += w->op.flop[row];
        }
    }
    return flop;
}

static void test_ranks_compute_together_what_one_does(void **state)
{
    (void)state;
    for (size_t family = 0; family < 3; family++) {
        for (int64_t every = 0; every < 2; every++) {
            ps_recipe r = recipe_of(1, 0);
            r.checkpoint_every = every;
            ps_workload *one = build(families[family], &r);
            for (int64_t tensor = 2; tensor <= 4; tensor *= 2) {
                r.parallel.ranks = 4;
                r.parallel.tensor_ranks = tensor;
                ps_workload *many = build(families[family], &r);
                assert_true(flop_of(one, "mm") > 0);
                assert_int_equal(flop_of(many, "mm") * (uint64_t)tensor, flop_of(one, "mm"));
                assert_int_equal(flop_of(many, "bmm"), flop_of(one, "bmm"));
                assert_int_equal(parameters_of(many), parameters_of(one));
                ps_workload_destroy(many);
            }
            ps_workload_destroy(one);
        }
    }
}

/* [bytes] in 16 bits of results and of inputs of the linear modules of step 1's forward pass. */
typedef struct moved {
    uint64_t results, inputs;
} moved;

static moved linear_bytes(const ps_workload *w)
{
    moved all = {0};
    for (uint32_t at = w->step.begin_event[1]; at < w->step.end_event[1]; at++) {
        const uint32_t row = w->event.ref[at];
        if (w->event.kind[at] == PS_WORKLOAD_EVENT_OP && w->op.kind[row] == PS_OP_MATMUL &&
            w->op.phase[row] == PS_PHASE_FORWARD &&
            strcmp(ps_strings_text(w->strings, w->op.name[row]), "mm") == 0) {
            all.results += 2 * w->op.m[row] * w->op.n[row];
            all.inputs += 2 * w->op.m[row] * w->op.k[row];
        }
    }
    return all;
}

/* Results are summed in forward and again where a block is recomputed, which the head is not;
 * gradients of inputs are gathered once, and rows of both embeddings. */
static void test_what_is_exchanged_follows_from_the_modules(void **state)
{
    const uint64_t tokens = 2 * 16, hidden = 64;
    (void)state;
    for (int64_t every = 0; every < 2; every++) {
        ps_recipe r = recipe_of(1, 0);
        r.checkpoint_every = every;
        ps_workload *one = build(GPT2, &r);
        const moved linear = linear_bytes(one);
        const uint64_t head = 2 * tokens * 1000, words = 2 * tokens * hidden;
        const uint64_t places = 2 * 16 * hidden; /* of one sequence, shown to all */
        r.parallel.ranks = 4;
        r.parallel.tensor_ranks = 2;
        ps_workload *w = build(GPT2, &r);
        assert_int_equal(step_bytes(w, 1, PS_COLLECTIVE_ALL_REDUCE, TENSOR),
                         linear.results + (every > 0 ? linear.results - head : 0));
        assert_int_equal(step_bytes(w, 1, PS_COLLECTIVE_ALL_GATHER, TENSOR),
                         linear.inputs + words + places);
        /* one small chunk, summed over those that have the same part */
        assert_int_equal(step_count(w, 1, PS_COLLECTIVE_REDUCE_SCATTER), 0);
        assert_true(step_bytes(w, 1, PS_COLLECTIVE_ALL_REDUCE, DATA) >= parameters_of(w));
        ps_workload_destroy(w);
        r.parallel.tensor_ranks = 4;
        w = build(GPT2, &r);
        assert_int_equal(step_bytes(w, 1, PS_COLLECTIVE_ALL_REDUCE, DATA), 0);
        assert_int_equal(w->axis.head.count, 1);
        ps_workload_destroy(w);
        ps_workload_destroy(one);
    }
}

static ps_workload *build_named(const ps_models *models, const char *name, const ps_recipe *r)
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

/* Moments, 8 bytes an element, of all ranks: matrices are there once, vectors on each rank of a
 * group. Masters, 4 bytes, lie in chunks with room to spare. */
static void test_states_of_all_ranks_are_the_whole(void **state)
{
    enum { RANKS = 4, COUNT = 3 };
    ps_error err = {0};
    ps_models *models = NULL;
    uint64_t held[COUNT] = {0};
    (void)state;
    assert_ok(&err, ps_models_create(&models, &err));
    for (int i = 0; i < COUNT; i++) {
        ps_recipe r = recipe_of(RANKS, (int64_t)1 << i);
        r.steps = 1;
        r.batch = 1;
        uint64_t elements = 0;
        for (r.parallel.rank = 0; r.parallel.rank < RANKS; r.parallel.rank++) {
            ps_workload *w = build_named(models, "facebook/opt-350m", &r);
            uint64_t loaded = 0;
            for (uint32_t at = 0; at < w->step.begin_event[0]; at++) {
                const uint32_t row = w->event.ref[at];
                loaded += w->event.kind[at] == PS_WORKLOAD_EVENT_ALLOC &&
                                  w->tensor.role[row] == PS_ROLE_OPTIMIZER_STATE
                              ? w->tensor.bytes[row]
                              : 0;
            }
            uint64_t made = 0;
            for (uint32_t at = w->step.begin_event[0]; at < w->step.end_event[0]; at++) {
                const uint32_t row = w->event.ref[at];
                made += w->event.kind[at] == PS_WORKLOAD_EVENT_ALLOC &&
                                w->tensor.role[row] == PS_ROLE_OPTIMIZER_STATE
                            ? w->tensor.bytes[row]
                            : 0;
            }
            assert_true(loaded > 0);
            elements = parameters_of(w);
            held[i] += made;
            ps_workload_destroy(w);
        }
        assert_true(held[i] >= 8 * elements);
    }
    /* vectors: v of them twice for two ranks, four times for four */
    const uint64_t vectors = held[1] - held[0];
    assert_true(vectors > 0 && vectors < held[0] / 100);
    assert_int_equal(held[2] - held[0], 3 * vectors);
    ps_models_destroy(models);
}

/* All modules of every family know that they are shared. */
static void test_every_family_can_be_shared(void **state)
{
    static const char *const model[] = {
        "openai-community/gpt2",
        "facebook/opt-125m",
        "bigscience/bloom-560m",

        "google-bert/bert-base-uncased",
        "EleutherAI/gpt-neo-125m",
        "EleutherAI/pythia-70m",
        "Salesforce/codegen-350M-mono",
        "EleutherAI/gpt-j-6b",
        "microsoft/biogpt",
        "microsoft/phi-2",
        "Qwen/Qwen3-0.6B",
        "google/gemma-2-2b",
        "deepseek-ai/deepseek-moe-16b-base",
    };
    ps_error err = {0};
    ps_models *models = NULL;
    (void)state;
    assert_ok(&err, ps_models_create(&models, &err));
    for (size_t i = 0; i < sizeof model / sizeof model[0]; i++) {
        ps_recipe r = recipe_of(1, 0);
        r.steps = 2;
        r.batch = 1;
        ps_workload *one = build_named(models, model[i], &r);
        r.parallel.ranks = r.parallel.tensor_ranks = 2;
        ps_workload *two = build_named(models, model[i], &r);
        assert_int_equal(2 * flop_of(two, "mm"), flop_of(one, "mm"));
        assert_int_equal(parameters_of(two), parameters_of(one));
        ps_workload_destroy(one);
        ps_workload_destroy(two);
    }
    ps_models_destroy(models);
}

static void test_steps_leave_nothing_behind(void **state)
{
    (void)state;
    for (int64_t tensor = 2; tensor <= 4; tensor *= 2) {
        ps_recipe r = recipe_of(4, tensor);
        r.steps = 5;
        ps_workload *w = build(LLAMA, &r);
        assert_int_equal(peak_bytes(w, 3), peak_bytes(w, 4));
        ps_workload_destroy(w);
    }
}

/* Python of Colossal-AI's tensors, in calls of one operation: docs/MODEL.md, section 12. */
enum { PARAMETERS_CALLS = 12, BACKWARD_CALLS = 59, FUNCTION_CALLS = 7 };

static bool is_function(const char *name)
{
    return strcmp(name, "all_gather") == 0 || strcmp(name, "cat") == 0 || strcmp(name, "copy") == 0;
}

/* Operations on parameters of one phase; every other one of the program's has its call. */
static size_t hooked(const ps_workload *w, ps_phase phase)
{
    size_t count = 0;
    for (size_t i = 0; i < w->op.head.count; i++) {
        const char *name = ps_strings_text(w->strings, w->op.name[i]);
        const uint32_t calls = w->op.dispatches[i];
        if (w->op.phase[i] != (uint8_t)phase) {
            continue;
        }
        if (phase == PS_PHASE_FORWARD) {
            const bool has_function = calls % PARAMETERS_CALLS == 1 + FUNCTION_CALLS;
            assert_true(calls % PARAMETERS_CALLS == 1 || has_function);
            count += calls > PARAMETERS_CALLS;
        } else {
            const uint32_t rest = calls % BACKWARD_CALLS;
            assert_true(rest == 0 || (rest == 1 + FUNCTION_CALLS && is_function(name)));
            count += calls / BACKWARD_CALLS;
        }
    }
    return count;
}

/* Each operation on parameters is hooked forward and backward, with shared modules and without. */
static void test_python_is_counted_where_it_runs(void **state)
{
    (void)state;
    for (int64_t tensor = 1; tensor <= 2; tensor++) {
        const ps_recipe r = recipe_of(4, tensor);
        ps_workload *w = build(OPT, &r);
        /* two embeddings, six linear modules and two norms a block, a norm and the head: three steps */
        const size_t count = 3 * (2 + 3 * 8 + 2);
        assert_int_equal(hooked(w, PS_PHASE_FORWARD), count);
        assert_int_equal(hooked(w, PS_PHASE_BACKWARD), count);
        for (size_t i = 0; i < w->op.head.count; i++) {
            assert_true(w->op.phase[i] != PS_PHASE_OPTIMIZER || w->op.dispatches[i] == 0);
        }
        ps_workload_destroy(w);
    }
}

static size_t ops_of(const ps_workload *w, const char *name)
{
    size_t count = 0;
    for (uint32_t at = w->step.begin_event[1]; at < w->step.end_event[1]; at++) {
        count += w->event.kind[at] == PS_WORKLOAD_EVENT_OP &&
                 strcmp(ps_strings_text(w->strings, w->op.name[w->event.ref[at]]), name) == 0;
    }
    return count;
}

/* What the library of 2023 did that a later one does not: a block's kernels, recomputed once. */
static void test_families_are_those_of_the_time(void **state)
{
    ps_recipe r = recipe_of(4, 2);
    (void)state;
    r.checkpoint_every = 1;
    r.attention = PS_ATTENTION_EAGER;
    ps_workload *opt = build(OPT, &r), *code = build(BIGCODE, &r), *codegen = build(CODEGEN, &r);
    assert_int_equal(ops_of(opt, "maximum"), 2 * 3);
    assert_int_equal(ops_of(opt, "lt"), 3);
    assert_int_equal(ops_of(code, "fused_mul_where"), 2 * 3);
    assert_int_equal(ops_of(code, "fused_mul_mul"), 3);
    assert_int_equal(ops_of(codegen, "where"), 3 * 3); /* backward too */
    ps_workload_destroy(opt);
    ps_workload_destroy(code);
    ps_workload_destroy(codegen);
    r = small_recipe(PS_PARALLEL_NONE, 1);
    r.attention = PS_ATTENTION_EAGER;
    opt = build(OPT, &r);
    assert_int_equal(ops_of(opt, "maximum"), 0);
    ps_workload_destroy(opt);
}

static void assert_refused(const char *config, ps_recipe r, const char *word)
{
    ps_error err = {0};
    ps_workload *w = NULL;
    assert_int_equal(try_build(config, &r, &w, &err), PS_USAGE);
    assert_null(w);
    assert_non_null(strstr(err.message, word));
}

static void test_what_makes_no_sense_is_refused(void **state)
{
    ps_recipe r = recipe_of(4, 3);
    (void)state;
    assert_refused(LLAMA, r, "no multiple");
    r = recipe_of(4, -2);
    assert_refused(LLAMA, r, "no multiple");
    r = recipe_of(6, 3);
    assert_refused(LLAMA, r, "evenly");
    r = recipe_of(4, 2);
    r.parallel.scheme = PS_PARALLEL_GEMINI_CDP;
    assert_refused(LLAMA, r, "whole");
    r = small_recipe(PS_PARALLEL_DDP, 4);
    r.parallel.tensor_ranks = 2;
    assert_refused(LLAMA, r, "whole");
    r = recipe_of(8, 2);
    r.parallel.shard_ranks = 2;
    assert_refused(LLAMA, r, "among all ranks");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nobody_to_share_with_is_the_identity),
        cmocka_unit_test(test_ranks_compute_together_what_one_does),
        cmocka_unit_test(test_what_is_exchanged_follows_from_the_modules),
        cmocka_unit_test(test_states_of_all_ranks_are_the_whole),
        cmocka_unit_test(test_every_family_can_be_shared),
        cmocka_unit_test(test_steps_leave_nothing_behind),
        cmocka_unit_test(test_python_is_counted_where_it_runs),
        cmocka_unit_test(test_families_are_those_of_the_time),
        cmocka_unit_test(test_what_makes_no_sense_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
