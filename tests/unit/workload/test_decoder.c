/* SPDX-License-Identifier: MIT
 *
 * Families on the shared decoder, apart from their sequences: what is refused
 * and in which words, and that experts share all tokens out among them.
 */
#include "support/eager_sinks.h"
#include "support/test.h"

#include <string.h>

#include "workload/script/train.h"

#define TOKENS 6

/* What a run does, as far as these tests look. */
typedef struct account {
    uint64_t allocated, freed;
    uint64_t expert_rows; /* of products with `expert_width` columns in forward */
    uint64_t expert_width;
} account;

static ps_code on_alloc(void *context, uint32_t buffer, uint64_t bytes, ps_role role, ps_error *err)
{
    (void)buffer;
    (void)bytes;
    (void)role;
    (void)err;
    ((account *)context)->allocated++;
    return PS_OK;
}

static ps_code on_free(void *context, uint32_t buffer, ps_error *err)
{
    (void)buffer;
    (void)err;
    ((account *)context)->freed++;
    return PS_OK;
}

static ps_code on_kernel(void *context, const ps_eager_kernel *kernel, ps_error *err)
{
    account *self = context;
    (void)err;
    if (kernel->kind == PS_KERNEL_MATMUL && kernel->n == self->expert_width) {
        self->expert_rows += kernel->m;
    }
    return PS_OK;
}

static ps_code train(const char *family, const char *text, account *into, ps_error *err)
{
    ps_model_config *config = NULL;
    ps_recipe recipe = ps_recipe_default();
    recipe.length = TOKENS;
    recipe.steps = 1;
    assert_ok(err, ps_model_config_read_memory("my.json", text, strlen(text), &config, err));
    const ps_training run = {.family = ps_family_find(family),
                             .config = config,
                             .recipe = &recipe,
                             .sink = {.context = into,
                                      .alloc = on_alloc,
                                      .free = on_free,
                                      .kernel = on_kernel,
                                      .rename = deaf_rename}};
    assert_non_null(run.family);
    const ps_code code = ps_train(&run, err);
    ps_model_config_destroy(config);
    return code;
}

/* A family, its configuration, and a word of the sentence that refuses it. */
typedef struct refusal {
    const char *family, *text, *word;
} refusal;

