/* SPDX-License-Identifier: MIT
 *
 * The catalogue of models: shapes against the parameters the models are known
 * to have, names as people type them, inheritance, and every way a file can
 * be wrong.
 */
#include "unit/workload/parameters.h"

#include "base/memory.h"
#include "workload/config/models.h"

#define HEADER "model,key,value,origin\n"

static ps_models *builtin(void)
{
    ps_error err = {0};
    ps_models *models = NULL;
    assert_ok(&err, ps_models_create(&models, &err));
    return models;
}

static ps_model_config *find(const ps_models *models, const char *name)
{
    ps_error err = {0};
    ps_model_config *config = NULL;
    assert_ok(&err, ps_models_find(models, name, &config, &err));
    return config;
}

/* Totals as model cards, papers and the headers of weight files tell them; tied weights once. */
static const struct {
    const char *model;
    uint64_t parameters;
} totals[] = {
    {"gpt2", 124439808},
    {"gpt2-medium", 354823168},
    {"gpt2-large", 774030080},
    {"gpt2-xl", 1557611200},
    {"distilgpt2", 81912576},
    {"Cerebras-GPT-111M", 111050496},
    {"Cerebras-GPT-13B", 12853386240},
    {"gpt-neo-125m", 125198592},
    {"gpt-neo-2.7B", 2651307520},
    {"gpt-j-6b", 6050882784},
    {"codegen-350M", 356712448},
    {"opt-125m", 125239296},
    {"opt-350m", 331196416},
    {"opt-6.7b", 6658473984},
    {"opt-175b", 174604468224},
    {"bloom-560m", 559214592},
    {"bloom-7b1", 7069016064},
    {"bloom-176b", 176247271424},
    {"starcoder", 15517456384},
    {"santacoder", 1124886528},
    {"pythia-70m", 70426624},
    {"pythia-1b", 1011781632},
    {"pythia-12b", 11846072320},
    {"gpt-neox-20b", 20554567680},
    {"llama-2-7b", 6738415616},
    {"llama-2-13b", 13015864320},
    {"llama-2-70b", 68976648192},
    {"tinyllama-1.1b", 1100048384},
    {"llama-3-8b", 8030261248},
    {"llama-3-70b", 70553706496},
    {"llama-3.1-405b", 405853388800},
    {"llama-3.2-1b", 1235814400},
    {"llama-3.2-3b-instruct", 3212749824},
    {"deepseek-coder-1.3b", 1346471936},
    {"deepseek-coder-6.7b", 6740512768},
    {"mistral-7b", 7241732096},
    {"mixtral-8x7b", 46702792704},
    {"qwen1.5-0.5b", 463987712},
    {"qwen2-0.5b", 494032768},
    {"qwen2-1.5b", 1543714304},
    {"qwen2.5-3b", 3085938688},
    {"qwen2.5-7b", 7615616512},
    {"qwen2.5-14b", 14770033664},
    {"qwen2.5-32b", 32763876352},
    {"qwen2.5-72b", 72706203648},
    {"DeepSeek-R1-Distill-Qwen-1.5B", 1777088000},
    {"qwen3-0.6b", 596049920},
    {"qwen3-4b", 4022468096},
    {"qwen3-8b", 8190735360},
    {"qwen3-32b", 32762123264},
    {"gemma-2b", 2506172416},
    {"gemma-7b", 8537680896},
    {"gemma-2-2b-it", 2614341888},
    {"gemma-2-9b", 9241705984},
    {"gemma-2-27b", 27227128320},
    {"phi-1_5", 1418270720},
    {"phi-2", 2779683840},
    {"phi-3-mini", 3821079552},
    {"deepseek-moe-16b", 16375728128},
    {"t5-small", 60506624},
    {"t5-base", 222903552},
    {"t5-large", 737668096},
    {"t5-3b", 2851598336},
    {"flan-t5-small", 76961152},
    {"flan-t5-base", 247577856},
    {"flan-t5-large", 783150080},
    {"bert-base", 109514298},
    {"bert-base-cased", 108340804},
    {"bert-large", 335174458},
    {"roberta-base", 124697433},
    {"roberta-large", 355412057},
    {"open_llama_3b", 3426473600},
    {"biogpt", 346763264},
};

