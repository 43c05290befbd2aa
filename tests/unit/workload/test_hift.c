/* SPDX-License-Identifier: MIT
 *
 * HiFT in closed form: what the device and the host hold, what moves between
 * them, how far down backward goes, and whose turn it is.
 */
#include "unit/workload/scheme_runs.h"

#include "workload/script/hift.h"

/* The small Llama, by layer: embeddings, four blocks, norm and head. */
enum { BLOCKS = 4, LAYERS = BLOCKS + 2 };

static uint64_t layer_elements(size_t layer)
{
    const uint64_t block = 64 * 64 + 2 * 64 * 32 + 64 * 64 + UINT64_C(3) * 64 * 176 + 2 * 64;
    return layer == 0 ? 1000 * 64 : layer <= BLOCKS ? block : 64 + 64 * 1000;
}

static uint64_t all_elements(void)
{
    uint64_t sum = 0;
    for (size_t layer = 0; layer < LAYERS; layer++) {
        sum += layer_elements(layer);
    }
    return sum;
}

static ps_recipe recipe_of(int64_t layers)
{
    ps_recipe r = small_recipe(PS_PARALLEL_NONE, 1);
    r.hift.layers = layers;
    r.steps = 0; /* two cycles */
    return r;
}

/* ---- what is counted ---- */

/* [bytes] of copies of pageable memory that wait, in a step. */
static uint64_t moved(const ps_workload *w, size_t step, ps_copy_kind kind)
{
    uint64_t bytes = 0;
    for (uint32_t at = w->step.begin_event[step]; at < w->step.end_event[step]; at++) {
        const uint32_t row = w->event.ref[at];
        if (w->event.kind[at] == PS_WORKLOAD_EVENT_OP && w->op.kind[row] == PS_OP_COPY &&
            w->op.copy_kind[row] == (uint8_t)kind) {
            assert_int_equal(w->op.memory[row], PS_MEMORY_PAGEABLE);
            assert_true(w->op.is_blocking[row]);
            bytes += w->op.moved_bytes[row];
        }
    }
    return bytes;
}

typedef struct held {
    uint64_t most, at_end; /* [bytes] within a step */
} held;

/* Tensors of a role, on the device or in memory of the host. */
static held look(const ps_workload *w, size_t step, ps_role role, bool on_host)
{
    held found = {0};
    uint64_t live = 0;
    for (uint32_t at = 0; at < w->step.end_event[step]; at++) {
        const uint32_t row = w->event.ref[at];
        const bool is_alloc = w->event.kind[at] == PS_WORKLOAD_EVENT_ALLOC;
        if ((is_alloc || w->event.kind[at] == PS_WORKLOAD_EVENT_FREE) &&
            w->tensor.role[row] == (uint8_t)role &&
            ps_memory_is_host(w->tensor.memory[row]) == on_host) {
            live = is_alloc ? live + w->tensor.bytes[row] : live - w->tensor.bytes[row];
        }
        found.most = at >= w->step.begin_event[step] && live > found.most ? live : found.most;
    }
    found.at_end = live;
    return found;
}

static size_t products(const ps_workload *w, size_t step, ps_phase phase)
{
    size_t count = 0;
    for (uint32_t at = w->step.begin_event[step]; at < w->step.end_event[step]; at++) {
        const uint32_t row = w->event.ref[at];
        count += w->event.kind[at] == PS_WORKLOAD_EVENT_OP && w->op.kind[row] == PS_OP_MATMUL &&
                 w->op.phase[row] == (uint8_t)phase;
    }
    return count;
}

static size_t caches_emptied(const ps_workload *w, size_t step)
{
    size_t count = 0;
    for (uint32_t at = w->step.begin_event[step]; at < w->step.end_event[step]; at++) {
        count += w->event.kind[at] == PS_WORKLOAD_EVENT_RELEASE_CACHE;
    }
    return count;
}

/* ---- memory ---- */

static void the_device_holds_one_group(void **state)
{
    const ps_recipe r = recipe_of(1);
    (void)state;
    ps_workload *w = build(LLAMA, &r);
    uint64_t on_host = 0;
    assert_int_equal(w->step.head.count, 2 * LAYERS);
    for (size_t step = 0; step < 2 * LAYERS; step++) {
        const uint64_t bytes = 4 * layer_elements(step % LAYERS);
        on_host += step < LAYERS ? 2 * bytes : 0;
        assert_int_equal(look(w, step, PS_ROLE_PARAMETER, false).most,
                         look(w, 0, PS_ROLE_PARAMETER, false).at_end);
        assert_int_equal(look(w, step, PS_ROLE_GRADIENT, false).most, bytes);
        assert_int_equal(look(w, step, PS_ROLE_GRADIENT, false).at_end, 0);
        assert_int_equal(look(w, step, PS_ROLE_OPTIMIZER_STATE, false).most, 2 * bytes);
        assert_int_equal(look(w, step, PS_ROLE_OPTIMIZER_STATE, false).at_end, 0);
        assert_int_equal(look(w, step, PS_ROLE_OPTIMIZER_STATE, true).at_end, on_host);
    }
    assert_int_equal(on_host, 8 * all_elements());
    ps_workload_destroy(w);
}

