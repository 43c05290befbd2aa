/* SPDX-License-Identifier: MIT
 *
 * Policies whose optimizer lives on the host: step times against the sums that
 * the schedules are drawn with, the order of what happens to a gradient, and
 * what lies where. Kernels last a millisecond each, the links and the host's
 * memory have rates that make one or another part the longest.
 */
#include "support/test.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "cluster/catalogue.h"
#include "job/job.h"
#include "run/run.h"
#include "run/run_parts.h"
#include "workload/script/build.h"

#define MS INT64_C(1000000)
#define MB UINT64_C(1000000)
#define LAYERS 3
#define LINEARS (7 * LAYERS) /* query, key, value, output, gate, up, down */
#define HIDDEN 64
#define INNER 96
#define TOKENS 32
#define STEPS 5

enum { DOWN, UP, MEMORY, LINKS };

/* ---- a host ---- */

typedef struct toy {
    uint64_t bytes_per_s[LINKS];
} toy;

static const char *link_name(const void *context, uint32_t link)
{
    static const char *const names[LINKS] = {"down", "up", "memory"};
    (void)context;
    return names[link];
}

static uint64_t link_rate(const void *context, uint32_t link)
{
    return ((const toy *)context)->bytes_per_s[link];
}

static ps_code host(void *context, uint32_t rank, ps_network_host *out, ps_error *err)
{
    const toy *self = context;
    (void)rank;
    (void)err;
    *out = (ps_network_host){.node_bytes = UINT64_C(1) << 40};
    for (int i = 0; i < PS_HOST_TRAFFIC_COUNT; i++) {
        const bool is_up = i == PS_HOST_OFFLOAD || i == PS_HOST_STAGED_OFFLOAD;
        out->rate_bytes_per_s[i] = self->bytes_per_s[i == PS_HOST_COMPUTE ? MEMORY
                                                     : is_up              ? UP
                                                                          : DOWN];
        out->basis[i] = PS_BASIS_ANALYTIC;
    }
    return PS_OK;
}

static ps_code host_path(void *context, uint32_t rank, ps_host_traffic traffic,
                         ps_network_path *out, ps_error *err)
{
    const bool is_up = traffic == PS_HOST_OFFLOAD || traffic == PS_HOST_STAGED_OFFLOAD;
    (void)context;
    (void)rank;
    PS_TRY(ps_grow((void **)&out->link, &out->capacity, 1, LINKS, sizeof *out->link, err));
    out->link[0] = traffic == PS_HOST_COMPUTE ? MEMORY : is_up ? UP : DOWN;
    out->count = 1;
    return PS_OK;
}

/* ---- a run ---- */

typedef struct scene {
    ps_workload *workload;
    ps_plan *plan;
    ps_run_times times;
} scene;

static ps_recipe recipe_of(ps_train_policy policy)
{
    ps_recipe r = ps_recipe_default();
    r.batch = 1;
    r.length = TOKENS;
    r.steps = STEPS;
    r.parameters = PS_DTYPE_BF16;
    r.policy = policy;
    r.offload.lsp.compress_size = 16;
    r.offload.lsp.nnz = 2;
    r.optimizer = policy == PS_TRAIN_POLICY_LSP ? "none" : "adamw";
    r.has_no_cache = true;
    return r;
}

static ps_model_config *config_of(ps_error *err)
{
    char text[512];
    ps_model_config *config = NULL;
    (void)snprintf(text, sizeof text,
                   "{\"model_type\":\"llama\",\"hidden_size\":%d,\"intermediate_size\":%d,"
                   "\"num_hidden_layers\":%d,\"num_attention_heads\":2,\"vocab_size\":16,"
                   "\"max_position_embeddings\":64,\"tie_word_embeddings\":false}",
                   HIDDEN, INNER, LAYERS);
    assert_ok(err, ps_model_config_read_memory("small", text, strlen(text), &config, err));
    return config;
}

