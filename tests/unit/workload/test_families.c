/* SPDX-License-Identifier: MIT
 *
 * Families of models: configurations that say the same in other words make the
 * same run, and what a family does not model is refused in one sentence. What
 * a run allocates is held against PyTorch by `sequences`.
 */
#include "support/eager_sinks.h"
#include "support/test.h"

#include <string.h>

#include "workload/script/train.h"

/* A run's allocations in one number: any other size or order gives another. */
typedef struct tally {
    uint64_t count, sum;
} tally;

static ps_code on_alloc(void *context, uint32_t buffer, uint64_t bytes, ps_role role, ps_error *err)
{
    tally *self = context;
    (void)buffer;
    (void)role;
    (void)err;
    self->count++;
    self->sum = self->sum * UINT64_C(1099511628211) + bytes;
    return PS_OK;
}

static ps_recipe small_recipe(void)
{
    ps_recipe recipe = ps_recipe_default();
    recipe.batch = 2;
    recipe.length = 8;
    recipe.steps = 1;
    return recipe;
}

static ps_code run(const char *type, const char *text, const ps_recipe *recipe, tally *out,
                   ps_error *err)
{
    ps_model_config *config = NULL;
    assert_ok(err, ps_model_config_read_memory("my.json", text, strlen(text), &config, err));
    *out = (tally){0};
    const ps_training training = {
        .family = ps_family_find(type),
        .config = config,
        .recipe = recipe,
        .device = {.workspace_bytes = 0, .sm_count = 8, .threads_per_sm = 1024},
        .sink = {.context = out,
                 .alloc = on_alloc,
                 .free = deaf_free,
                 .kernel = deaf_kernel,
                 .rename = deaf_rename}};
    assert_non_null(training.family);
    const ps_code code = ps_train(&training, err);
    ps_model_config_destroy(config);
    return code;
}

#define T5                                                                                \
    "\"vocab_size\": 50, \"d_model\": 12, \"d_kv\": 4, \"d_ff\": 20, \"num_layers\": 2, " \
    "\"num_heads\": 3"
#define NEOX                                                                                       \
    "\"vocab_size\": 50, \"hidden_size\": 24, \"num_hidden_layers\": 2, \"num_attention_heads\": " \
    "3, "                                                                                          \
    "\"intermediate_size\": 40"
#define KEYS NEOX ", \"num_key_value_heads\": 3"
#define HEADS KEYS ", \"head_dim\": 8"
#define BERT NEOX ", \"max_position_embeddings\": 16"

/* ---- the same in other words ---- */

static const struct {
    const char *type, *one, *other;
    bool are_equal;
} words[] = {
    {"t5", "{" T5 "}", "{" T5 ", \"num_decoder_layers\": 2, \"use_cache\": true}", true},
    {"t5", "{" T5 "}", "{" T5 ", \"num_decoder_layers\": null}", true},
    {"t5", "{" T5 "}", "{" T5 ", \"num_decoder_layers\": 1}", false},
    {"t5", "{" T5 ", \"feed_forward_proj\": \"gated-gelu\"}",
     "{" T5 ", \"is_gated_act\": true, \"dense_act_fn\": \"gelu_new\"}", true},
    {"t5", "{" T5 ", \"feed_forward_proj\": \"gated-gelu\"}",
     "{" T5 ", \"feed_forward_proj\": \"gelu\"}", false},
    {"t5", "{" T5 "}", "{" T5 ", \"tie_word_embeddings\": false}", false},
    {"t5", "{" T5 "}", "{" T5 ", \"dropout_rate\": 0.0}", false},
    {"gpt_neox", "{" NEOX "}", "{" NEOX ", \"rotary_pct\": 0.25, \"hidden_dropout\": 0.0}", true},
    {"gpt_neox", "{" NEOX "}",
     "{" NEOX ", \"rope_scaling\": {\"type\": \"linear\", \"factor\": 2.0}}", true},
    {"gpt_neox", "{" NEOX "}", "{" NEOX ", \"use_parallel_residual\": false}", false},
    {"gemma", "{" KEYS "}", "{" KEYS ", \"head_dim\": 256, \"tie_word_embeddings\": true}", true},
    {"gemma", "{" KEYS "}", "{" KEYS ", \"hidden_act\": \"gelu_new\"}", false},
    {"gemma", "{" KEYS "}", "{" KEYS ", \"hidden_activation\": \"gelu_new\"}", true},
    {"gemma2", "{" HEADS "}", "{" HEADS ", \"sliding_window\": 3, \"use_cache\": false}", true},
    {"gemma2", "{" HEADS "}", "{" HEADS ", \"hidden_act\": \"gelu_new\"}", true},
    {"gemma2", "{" HEADS "}", "{" HEADS ", \"hidden_activation\": \"gelu_new\"}", false},
    {"gemma2", "{" HEADS "}", "{" HEADS ", \"final_logit_softcapping\": null}", false},
    {"gemma2", "{" HEADS "}", "{" HEADS ", \"attention_bias\": true}", false},
    {"phi", "{" NEOX "}", "{" NEOX ", \"partial_rotary_factor\": 0.5}", true},
    {"phi", "{" NEOX "}", "{" NEOX ", \"partial_rotary_factor\": 1.0}", false},
    {"phi", "{" NEOX "}", "{" NEOX ", \"qk_layernorm\": true}", false},
    {"phi3", "{" NEOX "}", "{" NEOX ", \"num_key_value_heads\": null, \"sliding_window\": null}",
     true},
    {"phi3", "{" NEOX "}", "{" NEOX ", \"resid_pdrop\": 0.1}", false},
    {"phi3", "{" NEOX ", \"rope_scaling\": {\"type\": \"longrope\"}}",
     "{" NEOX ", \"rope_scaling\": {\"rope_type\": \"su\"}}", true},
    {"phi3", "{" NEOX "}", "{" NEOX ", \"rope_scaling\": {\"type\": \"longrope\"}}", false},
    {"bert", "{" BERT "}", "{" BERT ", \"position_embedding_type\": \"absolute\"}", true},
    {"bert", "{" BERT "}", "{" BERT ", \"pad_token_id\": null}", false},
    {"bert", "{" BERT "}", "{" BERT ", \"type_vocab_size\": 3}", false},
    {"roberta", "{" BERT "}", "{" BERT ", \"pad_token_id\": 1}", true},
    {"roberta", "{" BERT "}", "{" BERT ", \"tie_word_embeddings\": false}", false},
    {"biogpt", "{" BERT "}", "{" BERT ", \"layerdrop\": 0.0}", true},
    {"biogpt", "{" BERT "}", "{" BERT ", \"activation_dropout\": 0.1}", false},
};

