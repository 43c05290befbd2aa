/* SPDX-License-Identifier: MIT
 *
 * ZO2: in which order blocks come, are computed and go, what crosses the link,
 * and the peaks that follow from program order, as equations of the shapes.
 */
#include "support/eager_sinks.h"
#include "support/test.h"

#include <stdlib.h>
#include <string.h>

#include "workload/script/build.h"
#include "workload/script/pinned.h"

#define TEXT_BYTES 256
#define MAX_BUFFERS 65536u

/* What a run told, gathered. */
typedef struct gathered {
    const ps_eager *e; /* from the load on */
    char order[TEXT_BYTES];
    char last[8];
    uint64_t uploaded_bytes, offloaded_bytes, uploads, offloads;
    ps_ns driver_ns;
    unsigned lanes; /* that had device work, one bit each */
    uint64_t bytes[MAX_BUFFERS];
    uint64_t live_bytes, peak_bytes, loaded_bytes, parameter_bytes; /* of blocks, the last */
    size_t at, seen;                                                /* the event that fails */
} gathered;

static ps_code count(gathered *self, ps_error *err)
{
    return self->seen++ == self->at ? ps_fail(err, PS_IO, "the sink is full") : PS_OK;
}

/* Device memory and the host's apart: a buffer of the host counts as one of no bytes. */
static ps_code on_alloc(void *context, uint32_t buffer, uint64_t bytes, ps_role role, ps_error *err)
{
    gathered *self = context;
    (void)role;
    assert_true(buffer < MAX_BUFFERS);
    if (self->e != NULL && ps_memory_is_host((uint8_t)ps_eager_memory_now(self->e))) {
        self->bytes[buffer] = 0;
        return count(self, err);
    }
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
    self->uploaded_bytes += kernel->copy_kind == PS_COPY_HTOD ? kernel->moved_bytes : 0;
    self->offloaded_bytes += kernel->copy_kind == PS_COPY_DTOH ? kernel->moved_bytes : 0;
    self->uploads += kernel->copy_kind == PS_COPY_HTOD;
    self->offloads += kernel->copy_kind == PS_COPY_DTOH;
    self->driver_ns += kernel->dur_ns;
    self->lanes |= self->e == NULL ? 0 : 1u << ps_eager_lane_now(self->e);
    if (self->e != NULL && kernel->kind != PS_KERNEL_WAIT) {
        note(self);
    }
    return count(self, err);
}

static ps_code on_loaded(void *context, const ps_model *m, ps_error *err)
{
    gathered *self = context;
    (void)err;
    self->e = m->e;
    self->loaded_bytes = self->live_bytes;
    for (size_t i = 0; i < m->parameter_count; i++) {
        self->parameter_bytes += m->shape[i].block > 0 ? ps_eager_bytes(m->e, m->parameter[i]) : 0;
    }
    return PS_OK;
}

/* Figures of a small OPT with a head of its own. */
typedef struct figures {
    uint64_t hidden, inner, vocabulary, positions, layers, length;
    ps_dtype dtype; /* 32 bits where nothing is said */
    ps_zo2_settings with;
    const char *family; /* of decoders; NULL: OPT */
} figures;

static ps_recipe recipe_of(const figures *n)
{
    ps_recipe r = ps_recipe_default();
    r.batch = 1;
    r.length = (int64_t)n->length;
    r.parameters = n->dtype;
    r.zo2 = n->with;
    r.steps = 3;
    r.optimizer = "mezo";
    r.policy = PS_TRAIN_POLICY_ZO2;
    r.attention = n->family == NULL ? PS_ATTENTION_EAGER : PS_ATTENTION_AUTO;
    r.is_evaluating = true;
    return r;
}

static void describe_opt(const figures *n, char text[512])
{
    (void)snprintf(text, 512,
                   "{\"model_type\":\"opt\",\"hidden_size\":%u,\"ffn_dim\":%u,\"vocab_size\":%u,"
                   "\"max_position_embeddings\":%u,\"num_hidden_layers\":%u,"
                   "\"num_attention_heads\":1,\"word_embed_proj_dim\":%u,"
                   "\"tie_word_embeddings\":false}",
                   (unsigned)n->hidden, (unsigned)n->inner, (unsigned)n->vocabulary,
                   (unsigned)n->positions, (unsigned)n->layers, (unsigned)n->hidden);
}

