/* SPDX-License-Identifier: MIT
 *
 * What a configuration asks for and a family does not model is refused in one
 * sentence, before a step; what changes nothing is accepted.
 */
#include "support/eager_sinks.h"
#include "support/test.h"

#include <string.h>

#include "workload/script/train.h"

/* Two steps of two short sequences of a small model. */
static ps_code train(const char *family, const char *text, ps_recipe recipe, ps_error *err)
{
    ps_model_config *config = NULL;
    const ps_code code =
        ps_model_config_read_memory("small.json", text, strlen(text), &config, err);
    assert_int_equal(code, PS_OK);
    recipe.batch = 2;
    recipe.length = 5;
    const ps_training run = {.family = ps_family_find(family),
                             .config = config,
                             .recipe = &recipe,
                             .device = {.sm_count = 132, .threads_per_sm = 2048},
                             .sink = deaf_sink()};
    assert_non_null(run.family);
    const ps_code result = ps_train(&run, err);
    ps_model_config_destroy(config);
    return result;
}

#define GPT_NEO "\"hidden_size\":24,\"num_layers\":2,\"num_heads\":4,\"vocab_size\":50,"
#define GPTJ "\"n_embd\":24,\"n_layer\":1,\"n_head\":4,\"vocab_size\":50,\"rotary_dim\":4"
#define OPT                                                                                \
    "\"hidden_size\":24,\"num_hidden_layers\":1,\"num_attention_heads\":4,\"ffn_dim\":32," \
    "\"vocab_size\":50"
#define BLOOM "\"hidden_size\":24,\"n_layer\":1,\"n_head\":3,\"vocab_size\":50"
#define GEMMA2                                                                             \
    "\"hidden_size\":24,\"num_hidden_layers\":2,\"num_attention_heads\":4,\"head_dim\":8," \
    "\"intermediate_size\":32,\"vocab_size\":50"
#define BIGCODE "\"n_embd\":24,\"n_layer\":1,\"n_head\":4,\"vocab_size\":50"

static const struct {
    const char *family, *config, *says; /* NULL: accepted */
} cases[] = {
    {"gpt_neo", "{" GPT_NEO "\"attention_types\":[[[\"global\",\"local\"],1]]}", NULL},
    {"gpt_neo", "{" GPT_NEO "\"attention_types\":[[[\"global\"],1],[[\"local\"],1]]}", NULL},
    {"gpt_neo", "{" GPT_NEO "\"attention_types\":[[[\"global\",\"local\"],6]]}",
     "\"attention_types\" has 12 layers, \"num_layers\" is 2"},
    {"gpt_neo", "{" GPT_NEO "\"output_attentions\":true}", "\"output_attentions\" is true"},
    {"gpt_neo", "{\"hidden_size\":26,\"num_heads\":4}", "hidden_size"},
    {"gptj", "{" GPTJ "}", NULL},
    {"gptj", "{" GPTJ ",\"use_cache\":false}", NULL},
    {"gptj", "{\"rotary_dim\":null}", "\"rotary_dim\" is null"},
    {"gptj", "{\"n_embd\":24,\"n_head\":4,\"rotary_dim\":8}", "\"rotary_dim\" is 8"},
    {"gptj", "{\"n_embd\":24,\"n_head\":4,\"rotary_dim\":5}", "\"rotary_dim\" is 5"},
    {"codegen", "{" GPTJ "}", NULL},
    {"codegen", "{\"n_embd\":24,\"n_head\":6,\"n_layer\":1,\"rotary_dim\":4}",
     "\"n_head\" is 6, which 4 does not divide"},
    {"opt", "{" OPT "}", NULL},
    {"opt", "{" OPT ",\"layerdrop\":0.1}", "\"layerdrop\""},
    {"opt", "{" OPT ",\"activation_function\":\"step\"}", "\"step\""},
    {"bloom", "{" BLOOM ",\"pretraining_tp\":4}", NULL},
    {"bloom", "{" BLOOM ",\"pretraining_tp\":4,\"slow_but_exact\":true}", "\"slow_but_exact\""},
    {"gpt_bigcode", "{" BIGCODE "}", NULL},
    {"gpt_bigcode", "{" BIGCODE ",\"add_cross_attention\":true}",
     "\"add_cross_attention\" is true"},
};

static void what_is_not_modelled_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ps_error err = {0};
        const ps_code code = train(cases[i].family, cases[i].config, ps_recipe_default(), &err);
        if (cases[i].says == NULL) {
            assert_ok(&err, code);
            continue;
        }
        assert_int_equal(code, PS_BAD_INPUT);
        if (strstr(err.message, cases[i].says) == NULL) {
            fail_msg("%s: \"%s\" does not say %s", cases[i].config, err.message, cases[i].says);
        }
    }
}

/* Layers that are left out at random are no matter where nothing is trained. */
static void an_evaluated_opt_keeps_its_layers(void **state)
{
    (void)state;
    ps_error err = {0};
    ps_recipe recipe = ps_recipe_default();
    recipe.is_evaluating = true;
    assert_ok(&err, train("opt", "{" OPT ",\"layerdrop\":0.1}", recipe, &err));
}

/* Gemma 2 keeps no cache in training, and makes one beforehand when it is evaluated. */
static void an_evaluated_gemma2_does_without_a_cache(void **state)
{
    (void)state;
    ps_error err = {0};
    ps_recipe recipe = ps_recipe_default();
    assert_ok(&err, train("gemma2", "{" GEMMA2 "}", recipe, &err));
    recipe.is_evaluating = true;
    assert_int_equal(train("gemma2", "{" GEMMA2 "}", recipe, &err), PS_BAD_INPUT);
    assert_non_null(strstr(err.message, "use_cache"));
    assert_ok(&err, train("gemma2", "{" GEMMA2 ",\"use_cache\":false}", recipe, &err));
    recipe.has_no_cache = true;
    assert_ok(&err, train("gemma2", "{" GEMMA2 "}", recipe, &err));
}

/* A TorchScript function has the softmax of narrow scores: not told of under autocast, and not run
 * without the wide softmax. */
static void a_scripted_softmax_is_refused_under_autocast(void **state)
{
    (void)state;
    ps_error err = {0};
    ps_recipe recipe = ps_recipe_default();
    recipe.parameters = PS_DTYPE_BF16;
    assert_ok(&err, train("gpt_bigcode", "{" BIGCODE "}", recipe, &err));
    recipe.attention = PS_ATTENTION_EAGER;
    assert_ok(&err, train("gpt_bigcode", "{" BIGCODE "}", recipe, &err));
    recipe.parameters = PS_DTYPE_F32;
    recipe.autocast = PS_DTYPE_BF16;
    assert_int_equal(train("gpt_bigcode", "{" BIGCODE "}", recipe, &err), PS_BAD_INPUT);
    assert_non_null(strstr(err.message, "TorchScript"));
    assert_ok(&err, train("gpt_bigcode", "{" BIGCODE ",\"attention_softmax_in_fp32\":false}",
                          recipe, &err));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_not_modelled_is_refused),
        cmocka_unit_test(an_evaluated_gemma2_does_without_a_cache),
        cmocka_unit_test(an_evaluated_opt_keeps_its_layers),
        cmocka_unit_test(a_scripted_softmax_is_refused_under_autocast),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
