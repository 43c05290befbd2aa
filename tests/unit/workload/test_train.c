/* SPDX-License-Identifier: MIT
 *
 * Training runs that end early: a sink that fails at any event ends the run with the sink's own
 * words and leaves nothing behind (the address sanitizer counts), and models or recipes that
 * cannot be are refused with a sentence.
 */
#include "support/eager_sinks.h"
#include "support/test.h"

#include <string.h>

#include "base/memory.h"
#include "workload/script/train.h"

#define SMALL                                                                      \
    "{\"model_type\":\"gpt2\",\"vocab_size\":97,\"n_positions\":32,\"n_embd\":24," \
    "\"n_layer\":2,\"n_head\":3"

static ps_code train(const char *config_text, const ps_recipe *recipe, const ps_eager_sink *sink,
                     ps_error *err)
{
    ps_model_config *config = NULL;
    ps_error parse_err = {0};
    assert_ok(&parse_err, ps_model_config_read_memory("small", config_text, strlen(config_text),
                                                      &config, &parse_err));
    const ps_training run = {
        .family = ps_family_find("gpt2"),
        .config = config,
        .recipe = recipe,
        .device = {.workspace_bytes = 4096, .sm_count = 4, .threads_per_sm = 1024},
        .sink = *sink};
    const ps_code code = ps_train(&run, err);
    ps_model_config_destroy(config);
    return code;
}

static ps_recipe small_recipe(void)
{
    ps_recipe r = ps_recipe_default();
    r.batch = 2;
    r.length = 7;
    r.steps = 2;
    return r;
}

static ps_code train_small(const void *recipe, const ps_eager_sink *sink, ps_error *err)
{
    return train(SMALL "}", recipe, sink, err);
}

/* Every event of a run fails once. */
static void fail_everywhere(const ps_recipe *recipe)
{
    assert_every_failure_ends(train_small, recipe, 1);
}

static void test_a_failing_sink_ends_a_plain_run(void **state)
{
    (void)state;
    const ps_recipe r = small_recipe();
    fail_everywhere(&r);
}

static void test_a_failing_sink_ends_a_run_that_recomputes(void **state)
{
    (void)state;
    ps_recipe r = small_recipe();
    r.checkpoint_every = 1;
    r.has_no_cache = true;
    r.has_mask = r.pads = true;
    fail_everywhere(&r);
}

static void test_a_failing_sink_ends_a_run_with_adapters(void **state)
{
    (void)state;
    ps_recipe r = small_recipe();
    r.parameters = PS_DTYPE_BF16;
    r.lora_rank = 2;
    r.has_lora_dropout = r.begins_at_inputs = r.clips = true;
    fail_everywhere(&r);
}

static void test_a_failing_sink_ends_a_run_under_autocast(void **state)
{
    (void)state;
    ps_recipe r = small_recipe();
    r.autocast = PS_DTYPE_F16;
    r.scales_loss = r.clips = r.keeps_output = true;
    r.accumulate = 2;
    fail_everywhere(&r);
}

static void refuse(const char *config, const ps_recipe *recipe, ps_code code, const char *words)
{
    ps_error err = {0};
    const ps_eager_sink sink = deaf_sink();
    assert_int_equal(train(config, recipe, &sink, &err), code);
    assert_non_null(strstr(err.message, words));
}

static void test_what_cannot_be_is_refused(void **state)
{
    (void)state;
    ps_recipe r = small_recipe();
    refuse(SMALL ",\"add_cross_attention\":true}", &r, PS_BAD_INPUT, "add_cross_attention");
    r.attention = PS_ATTENTION_FLASH; /* of 32 bits: there is none */
    refuse(SMALL "}", &r, PS_BAD_INPUT, "attention kernel");
    r = small_recipe();
    r.batch = 0;
    refuse(SMALL "}", &r, PS_USAGE, "positive");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_failing_sink_ends_a_plain_run),
        cmocka_unit_test(test_a_failing_sink_ends_a_run_that_recomputes),
        cmocka_unit_test(test_a_failing_sink_ends_a_run_with_adapters),
        cmocka_unit_test(test_a_failing_sink_ends_a_run_under_autocast),
        cmocka_unit_test(test_what_cannot_be_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
