/* SPDX-License-Identifier: MIT
 *
 * Ranks of a Megatron job: what all of them hold together is the model, what
 * one sends another receives, and a layer keeps what its closed form says.
 */
#include "megatron_scene.h"

#include <string.h>

#include "workload/walk.h"

#define MAX_RANKS 16

/* ---- what ranks hold together ---- */

/* Parameters of the dense model; norms lie on every tensor rank. */
static uint64_t dense_parameters(uint64_t tensor)
{
    const uint64_t hidden = MEG_HIDDEN,
                   words = 1024; /* 1000 and the document's end, in units of 128 */
    const uint64_t layer = hidden * (8 + 2 * 4) * 24 + 8 * 24 * hidden + 3 * hidden * 176;
    return 4 * (layer + tensor * 2 * hidden) + tensor * hidden + 2 * words * hidden;
}

static void parameters_of_all_ranks_are_the_model(void **state)
{
    static const int64_t degrees[][3] = {{1, 1, 1}, {2, 1, 1}, {4, 2, 1}, {1, 4, 1}, {2, 2, 2}};
    (void)state;
    for (size_t i = 0; i < sizeof degrees / sizeof degrees[0]; i++) {
        ps_megatron_recipe recipe = meg_small();
        recipe.tensor = degrees[i][0];
        recipe.pipeline = degrees[i][1];
        recipe.data = degrees[i][2];
        const uint64_t all = dense_parameters((uint64_t)recipe.tensor);
        const uint64_t replicas = (uint64_t)recipe.data;
        assert_int_equal(meg_sum_of_ranks(&meg_dense, &recipe, PS_ROLE_PARAMETER),
                         2 * all * replicas);
        /* main copies, means and variances once, however many replicas */
        assert_int_equal(meg_sum_of_ranks(&meg_dense, &recipe, PS_ROLE_OPTIMIZER_STATE), 12 * all);
    }
}

static void states_are_divided_over_data_and_context(void **state)
{
    ps_megatron_recipe recipe = meg_small();
    (void)state;
    recipe.data = 2;
    recipe.context = 4;
    const uint64_t all = dense_parameters(1);
    assert_int_equal(meg_sum_of_ranks(&meg_dense, &recipe, PS_ROLE_PARAMETER), 2 * all * 8);
    assert_int_equal(meg_sum_of_ranks(&meg_dense, &recipe, PS_ROLE_OPTIMIZER_STATE), 12 * all);
    recipe.shards_optimizer = false;
    assert_int_equal(meg_sum_of_ranks(&meg_dense, &recipe, PS_ROLE_OPTIMIZER_STATE), 12 * all * 8);
}

static void experts_are_divided_over_replicas(void **state)
{
    const uint64_t experts = 3 * 8 * 3 * MEG_HIDDEN * 40; /* layers, experts, matrices */
    ps_megatron_recipe recipe = meg_small();
    (void)state;
    const uint64_t one = meg_sum_of_ranks(&meg_mixture, &recipe, PS_ROLE_PARAMETER);
    recipe.data = 4;
    recipe.expert = 4;
    const uint64_t four = meg_sum_of_ranks(&meg_mixture, &recipe, PS_ROLE_PARAMETER);
    assert_int_equal(four, 4 * (one - 2 * experts) + 2 * experts);
    recipe.data = 8;
    assert_int_equal(meg_sum_of_ranks(&meg_mixture, &recipe, PS_ROLE_PARAMETER), 2 * four);
    assert_int_equal(meg_sum_of_ranks(&meg_mixture, &recipe, PS_ROLE_OPTIMIZER_STATE), 6 * one);
}

/* ---- what ranks tell each other ---- */

static void one_rank_has_nobody_to_talk_to(void **state)
{
    const ps_megatron_shape *const shapes[] = {&meg_dense, &meg_mixture, &meg_gpt};
    (void)state;
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        const ps_megatron_recipe recipe =
            shapes[i]->dialect == PS_MEGATRON_GPT ? meg_small_gpt() : meg_small();
        ps_workload *w = meg_build(shapes[i], &recipe, 0);
        for (size_t row = 0; row < w->op.head.count; row++) {
            assert_int_not_equal(w->op.kind[row], PS_OP_COLLECTIVE);
        }
        ps_workload_destroy(w);
    }
}

