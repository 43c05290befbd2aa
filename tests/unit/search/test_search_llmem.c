/* SPDX-License-Identifier: MIT
 *
 * LLMem's sums on a model small enough to add up by hand.
 */
#include "support/test.h"

#include "search/llmem.h"

#define MIB ((uint64_t)1 << 20)
#define PAGE (2 * MIB)

/* Words 1024 x 4096 (4 Mi elements), a block with one linear module of 4096 x 4096 (16 Mi) and its
 * bias, a norm. All in one chunk of their own number of elements: fewer than 32 Mi. */
static ps_parameter_shape shapes[] = {
    {.rows = 1024, .columns = 4096},
    {.rows = 4096, .columns = 4096, .is_linear = true, .block = 1},
    {.columns = 4096, .is_bias = true, .block = 1},
    {.columns = 4096},
};
#define ELEMENTS ((uint64_t)(4 * MIB + 16 * MIB + 2 * 4096))

static const ps_llmem_model model = {
    .parameters = {shapes, 4, 1}, .hidden = 4096, .vocabulary = 1024, .embeddings = 1};

static ps_llmem_figures figures(void)
{
    return (ps_llmem_figures){.page_bytes = PAGE,
                              .id_bytes = 8,
                              .half_bytes = 2,
                              .float_bytes = 4,
                              .base_bytes = 1000 * MIB,
                              .score_cdp = 3,
                              .score_adp = 2,
                              .score_tp = 2,
                              .score_dp_tp = 2};
}

static uint64_t pages(uint64_t bytes)
{
    return (bytes + PAGE - 1) / PAGE * PAGE;
}

static uint64_t states(const ps_llmem_job *job, ps_llmem_method method)
{
    ps_error err = {0};
    uint64_t bytes = 0;
    assert_ok(&err, ps_llmem_state_bytes(job, method, &bytes, &err));
    return bytes;
}

static void states_of_one_gpu(void **state)
{
    const ps_llmem_figures f = figures();
    const ps_llmem_job job = {&f, &model, 1, 512, 0};
    const ps_llmem_method single = {PS_LLMEM_CDP, 1, 1};
    /* chunks in 16 and 32 bits; two states each of words, weight, bias; the words as the head */
    const uint64_t expected = 1000 * MIB + pages(2 * ELEMENTS) + pages(4 * ELEMENTS) +
                              2 * (16 * MIB + 64 * MIB + PAGE) + 8 * MIB;
    (void)state;
    assert_int_equal(states(&job, single), expected);
}

static void tensor_parallel_divides_but_not_biases(void **state)
{
    const ps_llmem_figures f = figures();
    const ps_llmem_job job = {&f, &model, 4, 512, 0};
    const ps_llmem_method tp = {PS_LLMEM_TP, 1, 4};
    const uint64_t local = 5 * MIB + 2 * 4096;
    const uint64_t expected = 1000 * MIB + pages(2 * local) + pages(4 * local) +
                              2 * (4 * MIB + 16 * MIB + PAGE) + 8 * MIB;
    (void)state;
    assert_int_equal(states(&job, tp), expected);
}

static void data_parallel_gathers_what_it_lacks(void **state)
{
    const ps_llmem_figures f = figures();
    const ps_llmem_job job = {&f, &model, 4, 512, 0};
    const ps_llmem_method adp = {PS_LLMEM_ADP, 4, 1}, both = {PS_LLMEM_DP_TP, 2, 2};
    const uint64_t moments = 2 * (4 * MIB + 16 * MIB + PAGE);
    const uint64_t local = 10 * MIB + 2 * 4096;
    (void)state;
    /* three quarters of 8 MiB and of 32 MiB in 16 bits, and a page of the bias */
    assert_int_equal(states(&job, adp), 1000 * MIB + pages(2 * ELEMENTS) + pages(4 * ELEMENTS) +
                                            6 * MIB + 24 * MIB + PAGE + moments + 8 * MIB);
    /* (4 - 2) / 4 - 1 / 4 of them */
    assert_int_equal(states(&job, both), 1000 * MIB + pages(2 * local) + pages(4 * local) +
                                             2 * MIB + 8 * MIB + PAGE + moments + 8 * MIB);
}

