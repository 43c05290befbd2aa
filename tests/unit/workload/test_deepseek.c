/* SPDX-License-Identifier: MIT
 *
 * DeepSeek-MoE, which no recording holds: how many parameters its best known
 * member has, how many tokens experts take, and what its keys change. That the
 * rest is right rests on the parts it shares with recorded families.
 */
#include "support/eager_sinks.h"
#include "support/test.h"

#include <string.h>

#include "workload/config/models.h"
#include "workload/script/build.h"
#include "workload/script/train.h"

#define BATCH 2
#define LENGTH 6
#define TOKENS (BATCH * LENGTH)
#define HIDDEN 16
#define EXPERT 23 /* width of an expert; no other matrix has it */

#define DENSE                                                                             \
    "\"vocab_size\": 50, \"hidden_size\": 16, \"num_hidden_layers\": 3, "                 \
    "\"num_attention_heads\": 2, \"num_key_value_heads\": 2, \"intermediate_size\": 40, " \
    "\"moe_intermediate_size\": 23, \"max_position_embeddings\": 32"
#define SMALL DENSE ", \"n_routed_experts\": 4, \"num_experts_per_tok\": 3"

/* ---- the published model ---- */

static void the_published_model_has_its_parameters(void **state)
{
    (void)state;
    ps_error err = {0};
    ps_models *models = NULL;
    ps_model_config *config = NULL;
    ps_workload *built = NULL;
    ps_recipe recipe = ps_recipe_default();
    recipe.length = 16;
    recipe.steps = 1;
    recipe.parameters = PS_DTYPE_BF16;
    assert_ok(&err, ps_models_create(&models, &err));
    assert_ok(&err, ps_models_find(models, "deepseek-moe-16b", &config, &err));
    const ps_build what = {.name = "deepseek-moe-16b",
                           .config = config,
                           .recipe = &recipe,
                           .device = {.sm_count = 132, .threads_per_sm = 2048}};
    assert_ok(&err, ps_build_workload(&what, &built, &err));
    assert_string_equal(ps_workload_meta(built, PS_WORKLOAD_META_PARAMETERS), "16375728128");
    ps_workload_destroy(built);
    ps_model_config_destroy(config);
    ps_models_destroy(models);
}

/* ---- a small one ---- */

/* What a run does, as far as these tests look. */
typedef struct account {
    uint64_t sum;         /* of allocations: any other size or order gives another */
    uint64_t expert_rows; /* of products with EXPERT columns */
    uint64_t parameter_bytes;
} account;

static ps_code on_alloc(void *context, uint32_t buffer, uint64_t bytes, ps_role role, ps_error *err)
{
    account *self = context;
    (void)buffer;
    (void)err;
    self->sum = self->sum * UINT64_C(1099511628211) + bytes;
    self->parameter_bytes += role == PS_ROLE_PARAMETER ? bytes : 0;
    return PS_OK;
}

static ps_code on_kernel(void *context, const ps_eager_kernel *kernel, ps_error *err)
{
    account *self = context;
    (void)err;
    if (kernel->kind == PS_KERNEL_MATMUL && kernel->n == EXPERT) {
        self->expert_rows += kernel->m;
    }
    return PS_OK;
}

static ps_code train(const char *text, bool is_forward_only, account *into, ps_error *err)
{
    ps_model_config *config = NULL;
    ps_recipe recipe = ps_recipe_default();
    recipe.batch = BATCH;
    recipe.length = LENGTH;
    recipe.steps = 1;
    recipe.is_forward_only = is_forward_only;
    assert_ok(err, ps_model_config_read_memory("my.json", text, strlen(text), &config, err));
    const ps_training run = {.family = ps_family_find("deepseek"),
                             .config = config,
                             .recipe = &recipe,
                             .device = {.sm_count = 8, .threads_per_sm = 1024},
                             .sink = {.context = into,
                                      .alloc = on_alloc,
                                      .free = deaf_free,
                                      .kernel = on_kernel,
                                      .rename = deaf_rename}};
    assert_non_null(run.family);
    const ps_code code = ps_train(&run, err);
    ps_model_config_destroy(config);
    return code;
}

static account account_of(const char *text, bool is_forward_only)
{
    account of = {0};
    ps_error err = {0};
    assert_ok(&err, train(text, is_forward_only, &of, &err));
    return of;
}