/* Adds what a rank of a pipeline sends to and receives from each stage. */
static void add_transfers(const ps_workload *w, uint32_t stage, uint64_t sent[MAX_RANKS][MAX_RANKS],
                          uint64_t received[MAX_RANKS][MAX_RANKS])
{
    for (size_t i = 0; i < w->op.head.count; i++) {
        if (w->op.collective[i] == PS_COLLECTIVE_SEND) {
            sent[stage][w->op.peer[i]] += w->op.moved_bytes[i];
        } else if (w->op.collective[i] == PS_COLLECTIVE_RECV) {
            received[w->op.peer[i]][stage] += w->op.moved_bytes[i];
        }
    }
}

static void check_transfers(const ps_megatron_shape *shape, const ps_megatron_recipe *recipe)
{
    uint64_t sent[MAX_RANKS][MAX_RANKS] = {{0}}, received[MAX_RANKS][MAX_RANKS] = {{0}};
    uint64_t all = 0;
    for (int64_t stage = 0; stage < recipe->pipeline; stage++) {
        ps_workload *w = meg_build(shape, recipe, stage * recipe->tensor);
        assert_int_equal(w->axis.place[4], stage);
        add_transfers(w, (uint32_t)stage, sent, received);
        ps_workload_destroy(w);
    }
    for (int64_t from = 0; from < recipe->pipeline; from++) {
        for (int64_t to = 0; to < recipe->pipeline; to++) {
            assert_int_equal(sent[from][to], received[from][to]);
            all += sent[from][to];
        }
    }
    assert_true(all > 0);
}

static void what_is_sent_is_received(void **state)
{
    static const int64_t stages[] = {2, 4};
    (void)state;
    for (size_t i = 0; i < sizeof stages / sizeof stages[0]; i++) {
        ps_megatron_recipe recipe = meg_small();
        recipe.pipeline = stages[i];
        check_transfers(&meg_dense, &recipe);
        recipe.micro_batches = 1; /* fewer than stages */
        check_transfers(&meg_dense, &recipe);
        recipe.tensor = 2;
        check_transfers(&meg_dense, &recipe);
        recipe = meg_small_gpt();
        recipe.pipeline = stages[i];
        recipe.tensor = 2;
        check_transfers(&meg_gpt, &recipe);
    }
}

static void a_dense_layer_exchanges_as_sequence_parallelism_says(void **state)
{
    ps_megatron_recipe recipe = meg_small();
    (void)state;
    recipe.tensor = 2;
    recipe.steps = 1;
    recipe.micro_batches = 3;
    ps_workload *w = meg_build(&meg_dense, &recipe, 0);
    /* of a layer: forward 2 and 2, backward 4 and 2; embedding 1 and 1; head 3 with the partials, 1 */
    assert_int_equal(meg_count_collectives(w, PS_COLLECTIVE_ALL_GATHER, 1), 3 * (4 * 6 + 1 + 3));
    assert_int_equal(meg_count_collectives(w, PS_COLLECTIVE_REDUCE_SCATTER, 1),
                     3 * (4 * 4 + 1 + 1));
    assert_int_equal(meg_count_collectives(w, PS_COLLECTIVE_ALL_REDUCE, 1),
                     1); /* of norms' gradients */
    ps_workload_destroy(w);
    recipe.is_sequence_parallel = false;
    w = meg_build(&meg_dense, &recipe, 0);
    assert_int_equal(meg_count_collectives(w, PS_COLLECTIVE_ALL_REDUCE, 1), 3 * (4 * 4 + 2));
    ps_workload_destroy(w);
}