static void a_batch_adds_outputs_and_logits(void **state)
{
    ps_llmem_figures f = figures();
    const ps_llmem_job job = {&f, &model, 4, 512, 0};
    ps_error err = {0};
    uint64_t bytes = 0;
    (void)state;
    /* ids; words and the layer, 512 x 4096 x 2 each; logits and two shifted copies of a MiB */
    assert_ok(&err,
              ps_llmem_batch_bytes(&job, (ps_llmem_method){PS_LLMEM_ADP, 4, 1}, 1, &bytes, &err));
    assert_int_equal(bytes, PAGE + 2 * 4 * MIB + 3 * PAGE);
    /* three quarters of the layer's gradient arrive from the others */
    assert_ok(&err,
              ps_llmem_batch_bytes(&job, (ps_llmem_method){PS_LLMEM_TP, 1, 4}, 1, &bytes, &err));
    assert_int_equal(bytes, PAGE + 2 * 4 * MIB + 3 * PAGE + pages(3 * MIB));
    f.has_wide_logits = true;
    assert_ok(&err,
              ps_llmem_batch_bytes(&job, (ps_llmem_method){PS_LLMEM_ADP, 4, 1}, 4, &bytes, &err));
    assert_int_equal(bytes, PAGE + 2 * 16 * MIB + 8 * MIB + 2 * pages(4 * 511 * 1024 * 4));
    assert_int_equal(
        ps_llmem_batch_bytes(&job, (ps_llmem_method){PS_LLMEM_TP, 1, 4}, INT64_MAX, &bytes, &err),
        PS_LIMIT);
}

static void the_highest_score_is_chosen(void **state)
{
    const ps_llmem_figures f = figures();
    ps_llmem_job job = {&f, &model, 4, 512, 4000 * MIB};
    ps_llmem_choice choice;
    ps_error err = {0};
    char name[PS_LLMEM_NAME_BYTES];
    (void)state;
    assert_ok(&err, ps_llmem_choose(&job, &choice, &err));
    assert_int_equal(choice.count, 4);
    assert_int_equal(choice.chosen, 0); /* all fit, and CDP counts half as much again */
    ps_llmem_name(choice.estimate[3].method, name);
    assert_string_equal(name, "2DP+2TP");
    for (size_t i = 0; i < choice.count; i++) {
        const ps_llmem_estimate *of = &choice.estimate[i];
        uint64_t more = 0;
        assert_true(of->batch > 0 && of->largest_bytes <= job.capacity_bytes);
        assert_ok(&err, ps_llmem_batch_bytes(&job, of->method, of->batch + 1, &more, &err));
        assert_true(states(&job, of->method) + more > job.capacity_bytes);
    }
    job.capacity_bytes = 1100 * MIB;
    assert_ok(&err, ps_llmem_choose(&job, &choice, &err));
    assert_true(choice.chosen == SIZE_MAX);
}

static void built_in_figures_are_read(void **state)
{
    ps_llmem_figures f;
    ps_error err = {0};
    (void)state;
    assert_ok(&err, ps_llmem_figures_read("gpt_neo", &f, &err));
    assert_true(f.has_wide_logits);
    assert_int_equal(f.page_bytes, PAGE);
    assert_true(f.base_bytes > 0 && f.base_bytes % MIB == 0);
    assert_ok(&err, ps_llmem_figures_read("opt", &f, &err));
    assert_false(f.has_wide_logits);
    assert_int_equal(f.score_cdp, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(states_of_one_gpu),
        cmocka_unit_test(tensor_parallel_divides_but_not_biases),
        cmocka_unit_test(data_parallel_gathers_what_it_lacks),
        cmocka_unit_test(a_batch_adds_outputs_and_logits),
        cmocka_unit_test(the_highest_score_is_chosen),
        cmocka_unit_test(built_in_figures_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