static void what_is_not_modelled_is_refused_by_its_name(void **state)
{
    static const refusal all[] = {
        {"llama", "{\"num_attention_heads\": 6, \"num_key_value_heads\": 4}",
         "num_key_value_heads"},
        {"llama", "{\"head_dim\": 33}", "head_dim"},
        {"llama", "{\"rope_scaling\": {\"rope_type\": \"dynamic\", \"factor\": 2.0}}", "dynamic"},
        {"qwen2", "{\"rope_scaling\": {\"type\": \"longrope\"}}", "longrope"},
        {"llama", "{\"partial_rotary_factor\": 0.5}", "partial_rotary_factor"},
        {"mistral", "{\"output_attentions\": true}", "output_attentions"},
        {"qwen3", "{\"output_hidden_states\": true}", "output_hidden_states"},
        {"qwen3", "{\"hidden_act\": \"wave\"}", "wave"},
        {"llama", "{\"num_hidden_layers\": 0}", "num_hidden_layers"},
        {"mistral", "{\"sliding_window\": -1}", "sliding_window"},
        {"mixtral", "{\"num_local_experts\": 2, \"num_experts_per_tok\": 3}",
         "num_experts_per_tok"},
        {"mixtral", "{\"output_router_logits\": true}", "output_router_logits"},
        {"mixtral", "{\"router_jitter_noise\": 0.1}", "router_jitter_noise"},
        {"gemma", "{\"rope_scaling\": {\"type\": \"dynamic\"}}", "dynamic"},
        {"gemma2", "{\"sliding_window\": null}", "sliding_window"},
        {"gemma2", "{\"hidden_activation\": \"wave\"}", "wave"},
        {"phi", "{\"partial_rotary_factor\": 0.02}", "leaves 1 of the 64 elements"},
        {"phi", "{\"rope_scaling\": {\"type\": \"dynamic\"}}", "dynamic"},
        {"phi3", "{\"rope_scaling\": {\"type\": \"linear\"}}", "linear"},
        {"phi3", "{\"partial_rotary_factor\": 0.1}", "partial_rotary_factor"},
        {"qwen3_moe", "{\"mlp_only_layers\": [-1]}", "mlp_only_layers"},
        {"qwen2_moe", "{\"decoder_sparse_step\": 0}", "decoder_sparse_step"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        account none = {0};
        ps_error err = {0};
        char words[512];
        assert_int_equal(train(all[i].family, all[i].text, &none, &err), PS_BAD_INPUT);
        ps_error_format(&err, words, sizeof words);
        if (strstr(words, all[i].word) == NULL) {
            fail_msg("\"%s\" does not speak of %s", words, all[i].word);
        }
        assert_int_equal(none.allocated, 0);
    }
}

#define SMALL                                                             \
    "\"vocab_size\": 50, \"hidden_size\": 16, \"num_hidden_layers\": 1, " \
    "\"num_attention_heads\": 2, \"num_key_value_heads\": 1, \"intermediate_size\": 23"

/* Rows that experts take in forward by w1 and w3, which alone have `inner` columns as n there;
 * backward's products with that width are those of w2's input: as many again. */
static uint64_t rows_of_experts(const char *text)
{
    account of = {.expert_width = 23};
    ps_error err = {0};
    assert_ok(&err, train("mixtral", text, &of, &err));
    return of.expert_rows;
}

static void experts_take_each_token_as_often_as_asked(void **state)
{
    (void)state;
    const char *of_three = "{" SMALL ", \"num_local_experts\": 3, \"num_experts_per_tok\": 2}";
    const char *of_five = "{" SMALL ", \"num_local_experts\": 5, \"num_experts_per_tok\": 2}";
    const char *all = "{" SMALL ", \"num_local_experts\": 3, \"num_experts_per_tok\": 3}";
    /* w2's weight gradient has the width too: the hidden size (16 rows) for every expert */
    assert_int_equal(rows_of_experts(of_three), 3 * 2 * TOKENS + 3 * 16);
    assert_int_equal(rows_of_experts(of_five), 3 * 2 * TOKENS + 5 * 16);
    assert_int_equal(rows_of_experts(all), 3 * 3 * TOKENS + 3 * 16);
}

static void an_expert_finds_a_token_even_where_there_are_too_few(void **state)
{
    (void)state;
    const char *many = "{" SMALL ", \"num_local_experts\": 40, \"num_experts_per_tok\": 2}";
    assert_int_equal(rows_of_experts(many), 3 * 40 + 40 * 16);
}

static uint64_t allocations(const char *text)
{
    account of = {0};
    ps_error err = {0};
    assert_ok(&err, train("mistral", text, &of, &err));
    return of.allocated;
}

static void a_window_counts_from_its_length_on(void **state)
{
    (void)state;
    /* scaled_dot_product_attention needs no mask until the window is no wider than the sequence */
    const uint64_t without = allocations("{" SMALL ", \"sliding_window\": null}");
    assert_int_equal(allocations("{" SMALL ", \"sliding_window\": 7}"), without);
    assert_true(allocations("{" SMALL ", \"sliding_window\": 6}") > without);
    assert_int_equal(allocations("{" SMALL "}"), without); /* 4096 where the file says nothing */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_not_modelled_is_refused_by_its_name),
        cmocka_unit_test(experts_take_each_token_as_often_as_asked),
        cmocka_unit_test(an_expert_finds_a_token_even_where_there_are_too_few),
        cmocka_unit_test(a_window_counts_from_its_length_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