static void a_recomputed_gpt_layer_has_six_sums(void **state)
{
    ps_megatron_recipe recipe = meg_small_gpt();
    (void)state;
    recipe.tensor = 2;
    recipe.data = 2;
    recipe.steps = 1;
    recipe.micro_batches = 3;
    ps_workload *w = meg_build(&meg_gpt, &recipe, 0);
    /* words 1, head 1 and the cross entropy's 3 of small ones */
    assert_int_equal(meg_count_collectives(w, PS_COLLECTIVE_ALL_REDUCE, 1),
                     3 * (4 * 6 + 1 + 1 + 3));
    assert_int_equal(meg_count_collectives(w, PS_COLLECTIVE_ALL_REDUCE, 1u << 3), 1);
    ps_workload_destroy(w);
}

/* Elements of a kernel that goes a row at a time; fails for one that goes otherwise. */
static uint64_t row_elements(const ps_workload *w, const char *name)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < w->op.head.count; i++) {
        if (strcmp(ps_strings_text(w->strings, w->op.name[i]), name) == 0) {
            assert_int_equal(w->op.access[i], PS_ACCESS_ROWS);
            sum += w->op.elements[i];
        }
    }
    return sum;
}

static void a_gpts_softmax_goes_by_rows(void **state)
{
    ps_megatron_recipe recipe = meg_small_gpt();
    (void)state;
    recipe.tensor = 2;
    recipe.steps = 1;
    recipe.micro_batch = 3;
    recipe.micro_batches = 2;
    ps_workload *w = meg_build(&meg_gpt, &recipe, 0);
    /* 4 heads a rank, 64 x 64 scores of 3 sequences, 4 layers, 2 micro-batches; forward twice */
    const uint64_t scores = UINT64_C(4) * 64 * 64 * 3 * 4 * 2;
    assert_int_equal(row_elements(w, "masked_softmax"), 2 * scores);
    assert_int_equal(row_elements(w, "masked_softmax_backward"), scores);
    ps_workload_destroy(w);
}

static void context_ranks_exchange_eight_times_a_layer(void **state)
{
    ps_megatron_recipe recipe = meg_small();
    (void)state;
    recipe.context = 2;
    recipe.steps = 1;
    recipe.micro_batches = 3;
    ps_workload *w = meg_build(&meg_dense, &recipe, 0);
    assert_int_equal(meg_count_collectives(w, PS_COLLECTIVE_ALL_TO_ALL, 1u << 1), 3 * 4 * 8);
    ps_workload_destroy(w);
}

/* ---- what a layer keeps ---- */

/* Bytes of tensors that a block made and that live when the first backward pass begins. */
static uint64_t kept_bytes(const ps_workload *w, uint32_t block)
{
    uint64_t kept = 0;
    for (size_t i = 0; i < w->event.head.count; i++) {
        const uint32_t ref = w->event.ref[i];
        if (w->event.kind[i] == PS_WORKLOAD_EVENT_OP) {
            if (w->op.phase[ref] == PS_PHASE_BACKWARD) {
                break;
            }
        } else if (w->tensor.block[ref] == block && w->tensor.role[ref] == PS_ROLE_ACTIVATION) {
            kept += w->event.kind[i] == PS_WORKLOAD_EVENT_ALLOC ? w->tensor.bytes[ref]
                                                                : -w->tensor.bytes[ref];
        }
    }
    return kept;
}

static void check_kept(const ps_megatron_shape *shape, const ps_megatron_recipe *recipe,
                       uint64_t expected)
{
    ps_workload *w = meg_build(shape, recipe, 0);
    for (uint32_t block = 1; block < 4; block++) { /* the last one's result belongs to the head */
        assert_int_equal(kept_bytes(w, block), expected);
    }
    ps_workload_destroy(w);
}

static uint64_t dense_layer_bytes(const ps_megatron_recipe *r)
{
    const uint64_t tensor = (uint64_t)r->tensor, s = (uint64_t)(r->sequence / r->context);
    const uint64_t l = s / tensor, q = 8 * 24 / tensor, kv = 4 * 24 / tensor;
    const uint64_t exchanged = r->context > 1 ? 2 * s * q : 0;
    return 2 * (4 * l * MEG_HIDDEN + s * (q + 2 * kv) + s * q + 3 * s * 176 / tensor) + exchanged +
           4 * (8 / tensor) * s + 8 * l + 16;
}

