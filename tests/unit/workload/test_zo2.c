/* SPDX-License-Identifier: MIT
 *
 * ZO2: in which order blocks come, are computed and go, what crosses the link,
 * and the peaks that follow from program order, as equations of the shapes.
 */
#include "support/test.h"

#include <stdlib.h>
#include <string.h>

#include "workload/script/pinned.h"
#include "workload/script/train.h"
#include "workload/script/zo2.h"

#define TEXT_BYTES 256
#define MAX_BUFFERS 65536u

/* What a run told, gathered. */
typedef struct gathered {
    const ps_eager *e; /* from the load on */
    char order[TEXT_BYTES];
    char last[8];
    uint64_t uploaded_bytes, offloaded_bytes;
    uint64_t bytes[MAX_BUFFERS];
    uint64_t live_bytes, peak_bytes, loaded_bytes, host_bytes;
    size_t at, seen; /* the event that fails */
} gathered;

static ps_code count(gathered *self, ps_error *err)
{
    return self->seen++ == self->at ? ps_fail(err, PS_IO, "the sink is full") : PS_OK;
}

static ps_code on_alloc(void *context, uint32_t buffer, uint64_t bytes, ps_role role, ps_error *err)
{
    gathered *self = context;
    (void)role;
    assert_true(buffer < MAX_BUFFERS);
    self->bytes[buffer] = bytes;
    self->live_bytes += bytes;
    if (self->live_bytes > self->peak_bytes) {
        self->peak_bytes = self->live_bytes;
    }
    return count(self, err);
}

static ps_code on_free(void *context, uint32_t buffer, ps_error *err)
{
    gathered *self = context;
    self->live_bytes -= self->bytes[buffer];
    return count(self, err);
}

/* One word a run of kernels of one lane and block: "U1 C1 U2". */
static void note(gathered *self)
{
    static const char letters[] = "-UOC";
    char word[8];
    const uint32_t block = ps_eager_block_now(self->e);
    (void)snprintf(word, sizeof word, "%c%u", letters[ps_eager_lane_now(self->e)], block);
    if (block > 0 && strcmp(word, self->last) != 0) {
        if (self->order[0] != '\0') {
            strncat(self->order, " ", TEXT_BYTES - 1 - strlen(self->order));
        }
        strncat(self->order, word, TEXT_BYTES - 1 - strlen(self->order));
        memcpy(self->last, word, sizeof word);
    }
}

static ps_code on_kernel(void *context, const ps_eager_kernel *kernel, ps_error *err)
{
    gathered *self = context;
    self->uploaded_bytes += kernel->kind == PS_KERNEL_UPLOAD ? kernel->moved_bytes : 0;
    self->offloaded_bytes += kernel->kind == PS_KERNEL_OFFLOAD ? kernel->moved_bytes : 0;
    if (self->e != NULL && kernel->kind != PS_KERNEL_WAIT) {
        note(self);
    }
    return count(self, err);
}

static void on_rename(void *context, uint32_t buffer, ps_role role)
{
    (void)context;
    (void)buffer;
    (void)role;
}

static ps_code on_loaded(void *context, const ps_model *m, ps_error *err)
{
    gathered *self = context;
    (void)err;
    self->e = m->e;
    self->loaded_bytes = self->live_bytes;
    self->host_bytes = ps_zo2_host_bytes(m);
    return PS_OK;
}

/* Figures of a small OPT with a head of its own. */
typedef struct figures {
    uint64_t hidden, inner, vocabulary, positions, layers, length;
    ps_dtype dtype; /* 32 bits where nothing is said */
} figures;

static ps_recipe recipe_of(const figures *n)
{
    ps_recipe r = ps_recipe_default();
    r.batch = 1;
    r.length = (int64_t)n->length;
    r.parameters = n->dtype;
    r.steps = 3;
    r.optimizer = "mezo";
    r.policy = PS_TRAIN_POLICY_ZO2;
    r.attention = PS_ATTENTION_EAGER;
    r.is_evaluating = true;
    return r;
}