static void shapes_give_the_parameters_the_models_have(void **state)
{
    (void)state;
    ps_models *models = builtin();
    for (size_t i = 0; i < sizeof totals / sizeof totals[0]; i++) {
        ps_model_config *config = find(models, totals[i].model);
        const uint64_t got = count_parameters(config);
        if (got != totals[i].parameters) {
            fail_msg("%s: %llu parameters, expected %llu", totals[i].model, (unsigned long long)got,
                     (unsigned long long)totals[i].parameters);
        }
        ps_model_config_destroy(config);
    }
    ps_models_destroy(models);
}

/* Heads, width and kind of attention leave no trace in the sum of parameters. */
static void check_heads(const ps_model_config *config)
{
    static const struct {
        const char *width, *heads;
    } words[] = {{"hidden_size", "num_attention_heads"},
                 {"hidden_size", "num_heads"},
                 {"hidden_size", "n_head"},
                 {"n_embd", "n_head"}};
    ps_error err = {0};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        const uint64_t heads = figure_or(config, words[i].heads, 0);
        if (heads > 0 && ps_config_has(config, words[i].width) &&
            !ps_config_has(config, "head_dim")) {
            assert_ok(&err, ps_config_check_divides(config, words[i].width,
                                                    (int64_t)figure(config, words[i].width),
                                                    words[i].heads, (int64_t)heads, &err));
        }
        const uint64_t keys = figure_or(config, "num_key_value_heads", 0);
        if (heads > 0 && keys > 0) {
            assert_int_equal(heads % keys, 0);
        }
    }
}

static void every_model_has_a_whole_configuration(void **state)
{
    (void)state;
    ps_error err = {0};
    ps_models *models = builtin();
    assert_true(ps_models_count(models) >= 100);
    for (uint32_t i = 0; i < ps_models_count(models); i++) {
        const char *type = NULL, *name = ps_models_name(models, i);
        ps_model_config *config = find(models, name);
        assert_string_equal(ps_model_config_name(config), name);
        assert_true(count_parameters(config) > 50000000);
        assert_ok(&err, ps_config_text(config, "model_type", NULL, &type, &err));
        assert_non_null(type);
        assert_true(ps_config_has(config, "architectures.0"));
        check_heads(config);
        ps_model_config_destroy(config);
    }
    ps_models_destroy(models);
}

static void names_are_found_as_people_type_them(void **state)
{
    (void)state;
    static const char *const same[][2] = {
        {"GPT 2", "openai-community/gpt2"},
        {"openai-community/GPT2", "openai-community/gpt2"},
        {"qwen2.5 7b", "Qwen/Qwen2.5-7B"},
        {"Qwen/Qwen2.5-7B-Instruct", "Qwen/Qwen2.5-7B"},
        {"Llama-3.2-3B-Instruct", "meta-llama/Llama-3.2-3B"},
        {"meta-llama/Llama-3-8B", "meta-llama/Meta-Llama-3-8B"},
        {"T5-small", "google-t5/t5-small"},
        {"gpt-neo-125M", "EleutherAI/gpt-neo-125m"},
        {"phi-1.5", "microsoft/phi-1_5"},
        {"bert-base-uncased", "google-bert/bert-base-uncased"},
    };
    ps_error err = {0};
    ps_models *models = builtin();
    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++) {
        ps_model_config *config = find(models, same[i][0]);
        assert_string_equal(ps_model_config_name(config), same[i][1]);
        ps_model_config_destroy(config);
    }
    ps_model_config *large = find(models, "cerebras gpt 13b");
    ps_model_config *small = find(models, "cerebras gpt 1.3b");
    assert_int_equal(figure(large, "n_layer"), 40); /* the point in a number counts */
    assert_int_equal(figure(small, "n_layer"), 24);
    ps_model_config_destroy(large);
    ps_model_config_destroy(small);
    ps_model_config *config = NULL;
    assert_int_equal(ps_models_find(models, "gpt2-smal", &config, &err), PS_NOT_FOUND);
    assert_non_null(strstr(err.message, "no model \"gpt2-smal\" in the catalogue: did you mean "));
    assert_non_null(strstr(err.message, "openai-community/gpt2"));
    /* the same name of another owner may be another model */
    assert_int_equal(ps_models_find(models, "somebody/gpt2", &config, &err), PS_NOT_FOUND);
    assert_int_equal(ps_models_find(models, "", &config, &err), PS_NOT_FOUND);
    assert_int_equal(ps_models_find(models, "--", &config, &err), PS_NOT_FOUND);
    ps_models_destroy(models);
    ps_models_destroy(NULL);
}