static void describe_decoder(const figures *n, char text[512])
{
    (void)snprintf(text, 512,
                   "{\"model_type\":\"%s\",\"hidden_size\":%u,\"intermediate_size\":%u,"
                   "\"vocab_size\":%u,\"num_hidden_layers\":%u,\"num_attention_heads\":2,"
                   "\"num_key_value_heads\":1,\"head_dim\":8,\"tie_word_embeddings\":false}",
                   n->family, (unsigned)n->hidden, (unsigned)n->inner, (unsigned)n->vocabulary,
                   (unsigned)n->layers);
}

static ps_model_config *config_of(const figures *n)
{
    char text[512];
    ps_error err = {0};
    ps_model_config *config = NULL;
    (n->family == NULL ? describe_opt : describe_decoder)(n, text);
    assert_ok(&err, ps_model_config_read_memory("small", text, strlen(text), &config, &err));
    return config;
}

static ps_code run(const figures *n, gathered *out, ps_error *err)
{
    const ps_recipe recipe = recipe_of(n);
    ps_model_config *config = config_of(n);
    const ps_training training = {
        .family = ps_family_find(n->family == NULL ? "opt" : n->family),
        .config = config,
        .recipe = &recipe,
        .device = {.sm_count = 4, .threads_per_sm = 1024, .malloc_ns = 5, .free_ns = 7},
        .sink = {.context = out,
                 .alloc = on_alloc,
                 .free = on_free,
                 .kernel = on_kernel,
                 .rename = deaf_rename},
        .marks = {.context = out, .loaded = on_loaded}};
    const ps_code code = ps_train(&training, err);
    ps_model_config_destroy(config);
    return code;
}

/* The same as rows. */
static ps_workload *build(const figures *n)
{
    ps_error err = {0};
    ps_workload *out = NULL;
    const ps_recipe recipe = recipe_of(n);
    ps_model_config *config = config_of(n);
    const ps_build what = {.name = "small",
                           .config = config,
                           .recipe = &recipe,
                           .device = {.sm_count = 4, .threads_per_sm = 1024}};
    assert_ok(&err, ps_build_workload(&what, &out, &err));
    assert_ok(&err, ps_workload_check(out, &err));
    ps_model_config_destroy(config);
    return out;
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
        ps_workload *made = build(&n);
        assert_int_equal((ps_pinned_held(made) * models[i].layers + 500000) / 1000000,
                         models[i].host_mb);
        ps_workload_destroy(made);
    }
}

/* ---- what settings change ---- */

#define PARAMETERS 16u /* of a block: four projections, two products, two norms, each with a bias */

static figures plain_figures(void)
{
    return (figures){
        .hidden = 256, .inner = 1024, .vocabulary = 16, .positions = 8, .layers = 3, .length = 8};
}

static void test_a_block_that_waits_for_its_copy_takes_a_third(void **state)
{
    figures n = plain_figures();
    gathered *released = gather(&n);
    n.with.waits_for_offload = true;
    gathered *seen = gather(&n);
    (void)state;
    assert_int_equal(seen->peak_bytes, released->peak_bytes + block_bytes(&n));
    assert_int_equal(seen->live_bytes, resident_bytes(&n));
    assert_string_equal(seen->order, released->order);
    free(released);
    free(seen);
}

/* Each parameter of each block in each of three steps: one request of 5 ns, one release of 7. */
static void test_the_driver_is_asked_for_each_tensor(void **state)
{
    figures n = plain_figures();
    n.with.asks_driver = true;
    gathered *seen = gather(&n);
    (void)state;
    assert_int_equal(seen->driver_ns, 3 * n.layers * PARAMETERS * (5 + 7));
    assert_int_equal(seen->uploads, 3 * n.layers * PARAMETERS);
    free(seen);
}

static void test_an_update_apart_visits_blocks_twice(void **state)
{
    figures n = plain_figures();
    n.layers = 2;
    n.with.updates_apart = true;
    gathered *seen = gather(&n);
    (void)state;
    assert_int_equal(seen->uploaded_bytes, 2 * 3 * n.layers * block_bytes(&n));
    assert_string_equal(seen->order, "U1 C1 U2 O1 C2 O2 U1 C1 U2 O1 C2 O2 "
                                     "U1 C1 U2 O1 C2 O2 U1 C1 U2 O1 C2 O2 "
                                     "U1 C1 U2 O1 C2 O2 U1 C1 U2 O1 C2 O2");
    free(seen);
}