/* Forward, experts alone have products with their width as columns: gate and up of each token. */
static void a_token_goes_to_as_many_experts_as_asked(void **state)
{
    (void)state;
    const uint64_t block = 2 * 3 * TOKENS;
    assert_int_equal(account_of("{" SMALL "}", true).expert_rows, 3 * block);
    assert_int_equal(account_of("{" SMALL ", \"first_k_dense_replace\": 1}", true).expert_rows,
                     2 * block);
    assert_int_equal(account_of("{" SMALL ", \"first_k_dense_replace\": 3}", true).expert_rows, 0);
    /* blocks 0 and 2 of three, then 2 alone */
    assert_int_equal(account_of("{" SMALL ", \"moe_layer_freq\": 2}", true).expert_rows, 2 * block);
    assert_int_equal(
        account_of("{" SMALL ", \"moe_layer_freq\": 2, \"first_k_dense_replace\": 1}", true)
            .expert_rows,
        block);
    /* one shared expert is as wide as one of the others, and takes all tokens */
    assert_int_equal(account_of("{" SMALL ", \"n_shared_experts\": 1}", true).expert_rows,
                     3 * (block + 2 * TOKENS));
}

/* Shared experts are one, as wide as all of them. */
static void shared_experts_are_one_feed_forward(void **state)
{
    (void)state;
    const uint64_t without = account_of("{" SMALL "}", true).parameter_bytes;
    const uint64_t with = account_of("{" SMALL ", \"n_shared_experts\": 2}", true).parameter_bytes;
    assert_int_equal(with - without, 3 * 3 * (2 * EXPERT * HIDDEN) * 4);
    assert_int_equal(account_of("{" SMALL ", \"n_shared_experts\": null}", true).parameter_bytes,
                     without);
}

static void keys_change_what_is_run(void **state)
{
    static const struct {
        const char *text;
        bool is_another;
    } all[] = {
        {"{" SMALL ", \"aux_loss_alpha\": 0.001, \"seq_aux\": true}", false},
        {"{" SMALL ", \"norm_topk_prob\": false, \"moe_layer_freq\": 1}", false},
        {"{" SMALL ", \"aux_loss_alpha\": 0.0}", true},
        {"{" SMALL ", \"seq_aux\": false}", true},
        {"{" SMALL ", \"norm_topk_prob\": true}", true},
        {"{" SMALL ", \"attention_bias\": true}", true},
        {"{" DENSE ", \"n_routed_experts\": null}", true},
    };
    (void)state;
    const uint64_t plain = account_of("{" SMALL "}", false).sum;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        if ((account_of(all[i].text, false).sum != plain) != all[i].is_another) {
            fail_msg("%s", all[i].text);
        }
    }
}

static void what_is_not_modelled_is_refused(void **state)
{
    static const struct {
        const char *text, *word;
    } all[] = {
        {"{" SMALL ", \"scoring_func\": \"sigmoid\"}", "sigmoid"},
        {"{" SMALL ", \"pretraining_tp\": 2}", "pretraining_tp"},
        {"{" SMALL ", \"first_k_dense_replace\": -1}", "first_k_dense_replace"},
        {"{" SMALL ", \"moe_layer_freq\": 0}", "moe_layer_freq"},
        {"{" DENSE ", \"n_routed_experts\": 4, \"num_experts_per_tok\": 5}", "num_experts_per_tok"},
        {"{" SMALL ", \"n_shared_experts\": 0}", "n_shared_experts"},
        {"{\"n_routed_experts\": 4}", "num_experts_per_tok"},
        {"{" SMALL ", \"rope_scaling\": {\"type\": \"dynamic\"}}", "dynamic"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        account none = {0};
        ps_error err = {0};
        char words[512];
        assert_int_equal(train(all[i].text, false, &none, &err), PS_BAD_INPUT);
        ps_error_format(&err, words, sizeof words);
        if (strstr(words, all[i].word) == NULL) {
            fail_msg("\"%s\" does not speak of %s", words, all[i].word);
        }
        assert_int_equal(none.sum, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_published_model_has_its_parameters),
        cmocka_unit_test(a_token_goes_to_as_many_experts_as_asked),
        cmocka_unit_test(shared_experts_are_one_feed_forward),
        cmocka_unit_test(keys_change_what_is_run),
        cmocka_unit_test(what_is_not_modelled_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
