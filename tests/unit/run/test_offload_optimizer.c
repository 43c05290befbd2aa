/* SPDX-License-Identifier: MIT
 *
 * The optimizer of recorded jobs on the host: times and bytes of a made-up
 * recording by hand, and evidence that is missing.
 */
#include "optimizer_scene.h"

#include <string.h>

#include "base/memory.h"
#include "lower/lower.h"

static bool has_task(const ps_plan *plan, const char *part)
{
    for (size_t i = 0; i < plan->task.head.count; i++) {
        if (strstr(ps_strings_text(plan->strings, plan->task.name[i]), part) != NULL) {
            return true;
        }
    }
    return false;
}

/* ---- times ---- */

/* [ns] A host call and the start of a copy, of any GPU. */
#define CALL_NS 4000
#define COPY_NS 8000

/* Gradients go behind their kernels, the second one's launch later by the first one's call; the
 * update reads and writes 3 x 4 bytes an element and takes a gradient and makes a weight of 4. */
static void test_times_by_hand(void **state)
{
    ps_error err = {0};
    (void)state;
    job j = load(record(&(scene){0}));
    assert_ok(&err, change(&j, true, false, &err));
    const ps_plan *plan = j.changed;
    play p = play_plan(j.changed);
    const ps_ns sent0 = 2110000 + COPY_NS + (ps_ns)size_of[0];
    const ps_ns ready1 = 3210000 + CALL_NS, sent1 = ready1 + COPY_NS + (ps_ns)size_of[1];
    const ps_ns updated = sent1 + CALL_NS + (ps_ns)(ELEMENTS * 24 + 2 * ALL_BYTES);
    const ps_ns came0 = updated + COPY_NS + (ps_ns)size_of[0];
    const ps_ns came1 = came0 + COPY_NS + (ps_ns)size_of[1];
    play_is(&p, task_named(plan, "offload", 0), 2110000, sent0);
    play_is(&p, task_named(plan, "offload", 1), ready1, sent1);
    assert_int_equal(p.end[task_named(plan, "cudaStreamSynchronize", 0)], sent1);
    play_is(&p, task_named(plan, "cpu_adam", 0), sent1, updated);
    play_is(&p, task_named(plan, "upload", 0), updated, came0);
    play_is(&p, task_named(plan, "upload", 1), came0, came1);
    /* the host's time behind the step's range is as it was: 1110 us to the next launch */
    const ps_ns launched = updated + 2 * CALL_NS + 1110000 + 10000;
    assert_int_equal(p.start[task_named(plan, "forward", 1)], came1 > launched ? came1 : launched);
    assert_true(!has_task(plan, "Pointwise"));
    play_over(&p);
    fini(&j);
}

/* The update of a step runs beside the next one, whose end brings its weights: where it takes longer
 * than that step, the next update follows it at once, and the weights come when it is over. */
static void test_delayed_updates_by_hand(void **state)
{
    ps_error err = {0};
    (void)state;
    job j = load(record(&(scene){0}));
    j.delayed = true;
    assert_ok(&err, change(&j, true, false, &err));
    const ps_plan *plan = j.changed;
    play p = play_plan(j.changed);
    const ps_ns update = (ps_ns)(ELEMENTS * 24 + 2 * ALL_BYTES);
    const ps_ns sent = 3210000 + CALL_NS + COPY_NS + (ps_ns)size_of[1];
    const ps_ns came = sent + update + 2 * COPY_NS + (ps_ns)ALL_BYTES;
    play_is(&p, task_named(plan, "cpu_adam", 0), sent, sent + update);
    play_is(&p, task_named(plan, "cpu_adam", 1), sent + update, sent + 2 * update);
    /* weights of the first step are the first that come, behind the second one's gradients */
    assert_true(p.end[task_named(plan, "offload", 3)] < sent + update);
    assert_int_equal(p.start[task_named(plan, "upload", 0)], sent + update);
    assert_int_equal(p.end[task_named(plan, "upload", 1)], came);
    assert_int_equal(p.start[task_named(plan, "forward", 2)], came);
    /* the second forward pass waits for no weights, but for the gradients to have left */
    assert_in_range(p.start[task_named(plan, "forward", 1)], sent, 5000000 + 20000);
    assert_proved(plan);
    assert_non_null(strstr(fact(plan), "updates are delayed"));
    play_over(&p);
    fini(&j);
}