static void copies_of_weights_take_turns_too(void **state)
{
    ps_recipe r = recipe_of(1);
    (void)state;
    r.parameters = PS_DTYPE_BF16;
    r.has_masters = true;
    ps_workload *w = build(LLAMA, &r);
    for (size_t step = 0; step < 2 * LAYERS; step++) {
        const uint64_t now = layer_elements(step % LAYERS);
        const uint64_t last = step == 0 ? 0 : layer_elements((step - 1) % LAYERS);
        /* copies and moments of 32 bits; copies alone stay until the next group comes */
        assert_int_equal(look(w, step, PS_ROLE_OPTIMIZER_STATE, false).at_end, 4 * now);
        assert_int_equal(look(w, step, PS_ROLE_OPTIMIZER_STATE, false).most,
                         4 * last > 12 * now ? 4 * last : 12 * now);
        assert_int_equal(look(w, step, PS_ROLE_GRADIENT, false).most, (2 + 4) * now);
        assert_int_equal(look(w, step, PS_ROLE_GRADIENT, false).at_end, 0);
        assert_int_equal(moved(w, step, PS_COPY_HTOD), (step < LAYERS ? 4 : 12) * now);
        assert_int_equal(moved(w, step, PS_COPY_DTOH), 8 * now + 4 * last);
    }
    assert_int_equal(look(w, 2 * LAYERS - 1, PS_ROLE_OPTIMIZER_STATE, true).at_end,
                     12 * all_elements());
    ps_workload_destroy(w);
}

/* ---- traffic ---- */

static void states_of_the_group_go_and_come(void **state)
{
    const ps_recipe r = recipe_of(1);
    (void)state;
    ps_workload *w = build(LLAMA, &r);
    for (size_t step = 0; step < 2 * LAYERS; step++) {
        const uint64_t bytes = 8 * layer_elements(step % LAYERS);
        /* in the first cycle the device makes them */
        assert_int_equal(moved(w, step, PS_COPY_HTOD), step < LAYERS ? 0 : bytes);
        assert_int_equal(moved(w, step, PS_COPY_DTOH), bytes);
        assert_int_equal(caches_emptied(w, step), 1);
    }
    ps_workload_destroy(w);
}

/* [bytes] that an element of a group's matrix moves, in steps after the first cycle. */
static void each_optimizer_moves_its_states(void **state)
{
    static const struct {
        const char *word;
        uint64_t bytes; /* of an element */
    } known[] = {{"adam", 8}, {"adamw", 8}, {"momentum", 4}, {"rmsprop", 4}, {"sgd", 0}};
    (void)state;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        for (int style = PS_OPTIMIZER_AUTO; style <= PS_OPTIMIZER_LOOP; style++) {
            ps_recipe r = recipe_of(2);
            r.optimizer = known[i].word;
            r.style = (ps_optimizer_style)style;
            if (style == PS_OPTIMIZER_FUSED && strcmp(known[i].word, "rmsprop") == 0) {
                continue;
            }
            ps_workload *w = build(LLAMA, &r);
            for (size_t step = LAYERS / 2; step < LAYERS; step++) {
                const size_t layer = 2 * (step % (LAYERS / 2));
                const uint64_t bytes =
                    known[i].bytes * (layer_elements(layer) + layer_elements(layer + 1));
                assert_int_equal(moved(w, step, PS_COPY_HTOD), bytes);
                assert_int_equal(moved(w, step, PS_COPY_DTOH), bytes);
            }
            ps_workload_destroy(w);
        }
    }
}

/* Factored second moments: a row and a column of each matrix, and vectors whole. */
static void factored_states_move_as_they_are(void **state)
{
    const uint64_t matrices = 2 * (64 + 64) + 2 * (64 + 32) + 3 * (64 + 176);
    const uint64_t block = 4 * (matrices + 2 * 64);
    (void)state;
    static const char *const words[] = {"adafactor", "hf-adafactor"};
    for (size_t i = 0; i < 2; i++) {
        ps_recipe r = recipe_of(1);
        r.optimizer = words[i];
        ps_workload *w = build(LLAMA, &r);
        assert_int_equal(moved(w, LAYERS + 1, PS_COPY_HTOD), block);
        assert_int_equal(moved(w, LAYERS + 1, PS_COPY_DTOH), block);
        ps_workload_destroy(w);
    }
}