static void figures_are_typed_and_have_an_origin(void **state)
{
    (void)state;
    ps_error err = {0};
    ps_models *models = builtin();
    ps_model_config *config = find(models, "llama-3.2-3b");
    double number = 0;
    const char *text = NULL;
    ps_models_destroy(models); /* the configuration lives on */
    assert_ok(&err, ps_config_number(config, "rope_scaling.factor", 0, 0, 100, &number, &err));
    assert_true(number == 32.0); /* stated by Llama-3.2-1B, over that of Llama-3.1-8B */
    assert_ok(&err, ps_config_text(config, "rope_scaling.rope_type", NULL, &text, &err));
    assert_string_equal(text, "llama3");
    assert_true(ps_config_has(config, "rope_scaling"));
    assert_true(truth(config, "tie_word_embeddings", false));
    assert_non_null(strchr(ps_config_origin(config, "hidden_size"), ':'));
    ps_model_config_destroy(config);
}

static ps_code read_text(const char *text, ps_models **models, ps_error *err)
{
    return ps_models_create_from("my.csv", text, strlen(text), models, err);
}

static void what_is_like_another_inherits_and_overrides(void **state)
{
    (void)state;
    ps_error err = {0};
    ps_models *models = NULL;
    assert_ok(&err, read_text(HEADER "# comment\n"
                                     "a/base,width,8,given: x\na/base,rope.kind,plain,given: x\n"
                                     "a/base,rope.deep.n,1,given: x\na/base,on,true,given: x\n"
                                     "b/mid,like,base,\nb/mid,width,9,recalled: y\n"
                                     "b/mid,rope.deep.n,2,given: z\n"
                                     "c/top,like,b/mid,\nc/top,rope,null,given: x\n"
                                     "c/top,kinds,\"[\"\"s\"\", 4]\",given: x\n"
                                     "d/last,like,top,\nd/last,rope.new,5,given: x\n",
                              &models, &err));
    assert_int_equal(ps_models_count(models), 4);
    ps_model_config *mid = find(models, "MID"), *top = find(models, "c top");
    const char *text = NULL;
    assert_int_equal(figure(mid, "width"), 9);
    assert_string_equal(ps_config_origin(mid, "width"), "recalled: y");
    assert_int_equal(figure(mid, "rope.deep.n"), 2);
    assert_ok(&err, ps_config_text(mid, "rope.kind", NULL, &text, &err));
    assert_string_equal(text, "plain");
    assert_int_equal(figure(top, "width"), 9);
    assert_true(ps_config_is_null(top, "rope"));
    assert_false(ps_config_has(top, "rope.kind"));
    assert_false(ps_config_has(top, "rope.deep"));
    assert_int_equal(figure(top, "kinds.1"), 4);
    assert_true(truth(top, "on", false));
    ps_model_config *last = find(models, "last"); /* an object again where there was null */
    assert_int_equal(figure(last, "rope.new"), 5);
    assert_false(ps_config_has(last, "rope.kind"));
    assert_false(ps_config_is_null(last, "rope"));
    ps_model_config_destroy(last);
    ps_model_config_destroy(mid);
    ps_model_config_destroy(top);
    ps_models_destroy(models);
}

