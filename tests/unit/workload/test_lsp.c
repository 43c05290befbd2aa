/* SPDX-License-Identifier: MIT
 *
 * LSP-Offload: the way of each gradient in order, what the schedules hide and
 * what they do not, what lies where, and which plans are sound.
 */
#include "offload_scene.h"

static size_t list_tasks(const scene *s, const char *name, ps_task_kind kind, size_t *out,
                         size_t room)
{
    size_t count = 0;
    for (size_t i = 0; i < s->plan->task.head.count; i++) {
        if (s->plan->task.kind[i] == (uint8_t)kind && is_named(s, i, name)) {
            assert_true(count < room);
            out[count++] = i;
        }
    }
    return count;
}

#define MAX_TASKS (LINEARS * STEPS)

/* Tasks of all steps, in the order in which the program hands them over. */
typedef struct acts {
    size_t off[MAX_TASKS], upd[MAX_TASKS], upl[MAX_TASKS], app[MAX_TASKS];
    size_t off_count, upd_count, upl_count, app_count;
} acts;

static acts list_acts(const scene *s)
{
    acts a = {0};
    a.off_count = list_tasks(s, "offload", PS_TASK_MEMCPY, a.off, MAX_TASKS);
    a.upd_count = list_tasks(s, "fused_adam", PS_TASK_CPU, a.upd, MAX_TASKS);
    a.upl_count = list_tasks(s, "upload", PS_TASK_MEMCPY, a.upl, MAX_TASKS);
    a.app_count = list_tasks(s, "apply", PS_TASK_KERNEL, a.app, MAX_TASKS);
    return a;
}

static void assert_after(const scene *s, size_t later, size_t earlier)
{
    assert_true(s->times.start_ns[later] >= s->times.end_ns[earlier]);
}

/* Place among a step's linears: backward has the last one first, the other order the first one. */
static size_t other_way(size_t i)
{
    return i / LINEARS * LINEARS + (LINEARS - 1 - i % LINEARS);
}

static void check_chain(const ps_recipe *recipe, const toy *machine, bool is_last_first)
{
    scene s = run(recipe, machine);
    const acts a = list_acts(&s);
    assert_int_equal(a.off_count, MAX_TASKS);
    assert_int_equal(a.upd_count, MAX_TASKS);
    assert_int_equal(a.upl_count, MAX_TASKS);
    assert_int_equal(a.app_count, MAX_TASKS - LINEARS); /* the last step's are pending at the end */
    for (size_t i = 0; i < MAX_TASKS; i++) {
        assert_after(&s, a.upd[i], a.off[is_last_first ? i : other_way(i)]);
        assert_after(&s, a.upl[i], a.upd[i]);
        if (i < a.app_count) { /* applied by forward, the first linear first */
            assert_after(&s, a.app[i], a.upl[is_last_first ? other_way(i) : i]);
        }
    }
    end(&s);
}

static void test_each_gradient_goes_its_way_in_order(void **state)
{
    ps_recipe recipe = recipe_of(PS_TRAIN_POLICY_LSP);
    recipe.offload.lsp.is_ideal = true;
    (void)state;
    for (size_t i = 0; i < MACHINES; i++) {
        recipe.offload.lsp.fcfs_point = 0;
        check_chain(&recipe, &machines[i], true);
        recipe.offload.lsp.fcfs_point = LINEARS;
        check_chain(&recipe, &machines[i], false);
    }
}

/* Where neither links nor host are slow, nothing but the first linear's way is seen. */
static void test_the_ideal_hides_what_is_fast(void **state)
{
    static const toy fast = {{1000 * MB, 1000 * MB, 10000 * MB}};
    ps_recipe recipe = recipe_of(PS_TRAIN_POLICY_LSP);
    recipe.offload.lsp.is_ideal = true;
    scene s = run(&recipe, &fast);
    const sums t = sum_step(&s, 2);
    (void)state;
    assert_about(t.step, t.forward + t.backward);
    end(&s);
}

/* A slow host is the period's bound from below; the released code adds it to the device's work. */
static void test_the_released_code_waits_for_its_host(void **state)
{
    ps_recipe recipe = recipe_of(PS_TRAIN_POLICY_LSP);
    scene released = run(&recipe, &machines[2]);
    recipe.offload.lsp.is_ideal = true;
    scene ideal = run(&recipe, &machines[2]);
    const sums r = sum_step(&released, 2), i = sum_step(&ideal, 2);
    (void)state;
    assert_true(i.step >= larger(i.forward + i.backward, i.host));
    assert_true(r.step >= r.backward + r.host);
    assert_true(r.step > i.step);
    end(&released);
    end(&ideal);
}