static void a_dense_layer_keeps_its_closed_form(void **state)
{
    static const int64_t degrees[][2] = {{1, 1}, {2, 1}, {4, 1}, {1, 2}, {2, 2}};
    (void)state;
    for (size_t i = 0; i < sizeof degrees / sizeof degrees[0]; i++) {
        ps_megatron_recipe recipe = meg_small();
        recipe.tensor = degrees[i][0];
        recipe.context = degrees[i][1];
        check_kept(&meg_dense, &recipe, dense_layer_bytes(&recipe));
    }
}

static void a_recomputed_layer_keeps_its_input(void **state)
{
    ps_megatron_recipe recipe = meg_small();
    (void)state;
    recipe.recomputes = true;
    check_kept(&meg_dense, &recipe, 2 * 64 * MEG_HIDDEN);
    recipe = meg_small_gpt();
    check_kept(&meg_gpt, &recipe, 2 * 64 * MEG_HIDDEN);
}

/* ---- what is computed ---- */

static void a_layer_multiplies_three_times_its_weights(void **state)
{
    ps_megatron_recipe recipe = meg_small();
    (void)state;
    recipe.steps = 1;
    recipe.micro_batches = 1;
    const uint64_t weights =
        MEG_HIDDEN * (8 + 2 * 4) * 24 + 8 * 24 * MEG_HIDDEN + 3 * MEG_HIDDEN * 176;
    ps_workload *w = meg_build(&meg_dense, &recipe, 0);
    assert_int_equal(meg_product_flop(w, 1), 6 * 64 * weights);
    ps_workload_destroy(w);
    recipe.recomputes = true;
    w = meg_build(&meg_dense, &recipe, 0);
    assert_int_equal(meg_product_flop(w, 1), 8 * 64 * weights);
    ps_workload_destroy(w);
}

static void experts_take_padded_rows(void **state)
{
    ps_megatron_recipe recipe = meg_small();
    (void)state;
    recipe.steps = 1;
    recipe.micro_batches = 1;
    recipe.data = 2;
    recipe.expert = 2;
    ps_workload *w = meg_build(&meg_mixture, &recipe, 0);
    /* 64 tokens x 3 of 8 experts are 24 rows each */
    const uint64_t attention =
        MEG_HIDDEN * 128 + 128 * 8 * 24 + MEG_HIDDEN * 264 + 256 * 8 * 32 + 8 * 16 * MEG_HIDDEN;
    const uint64_t tokens = 64 * (attention + MEG_HIDDEN * 8 + 3 * MEG_HIDDEN * 80);
    assert_int_equal(meg_product_flop(w, 2), 6 * (tokens + 8 * 24 * 3 * MEG_HIDDEN * 40));
    ps_workload_destroy(w);
}

/* ---- more micro-batches, other stages ---- */

static uint64_t live_peak(const ps_megatron_shape *shape, const ps_megatron_recipe *recipe,
                          int64_t rank)
{
    ps_workload_walk walk;
    ps_workload *w = meg_build(shape, recipe, rank);
    ps_workload_walk_init(&walk, w);
    const uint64_t peak =
        ps_workload_walk_to(&walk, (uint32_t)w->event.head.count).live.total_bytes;
    ps_workload_destroy(w);
    return peak;
}

static void more_micro_batches_need_no_more_memory(void **state)
{
    ps_megatron_recipe recipe = meg_small();
    (void)state;
    recipe.pipeline = 2;
    for (int64_t rank = 0; rank < 2; rank++) {
        recipe.micro_batches = 4;
        const uint64_t few = live_peak(&meg_dense, &recipe, rank);
        recipe.micro_batches = 16;
        assert_int_equal(live_peak(&meg_dense, &recipe, rank), few);
    }
}

static void nothing_but_what_stays_is_left_after_a_step(void **state)
{
    const ps_megatron_shape *const shapes[] = {&meg_dense, &meg_mixture, &meg_gpt};
    (void)state;
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        ps_megatron_recipe recipe = shapes[i] == &meg_gpt ? meg_small_gpt() : meg_small();
        recipe.pipeline = 2;
        recipe.steps = 3;
        recipe.tensor = 2;
        for (int64_t rank = 0; rank < 4; rank++) {
            ps_workload_walk walk;
            ps_workload *w = meg_build(shapes[i], &recipe, rank);
            ps_workload_walk_init(&walk, w);
            (void)ps_workload_walk_to(&walk, w->step.end_event[0]);
            const uint64_t first = walk.live.total_bytes;
            (void)ps_workload_walk_to(&walk, w->step.end_event[2]);
            assert_int_equal(walk.live.total_bytes, first);
            ps_workload_destroy(w);
        }
    }
}