static ps_code run(const figures *n, gathered *out, ps_error *err)
{
    char text[512];
    ps_model_config *config = NULL;
    const ps_recipe recipe = recipe_of(n);
    (void)snprintf(text, sizeof text,
                   "{\"model_type\":\"opt\",\"hidden_size\":%u,\"ffn_dim\":%u,\"vocab_size\":%u,"
                   "\"max_position_embeddings\":%u,\"num_hidden_layers\":%u,"
                   "\"num_attention_heads\":1,\"word_embed_proj_dim\":%u,"
                   "\"tie_word_embeddings\":false}",
                   (unsigned)n->hidden, (unsigned)n->inner, (unsigned)n->vocabulary,
                   (unsigned)n->positions, (unsigned)n->layers, (unsigned)n->hidden);
    assert_ok(err, ps_model_config_read_memory("small", text, strlen(text), &config, err));
    const ps_training training = {.family = ps_family_find("opt"),
                                  .config = config,
                                  .recipe = &recipe,
                                  .device = {.sm_count = 4, .threads_per_sm = 1024},
                                  .sink = {out, on_alloc, on_free, on_kernel, on_rename, NULL},
                                  .marks = {.context = out, .loaded = on_loaded}};
    const ps_code code = ps_train(&training, err);
    ps_model_config_destroy(config);
    return code;
}

static gathered *gather(const figures *n)
{
    ps_error err = {0};
    gathered *out = calloc(1, sizeof *out);
    assert_non_null(out);
    out->at = SIZE_MAX;
    assert_ok(&err, run(n, out, &err));
    return out;
}

/* [bytes] of 32-bit parameters */
static uint64_t block_bytes(const figures *n)
{
    const uint64_t h = n->hidden, f = n->inner;
    return 4 * (4 * (h * h + h) + 2 * h * f + f + h + 4 * h);
}

static uint64_t resident_bytes(const figures *n)
{
    return 4 * (2 * n->vocabulary * n->hidden + (n->positions + 2) * n->hidden + 2 * n->hidden);
}

static void test_blocks_come_and_go_in_order(void **state)
{
    const figures n = {
        .hidden = 8, .inner = 16, .vocabulary = 11, .positions = 6, .layers = 3, .length = 4};
    gathered *seen = gather(&n);
    (void)state;
    /* three steps of: upload(1), then compute i and upload i + 1 before i is sent away */
    assert_string_equal(seen->order, "U1 C1 U2 O1 C2 U3 O2 C3 O3 U1 C1 U2 O1 C2 U3 O2 C3 O3 "
                                     "U1 C1 U2 O1 C2 U3 O2 C3 O3");
    assert_int_equal(seen->uploaded_bytes, 3 * n.layers * block_bytes(&n));
    assert_int_equal(seen->offloaded_bytes, 3 * n.layers * block_bytes(&n));
    free(seen);
}

static void test_only_what_stays_is_loaded_and_left(void **state)
{
    const figures n = {
        .hidden = 8, .inner = 16, .vocabulary = 11, .positions = 6, .layers = 5, .length = 4};
    gathered *seen = gather(&n);
    (void)state;
    assert_int_equal(seen->loaded_bytes, resident_bytes(&n));
    assert_int_equal(seen->live_bytes, resident_bytes(&n));
    free(seen);
}

/* Masks, positions and the hidden states of a few tokens are small beside the equations' terms. */
#define SLACK_BYTES 70000u
static void assert_near_above(uint64_t bytes, uint64_t least)
{
    assert_in_range(bytes, least, least + SLACK_BYTES);
}

/* R + block + 4 F + 6 H: the update of a wide matrix beside embedded words, places, hidden states */
static void test_the_peak_of_a_wide_block_is_its_update(void **state)
{
    const figures n = {
        .hidden = 256, .inner = 4096, .vocabulary = 16, .positions = 8, .layers = 3, .length = 8};
    gathered *seen = gather(&n);
    (void)state;
    const uint64_t matrix = 4 * n.hidden * n.inner, states = 4 * n.length * n.hidden;
    assert_near_above(seen->peak_bytes,
                      resident_bytes(&n) + block_bytes(&n) + 4 * matrix + 6 * states);
    free(seen);
}