/* Its baseline: backward with the gradients, then UPD and UPL of one linear after the other. */
static void test_the_released_baseline_updates_before_the_next_forward(void **state)
{
    ps_recipe recipe = recipe_of(PS_TRAIN_POLICY_LSP);
    recipe.offload.lsp.sends_whole = recipe.offload.lsp.is_zero = true;
    scene s = run(&recipe, &machines[2]);
    const acts a = list_acts(&s);
    const sums t = sum_step(&s, 2);
    (void)state;
    for (size_t i = LINEARS; i < MAX_TASKS; i++) {
        assert_after(&s, a.upd[i - LINEARS], a.off[(i / LINEARS) * LINEARS - 1]);
    }
    assert_int_equal(a.upd_count, MAX_TASKS - LINEARS);
    assert_true(t.step >= t.backward + t.host); /* which runs beside the first product alone */
    end(&s);
}

static uint64_t weight_elements(void)
{
    return (uint64_t)LAYERS * (4 * HIDDEN * HIDDEN + 3 * HIDDEN * INNER);
}

/* d x d in 32 bits: one pinned buffer, two moments; projectors of r numbers and rows a column. */
static void test_what_lies_where(void **state)
{
    ps_recipe recipe = recipe_of(PS_TRAIN_POLICY_LSP);
    ps_workload *w = build(&recipe);
    const uint64_t d = 16, r = 2, square = 4 * d * d;
    uint64_t projectors = 0, kept = 0;
    (void)state;
    assert_true(bytes_in(w, PS_MEMORY_PINNED) == LINEARS * square);
    assert_true(bytes_in(w, PS_MEMORY_PAGEABLE) == 2 * LINEARS * square);
    for (size_t i = 0; i < w->tensor.head.count; i++) {
        const bool is_projector =
            strcmp(ps_strings_text(w->strings, w->tensor.label[i]), "projector") == 0;
        projectors += is_projector ? w->tensor.bytes[i] : 0;
        kept += w->tensor.is_saved[i] != 0 && w->tensor.bytes[i] == 2 * d * TOKENS;
    }
    const uint64_t columns = (uint64_t)LAYERS * (4 * 2 * HIDDEN + 3 * (HIDDEN + INNER));
    assert_true(projectors == columns * r * (8 + 2));
    assert_true(kept == LINEARS * STEPS); /* d x T, not in x T */
    ps_workload_destroy(w);
    recipe.offload.lsp.sends_whole = true;
    w = build(&recipe);
    assert_true(bytes_in(w, PS_MEMORY_PINNED) == 4 * weight_elements());
    ps_workload_destroy(w);
}

/* Named modules alone travel; of the others and of what is no module no gradient is made. */
static void test_named_modules_alone_are_trained(void **state)
{
    ps_recipe recipe = recipe_of(PS_TRAIN_POLICY_LSP);
    recipe.offload.lsp.sends_whole = true;
    recipe.offload.lsp.modules = "q_proj,down_proj";
    ps_workload *w = build(&recipe);
    uint64_t sent = 0;
    (void)state;
    for (size_t i = 0; i < w->event.head.count; i++) {
        if (w->event.kind[i] == PS_WORKLOAD_EVENT_OP) {
            const size_t op = w->event.ref[i];
            sent += w->op.kind[op] == PS_OP_COPY && w->op.copy_kind[op] == PS_COPY_DTOH &&
                    w->op.memory[op] == PS_MEMORY_PINNED;
        }
    }
    assert_int_equal(sent, 2 * LAYERS * STEPS);
    assert_true(bytes_in(w, PS_MEMORY_PINNED) ==
                4 * (uint64_t)LAYERS * (HIDDEN * HIDDEN + HIDDEN * INNER));
    ps_workload_destroy(w);
    recipe.offload.lsp.modules = "q_proj,no_such";
    assert_refused(&recipe, "lsp: a \"llama\" has no linear module \"no_such\"");
}

static uint64_t flop_of(const ps_workload *w)
{
    uint64_t flop = 0;
    for (size_t i = 0; i < w->event.head.count; i++) {
        if (w->event.kind[i] == PS_WORKLOAD_EVENT_OP &&
            w->op.kind[w->event.ref[i]] == PS_OP_MATMUL) {
            flop += w->op.flop[w->event.ref[i]];
        }
    }
    return flop;
}