/* Where it takes less, weights come when the gradients have gone, and nothing waits for the host. */
static void test_delayed_updates_that_hide(void **state)
{
    ps_error err = {0};
    (void)state;
    job j =
        load(record(&(scene){.range = "Optimizer.step#SGD.step", .kernel = "PointwiseAdd<float>"}));
    j.delayed = true;
    assert_ok(&err, change(&j, true, false, &err));
    const ps_plan *plan = j.changed;
    play p = play_plan(j.changed);
    const ps_ns sent = p.end[task_named(plan, "offload", 3)];
    assert_true(p.end[task_named(plan, "cpu_sgd", 0)] < sent);
    assert_int_equal(p.start[task_named(plan, "upload", 0)], sent);
    assert_int_equal(p.start[task_named(plan, "forward", 2)],
                     sent + 2 * COPY_NS + (ps_ns)ALL_BYTES);
    assert_int_equal(p.start[task_named(plan, "cpu_sgd", 1)], sent);
    play_over(&p);
    fini(&j);
}

/* One of two ranks that exchange gradients: these leave when that is over, each copy takes twice as
 * long as alone, since the other rank's crosses the same link, and so does the update of both. */
static void test_ranks_share_their_host(void **state)
{
    ps_error err = {0};
    (void)state;
    job j = load(record(&(scene){.communicates = "all-reduce"}));
    j.ranks = 2;
    assert_ok(&err, change(&j, true, false, &err));
    const ps_plan *plan = j.changed;
    play p = play_plan(j.changed);
    const ps_ns sent0 = EXCHANGED_NS + COPY_NS + 2 * (ps_ns)size_of[0];
    const ps_ns sent1 = sent0 + COPY_NS + 2 * (ps_ns)size_of[1];
    const ps_ns update = CALL_NS + 2 * (ps_ns)(ELEMENTS * 24 + 2 * ALL_BYTES);
    play_is(&p, task_named(plan, "offload", 0), EXCHANGED_NS, sent0);
    play_is(&p, task_named(plan, "offload", 1), sent0, sent1);
    play_is(&p, task_named(plan, "cpu_adam", 0), sent1, sent1 + update);
    play_is(&p, task_named(plan, "upload", 0), sent1 + update,
            sent1 + update + COPY_NS + 2 * (ps_ns)size_of[0]);
    assert_non_null(strstr(fact(plan), "behind what ranks exchange"));
    assert_non_null(strstr(ps_plan_meta(plan, PS_PLAN_META_OFFLOAD_RANKS), "all 2 ranks"));
    assert_proved(plan);
    play_over(&p);
    ps_result result = run_plan(plan);
    assert_int_equal(result.node_count, 1);
    assert_int_equal(result.node[0].peak_bytes, 2 * result.device[0].host.peak_bytes);
    ps_result_fini(&result);
    fini(&j);
}

/* Kernels that may use gradients keep them until they are done: all leave in the step. */
static void test_gradients_that_are_used_wait(void **state)
{
    ps_error err = {0};
    (void)state;
    job j = load(record(&(scene){.clips = true}));
    assert_ok(&err, change(&j, true, false, &err));
    play p = play_plan(j.changed);
    const ps_ns clipped = p.end[task_named(j.changed, "clip", 0)];
    const uint32_t first = task_named(j.changed, "offload", 0);
    assert_int_equal(clipped, 3250000);
    assert_true(p.start[first] >= clipped);
    /* the step's first call, where its range began, launches */
    assert_int_equal(p.start[first], 3300000);
    assert_int_equal(p.start[task_named(j.changed, "offload", 1)], p.end[first]);
    assert_non_null(strstr(fact(j.changed), "kernels before a step may use them"));
    assert_proved(j.changed);
    play_over(&p);
    fini(&j);
}

/* ---- memory ---- */

static uint64_t bytes_of(const ps_plan *plan, ps_memory_kind memory, ps_role role)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < plan->buffer.head.count; i++) {
        bytes += plan->buffer.memory[i] == memory && plan->buffer.role[i] == role
                     ? plan->buffer.bytes[i]
                     : 0;
    }
    return bytes;
}

