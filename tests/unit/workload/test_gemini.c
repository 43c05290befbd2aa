/* SPDX-License-Identifier: MIT
 *
 * Gemini's chunks: their size, what goes into which, and what a run of a model
 * in them asks for.
 */
#include "support/test.h"

#include <stdlib.h>
#include <string.h>

#include "workload/script/gemini.h"
#include "workload/script/train.h"

#define MI ((int64_t)1 << 20)

static ps_gemini_layout lay_out(const int64_t *elements, size_t count)
{
    ps_gemini_layout out;
    ps_error err = {0};
    assert_ok(&err, ps_gemini_lay_out(elements, count, 1, &out, &err));
    return out;
}

static void test_a_small_model_is_one_chunk(void **state)
{
    const int64_t elements[] = {700, 20, 5 * MI};
    ps_gemini_layout out = lay_out(elements, 3);
    (void)state;
    assert_int_equal(out.chunk_count, 1);
    assert_int_equal(out.chunk_elements[0], 5 * MI + 720);
    assert_int_equal(out.chunk_of[2], 0);
    ps_gemini_layout_fini(&out);
}

static void test_the_size_leaves_least_unused(void **state)
{
    const int64_t elements[] = {20 * MI, 20 * MI, 20 * MI};
    ps_gemini_layout out = lay_out(elements, 3);
    (void)state;
    assert_int_equal(out.size, 60 * MI); /* 32 .. 64 Mi are searched: 40 would leave 20 unused */
    assert_int_equal(out.chunk_count, 1);
    ps_gemini_layout_fini(&out);
}

static void test_an_outlier_has_a_chunk_of_its_own(void **state)
{
    int64_t elements[101];
    (void)state;
    for (size_t i = 0; i < 101; i++) {
        elements[i] = i == 3 ? 200 * MI : MI;
    }
    ps_gemini_layout out = lay_out(elements, 101);
    assert_int_equal(out.size, 50 * MI); /* the first size that 100 of one Mi fill */
    assert_int_equal(out.chunk_count, 3);
    assert_int_equal(out.chunk_elements[out.chunk_of[3]], 200 * MI);
    assert_int_equal(out.chunk_of[4], out.chunk_of[2]); /* the open chunk goes on */
    assert_int_equal(out.chunk_of[100], 2);
    ps_gemini_layout_fini(&out);
}

static void test_a_large_parameter_sets_the_least_size(void **state)
{
    const int64_t elements[] = {45 * MI + 3, 30 * MI, 16 * MI};
    ps_gemini_layout out = lay_out(elements, 3);
    (void)state;
    /* the least is 45 Mi + 1024; 45 Mi and 3, then 46 Mi in a chunk of its own need 46 Mi */
    assert_int_equal(out.size, 46 * MI);
    assert_int_equal(out.chunk_count, 2);
    assert_int_equal(out.chunk_of[2], out.chunk_of[1]);
    ps_gemini_layout_fini(&out);
}

/* ---- a run ---- */

typedef struct gathered {
    uint64_t bytes[65536];
    ps_role role[65536];
    uint64_t parameter_bytes, state_bytes, live_gradient_bytes;
    size_t at, seen;
} gathered;

static ps_code count(gathered *self, ps_error *err)
{
    return self->seen++ == self->at ? ps_fail(err, PS_IO, "the sink is full") : PS_OK;
}

static ps_code on_alloc(void *context, uint32_t buffer, uint64_t bytes, ps_role role, ps_error *err)
{
    gathered *self = context;
    assert_true(buffer < 65536);
    self->bytes[buffer] = bytes;
    self->role[buffer] = role;
    self->parameter_bytes += role == PS_ROLE_PARAMETER ? bytes : 0;
    self->state_bytes += role == PS_ROLE_OPTIMIZER_STATE ? bytes : 0;
    return count(self, err);
}

static ps_code on_free(void *context, uint32_t buffer, ps_error *err)
{
    gathered *self = context;
    assert_int_not_equal(self->role[buffer], PS_ROLE_PARAMETER);
    return count(self, err);
}

static ps_code on_kernel(void *context, const ps_eager_kernel *kernel, ps_error *err)
{
    (void)kernel;
    return count(context, err);
}

/* Gradients never stay: nothing becomes one. */
static void on_rename(void *context, uint32_t buffer, ps_role role)
{
    gathered *self = context;
    self->live_gradient_bytes += role == PS_ROLE_GRADIENT ? self->bytes[buffer] : 0;
}

static ps_code run(gathered *out, ps_error *err)
{
    static const char text[] = "{\"model_type\":\"gpt2\",\"vocab_size\":97,\"n_positions\":32,"
                               "\"n_embd\":24,\"n_layer\":2,\"n_head\":3}";
    ps_model_config *config = NULL;
    ps_recipe r = ps_recipe_default();
    r.batch = 2;
    r.length = 7;
    r.steps = 2;
    r.parameters = PS_DTYPE_F16;
    r.optimizer = "adam";
    r.policy = PS_TRAIN_POLICY_GEMINI;
    r.checkpoint_every = 1;
    r.has_no_cache = true;
    assert_ok(err, ps_model_config_read_memory("small", text, strlen(text), &config, err));
    const ps_training training = {.family = ps_family_find("gpt2"),
                                  .config = config,
                                  .recipe = &r,
                                  .device = {.sm_count = 4, .threads_per_sm = 1024},
                                  .sink = {.context = out,
                                           .alloc = on_alloc,
                                           .free = on_free,
                                           .kernel = on_kernel,
                                           .rename = on_rename}};
    const ps_code code = ps_train(&training, err);
    ps_model_config_destroy(config);
    return code;
}

static void test_parameters_lie_in_a_chunk_with_their_copies_and_states(void **state)
{
    const uint64_t h = 24, block = 12 * h * h + 13 * h;
    const uint64_t elements = 97 * h + 32 * h + 2 * block + 2 * h; /* the head is the words' */
    ps_error err = {0};
    gathered *seen = calloc(1, sizeof *seen);
    (void)state;
    assert_non_null(seen);
    seen->at = SIZE_MAX;
    assert_ok(&err, run(seen, &err));
    /* one chunk in 16 bits, buffers of the mask in 2 blocks beside it; copies, two moments */
    assert_in_range(seen->parameter_bytes, 2 * elements, 2 * elements + 2 * 32 * 32 + 64);
    assert_int_equal(seen->state_bytes, 4 * elements + 2 * 4 * elements);
    assert_int_equal(seen->live_gradient_bytes, 0);
    free(seen);
}

static void test_a_failing_sink_ends_a_run(void **state)
{
    ps_error err = {0};
    gathered *seen = calloc(1, sizeof *seen);
    (void)state;
    assert_non_null(seen);
    seen->at = SIZE_MAX;
    assert_ok(&err, run(seen, &err));
    const size_t events = seen->seen;
    for (size_t at = 0; at < events; at++) {
        memset(seen, 0, sizeof *seen);
        memset(&err, 0, sizeof err);
        seen->at = at;
        assert_int_equal(run(seen, &err), PS_IO);
        assert_int_equal(seen->seen, at + 1);
    }
    free(seen);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_small_model_is_one_chunk),
        cmocka_unit_test(test_the_size_leaves_least_unused),
        cmocka_unit_test(test_an_outlier_has_a_chunk_of_its_own),
        cmocka_unit_test(test_a_large_parameter_sets_the_least_size),
        cmocka_unit_test(test_parameters_lie_in_a_chunk_with_their_copies_and_states),
        cmocka_unit_test(test_a_failing_sink_ends_a_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