/* A fit every second step: five wide products of all weights, and the narrow ones, fit_steps times. */
static void test_projectors_are_fitted_when_it_is_time(void **state)
{
    ps_recipe recipe = recipe_of(PS_TRAIN_POLICY_LSP);
    ps_workload *never = build(&recipe);
    recipe.offload.lsp.check_freq = 2;
    recipe.offload.lsp.fit_steps = 7;
    ps_workload *twice = build(&recipe); /* before steps 2 and 4 */
    const uint64_t d = 16, columns = (uint64_t)LAYERS * (4 * 2 * HIDDEN + 3 * (HIDDEN + INNER));
    (void)state;
    assert_true(flop_of(twice) - flop_of(never) ==
                2 * 7 * (5 * 2 * d * weight_elements() + 3 * 2 * d * d * columns));
    ps_workload_destroy(never);
    ps_workload_destroy(twice);
}

/* ---- order ---- */

static void test_plans_of_the_ideal_are_sound(void **state)
{
    static const int64_t points[] = {0, 5, LINEARS};
    (void)state;
    for (size_t i = 0; i < 6; i++) {
        ps_recipe recipe = recipe_of(PS_TRAIN_POLICY_LSP);
        recipe.offload.lsp.is_ideal = true;
        recipe.offload.lsp.fcfs_point = points[i % 3];
        recipe.offload.lsp.fcfs_upd_delay = i < 3 ? 0 : 2;
        scene s = run(&recipe, &machines[0]);
        assert_true(s.plan->access.head.count > 0);
        assert_int_equal(hazards_of(&s).total, 0);
        end(&s);
    }
}

/* It looks at a difference before it waits for it, and frees a gradient whose copy runs. */
static void test_plans_of_the_released_code_are_not(void **state)
{
    ps_recipe recipe = recipe_of(PS_TRAIN_POLICY_LSP);
    recipe.offload.lsp.sends_whole = recipe.offload.lsp.is_zero = true;
    scene s = run(&recipe, &machines[0]);
    const ps_hazards found = hazards_of(&s);
    (void)state;
    assert_int_equal(found.count[PS_HAZARD_UNORDERED], LINEARS * (STEPS - 1));
    assert_true(found.count[PS_HAZARD_REUSED] > 0);
    assert_true(is_named(&s, found.first[PS_HAZARD_UNORDERED].task, "isnan"));
    assert_true(is_named(&s, found.first[PS_HAZARD_REUSED].task, "offload"));
    end(&s);
}

static void test_a_failing_sink_ends_a_run(void **state)
{
    ps_recipe recipe = recipe_of(PS_TRAIN_POLICY_LSP);
    recipe.checkpoint_every = 1;
    recipe.steps = 2;
    (void)state;
    assert_every_failure_ends_the_run(&recipe);
    recipe.offload.lsp.is_ideal = true;
    recipe.offload.lsp.check_freq = 1;
    assert_every_failure_ends_the_run(&recipe);
}

/* ---- what cannot be ---- */

static void test_what_is_not_described_is_refused(void **state)
{
    (void)state;
    ps_recipe r = recipe_of(PS_TRAIN_POLICY_LSP);
    r.optimizer = "lomo";
    assert_refused(&r, "lsp brings Adam");
    r = recipe_of(PS_TRAIN_POLICY_LSP);
    r.clips = true;
    assert_refused(&r, "lsp with autocast");
    r = recipe_of(PS_TRAIN_POLICY_LSP);
    r.is_forward_only = true;
    assert_refused(&r, "lsp trains");
    r = recipe_of(PS_TRAIN_POLICY_LSP);
    r.parallel.scheme = PS_PARALLEL_DDP;
    r.parallel.ranks = 2;
    assert_refused(&r, "ddp");
    r = recipe_of(PS_TRAIN_POLICY_LSP);
    r.offload.lsp.nnz = 17;
    assert_refused(&r, "lsp needs compress_size");
    r = recipe_of(PS_TRAIN_POLICY_LSP);
    r.offload.lsp.fcfs_process_delay = 1;
    assert_refused(&r, "lsp: what comes later");
    r = recipe_of(PS_TRAIN_POLICY_LSP);
    r.offload.lsp.is_zero = r.offload.lsp.is_ideal = true;
    assert_refused(&r, "lsp: zero=true");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_gradient_goes_its_way_in_order),
        cmocka_unit_test(test_the_ideal_hides_what_is_fast),
        cmocka_unit_test(test_the_released_code_waits_for_its_host),
        cmocka_unit_test(test_the_released_baseline_updates_before_the_next_forward),
        cmocka_unit_test(test_what_lies_where),
        cmocka_unit_test(test_named_modules_alone_are_trained),
        cmocka_unit_test(test_projectors_are_fitted_when_it_is_time),
        cmocka_unit_test(test_plans_of_the_ideal_are_sound),
        cmocka_unit_test(test_plans_of_the_released_code_are_not),
        cmocka_unit_test(test_a_failing_sink_ends_a_run),
        cmocka_unit_test(test_what_is_not_described_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