static void test_bytes_by_hand(void **state)
{
    ps_error err = {0};
    (void)state;
    job j = load(record(&(scene){0}));
    const uint64_t before = j.recorded->device.base_live_bytes[0];
    assert_int_equal(before, RESIDENT);
    assert_ok(&err, change(&j, true, false, &err));
    /* two moments leave, and the parameters have names */
    assert_int_equal(j.changed->device.base_live_bytes[0], RESIDENT - 3 * ALL_BYTES);
    assert_int_equal(bytes_of(j.changed, PS_MEMORY_UNKNOWN, PS_ROLE_BEFORE), ALL_BYTES);
    assert_int_equal(bytes_of(j.changed, PS_MEMORY_PINNED, PS_ROLE_GRADIENT), ALL_BYTES);
    assert_int_equal(bytes_of(j.changed, PS_MEMORY_PINNED, PS_ROLE_OPTIMIZER_STATE),
                     3 * 4 * ELEMENTS);
    ps_result recorded = run_plan(j.recorded), changed = run_plan(j.changed);
    /* at the peak: states, both gradients and the step's own memory; now gradients alone */
    assert_int_equal(recorded.device[0].peak_allocated_bytes, RESIDENT + 2 * ALL_BYTES);
    assert_int_equal(changed.device[0].peak_allocated_bytes, RESIDENT - ALL_BYTES);
    assert_true(changed.device[0].host.peak_pinned_bytes >= 4 * ALL_BYTES);
    ps_result_fini(&recorded);
    ps_result_fini(&changed);
    fini(&j);
}

/* Gradients and weights of two steps are in the host at once. */
static void test_bytes_of_delayed_updates(void **state)
{
    ps_error err = {0};
    (void)state;
    job j = load(record(&(scene){0}));
    j.delayed = true;
    assert_ok(&err, change(&j, true, false, &err));
    assert_int_equal(j.changed->device.base_live_bytes[0], RESIDENT - 3 * ALL_BYTES);
    assert_int_equal(bytes_of(j.changed, PS_MEMORY_PINNED, PS_ROLE_GRADIENT), 2 * ALL_BYTES);
    assert_int_equal(bytes_of(j.changed, PS_MEMORY_PINNED, PS_ROLE_OPTIMIZER_STATE),
                     3 * 4 * ELEMENTS);
    ps_result changed = run_plan(j.changed);
    assert_int_equal(changed.device[0].peak_allocated_bytes, RESIDENT - ALL_BYTES);
    ps_result_fini(&changed);
    fini(&j);
}

static void test_what_is_not_delayed(void **state)
{
    static const struct {
        ps_offload what;
        const char *says;
    } rows[] = {{{.activations = true, .delayed = true}, "an optimizer on the device"},
                {{.optimizer = true, .parameters = true, .delayed = true}, "one or the other"}};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        ps_error err = {0};
        job j = load(record(&(scene){0}));
        ps_offload offload = rows[i].what;
        offload.trace = j.trace;
        offload.structure = &j.structure;
        const ps_whatif what = {.offload = &offload};
        assert_int_equal(ps_whatif_apply(j.changed, j.catalogue, &what, &err), PS_USAGE);
        assert_non_null(strstr(err.message, rows[i].says));
        fini(&j);
    }
}

/* States that a recorded step makes are not made. */
static void test_states_made_while_recording(void **state)
{
    ps_error err = {0};
    (void)state;
    job j = load(record(&(scene){.makes_states = true, .resident = ALL_BYTES}));
    assert_ok(&err, change(&j, true, false, &err));
    assert_int_equal(j.changed->device.base_live_bytes[0], 0);
    ps_result changed = run_plan(j.changed);
    assert_int_equal(changed.device[0].peak_allocated_bytes, 2 * ALL_BYTES);
    assert_non_null(strstr(fact(j.changed), "2457600 bytes of states"));
    assert_proved(j.changed);
    ps_result_fini(&changed);
    fini(&j);
}

/* States from before the recording whose buffers are told go, and not as much of what is not. */
static void test_states_that_are_told(void **state)
{
    ps_error err = {0};
    (void)state;
    job j = load(record(&(scene){.has_states = true, .resident = ALL_BYTES}));
    assert_ok(&err, change(&j, true, false, &err));
    assert_int_equal(j.changed->device.base_live_bytes[0], 0);
    ps_result changed = run_plan(j.changed);
    assert_int_equal(changed.device[0].peak_allocated_bytes, 2 * ALL_BYTES);
    assert_non_null(strstr(fact(j.changed), "2457600 bytes of states have left the device, those "
                                            "that their buffers tell"));
    assert_proved(j.changed);
    ps_result_fini(&changed);
    fini(&j);
}

/* What is not told is as large as classes and kernels say: of 8 bits an element with 4 bytes each 256
 * and a table of 1024 for each state, of 32 bits whatever the parameters are, or of the type that
 * kernels name. */