static void configurations_in_other_words(void **state)
{
    (void)state;
    const ps_recipe recipe = small_recipe();
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        ps_error err = {0};
        tally one, other;
        assert_ok(&err, run(words[i].type, words[i].one, &recipe, &one, &err));
        assert_ok(&err, run(words[i].type, words[i].other, &recipe, &other, &err));
        assert_true(one.count > 100);
        if (words[i].are_equal != (one.count == other.count && one.sum == other.sum)) {
            fail_msg("%s: %s", words[i].type, words[i].other);
        }
    }
}

/* ---- refused ---- */

static const struct {
    const char *type, *text, *sentence;
} refused[] = {
    {"t5", "{" T5 ", \"feed_forward_proj\": \"gated-maxout\"}", "maxout"},
    {"t5", "{" T5 ", \"dense_act_fn\": 3}", "dense_act_fn"},
    {"t5", "{" T5 ", \"num_decoder_layers\": -1}", "num_decoder_layers"},
    {"t5", "{" T5 ", \"output_attentions\": true}", "output_attentions is not modelled"},
    {"t5", "{" T5 ", \"tie_encoder_decoder\": true}", "tie_encoder_decoder is not modelled"},
    {"t5", "{" T5 ", \"dropout_rate\": 1.5}", "dropout_rate"},
    {"gpt_neox", "{\"hidden_size\": 24, \"num_attention_heads\": 5}", "num_attention_heads"},
    {"gpt_neox", "{" NEOX ", \"rotary_pct\": 0.4}", "rotary_pct leaves 3 of the 8 elements"},
    {"gpt_neox", "{" NEOX ", \"rope_scaling\": {\"type\": \"dynamic\"}}", "\"dynamic\""},
    {"bert", "{" BERT ", \"is_decoder\": true}", "is_decoder is not modelled"},
    {"bert", "{" BERT ", \"position_embedding_type\": \"relative_key\"}", "relative_key"},
    {"bert", "{" BERT ", \"chunk_size_feed_forward\": 4}", "chunk_size_feed_forward"},
    {"bert", "{" NEOX ", \"max_position_embeddings\": 7}", "positions for 7 tokens"},
    {"roberta", "{" BERT ", \"pad_token_id\": null}", "pad_token_id is null"},
    {"roberta", "{" BERT ", \"pad_token_id\": 8}", "positions for 7 tokens"},
    {"roberta", "{" NEOX ", \"max_position_embeddings\": 9}", "positions for 7 tokens"},
    {"biogpt", "{" NEOX ", \"max_position_embeddings\": 7}", "positions for 7 tokens"},
    {"biogpt", "{" BERT ", \"layerdrop\": 0.1}", "layerdrop"},
};

static void what_is_not_modelled_is_refused(void **state)
{
    (void)state;
    const ps_recipe recipe = small_recipe();
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        ps_error err = {0};
        tally none;
        char sentence[512];
        assert_int_equal(run(refused[i].type, refused[i].text, &recipe, &none, &err), PS_BAD_INPUT);
        ps_error_format(&err, sentence, sizeof sentence);
        if (strstr(sentence, refused[i].sentence) == NULL) {
            fail_msg("\"%s\" does not say \"%s\"", sentence, refused[i].sentence);
        }
    }
}

static void t5_in_fp16_is_refused(void **state)
{
    (void)state;
    ps_recipe recipe = small_recipe();
    ps_error err = {0};
    tally none;
    recipe.parameters = PS_DTYPE_F16;
    assert_int_equal(run("t5", "{" T5 "}", &recipe, &none, &err), PS_BAD_INPUT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(configurations_in_other_words),
        cmocka_unit_test(what_is_not_modelled_is_refused),
        cmocka_unit_test(t5_in_fp16_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
