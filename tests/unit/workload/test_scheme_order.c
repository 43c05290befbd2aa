/* SPDX-License-Identifier: MIT
 *
 * Collectives of a step as PyTorch 2.11 made them: three models of
 * transformers, two processes on CPUs that wrote down size and order of what
 * they exchanged; docs/MODEL.md says how.
 */
#include "unit/workload/scheme_runs.h"

typedef struct observed {
    const char *config;
    uint64_t bucket[3];   /* [bytes] of DDP's, from the second step on */
    uint64_t whole;       /* ... the first step's */
    uint64_t root, block; /* [bytes] of FSDP's units, flat or one after the other */
} observed;

#define BLOCKS 6

static const observed models[] = {
    {"{\"model_type\":\"gpt2\",\"vocab_size\":5000,\"n_positions\":64,\"n_embd\":384,"
     "\"n_layer\":6,\"n_head\":6}",
     {2363904, 28391424, 19613184},
     50368512,
     7781376,
     7097856},
    {"{\"model_type\":\"opt\",\"vocab_size\":5000,\"max_position_embeddings\":62,"
     "\"hidden_size\":384,\"word_embed_proj_dim\":384,\"ffn_dim\":1536,"
     "\"num_hidden_layers\":6,\"num_attention_heads\":6}",
     {2363904, 28391424, 19613184},
     50368512,
     7781376,
     7097856},
    {"{\"model_type\":\"llama\",\"vocab_size\":5000,\"hidden_size\":384,"
     "\"intermediate_size\":1024,\"num_hidden_layers\":6,\"num_attention_heads\":6,"
     "\"num_key_value_heads\":2,\"max_position_embeddings\":64}",
     {7680000, 26752512, 18696192},
     53128704,
     15361536,
     6294528},
};

#define MODELS (sizeof models / sizeof models[0])
#define MOST 64

typedef struct exchange {
    ps_collective_op op;
    uint64_t bytes;
} exchange;

/* Those of a step in the host's order, but for single numbers. */
static size_t list(const ps_workload *w, size_t step, exchange out[MOST])
{
    size_t count = 0;
    for (uint32_t at = w->step.begin_event[step]; at < w->step.end_event[step]; at++) {
        const uint32_t row = w->event.ref[at];
        if (w->event.kind[at] == PS_WORKLOAD_EVENT_OP && w->op.kind[row] == PS_OP_COLLECTIVE &&
            w->op.collective[row] != PS_COLLECTIVE_BROADCAST) {
            assert_true(count < MOST);
            out[count++] =
                (exchange){(ps_collective_op)w->op.collective[row], w->op.moved_bytes[row]};
        }
    }
    return count;
}

static void test_buckets_are_those_of_the_reducer(void **state)
{
    (void)state;
    for (size_t i = 0; i < MODELS; i++) {
        exchange seen[MOST] = {0};
        const ps_recipe r = small_recipe(PS_PARALLEL_DDP, 2);
        ps_workload *w = build(models[i].config, &r);
        assert_int_equal(list(w, 0, seen), 1);
        assert_int_equal(seen[0].bytes, models[i].whole);
        for (size_t step = 1; step < 3; step++) {
            assert_int_equal(list(w, step, seen), 3);
            for (size_t bucket = 0; bucket < 3; bucket++) {
                assert_int_equal(seen[bucket].op, PS_COLLECTIVE_ALL_REDUCE);
                assert_int_equal(seen[bucket].bytes, models[i].bucket[bucket]);
            }
        }
        ps_workload_destroy(w);
    }
}

/*
 * Root and blocks in forward; then the last block, ahead the one before it, and so on: a block's
 * gradients go after the block before it has been gathered, the root's at last.
 */
static size_t expect(const observed *of, exchange out[MOST])
{
    const exchange root = {PS_COLLECTIVE_ALL_GATHER, of->root};
    const exchange block = {PS_COLLECTIVE_ALL_GATHER, of->block};
    const exchange grads = {PS_COLLECTIVE_REDUCE_SCATTER, of->block};
    size_t count = 0;
    out[count++] = root;
    for (int i = 0; i < BLOCKS + 2; i++) {
        out[count++] = block;
    }
    for (int i = 0; i < BLOCKS; i++) {
        out[count++] = grads;
        if (i < BLOCKS - 2) {
            out[count++] = block;
        }
    }
    out[count++] = (exchange){PS_COLLECTIVE_REDUCE_SCATTER, of->root};
    return count;
}

static void assert_order(const ps_recipe *r)
{
    for (size_t i = 0; i < MODELS; i++) {
        exchange seen[MOST] = {0}, wanted[MOST] = {0};
        ps_workload *w = build(models[i].config, r);
        for (size_t step = 0; step < 3; step++) {
            const size_t count = list(w, step, seen);
            assert_int_equal(count, expect(&models[i], wanted));
            for (size_t j = 0; j < count; j++) {
                assert_int_equal(seen[j].op, wanted[j].op);
                assert_int_equal(seen[j].bytes, wanted[j].bytes);
            }
        }
        ps_workload_destroy(w);
    }
}

static void test_units_come_and_go_in_the_order_of_fully_shard(void **state)
{
    const ps_recipe r = small_recipe(PS_PARALLEL_FSDP2, 2);
    (void)state;
    assert_order(&r);
}

static void test_units_come_and_go_in_the_order_of_fsdp1(void **state)
{
    const ps_recipe r = small_recipe(PS_PARALLEL_FSDP1, 2);
    (void)state;
    assert_order(&r);
}

/*
 * Two micro-batches of recomputed blocks: the first gathers all twice, gathers nothing again for the
 * recomputation, and scatters nothing.
 */
static void test_a_micro_batch_without_exchange_gathers_alone(void **state)
{
    const ps_parallel_scheme schemes[] = {PS_PARALLEL_FSDP1, PS_PARALLEL_FSDP2};
    const observed *of = &models[2];
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        exchange seen[MOST] = {0}, wanted[MOST] = {0};
        ps_recipe r = small_recipe(schemes[i], 2);
        r.accumulate = 2;
        r.checkpoint_every = 1;
        ps_workload *w = build(of->config, &r);
        const size_t count = list(w, 1, seen), alone = 1 + 2 * BLOCKS;
        assert_int_equal(count, alone + expect(of, wanted));
        for (size_t j = 0; j < alone; j++) {
            assert_int_equal(seen[j].op, PS_COLLECTIVE_ALL_GATHER);
            assert_int_equal(seen[j].bytes, j == 0 ? of->root : of->block);
        }
        for (size_t j = alone; j < count; j++) {
            assert_int_equal(seen[j].op, wanted[j - alone].op);
            assert_int_equal(seen[j].bytes, wanted[j - alone].bytes);
        }
        ps_workload_destroy(w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_buckets_are_those_of_the_reducer),
        cmocka_unit_test(test_units_come_and_go_in_the_order_of_fully_shard),
        cmocka_unit_test(test_units_come_and_go_in_the_order_of_fsdp1),
        cmocka_unit_test(test_a_micro_batch_without_exchange_gathers_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