static void test_types_of_states(void **state)
{
    static const uint64_t narrow = 2 * ((102400 + 204800) / 256 * 260 + 1024);
    const struct {
        scene of;
        uint64_t bytes;
        const char *says;
    } rows[] = {
        {{.range = "Optimizer.step#AdamW8bit.step", .kernel = "kernel"}, narrow, "of 8 bits each"},
        {{.kernel = "kOptimizerStatic8bit2StateBlockwise<float, 0, 256, 1>"},
         narrow,
         "of 8 bits each by their class or kernels, of what was live before"},
        {{.range = "Optimizer.step#FusedAdam.step",
          .kernel = "multi_tensor_apply_kernel<TensorListMetadata<4>, AdamFunctor<c10::BFloat16>>",
          .is_narrow = true},
         4 * ALL_BYTES,
         "of 32 bits each by their class or kernels"},
        {{.kernel = "PointwiseOpListFunctor<c10::BFloat16>, std::divides<c10::BFloat16>",
          .is_narrow = true},
         2 * ALL_BYTES,
         "of 16 bits each, the type that kernels of steps name"},
        {{.kernel = "PointwiseOpListFunctor<float>", .is_narrow = true},
         4 * ALL_BYTES,
         "of 32 bits each, the type that kernels of steps name"},
        {{.kernel = "kernel"}, 2 * ALL_BYTES, "taken to be as large as the parameters"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        ps_error err = {0};
        job j = load(record(&rows[i].of));
        assert_ok(&err, change(&j, true, false, &err));
        assert_int_equal(j.changed->device.base_live_bytes[0],
                         RESIDENT - ALL_BYTES - rows[i].bytes);
        if (strstr(fact(j.changed), rows[i].says) == NULL) {
            fail_msg("row %zu: not \"%s\" but \"%s\"", i, rows[i].says, fact(j.changed));
        }
        fini(&j);
    }
}

/* The host reads and writes a copy and each state, reads gradients and writes weights. */
static void test_other_optimizers(void **state)
{
    static const struct {
        const char *range, *kernel, *task;
        uint64_t states;
    } rows[] = {
        {"Optimizer.step#Adagrad.step", NULL, "cpu_adagrad", 1},
        {"Optimizer.step#Lion.step", NULL, "cpu_lion", 1},
        {"Optimizer.step#RMSprop.step", NULL, "cpu_rmsprop", 1},
        {"Optimizer.step#NAdam.step", NULL, "cpu_nadam", 2},
        {"Optimizer.step#RAdam.step", NULL, "cpu_radam", 2},
        {"Optimizer.step#Adamax.step", NULL, "cpu_adamax", 2},
        {"Optimizer.step#Adadelta.step", NULL, "cpu_adadelta", 2},
        {"Optimizer.step#Rprop.step", NULL, "cpu_rprop", 2},
        {"Optimizer.step#PagedAdamW32bit.step", NULL, "cpu_adam", 2},
        {"optimizer", "multi_tensor_apply_kernel<FusedAdagradMathFunctor<float>>", "cpu_adagrad",
         1},
        {"optimizer", "lion_kernel<LionFunctor<float>>", "cpu_lion", 1},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        ps_error err = {0};
        job j = load(record(&(scene){.range = rows[i].range, .kernel = rows[i].kernel}));
        assert_ok(&err, change(&j, true, false, &err));
        assert_int_equal(j.changed->task.bytes[task_named(j.changed, rows[i].task, 0)],
                         ELEMENTS * 8 * (1 + rows[i].states) + 2 * ALL_BYTES);
        assert_int_equal(j.changed->device.base_live_bytes[0],
                         RESIDENT - (1 + rows[i].states) * ALL_BYTES);
        assert_proved(j.changed);
        fini(&j);
    }
}

/* Three passes over gradients; states that the recording has go, and no others are taken to be there. */
static void test_adafactor(void **state)
{
    (void)state;
    for (int made = 0; made < 2; made++) {
        ps_error err = {0};
        job j = load(
            record(&(scene){.range = "Optimizer.step#Adafactor.step", .makes_states = made == 1}));
        assert_ok(&err, change(&j, true, false, &err));
        assert_int_equal(j.changed->task.bytes[task_named(j.changed, "cpu_adafactor", 0)],
                         ELEMENTS * 8 + 4 * ALL_BYTES);
        assert_int_equal(j.changed->device.base_live_bytes[0], RESIDENT - ALL_BYTES);
        assert_int_equal(
            strstr(fact(j.changed), made ? " 2457600 bytes of states" : " 0 bytes of") != NULL,
            true);
        assert_proved(j.changed);
        fini(&j);
    }
}

/* A plan's momentum is one state, read and written beside the copy; without it there is none. */
static void test_sgd(void **state)
{
    static const struct {
        const char *kernel;
        uint64_t states;
    } rows[] = {{"PointwiseOp<float>, std::multiplies<float>", 1}, {"PointwiseAdd<float>", 0}};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        ps_error err = {0};
        job j =
            load(record(&(scene){.range = "Optimizer.step#SGD.step", .kernel = rows[i].kernel}));
        assert_ok(&err, change(&j, true, false, &err));
        const uint32_t work = task_named(j.changed, "cpu_sgd", 0);
        assert_int_equal(j.changed->task.bytes[work],
                         ELEMENTS * 8 * (1 + rows[i].states) + 2 * ALL_BYTES);
        assert_int_equal(j.changed->device.base_live_bytes[0],
                         RESIDENT - (1 + rows[i].states) * ALL_BYTES);
        assert_proved(j.changed);
        fini(&j);
    }
}