static ps_workload *build(const ps_recipe *recipe)
{
    ps_error err = {0};
    ps_workload *out = NULL;
    ps_model_config *config = config_of(&err);
    const ps_build what = {.name = "small",
                           .config = config,
                           .recipe = recipe,
                           .device = {.sm_count = 4, .threads_per_sm = 1024}};
    assert_ok(&err, ps_build_workload(&what, &out, &err));
    ps_model_config_destroy(config);
    assert_ok(&err, ps_workload_check(out, &err));
    return out;
}

static bool is_kernel(uint8_t kind)
{
    return kind == PS_OP_MEMORY || kind == PS_OP_MATMUL || kind == PS_OP_ATTENTION;
}

static ps_plan *lower(const ps_workload *w, const toy *machine)
{
    toy borrowed = *machine;
    ps_error err = {0};
    ps_catalogue *catalogue;
    ps_hardware_id host_id;
    ps_cost_model *cost;
    ps_cost_host launches;
    ps_plan *plan = NULL;
    const ps_network network = {.context = &borrowed,
                                .link_count = LINKS,
                                .link_name = link_name,
                                .link_bytes_per_s = link_rate,
                                .host = host,
                                .host_path = host_path};
    assert_ok(&err, ps_catalogue_create(&catalogue, &err));
    ps_job_target to = {.catalogue = catalogue, .host = &launches, .network = &network};
    assert_ok(&err, ps_catalogue_find(catalogue, PS_HARDWARE_GPU, "RTX-3090", &to.gpu, &err));
    assert_ok(&err, ps_catalogue_find(catalogue, PS_HARDWARE_HOST, "host-server", &host_id, &err));
    assert_ok(&err, ps_cost_host_read(catalogue, host_id, &launches, &err));
    assert_ok(&err, ps_cost_create(catalogue, to.gpu, NULL, &cost, &err));
    to.cost = cost;
    assert_ok(&err, ps_job_lower_one(w, &to, &plan, &err));
    ps_cost_destroy(cost);
    ps_catalogue_destroy(catalogue);
    return plan;
}

static scene run(const ps_recipe *recipe, const toy *machine)
{
    ps_error err = {0};
    scene s = {.workload = build(recipe)};
    for (size_t i = 0; i < s.workload->op.head.count; i++) {
        if (is_kernel(s.workload->op.kind[i])) {
            s.workload->op.dur_ns[i] = MS;
            s.workload->op.basis[i] = PS_BASIS_MEASURED;
        }
    }
    s.plan = lower(s.workload, machine);
    assert_ok(&err, ps_plan_check(s.plan, &err));
    assert_ok(&err, ps__run_times(s.plan, NULL, &s.times, &err));
    return s;
}

static void end(scene *s)
{
    ps_free(s->times.start_ns);
    ps_free(s->times.end_ns);
    ps_plan_destroy(s->plan);
    ps_workload_destroy(s->workload);
}

/* ---- sums ---- */

/* One step's work, as its tasks have it. */
typedef struct sums {
    ps_ns step, forward, backward, down, up, host;
} sums;

static bool is_named(const scene *s, size_t task, const char *name)
{
    return strcmp(ps_strings_text(s->plan->strings, s->plan->task.name[task]), name) == 0;
}

static ps_ns moving(const scene *s, size_t task)
{
    const ps_plan_task_table *t = &s->plan->task;
    return t->dur_ns[task] + (ps_ns)(t->bytes[task] * 1000000000u / t->rate_bytes_per_s[task]);
}