/* ---- what cannot be ---- */

static void degrees_that_cannot_be_are_refused(void **state)
{
    ps_megatron_recipe recipe = meg_small();
    (void)state;
    meg_check_refused(&meg_dense, &recipe, 1, "rank 1");
    meg_check_refused(&meg_dense, &recipe, -1, "rank -1");
    recipe.tensor = 3;
    meg_check_refused(&meg_dense, &recipe, 0, "heads");
    recipe = meg_small();
    recipe.tensor = 0;
    meg_check_refused(&meg_dense, &recipe, 0, "tensor-parallel");
    recipe = meg_small();
    recipe.pipeline = 3;
    meg_check_refused(&meg_dense, &recipe, 0, "layers");
    recipe = meg_small();
    recipe.micro_batches = 0;
    meg_check_refused(&meg_dense, &recipe, 0, "micro-batches");
    recipe = meg_small();
    recipe.expert = 2;
    meg_check_refused(&meg_mixture, &recipe, 0, "experts");
    recipe.data = 2;
    meg_check_refused(&meg_dense, &recipe, 0, "experts");
    recipe = meg_small();
    recipe.tensor = 2;
    recipe.is_sequence_parallel = false;
    meg_check_refused(&meg_mixture, &recipe, 0, "sequence parallelism");
    recipe = meg_small();
    recipe.context = 2;
    meg_check_refused(&meg_mixture, &recipe, 0, "not modelled");
    recipe.data = recipe.expert = 2;
    meg_check_refused(&meg_mixture, &recipe, 0, "not modelled");
    recipe = meg_small();
    recipe.dtype = PS_DTYPE_F32;
    meg_check_refused(&meg_dense, &recipe, 0, "16 bits");
    recipe = meg_small();
    recipe.sequence = INT64_MAX;
    meg_check_refused(&meg_dense, &recipe, 0, "tokens of a sequence");
    recipe = meg_small();
    recipe.micro_batch = (int64_t)1 << 40;
    meg_check_refused(&meg_dense, &recipe, 0, "sequences of a micro-batch");
    recipe = meg_small();
    recipe.micro_batches = INT64_MAX;
    meg_check_refused(&meg_dense, &recipe, 0, "micro-batches");
}

static void shapes_that_cannot_be_are_refused(void **state)
{
    const ps_megatron_recipe recipe = meg_small();
    (void)state;
    ps_megatron_shape shape = meg_dense;
    shape.hidden = INT64_MAX;
    meg_check_refused(&shape, &recipe, 0, "hidden");
    shape = meg_dense;
    shape.kv_heads = 16;
    meg_check_refused(&shape, &recipe, 0, "heads of keys");
    shape = meg_dense;
    shape.layers = 0;
    meg_check_refused(&shape, &recipe, 0, "layers");
    shape = meg_mixture;
    shape.experts.chosen = 9;
    meg_check_refused(&shape, &recipe, 0, "experts of a token");
    shape = meg_mixture;
    shape.experts.ffn = 41;
    ps_megatron_recipe two = recipe;
    two.tensor = 2;
    meg_check_refused(&shape, &two, 0, "elements of an expert");
    shape = meg_mixture;
    shape.latent.value_head = 0;
    meg_check_refused(&shape, &recipe, 0, "head of values");
}

static void a_gpt_has_no_newer_parallelism(void **state)
{
    ps_megatron_recipe recipe = meg_small_gpt();
    (void)state;
    recipe.context = 2;
    meg_check_refused(&meg_gpt, &recipe, 0, "context");
    recipe = meg_small_gpt();
    recipe.sequence = 129;
    meg_check_refused(&meg_gpt, &recipe, 0, "positions");
}