static void wrong_files_are_refused_with_their_line(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } bad[] = {
        {"", "my.csv:0: models begin with the line model,key,value,origin"},
        {"a,b,c\n", "my.csv:1: models begin with the line model,key,value,origin"},
        {HEADER "a,k,1\n", "my.csv:2: 3 fields, but model,key,value,origin are 4"},
        {HEADER "--,k,1,given: x\n", "my.csv:2: \"--\" is not a name for a model"},
        {HEADER "a,,1,given: x\n", "my.csv:2: a row without a key"},
        {HEADER "a,k,1,heard: x\n", "my.csv:2: the origin \"heard: x\" does not begin"},
        {HEADER "a,k,1,given: x\na,k,1,given: x\n", "my.csv:3: k of a is stated twice"},
        {HEADER "a,like,a,\n", "my.csv:2: no earlier model \"a\" to be like"},
        {HEADER "a,like,b,\n", "my.csv:2: no earlier model \"b\" to be like"},
        {HEADER "a,k,1,given: x\nb,like,a,\nb,like,a,\n", "my.csv:4: b is like another model"},
        {HEADER "a,k,1,given: x\nb,alias,x/A,\n", "my.csv:3: \"A\" also names a"},
        {HEADER "a,k,1,given: x\nb,k,1,given: x\na,l,1,given: x\n", "my.csv:4: \"a\" also names a"},
        {HEADER "a,k,\"1,given: x\n", "my.csv"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        ps_error err = {0};
        ps_models *models = NULL;
        const ps_code code = read_text(bad[i].text, &models, &err);
        if (code != PS_BAD_INPUT || strstr(err.message, bad[i].message) == NULL) {
            fail_msg("%s: \"%s\", expected \"%s\"", ps_code_name(code), err.message,
                     bad[i].message);
        }
    }
}

static void values_that_are_no_json_are_refused_when_asked_for(void **state)
{
    (void)state;
    ps_error err = {0};
    ps_models *models = NULL;
    ps_model_config *config = NULL;
    assert_ok(&err, read_text(HEADER "a,k,[1,given: x\n", &models, &err));
    assert_int_equal(ps_models_find(models, "a", &config, &err), PS_BAD_INPUT);
    assert_non_null(strstr(err.message, "a is not JSON"));
    ps_models_destroy(models);
}

static void out_of_memory_is_a_result(void **state)
{
    (void)state;
    static const char text[] = HEADER "a,k,1,given: x\nb,like,a,\nb,alias,c,\nb,l.m,two,given: x\n";
    ps_error err = {0};
    ps_code code = PS_NOMEM;
    size_t failed = 0;
    for (unsigned long n = 1; code != PS_OK; n++) {
        ps_models *models = NULL;
        ps_model_config *config = NULL;
        assert_true(n < 300);
        ps_memory_fail_nth(n);
        code = read_text(text, &models, &err);
        if (code == PS_OK) {
            code = ps_models_find(models, "c", &config, &err);
        }
        ps_memory_fail_nth(0);
        assert_true(code == PS_OK || code == PS_NOMEM);
        failed += code == PS_NOMEM ? 1 : 0;
        ps_model_config_destroy(config);
        ps_models_destroy(models);
    }
    assert_true(failed > 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shapes_give_the_parameters_the_models_have),
        cmocka_unit_test(every_model_has_a_whole_configuration),
        cmocka_unit_test(names_are_found_as_people_type_them),
        cmocka_unit_test(figures_are_typed_and_have_an_origin),
        cmocka_unit_test(what_is_like_another_inherits_and_overrides),
        cmocka_unit_test(wrong_files_are_refused_with_their_line),
        cmocka_unit_test(values_that_are_no_json_are_refused_when_asked_for),
        cmocka_unit_test(out_of_memory_is_a_result),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