static sums sum_step(const scene *s, size_t step)
{
    const ps_plan_task_table *t = &s->plan->task;
    sums out = {0};
    const uint32_t begin = s->plan->step.begin_task[step], after = s->plan->step.end_task[step];
    out.step = s->times.start_ns[after] - s->times.start_ns[begin];
    for (size_t i = begin; i < after; i++) {
        if (t->kind[i] == PS_TASK_KERNEL) {
            *(t->phase[i] == PS_PHASE_FORWARD ? &out.forward : &out.backward) += t->dur_ns[i];
        } else if (t->kind[i] == PS_TASK_CPU) {
            out.host += moving(s, i);
        } else if (t->kind[i] == PS_TASK_MEMCPY && is_named(s, i, "upload")) {
            out.down += moving(s, i);
        } else if (t->kind[i] == PS_TASK_MEMCPY && is_named(s, i, "offload")) {
            out.up += moving(s, i);
        }
    }
    return out;
}

static ps_ns larger(ps_ns a, ps_ns b)
{
    return a > b ? a : b;
}

static void assert_about(ps_ns got, ps_ns expected)
{
    if (llabs(got - expected) > expected / 25) {
        fail_msg("%lld ns, expected about %lld", (long long)got, (long long)expected);
    }
}

/* Links and host memory of which each is the slowest once. */
static const toy machines[] = {
    {{20 * MB, 20 * MB, 400 * MB}},
    {{MB / 2, MB / 2, 400 * MB}},
    {{20 * MB, 20 * MB, 4 * MB}},
};
#define MACHINES (sizeof machines / sizeof machines[0])

/* ---- ZeRO-Offload ---- */

static void test_zero_offload_takes_the_sum_of_its_drawing(void **state)
{
    const ps_recipe recipe = recipe_of(PS_TRAIN_POLICY_ZERO_OFFLOAD);
    bool was_hidden = false, was_seen = false;
    (void)state;
    for (size_t i = 0; i < MACHINES; i++) {
        scene s = run(&recipe, &machines[i]);
        const sums t = sum_step(&s, 2);
        assert_about(t.step, t.forward + larger(t.backward, t.up) + t.host + t.down);
        was_hidden = was_hidden || t.up < t.backward;
        was_seen = was_seen || t.up > t.backward;
        end(&s);
    }
    assert_true(was_hidden && was_seen);
}

static void test_a_delayed_update_runs_beside_the_next_step(void **state)
{
    ps_recipe recipe = recipe_of(PS_TRAIN_POLICY_ZERO_OFFLOAD);
    bool was_hidden = false, was_seen = false;
    recipe.offload.zero.is_delayed = true;
    (void)state;
    for (size_t i = 0; i < MACHINES; i++) {
        scene s = run(&recipe, &machines[i]);
        const sums t = sum_step(&s, 3);
        const ps_ns device = t.down + t.forward + larger(t.backward, t.up);
        assert_about(t.step, larger(t.host, device));
        was_hidden = was_hidden || t.host < device;
        was_seen = was_seen || t.host > device;
        end(&s);
    }
    assert_true(was_hidden && was_seen);
}

static uint64_t bytes_in(const ps_workload *w, ps_memory_kind memory)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < w->tensor.head.count; i++) {
        bytes += w->tensor.memory[i] == (uint8_t)memory ? w->tensor.bytes[i] : 0;
    }
    return bytes;
}

static uint64_t fact(const ps_workload *w, const char *key)
{
    return strtoull(ps_workload_meta(w, key), NULL, 10);
}

static void test_zero_offload_has_14_bytes_of_the_host_a_parameter(void **state)
{
    const ps_recipe recipe = recipe_of(PS_TRAIN_POLICY_ZERO_OFFLOAD);
    ps_workload *w = build(&recipe);
    (void)state;
    const uint64_t parameters = fact(w, PS_WORKLOAD_META_TRAINED);
    assert_true(bytes_in(w, PS_MEMORY_PINNED) == 14 * parameters);
    assert_int_equal(bytes_in(w, PS_MEMORY_PAGEABLE), 0);
    ps_workload_destroy(w);
}