static void test_a_bucket_crosses_as_one(void **state)
{
    figures n = plain_figures();
    n.with.is_bucket = true;
    gathered *seen = gather(&n);
    ps_workload *made = build(&n);
    (void)state;
    assert_int_equal(seen->uploads, 3 * n.layers);
    assert_int_equal(seen->offloads, 3 * n.layers);
    assert_int_equal(seen->offloaded_bytes, 3 * n.layers * block_bytes(&n));
    assert_int_equal(seen->live_bytes, resident_bytes(&n));
    assert_int_equal(ps_pinned_held(made), n.layers * ps_pinned_bytes(block_bytes(&n)));
    ps_workload_destroy(made);
    free(seen);
}

/* Half as much crosses; what is computed with stays as wide. */
static void test_blocks_may_have_another_type_on_the_host(void **state)
{
    figures n = plain_figures();
    gathered *same = gather(&n);
    n.with.has_host_dtype = true;
    n.with.host_dtype = PS_DTYPE_BF16;
    gathered *seen = gather(&n);
    (void)state;
    assert_int_equal(seen->uploaded_bytes, same->uploaded_bytes / 2);
    assert_int_equal(seen->offloaded_bytes, same->offloaded_bytes / 2);
    assert_int_equal(seen->peak_bytes, same->peak_bytes);
    assert_int_equal(seen->live_bytes, resident_bytes(&n));
    free(same);
    free(seen);
}

static void test_without_overlap_there_is_one_queue(void **state)
{
    figures n = plain_figures();
    n.with.is_serial = true;
    gathered *seen = gather(&n);
    ps_workload *made = build(&n);
    (void)state;
    assert_int_equal(seen->lanes, 1u << PS_EAGER_MAIN);
    assert_int_equal(ps_pinned_held(made), 0);
    for (size_t i = 0; i < made->op.head.count; i++) {
        if (made->op.copy_kind[i] != PS_COPY_UNKNOWN) {
            assert_int_equal(made->op.is_blocking[i], 1);
            assert_int_equal(made->op.memory[i], PS_MEMORY_PAGEABLE);
        }
    }
    ps_workload_destroy(made);
    free(seen);
}

/* They come from where they were loaded, and from the second step on from where they were sent. */
static void test_first_uploads_are_pageable(void **state)
{
    const figures n = plain_figures();
    ps_workload *made = build(&n);
    size_t pageable = 0, pinned = 0;
    (void)state;
    for (size_t i = 0; i < made->op.head.count; i++) {
        if (made->op.copy_kind[i] == PS_COPY_HTOD) {
            pageable += made->op.memory[i] == PS_MEMORY_PAGEABLE;
            pinned += made->op.memory[i] == PS_MEMORY_PINNED;
        }
    }
    assert_int_equal(pageable, n.layers * PARAMETERS);
    assert_int_equal(pinned, 2 * n.layers * PARAMETERS);
    ps_workload_destroy(made);
}

/* Of each copy one tensor is read and one written: on the device, on the host. */
static void test_copies_tell_what_they_read_and_write(void **state)
{
    const figures n = plain_figures();
    ps_workload *made = build(&n);
    size_t copies = 0, reads = 0, writes = 0;
    (void)state;
    for (size_t i = 0; i < made->op.head.count; i++) {
        copies += made->op.copy_kind[i] != PS_COPY_UNKNOWN;
    }
    for (size_t i = 0; i < made->access.head.count; i++) {
        const uint32_t op = made->event.ref[made->access.event[i]];
        const bool is_write = made->access.is_write[i] != 0;
        if (made->op.copy_kind[op] != PS_COPY_UNKNOWN) {
            const bool is_host = ps_memory_is_host(made->tensor.memory[made->access.tensor[i]]);
            assert_int_equal(is_host, is_write == (made->op.copy_kind[op] == PS_COPY_DTOH));
            reads += !is_write;
            writes += is_write;
        }
    }
    assert_int_equal(copies, 2 * 3 * n.layers * PARAMETERS);
    assert_int_equal(reads, copies);
    assert_int_equal(writes, copies);
    ps_workload_destroy(made);
}