/* ---- what is missing ---- */

static void test_missing_evidence(void **state)
{
    static const struct {
        scene of;
        const char *says;
    } rows[] = {
        {{.lacks_range = true}, "no optimizer step is recorded"},
        {{.range = "Optimizer.step#Shampoo.step"}, "the recorded optimizer is shampoo"},
        {{.range = "Optimizer.step#Adagrad.step", .makes_states = true}, "is not known"},
        {{.call = "cudaGraphLaunch"}, "captured graph"},
        {{.lacks_totals = true}, "does not say how much was live then"},
        {{.resident = 3 * ALL_BYTES - 1}, "which says that 3686399 were live then"},
        {{.lacks_gradients = true}, "before optimizer step 1 of the recording no gradients"},
        {{.closes_over = true}, "in the course of a recorded optimizer step"},
        {{.communicates = "all-gather"}, "has all-gathers: what ranks divide"},
        {{.communicates = "reduce-scatter-tensor"}, "has reduce-scatters: what ranks divide"},
        {{.range = "Optimizer.step#SGD.step", .makes_states = true}, "is not known"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        ps_error err = {0};
        job j = load(record(&rows[i].of));
        const ps_code code = change(&j, true, false, &err);
        if (code == PS_OK || strstr(err.message, rows[i].says) == NULL) {
            fail_msg("row %zu: not \"%s\" but \"%s\"", i, rows[i].says, err.message);
        }
        fini(&j);
    }
}

static void test_a_plan_alone_is_refused(void **state)
{
    ps_error err = {0};
    (void)state;
    job j = committed();
    const ps_offload offload = {.optimizer = true};
    const ps_whatif what = {.offload = &offload};
    assert_int_equal(ps_whatif_apply(j.changed, j.catalogue, &what, &err), PS_USAGE);
    assert_non_null(strstr(err.message, "needs the recording"));
    fini(&j);
}

static void test_memory_that_runs_out(void **state)
{
    (void)state;
    job j = load(record(&(scene){.communicates = "all-reduce"}));
    const ps_offload offload = {.optimizer = true,
                                .delayed = true,
                                .ranks = 2,
                                .network = &network,
                                .trace = j.trace,
                                .structure = &j.structure};
    assert_memory_may_run_out(j.trace, j.catalogue, &offload, 3);
    fini(&j);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_times_by_hand),
        cmocka_unit_test(test_delayed_updates_by_hand),
        cmocka_unit_test(test_delayed_updates_that_hide),
        cmocka_unit_test(test_bytes_of_delayed_updates),
        cmocka_unit_test(test_what_is_not_delayed),
        cmocka_unit_test(test_ranks_share_their_host),
        cmocka_unit_test(test_gradients_that_are_used_wait),
        cmocka_unit_test(test_bytes_by_hand),
        cmocka_unit_test(test_states_made_while_recording),
        cmocka_unit_test(test_states_that_are_told),
        cmocka_unit_test(test_types_of_states),
        cmocka_unit_test(test_other_optimizers),
        cmocka_unit_test(test_adafactor),
        cmocka_unit_test(test_sgd),
        cmocka_unit_test(test_missing_evidence),
        cmocka_unit_test(test_a_plan_alone_is_refused),
        cmocka_unit_test(test_memory_that_runs_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
