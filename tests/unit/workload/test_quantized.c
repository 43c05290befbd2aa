/* SPDX-License-Identifier: MIT
 *
 * Weights of 4 bits: bytes that a loaded model keeps, by formula, and what is
 * refused. Sequences are held against recordings elsewhere.
 */
#include "support/eager_sinks.h"
#include "support/test.h"

#include <string.h>

#include "workload/script/train.h"

enum { HIDDEN = 320, INNER = 832, WORDS = 1013, LAYERS = 2, RANK = 4, BUFFERS = 4096 };

static const char llama[] =
    "{\"model_type\":\"llama\",\"vocab_size\":1013,\"hidden_size\":320,\"intermediate_size\":832,"
    "\"num_hidden_layers\":2,\"num_attention_heads\":4,\"num_key_value_heads\":4,"
    "\"max_position_embeddings\":64,\"tie_word_embeddings\":false}";

typedef struct watch {
    uint64_t bytes[BUFFERS];
    uint64_t live, loaded, parameters;
} watch;

static ps_code on_alloc(void *context, uint32_t buffer, uint64_t bytes, ps_role role, ps_error *err)
{
    watch *self = context;
    (void)role;
    (void)err;
    assert_true(buffer < BUFFERS);
    self->bytes[buffer] = bytes;
    self->live += bytes;
    return PS_OK;
}

static ps_code on_free(void *context, uint32_t buffer, ps_error *err)
{
    watch *self = context;
    (void)err;
    self->live -= self->bytes[buffer];
    return PS_OK;
}

static ps_code on_loaded(void *context, const ps_model *m, ps_error *err)
{
    watch *self = context;
    (void)err;
    self->loaded = self->live;
    self->parameters = m->parameter_elements;
    return PS_OK;
}

static ps_code train(const char *text, ps_recipe recipe, watch *seen, ps_error *err)
{
    const ps_family *family = NULL;
    ps_model_config *config = NULL;
    memset(seen, 0, sizeof *seen);
    assert_int_equal(ps_model_config_read_memory("m.json", text, strlen(text), &config, err),
                     PS_OK);
    assert_int_equal(ps_family_of(config, &family, err), PS_OK);
    recipe.length = 7;
    recipe.steps = 1;
    const ps_training run = {.family = family,
                             .config = config,
                             .recipe = &recipe,
                             .device = {.sm_count = 132, .threads_per_sm = 2048},
                             .sink = {.context = seen,
                                      .alloc = on_alloc,
                                      .free = on_free,
                                      .kernel = deaf_kernel,
                                      .rename = deaf_rename},
                             .marks = {.context = seen, .loaded = on_loaded}};
    const ps_code code = ps_train(&run, err);
    ps_model_config_destroy(config);
    return code;
}

static ps_recipe recipe_of(ps_quantize quantize, ps_dtype parameters, ps_dtype autocast)
{
    ps_recipe r = ps_recipe_default();
    r.lora_rank = RANK;
    r.quantize = quantize;
    r.parameters = parameters;
    r.autocast = autocast;
    return r;
}

/* Half a byte a weight, a scale a block of 64, the table of 16 numbers. */
static uint64_t packed_bytes(uint64_t elements, bool is_double)
{
    const uint64_t blocks = (elements + 63) / 64, outer = (blocks + 255) / 256;
    return elements / 2 + 16 * 4 + (is_double ? blocks + 4 * outer + 4 : 4 * blocks);
}

static uint64_t expected_bytes(bool is_double, uint64_t wide)
{
    const uint64_t square = (uint64_t)HIDDEN * HIDDEN, tall = (uint64_t)HIDDEN * INNER;
    const uint64_t linear =
        LAYERS * (4 * packed_bytes(square, is_double) + 3 * packed_bytes(tall, is_double));
    const uint64_t others = 2 * WORDS * HIDDEN + (2 * LAYERS + 1) * HIDDEN;
    const uint64_t adapters = LAYERS * 2 * 2 * RANK * HIDDEN; /* A and B of query and value */
    const uint64_t rotary = HIDDEN / 4 / 2;
    return linear + (is_double ? 256 * 4 : 0) + wide * others + 4 * (adapters + rotary);
}

static void expect(ps_recipe recipe, uint64_t bytes)
{
    watch seen;
    ps_error err;
    assert_int_equal(train(llama, recipe, &seen, &err), PS_OK);
    assert_int_equal(seen.loaded, bytes);
    const uint64_t linear = LAYERS * (4 * HIDDEN * HIDDEN + 3 * HIDDEN * INNER);
    assert_int_equal(seen.parameters, linear + 2 * WORDS * HIDDEN + (2 * LAYERS + 1) * HIDDEN +
                                          LAYERS * 4 * RANK * HIDDEN);
}

static void test_scales_are_bytes(void **state)
{
    (void)state;
    expect(recipe_of(PS_QUANTIZE_NF4, PS_DTYPE_BF16, PS_DTYPE_F32), expected_bytes(true, 2));
}

static void test_scales_are_wide(void **state)
{
    (void)state;
    expect(recipe_of(PS_QUANTIZE_NF4_SINGLE, PS_DTYPE_F16, PS_DTYPE_F32), expected_bytes(false, 2));
}

/* peft makes everything else 32 bits wide; the narrow ones it was loaded as are gone. */
static void test_the_rest_is_wide_under_autocast(void **state)
{
    (void)state;
    expect(recipe_of(PS_QUANTIZE_NF4, PS_DTYPE_F32, PS_DTYPE_BF16), expected_bytes(true, 4));
}

static void test_without_adapters_is_refused(void **state)
{
    watch seen;
    ps_error err;
    (void)state;
    ps_recipe r = recipe_of(PS_QUANTIZE_NF4, PS_DTYPE_BF16, PS_DTYPE_F32);
    r.lora_rank = 0;
    assert_int_equal(train(llama, r, &seen, &err), PS_USAGE);
}

static void test_t5_is_refused(void **state)
{
    static const char t5[] = "{\"model_type\":\"t5\",\"vocab_size\":101,\"d_model\":32,\"d_ff\":64,"
                             "\"d_kv\":8,\"num_layers\":1,\"num_heads\":4}";
    watch seen;
    ps_error err;
    (void)state;
    const ps_recipe r = recipe_of(PS_QUANTIZE_NF4, PS_DTYPE_BF16, PS_DTYPE_F32);
    assert_int_equal(train(t5, r, &seen, &err), PS_BAD_INPUT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scales_are_bytes),
        cmocka_unit_test(test_scales_are_wide),
        cmocka_unit_test(test_the_rest_is_wide_under_autocast),
        cmocka_unit_test(test_without_adapters_is_refused),
        cmocka_unit_test(test_t5_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