static void test_transfers_may_have_32_bits(void **state)
{
    ps_recipe recipe = recipe_of(PS_TRAIN_POLICY_ZERO_OFFLOAD);
    scene narrow = run(&recipe, &machines[1]);
    recipe.offload.zero = (ps_zero_offload_settings){.has_transfer = true};
    scene wide = run(&recipe, &machines[1]);
    (void)state;
    const sums two = sum_step(&narrow, 2), four = sum_step(&wide, 2);
    assert_about(four.down, 2 * two.down);
    assert_about(four.up, 2 * two.up);
    end(&narrow);
    end(&wide);
}

/* Sums over a step of two micro-batches: in the second, gradients cross three times. */
static void test_later_micro_batches_fetch_what_earlier_ones_left(void **state)
{
    ps_recipe recipe = recipe_of(PS_TRAIN_POLICY_ZERO_OFFLOAD);
    scene one = run(&recipe, &machines[0]);
    recipe.accumulate = 2;
    scene two = run(&recipe, &machines[0]);
    size_t earlier = 0;
    (void)state;
    const sums a = sum_step(&one, 2), b = sum_step(&two, 2);
    assert_true(b.up == 2 * a.up && b.down == a.down && b.host == a.host);
    for (size_t i = 0; i < two.plan->task.head.count; i++) {
        earlier += two.plan->task.kind[i] == PS_TASK_MEMCPY && is_named(&two, i, "earlier");
    }
    assert_int_equal(earlier, STEPS * (LINEARS + 2 * LAYERS + 3)); /* norms, words, norm, head */
    end(&one);
    end(&two);
}

/* ---- LSP-Offload ---- */

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

/* ---- what cannot be ---- */

static void assert_refused(const ps_recipe *recipe, const char *beginning)
{
    ps_error err = {0};
    ps_workload *out = NULL;
    ps_model_config *config = config_of(&err);
    const ps_build what = {.name = "small", .config = config, .recipe = recipe};
    assert_int_equal(ps_build_workload(&what, &out, &err), PS_USAGE);
    assert_memory_equal(err.message, beginning, strlen(beginning));
    ps_model_config_destroy(config);
}

static void test_what_is_not_described_is_refused(void **state)
{
    static const ps_train_policy policies[] = {PS_TRAIN_POLICY_LSP, PS_TRAIN_POLICY_ZERO_OFFLOAD};
    static const char *const words[] = {"lsp", "zero-offload"};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        ps_recipe r = recipe_of(policies[i]);
        r.optimizer = "lomo";
        assert_refused(&r, words[i]);
        r = recipe_of(policies[i]);
        r.clips = true;
        assert_refused(&r, words[i]);
        r = recipe_of(policies[i]);
        r.is_forward_only = true;
        assert_refused(&r, words[i]);
        r = recipe_of(policies[i]);
        r.parallel.scheme = PS_PARALLEL_DDP;
        r.parallel.ranks = 2;
        assert_refused(&r, "ddp");
    }
    ps_recipe r = recipe_of(PS_TRAIN_POLICY_LSP);
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
        cmocka_unit_test(test_zero_offload_takes_the_sum_of_its_drawing),
        cmocka_unit_test(test_a_delayed_update_runs_beside_the_next_step),
        cmocka_unit_test(test_zero_offload_has_14_bytes_of_the_host_a_parameter),
        cmocka_unit_test(test_transfers_may_have_32_bits),
        cmocka_unit_test(test_later_micro_batches_fetch_what_earlier_ones_left),
        cmocka_unit_test(test_each_gradient_goes_its_way_in_order),
        cmocka_unit_test(test_the_ideal_hides_what_is_fast),
        cmocka_unit_test(test_the_released_code_waits_for_its_host),
        cmocka_unit_test(test_the_released_baseline_updates_before_the_next_forward),
        cmocka_unit_test(test_what_lies_where),
        cmocka_unit_test(test_projectors_are_fitted_when_it_is_time),
        cmocka_unit_test(test_what_is_not_described_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