/* ---- backward ---- */

/* Seven linear modules a block: a product for the input's gradient, one more for a trained weight's. */
static size_t products_down_to(size_t layer)
{
    if (layer == BLOCKS + 1) {
        return 2;
    }
    return layer == 0 ? 1 + 7 * BLOCKS : 1 + 7 * (BLOCKS - layer) + 2 * 7;
}

static void backward_goes_down_to_the_group(void **state)
{
    const ps_recipe r = recipe_of(1);
    (void)state;
    ps_workload *w = build(LLAMA, &r);
    for (size_t step = 0; step < 2 * LAYERS; step++) {
        assert_int_equal(products(w, step, PS_PHASE_BACKWARD), products_down_to(step % LAYERS));
        assert_int_equal(products(w, step, PS_PHASE_FORWARD), 7 * BLOCKS + 1 + 1); /* angles */
    }
    ps_workload_destroy(w);
}

/* Blocks below the group are not recomputed: they keep nothing. */
static void what_has_no_graph_is_not_recomputed(void **state)
{
    ps_recipe r = recipe_of(1);
    (void)state;
    ps_workload *plain = build(LLAMA, &r);
    r.checkpoint_every = 1;
    ps_workload *w = build(LLAMA, &r);
    for (size_t step = 0; step < LAYERS; step++) {
        const size_t above = step == 0 ? BLOCKS : BLOCKS + 1 - step;
        const size_t more = products(w, step, PS_PHASE_BACKWARD) - products_down_to(step);
        /* the last product of a block is not needed again */
        assert_int_equal(more, above * 6);
        assert_true(peak_bytes(w, step) <= peak_bytes(plain, step));
    }
    ps_workload_destroy(plain);
    ps_workload_destroy(w);
}

/* ---- one group ---- */

static uint64_t device_peak(const ps_workload *w)
{
    uint64_t live = 0, peak = 0;
    for (size_t at = 0; at < w->event.head.count; at++) {
        const uint32_t row = w->event.ref[at];
        const bool is_alloc = w->event.kind[at] == PS_WORKLOAD_EVENT_ALLOC;
        if ((is_alloc || w->event.kind[at] == PS_WORKLOAD_EVENT_FREE) &&
            !ps_memory_is_host(w->tensor.memory[row])) {
            live = is_alloc ? live + w->tensor.bytes[row] : live - w->tensor.bytes[row];
        }
        peak = live > peak ? live : peak;
    }
    return peak;
}

static bool is_of_states(const ps_workload *w, size_t op)
{
    return w->op.kind[op] == PS_OP_COPY && w->op.copy_kind[op] != PS_COPY_UNKNOWN;
}

static void one_group_is_full_training_with_copies(void **state)
{
    ps_recipe r = recipe_of(LAYERS);
    (void)state;
    r.steps = 3;
    ps_workload *one = build(LLAMA, &r);
    r.hift.layers = 0;
    ps_workload *full = build(LLAMA, &r);
    size_t other = 0;
    for (size_t op = 0; op < one->op.head.count; op++) {
        if (is_of_states(one, op)) {
            continue;
        }
        assert_true(other < full->op.head.count);
        assert_string_equal(ps_strings_text(one->strings, one->op.name[op]),
                            ps_strings_text(full->strings, full->op.name[other]));
        assert_int_equal(one->op.flop[op], full->op.flop[other]);
        assert_int_equal(one->op.moved_bytes[op], full->op.moved_bytes[other]);
        other++;
    }
    assert_int_equal(other, full->op.head.count);
    /* the update is the same; before it, states are not there */
    assert_true(device_peak(one) <= device_peak(full));
    assert_true(device_peak(one) + 8 * all_elements() >= device_peak(full));
    ps_workload_destroy(one);
    ps_workload_destroy(full);
}

/* ---- turns ---- */