/* ---- shapes ---- */

static void read_shape(const char *text, ps_megatron_shape *out)
{
    ps_error err = {0};
    ps_model_config *config = NULL;
    assert_ok(&err, ps_model_config_read_memory("config.json", text, strlen(text), &config, &err));
    assert_ok(&err, ps_megatron_shape_read(config, 0, out, &err));
    assert_ok(&err, ps_megatron_shape_read(config, 5, out, &err));
    assert_int_equal(out->layers, 5);
    ps_model_config_destroy(config);
}

static void shapes_are_read_from_configurations(void **state)
{
    ps_megatron_shape shape;
    (void)state;
    read_shape("{\"model_type\": \"llama\", \"hidden_size\": 96, \"intermediate_size\": 176, "
               "\"num_attention_heads\": 8, \"num_key_value_heads\": 4, "
               "\"num_hidden_layers\": 9, \"vocab_size\": 1000}",
               &shape);
    assert_int_equal(shape.head, 12);
    assert_int_equal(shape.kv_heads, 4);
    read_shape("{\"model_type\": \"gpt2\", \"n_embd\": 96, \"n_head\": 8, \"n_layer\": 9, "
               "\"n_positions\": 128, \"vocab_size\": 1000}",
               &shape);
    assert_int_equal(shape.dialect, PS_MEGATRON_GPT);
    assert_int_equal(shape.ffn, 384);
    read_shape("{\"model_type\": \"deepseek_v3\", \"hidden_size\": 96, \"intermediate_size\": 176,"
               "\"num_attention_heads\": 8, \"num_hidden_layers\": 9, \"vocab_size\": 1000, "
               "\"qk_nope_head_dim\": 16, \"qk_rope_head_dim\": 8, \"v_head_dim\": 16, "
               "\"kv_lora_rank\": 20, \"q_lora_rank\": 36, \"n_routed_experts\": 8, "
               "\"num_experts_per_tok\": 3, \"moe_intermediate_size\": 40, "
               "\"n_shared_experts\": 2, \"first_k_dense_replace\": 1}",
               &shape);
    assert_int_equal(shape.experts.shared_ffn, 80);
    assert_int_equal(shape.latent.rotary_head, 8);
}

static void other_models_are_refused(void **state)
{
    static const char text[] = "{\"model_type\": \"t5\"}";
    ps_error err = {0};
    ps_megatron_shape shape;
    ps_model_config *config = NULL;
    (void)state;
    assert_ok(&err,
              ps_model_config_read_memory("config.json", text, sizeof text - 1, &config, &err));
    assert_int_equal(ps_megatron_shape_read(config, 0, &shape, &err), PS_NOT_FOUND);
    ps_model_config_destroy(config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parameters_of_all_ranks_are_the_model),
        cmocka_unit_test(states_are_divided_over_data_and_context),
        cmocka_unit_test(experts_are_divided_over_replicas),
        cmocka_unit_test(one_rank_has_nobody_to_talk_to),
        cmocka_unit_test(what_is_sent_is_received),
        cmocka_unit_test(a_dense_layer_exchanges_as_sequence_parallelism_says),
        cmocka_unit_test(a_recomputed_gpt_layer_has_six_sums),
        cmocka_unit_test(a_gpts_softmax_goes_by_rows),
        cmocka_unit_test(context_ranks_exchange_eight_times_a_layer),
        cmocka_unit_test(a_dense_layer_keeps_its_closed_form),
        cmocka_unit_test(a_recomputed_layer_keeps_its_input),
        cmocka_unit_test(a_layer_multiplies_three_times_its_weights),
        cmocka_unit_test(experts_take_padded_rows),
        cmocka_unit_test(more_micro_batches_need_no_more_memory),
        cmocka_unit_test(nothing_but_what_stays_is_left_after_a_step),
        cmocka_unit_test(degrees_that_cannot_be_are_refused),
        cmocka_unit_test(shapes_that_cannot_be_are_refused),
        cmocka_unit_test(a_gpt_has_no_newer_parallelism),
        cmocka_unit_test(shapes_are_read_from_configurations),
        cmocka_unit_test(other_models_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