/* R + 2 L + 3 E: the head is put back while both passes' logits are there */
static void test_the_peak_of_a_wide_head_is_its_last_perturbation(void **state)
{
    const figures n = {
        .hidden = 64, .inner = 64, .vocabulary = 16384, .positions = 64, .layers = 2, .length = 64};
    gathered *seen = gather(&n);
    (void)state;
    const uint64_t head = 4 * n.vocabulary * n.hidden, logits = 4 * n.length * n.vocabulary;
    assert_near_above(seen->peak_bytes, resident_bytes(&n) + 2 * logits + 3 * head);
    free(seen);
}

/* R + 4 E: with few tokens the update of the head or the words takes most */
static void test_the_peak_of_short_sequences_is_the_update_of_the_head(void **state)
{
    const figures n = {
        .hidden = 64, .inner = 64, .vocabulary = 16384, .positions = 4, .layers = 2, .length = 2};
    gathered *seen = gather(&n);
    (void)state;
    assert_near_above(seen->peak_bytes, resident_bytes(&n) + 4 * 4 * n.vocabulary * n.hidden);
    free(seen);
}

static void test_pinned_blocks_are_powers_of_two(void **state)
{
    (void)state;
    assert_int_equal(ps_pinned_bytes(0), 0);
    assert_int_equal(ps_pinned_bytes(1), 1);
    assert_int_equal(ps_pinned_bytes(4096), 4096);
    assert_int_equal(ps_pinned_bytes(4097), 8192);
    assert_int_equal(ps_pinned_bytes((UINT64_C(1) << 63) - 1), UINT64_C(1) << 63);
    assert_int_equal(ps_pinned_bytes(UINT64_C(1) << 63), UINT64_C(1) << 63);
    assert_int_equal(ps_pinned_bytes((UINT64_C(1) << 63) + 1), UINT64_MAX);
}

/* Blocks of OPT in 16 bits [10^6 bytes]: resident set sizes less a process's own GB are as large. */
static void test_blocks_lie_on_the_host_in_powers_of_two(void **state)
{
    static const struct {
        uint64_t hidden, layers, host_mb;
    } models[] = {
        {768, 12, 302}, {1024, 24, 605}, {2048, 24, 2417}, {2560, 32, 6446}, {12288, 96, 618516}};
    (void)state;
    for (size_t i = 0; i < sizeof models / sizeof models[0]; i++) {
        const uint64_t hidden = models[i].hidden;
        const figures n = {.hidden = hidden,
                           .inner = 4 * hidden,
                           .vocabulary = 8,
                           .positions = 4,
                           .layers = 1,
                           .length = 2,
                           .dtype = PS_DTYPE_F16};
        gathered *seen = gather(&n);
        assert_int_equal((seen->host_bytes * models[i].layers + 500000) / 1000000,
                         models[i].host_mb);
        free(seen);
    }
}

static void test_a_failing_sink_ends_a_run(void **state)
{
    const figures n = {
        .hidden = 8, .inner = 16, .vocabulary = 11, .positions = 6, .layers = 2, .length = 4};
    gathered *seen = gather(&n);
    const size_t events = seen->seen;
    (void)state;
    for (size_t at = 0; at < events; at++) {
        ps_error err = {0};
        memset(seen, 0, sizeof *seen);
        seen->at = at;
        assert_int_equal(run(&n, seen, &err), PS_IO);
        assert_string_equal(err.message, "the sink is full");
        assert_int_equal(seen->seen, at + 1);
    }
    free(seen);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_blocks_come_and_go_in_order),
        cmocka_unit_test(test_only_what_stays_is_loaded_and_left),
        cmocka_unit_test(test_the_peak_of_a_wide_block_is_its_update),
        cmocka_unit_test(test_the_peak_of_a_wide_head_is_its_last_perturbation),
        cmocka_unit_test(test_the_peak_of_short_sequences_is_the_update_of_the_head),
        cmocka_unit_test(test_pinned_blocks_are_powers_of_two),
        cmocka_unit_test(test_blocks_lie_on_the_host_in_powers_of_two),
        cmocka_unit_test(test_a_failing_sink_ends_a_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