/* The first of three stays: it is loaded to the device, and nothing of it crosses. */
static void test_blocks_that_stay_do_not_cross(void **state)
{
    figures n = plain_figures();
    n.with.has_blocks = true;
    n.with.first_block = 1;
    n.with.last_block = 2;
    gathered *seen = gather(&n);
    ps_workload *made = build(&n);
    (void)state;
    assert_string_equal(seen->order, "C1 U2 C2 U3 O2 C3 O3 C1 U2 C2 U3 O2 C3 O3 "
                                     "C1 U2 C2 U3 O2 C3 O3");
    assert_int_equal(seen->uploaded_bytes, 3 * 2 * block_bytes(&n));
    assert_int_equal(seen->live_bytes, resident_bytes(&n) + block_bytes(&n));
    assert_int_equal(seen->loaded_bytes, resident_bytes(&n) + block_bytes(&n));
    ps_workload_destroy(made);
    free(seen);
}

static void test_settings_that_exclude_each_other_are_refused(void **state)
{
    ps_error err = {0};
    figures n = plain_figures();
    gathered *seen = calloc(1, sizeof *seen);
    (void)state;
    assert_non_null(seen);
    seen->at = SIZE_MAX;
    n.with = (ps_zo2_settings){.has_blocks = true, .first_block = 1, .last_block = 3};
    assert_int_equal(run(&n, seen, &err), PS_USAGE);
    assert_non_null(strstr(err.message, "the last of 3 blocks is 2"));
    n.with = (ps_zo2_settings){.is_bucket = true, .asks_driver = true};
    assert_int_equal(run(&n, seen, &err), PS_USAGE);
    assert_non_null(strstr(err.message, "reuse_memory"));
    n.with =
        (ps_zo2_settings){.is_bucket = true, .has_host_dtype = true, .host_dtype = PS_DTYPE_F16};
    assert_int_equal(run(&n, seen, &err), PS_USAGE);
    assert_non_null(strstr(err.message, "bucket"));
    free(seen);
}

/* ---- other families ---- */

static const char *const decoders[] = {"llama", "mistral", "qwen2", "qwen3"};

static void test_decoders_go_the_same_way(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof decoders / sizeof decoders[0]; i++) {
        const figures n = {.hidden = 16,
                           .inner = 32,
                           .vocabulary = 11,
                           .layers = 3,
                           .length = 4,
                           .family = decoders[i]};
        gathered *seen = gather(&n);
        assert_string_equal(seen->order, "U1 C1 U2 O1 C2 U3 O2 C3 O3 U1 C1 U2 O1 C2 U3 O2 C3 O3 "
                                         "U1 C1 U2 O1 C2 U3 O2 C3 O3");
        /* matrices alone: two projections, two narrower ones, three products */
        assert_in_range(seen->parameter_bytes, n.layers * 4 * (768 + 3 * 512),
                        n.layers * 4 * (768 + 3 * 512 + 100));
        assert_int_equal(seen->uploaded_bytes, 3 * seen->parameter_bytes);
        assert_int_equal(seen->offloaded_bytes, 3 * seen->parameter_bytes);
        assert_int_equal(seen->live_bytes, seen->loaded_bytes);
        free(seen);
    }
}

/* R + 2 L + 2 x 2 L: logits in 16 bits of both passes, one in 32 and its logarithms */
static void test_decoders_take_the_loss_in_32_bits(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof decoders / sizeof decoders[0]; i++) {
        const figures n = {.hidden = 16,
                           .inner = 32,
                           .vocabulary = 8192,
                           .layers = 2,
                           .length = 128,
                           .dtype = PS_DTYPE_F16,
                           .family = decoders[i]};
        const uint64_t logits = 2 * n.length * n.vocabulary;
        gathered *seen = gather(&n);
        assert_near_above(seen->peak_bytes, seen->loaded_bytes + 6 * logits);
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
        cmocka_unit_test(test_a_block_that_waits_for_its_copy_takes_a_third),
        cmocka_unit_test(test_the_driver_is_asked_for_each_tensor),
        cmocka_unit_test(test_an_update_apart_visits_blocks_twice),
        cmocka_unit_test(test_a_bucket_crosses_as_one),
        cmocka_unit_test(test_blocks_may_have_another_type_on_the_host),
        cmocka_unit_test(test_without_overlap_there_is_one_queue),
        cmocka_unit_test(test_first_uploads_are_pageable),
        cmocka_unit_test(test_copies_tell_what_they_read_and_write),
        cmocka_unit_test(test_blocks_that_stay_do_not_cross),
        cmocka_unit_test(test_settings_that_exclude_each_other_are_refused),
        cmocka_unit_test(test_decoders_go_the_same_way),
        cmocka_unit_test(test_decoders_take_the_loss_in_32_bits),
        cmocka_unit_test(test_a_failing_sink_ends_a_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