static void orders_decide_whose_turn_it_is(void **state)
{
    ps_recipe r = recipe_of(1);
    (void)state;
    r.hift.order = PS_HIFT_TOP_DOWN;
    ps_workload *down = build(LLAMA, &r);
    r.hift.order = PS_HIFT_RANDOM;
    r.hift.seed = 1;
    ps_workload *any = build(LLAMA, &r), *again = build(LLAMA, &r);
    r.hift.seed = 2;
    ps_workload *other = build(LLAMA, &r);
    size_t seen[LAYERS] = {0}, differing = 0;
    for (size_t step = 0; step < 2 * LAYERS; step++) {
        assert_int_equal(products(down, step, PS_PHASE_BACKWARD),
                         products_down_to(LAYERS - 1 - step % LAYERS));
        for (size_t layer = 0; layer < LAYERS; layer++) {
            seen[layer] += products(any, step, PS_PHASE_BACKWARD) == products_down_to(layer) &&
                           moved(any, step, PS_COPY_DTOH) == 8 * layer_elements(layer);
        }
        differing +=
            products(any, step, PS_PHASE_BACKWARD) != products(other, step, PS_PHASE_BACKWARD);
    }
    for (size_t layer = 0; layer < LAYERS; layer++) {
        assert_int_equal(seen[layer], 2);
    }
    assert_true(differing > 0);
    assert_same_workload(any, again);
    ps_workload_destroy(down);
    ps_workload_destroy(any);
    ps_workload_destroy(again);
    ps_workload_destroy(other);
}

static void the_last_group_may_be_smaller(void **state)
{
    const ps_recipe r = recipe_of(4);
    (void)state;
    ps_workload *w = build(LLAMA, &r);
    assert_int_equal(w->step.head.count, 2 * 2);
    assert_int_equal(moved(w, 3, PS_COPY_HTOD), 8 * (layer_elements(4) + layer_elements(5)));
    ps_workload_destroy(w);
}

/* A head that shares the embeddings' matrix leaves the last norm to its group. */
static void a_tied_matrix_belongs_to_the_embeddings(void **state)
{
    const ps_recipe r = recipe_of(1);
    (void)state;
    ps_workload *w = build(GPT2, &r);
    assert_int_equal(w->step.head.count, 2 * LAYERS);
    assert_int_equal(moved(w, LAYERS, PS_COPY_HTOD), 8 * (1000 * 64 + 64 * 64));
    assert_int_equal(moved(w, 2 * LAYERS - 1, PS_COPY_HTOD), 8 * 2 * 64);
    ps_workload_destroy(w);
}

/* ---- refusals ---- */

static void what_cannot_be_is_refused(void **state)
{
    static const char *const optimizers[] = {"lomo",    "mezo",       "galore", "apollo",
                                             "adagrad", "adamw-8bit", "none"};
    ps_error err;
    (void)state;
    for (size_t i = 0; i < sizeof optimizers / sizeof optimizers[0]; i++) {
        ps_recipe r = recipe_of(1);
        r.optimizer = optimizers[i];
        assert_int_equal(ps_hift_check(&r, &err), PS_USAGE);
        r.hift.layers = 0;
        assert_int_equal(ps_hift_check(&r, &err), PS_OK);
    }
    ps_recipe r = recipe_of(1);
    r.lora_rank = 4;
    assert_int_equal(ps_hift_check(&r, &err), PS_USAGE);
    r = recipe_of(1);
    r.policy = PS_TRAIN_POLICY_GEMINI;
    assert_int_equal(ps_hift_check(&r, &err), PS_USAGE);
    r = recipe_of(1);
    r.parallel.scheme = PS_PARALLEL_DDP;
    r.parallel.ranks = 2;
    assert_int_equal(ps_hift_check(&r, &err), PS_USAGE);
    r = recipe_of(1);
    r.streaming.activations = PS_ACTIVATION_OFFLOAD_STREAMED;
    assert_int_equal(ps_hift_check(&r, &err), PS_USAGE);
    r = recipe_of(-1);
    ps_workload *w = NULL;
    assert_int_equal(try_build(LLAMA, &r, &w, &err), PS_USAGE);
    r = recipe_of(0);
    assert_int_equal(try_build(LLAMA, &r, &w, &err), PS_USAGE); /* no steps, and no cycle */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_device_holds_one_group),
        cmocka_unit_test(copies_of_weights_take_turns_too),
        cmocka_unit_test(states_of_the_group_go_and_come),
        cmocka_unit_test(each_optimizer_moves_its_states),
        cmocka_unit_test(factored_states_move_as_they_are),
        cmocka_unit_test(backward_goes_down_to_the_group),
        cmocka_unit_test(what_has_no_graph_is_not_recomputed),
        cmocka_unit_test(one_group_is_full_training_with_copies),
        cmocka_unit_test(orders_decide_whose_turn_it_is),
        cmocka_unit_test(the_last_group_may_be_smaller),
        cmocka_unit_test(a_tied_matrix_belongs_to_the_embeddings),
        cmocka_unit_test(what_cannot_be_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
