/* SPDX-License-Identifier: MIT
 *
 * Activations on the host: what goes comes back, blocks that stay do not go,
 * and the device holds two blocks' worth instead of all.
 */
#include "unit/workload/scheme_runs.h"

#include "workload/script/activations.h"

#define LLAMA_DEEP                                                                  \
    "{\"model_type\":\"llama\",\"vocab_size\":1000,\"hidden_size\":256,"            \
    "\"intermediate_size\":704,\"num_hidden_layers\":12,\"num_attention_heads\":4," \
    "\"max_position_embeddings\":512,\"tie_word_embeddings\":false}"
enum { LAYERS = 12 };

static ps_recipe recipe_of(ps_activation_offload how)
{
    ps_recipe r = small_recipe(PS_PARALLEL_NONE, 1);
    r.batch = 4;
    r.length = 256;
    r.streaming.activations = how;
    r.streaming.prefetch = 1;
    return r;
}

typedef struct traffic {
    uint64_t up_bytes, down_bytes; /* from the device, to it; without batches */
    uint64_t peak_bytes;           /* on the device, of tensors that are no parameters */
    uint64_t host_bytes;           /* live at most */
    uint64_t left_bytes;           /* on the host at the end */
} traffic;

static void note_copy(const ps_workload *w, uint32_t op, traffic *out)
{
    if (w->op.kind[op] == PS_OP_COPY && w->op.copy_kind[op] == PS_COPY_DTOH) {
        out->up_bytes += w->op.moved_bytes[op];
    } else if (w->op.kind[op] == PS_OP_COPY && w->op.copy_kind[op] == PS_COPY_HTOD) {
        out->down_bytes += w->op.moved_bytes[op];
    }
}

static traffic traffic_of(const ps_workload *w)
{
    traffic out = {0};
    uint64_t device = 0, host = 0;
    for (size_t i = 0; i < w->event.head.count; i++) {
        const uint32_t ref = w->event.ref[i];
        if (w->event.kind[i] == PS_WORKLOAD_EVENT_OP) {
            note_copy(w, ref, &out);
            continue;
        }
        uint64_t *live = ps_memory_is_host(w->tensor.memory[ref]) ? &host : &device;
        if (w->event.kind[i] == PS_WORKLOAD_EVENT_ALLOC) {
            *live += w->tensor.bytes[ref];
        } else {
            *live -= w->tensor.bytes[ref];
        }
        out.peak_bytes = device > out.peak_bytes ? device : out.peak_bytes;
        out.host_bytes = host > out.host_bytes ? host : out.host_bytes;
    }
    out.left_bytes = host;
    return out;
}

static traffic run(const ps_recipe *r)
{
    ps_workload *w = build(LLAMA_DEEP, r);
    ps_error err;
    assert_int_equal(ps_workload_check(w, &err), PS_OK);
    const traffic out = traffic_of(w);
    ps_workload_destroy(w);
    return out;
}

static void what_goes_comes_back(void **state)
{
    (void)state;
    for (int how = PS_ACTIVATION_OFFLOAD_STREAMED; how <= PS_ACTIVATION_OFFLOAD_SAVE_ON_CPU;
         how++) {
        const ps_recipe r = recipe_of((ps_activation_offload)how);
        const traffic t = run(&r);
        assert_true(t.up_bytes > 0);
        assert_int_equal(t.left_bytes, 0);
        if (how == PS_ACTIVATION_OFFLOAD_SAVE_ON_CPU) {
            assert_int_equal(t.up_bytes, t.down_bytes);
        } else { /* the last blocks are still there when backward begins */
            assert_true(t.down_bytes < t.up_bytes);
            assert_true(t.down_bytes >= t.up_bytes * (LAYERS - 3) / LAYERS);
        }
    }
}

static void the_device_holds_few_blocks(void **state)
{
    const ps_recipe all = recipe_of(PS_ACTIVATION_OFFLOAD_NONE);
    const ps_recipe some = recipe_of(PS_ACTIVATION_OFFLOAD_STREAMED);
    const traffic without = run(&all), with = run(&some);
    (void)state;
    const uint64_t block_bytes = with.up_bytes / (3 * LAYERS); /* three steps */
    assert_int_equal(without.up_bytes, 0);
    assert_true(without.peak_bytes - with.peak_bytes > (LAYERS - 4) * block_bytes);
    assert_true(without.peak_bytes - with.peak_bytes < LAYERS * block_bytes);
}

static void blocks_that_stay_do_not_go(void **state)
{
    const ps_recipe none = recipe_of(PS_ACTIVATION_OFFLOAD_NONE);
    ps_recipe r = recipe_of(PS_ACTIVATION_OFFLOAD_STREAMED);
    (void)state;
    const traffic all = run(&r), without = run(&none);
    r.streaming.keep_last = LAYERS / 2;
    /* cosine and sine of positions are kept by every block, and go once all the same */
    const uint64_t tables = UINT64_C(2) * 256 * 64 * 4;
    assert_int_equal(2 * run(&r).up_bytes, all.up_bytes + 3 * tables);
    r.streaming.keep_first = LAYERS / 4;
    const uint64_t quarter = run(&r).up_bytes;
    /* what a kept block and one that goes share belongs to the one that keeps it first */
    assert_true(quarter >= all.up_bytes / 4 && quarter <= all.up_bytes / 4 + all.up_bytes / LAYERS);
    r.streaming.keep_last = LAYERS;
    r.streaming.keep_first = 0;
    const traffic kept = run(&r);
    assert_int_equal(kept.up_bytes, 0);
    assert_int_equal(kept.peak_bytes, without.peak_bytes);
}

/* A block that is recomputed keeps its input alone: that goes. */
static void inputs_of_recomputed_blocks_go(void **state)
{
    ps_recipe r = recipe_of(PS_ACTIVATION_OFFLOAD_STREAMED);
    (void)state;
    r.checkpoint_every = 1;
    const traffic t = run(&r);
    const uint64_t hidden = UINT64_C(4) * 256 * 256 * 4;
    assert_int_equal(t.up_bytes, 3 * LAYERS * hidden);
}

static void more_prefetch_holds_more(void **state)
{
    ps_recipe r = recipe_of(PS_ACTIVATION_OFFLOAD_STREAMED);
    uint64_t last = 0;
    (void)state;
    for (int64_t ahead = 0; ahead <= 3; ahead++) {
        r.streaming.prefetch = ahead;
        const traffic t = run(&r);
        assert_true(t.peak_bytes >= last);
        last = t.peak_bytes;
    }
}

static void what_cannot_be_is_refused(void **state)
{
    ps_recipe r = recipe_of(PS_ACTIVATION_OFFLOAD_STREAMED);
    ps_error err;
    (void)state;
    r.is_forward_only = true;
    assert_int_equal(ps_activations_check(&r, &err), PS_USAGE);
    r.is_forward_only = false;
    r.policy = PS_TRAIN_POLICY_GEMINI;
    assert_int_equal(ps_activations_check(&r, &err), PS_USAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_goes_comes_back),
        cmocka_unit_test(the_device_holds_few_blocks),
        cmocka_unit_test(blocks_that_stay_do_not_go),
        cmocka_unit_test(inputs_of_recomputed_blocks_go),
        cmocka_unit_test(more_prefetch_holds_more),
        cmocka_unit_test(what_cannot_be_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
