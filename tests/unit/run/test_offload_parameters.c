/* SPDX-License-Identifier: MIT
 *
 * Parameters of recorded jobs lie in the host: blocks and their parameters are
 * found, what was recorded stays as it was, the changed plan is proved, every
 * wait it adds is needed, and the step takes what copies or kernels take,
 * whichever are longer.
 *
 * The job of most tests is layer_job.h's. One byte takes 1 ns of the link.
 */
#include "host_network.h"
#include "layer_job.h"
#include "make_trace.h"

#include <string.h>

#include "base/memory.h"
#include "import/import.h"
#include "lower/lower.h"
#include "plan/hazards.h"
#include "policy/whatif.h"
#include "trace/file.h"

#define RATE_BYTES_PER_S ((uint64_t)1000000000)

#define MODELS PS_TEST_SOURCE_DIR "/traces/models/"

/* ---- a recording and what becomes of it ---- */

typedef struct job {
    ps_trace *trace;
    ps_plan *recorded, *changed;
    ps_structure structure;
    ps_catalogue *catalogue;
    uint64_t rate;
} job;

static job loaded(ps_trace *trace)
{
    ps_error err = {0};
    job self = {.trace = trace, .rate = RATE_BYTES_PER_S};
    assert_ok(&err, ps_trace_sort(trace, &err));
    assert_ok(&err, ps_lower_trace(self.trace, &self.recorded, &err));
    assert_ok(&err, ps_lower_trace(self.trace, &self.changed, &err));
    assert_ok(&err, ps_structure_recover(self.trace, self.recorded, NULL, &self.structure, &err));
    assert_ok(&err, ps_catalogue_create(&self.catalogue, &err));
    return self;
}

static job committed(const char *name)
{
    char path[1024];
    ps_error err = {0};
    ps_trace *trace;
    (void)snprintf(path, sizeof path, MODELS "%s.pstrace", name);
    assert_ok(&err, ps_trace_read(path, &trace, NULL, &err));
    return loaded(trace);
}

static ps_code change_as(job *self, ps_offload offload, ps_error *err)
{
    const ps_network network = host_network(&self->rate);
    const ps_whatif nothing = {0};
    offload.network = &network;
    offload.trace = self->trace;
    offload.structure = &self->structure;
    const ps_whatif what = {.offload = &offload};
    assert_ok(err, ps_whatif_apply(self->recorded, self->catalogue, &nothing, err));
    return ps_whatif_apply(self->changed, self->catalogue, &what, err);
}

static ps_code change(job *self, ps_error *err)
{
    return change_as(self, (ps_offload){.parameters = true, .prefetch = 1}, err);
}

static void fini(job *self)
{
    ps_catalogue_destroy(self->catalogue);
    ps_structure_fini(&self->structure);
    ps_plan_destroy(self->recorded);
    ps_plan_destroy(self->changed);
    ps_trace_destroy(self->trace);
}

/* Recorded work is measured, what was added is not. */
static bool is_new(const ps_plan *plan, uint32_t task)
{
    return plan->task.basis[task] != PS_BASIS_MEASURED;
}

static void assert_proved(const ps_plan *plan)
{
    ps_error err = {0};
    ps_hazards found;
    assert_ok(&err, ps_plan_check(plan, &err));
    assert_ok(&err, ps_plan_hazards(plan, &found, &err));
    for (int i = 0; i < PS_HAZARD_RULE_COUNT; i++) {
        char text[512];
        if (found.count[i] > 0) {
            ps_hazard_text(plan, &found.first[i], text, sizeof text);
            fail_msg("%s", text);
        }
    }
    assert_true(plan->access.head.count > 0);
}

/* [bytes] of the copies one way. */
static uint64_t copied_bytes(const ps_plan *plan, ps_copy_kind kind)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < plan->task.head.count; i++) {
        bytes += is_new(plan, i) && plan->task.copy_kind[i] == kind ? plan->task.bytes[i] : 0;
    }
    return bytes;
}

/* [ns] of copying a block's two parameters. */
static ps_ns block_ns(const job *self)
{
    ps_hardware_id gpu;
    ps_figure copy;
    ps_error err = {0};
    assert_ok(&err,
              ps_catalogue_find(self->catalogue, PS_HARDWARE_FAMILY, "family-gpu", &gpu, &err));
    assert_ok(&err, ps_catalogue_need(self->catalogue, gpu, PS_FIGURE_COPY_LATENCY, &copy, &err));
    return 2 * (ps_ns)copy.value + (ps_ns)LAYER_BYTES;
}

/* [ns] from the end of the embedding to the end of the last task of a name. */
static ps_ns ran_ns(ps_plan *plan, const char *name, unsigned nth)
{
    play of = {.plan = plan,
               .start = calloc(plan->task.head.count, sizeof *of.start),
               .end = calloc(plan->task.head.count, sizeof *of.end)};
    assert_true(of.start != NULL && of.end != NULL);
    play_again(&of);
    const ps_ns out =
        of.end[task_named(plan, name, nth)] - of.end[task_named(plan, "embedding", 0)];
    free(of.start);
    free(of.end);
    return out;
}

/* ---- what was recorded stays ---- */

static void assert_recorded_tasks(const ps_plan *a, const ps_plan *b)
{
    uint32_t *row = calloc(a->task.head.count, sizeof *row), count = 0;
    size_t dep = 0;
    assert_non_null(row);
    for (uint32_t i = 0; i < b->task.head.count; i++) {
        if (!is_new(b, i)) {
            assert_true(count < a->task.head.count);
            assert_int_equal(a->task.lane[count], b->task.lane[i]);
            assert_int_equal(a->task.dur_ns[count], b->task.dur_ns[i]);
            assert_int_equal(a->task.gap_ns[count], b->task.gap_ns[i]);
            assert_int_equal(a->task.bytes[count], b->task.bytes[i]);
            row[count++] = i;
        }
    }
    assert_int_equal(count, a->task.head.count);
    for (size_t i = 0; i < b->dep.head.count; i++) {
        if (!is_new(b, b->dep.task[i]) && !is_new(b, b->dep.before[i])) {
            assert_int_equal(row[a->dep.task[dep]], b->dep.task[i]);
            assert_int_equal(row[a->dep.before[dep]], b->dep.before[i]);
            assert_int_equal(a->dep.lag_ns[dep++], b->dep.lag_ns[i]);
        }
    }
    assert_int_equal(dep, a->dep.head.count);
    free(row);
}

/* Requests of what does not move, in their order and at their moments. */
static void assert_recorded_requests(const ps_plan *a, const ps_plan *b)
{
    size_t at = 0;
    for (size_t i = 0; i < b->memop.head.count; i++) {
        if (is_new(b, b->memop.task[i])) {
            continue;
        }
        while (at < a->memop.head.count &&
               (a->memop.op[at] == PS_MEMOP_PLACE || a->memop.op[at] == PS_MEMOP_PLACE_PAGES)) {
            at++; /* recorded addresses hold no longer */
        }
        assert_true(at < a->memop.head.count);
        assert_int_equal(a->memop.op[at], b->memop.op[i]);
        assert_int_equal(a->memop.buffer[at], b->memop.buffer[i]);
        assert_int_equal(a->memop.offset_ns[at], b->memop.offset_ns[i]);
        assert_int_equal(a->buffer.bytes[a->memop.buffer[at]], b->buffer.bytes[b->memop.buffer[i]]);
        at++;
    }
}

/* The first wait between lanes that can be dropped without harm, or NO_ROW. */
static size_t needless_wait(ps_plan *plan)
{
    for (size_t i = 0; i < plan->dep.head.count; i++) {
        const uint32_t task = plan->dep.task[i], before = plan->dep.before[i];
        ps_hazards found;
        ps_error err = {0};
        if (plan->dep.kind[i] != PS_DEP_START_AFTER_END || plan->dep.origin[i] != PS_DEP_RULE ||
            plan->task.lane[task] == plan->task.lane[before] ||
            (!is_new(plan, task) && !is_new(plan, before))) {
            continue;
        }
        plan->dep.kind[i] = PS_DEP_END_AFTER_START; /* which says nothing of data */
        assert_ok(&err, ps_plan_hazards(plan, &found, &err));
        plan->dep.kind[i] = PS_DEP_START_AFTER_END;
        if (found.total == 0) {
            print_message("task %u \"%s\" waits for task %u \"%s\" and need not\n", task,
                          ps_strings_text(plan->strings, plan->task.name[task]), before,
                          ps_strings_text(plan->strings, plan->task.name[before]));
            return i;
        }
    }
    return NO_ROW;
}

/* ---- closed forms ---- */

static void copies_take_longer_than_kernels(void **state)
{
    ps_error err = {0};
    (void)state;
    job j = loaded(layer_job_trace(&layer_job_forward));
    assert_ok(&err, change(&j, &err));
    assert_proved(j.changed);
    /* one upload behind the other; the last block's kernel shows */
    assert_int_equal(ran_ns(j.changed, "gemm", LAYERS - 1),
                     LAYERS * block_ns(&j) + layer_job_forward.kernel_ns);
    assert_int_equal(copied_bytes(j.changed, PS_COPY_HTOD), LAYERS * LAYER_BYTES);
    assert_int_equal(copied_bytes(j.changed, PS_COPY_DTOH), 0);
    fini(&j);
}

static void kernels_take_longer_than_copies(void **state)
{
    ps_error err = {0};
    layer_job of = layer_job_forward;
    (void)state;
    of.kernel_ns = 20000000;
    job j = loaded(layer_job_trace(&of));
    assert_ok(&err, change(&j, &err));
    /* of the uploads only the first one shows */
    assert_int_equal(ran_ns(j.changed, "gemm", LAYERS - 1),
                     block_ns(&j) + (ps_ns)LAYERS * of.kernel_ns);
    fini(&j);
}

static void nothing_ahead_is_nothing_hidden(void **state)
{
    ps_error err = {0};
    layer_job of = layer_job_forward;
    (void)state;
    of.kernel_ns = 20000000;
    job j = loaded(layer_job_trace(&of));
    assert_ok(&err, change_as(&j, (ps_offload){.parameters = true}, &err));
    assert_proved(j.changed);
    assert_int_equal(ran_ns(j.changed, "gemm", LAYERS - 1),
                     (ps_ns)LAYERS * (block_ns(&j) + of.kernel_ns));
    fini(&j);
}

/* F0 F1 F2 F3 B3 B2 B1 B0: the last block stays, others come twice; all go back when written. */
static void trained_parameters_go_back_when_the_optimizer_has_written_them(void **state)
{
    ps_error err = {0};
    layer_job of = layer_job_forward;
    (void)state;
    of.trains = true;
    of.steps = 2;
    job j = loaded(layer_job_trace(&of));
    assert_ok(&err, change(&j, &err));
    assert_proved(j.changed);
    const ps_ns backward_ns = (LAYERS - 1) * block_ns(&j) + of.kernel_ns;
    const ps_ns adam_ns = LAYERS * block_ns(&j) + of.kernel_ns + backward_ns + of.kernel_ns;
    assert_int_equal(ran_ns(j.changed, "adam", 0), adam_ns);
    assert_int_equal(ran_ns(j.changed, "last", 0), adam_ns + LAYERS * block_ns(&j) + 1000);
    assert_int_equal(copied_bytes(j.changed, PS_COPY_HTOD), 2 * (2 * LAYERS - 1) * LAYER_BYTES);
    assert_int_equal(copied_bytes(j.changed, PS_COPY_DTOH), 2 * LAYERS * LAYER_BYTES);
    fini(&j);
}

static void frozen_parameters_never_go_back(void **state)
{
    ps_error err = {0};
    layer_job of = layer_job_forward;
    (void)state;
    of.trains = of.has_adapters = true;
    of.steps = 2;
    job j = loaded(layer_job_trace(&of));
    assert_ok(&err, change(&j, &err));
    assert_proved(j.changed);
    /* adapters stay, as what is trained beside frozen weights does */
    assert_int_equal(copied_bytes(j.changed, PS_COPY_HTOD), 2 * (2 * LAYERS - 1) * LAYER_BYTES);
    assert_int_equal(copied_bytes(j.changed, PS_COPY_DTOH), 0);
    fini(&j);
}

/* Three sweeps that change all layers, and a forward pass between: 5 times all come, 3 times all go
 * back, one upload behind the other and the copies back beside them. */
static void what_changes_in_place_goes_back(void **state)
{
    ps_error err = {0};
    layer_job of = layer_job_forward;
    (void)state;
    of.perturbs = true;
    job j = loaded(layer_job_trace(&of));
    assert_ok(&err, change(&j, &err));
    assert_proved(j.changed);
    assert_int_equal(copied_bytes(j.changed, PS_COPY_HTOD), 5 * LAYERS * LAYER_BYTES);
    assert_int_equal(copied_bytes(j.changed, PS_COPY_DTOH), 3 * LAYERS * LAYER_BYTES);
    assert_int_equal(ran_ns(j.changed, "add", 3 * LAYERS - 1),
                     5 * LAYERS * block_ns(&j) + of.kernel_ns);
    assert_int_equal(needless_wait(j.changed), NO_ROW);
    assert_recorded_tasks(j.recorded, j.changed);
    fini(&j);
    of.steps = 3;
    job k = loaded(layer_job_trace(&of));
    assert_ok(&err, change(&k, &err));
    assert_proved(k.changed);
    assert_int_equal(needless_wait(k.changed), NO_ROW);
    assert_int_equal(copied_bytes(k.changed, PS_COPY_HTOD), 3 * 5 * LAYERS * LAYER_BYTES);
    fini(&k);
}

/* ---- memory ---- */

static uint64_t peak_live_bytes(const ps_plan *plan, uint64_t *host)
{
    ps_result result = run_plan(plan);
    const uint64_t out = result.device[0].peak_live_bytes;
    *host = result.device[0].host.peak_pinned_bytes;
    ps_result_fini(&result);
    return out;
}

static void two_blocks_are_on_the_device(void **state)
{
    ps_error err = {0};
    uint64_t host, none;
    (void)state;
    job j = loaded(layer_job_trace(&layer_job_forward));
    assert_ok(&err, change(&j, &err));
    const uint64_t before = peak_live_bytes(j.recorded, &none);
    assert_int_equal(none, 0);
    assert_int_equal(peak_live_bytes(j.changed, &host),
                     before - LAYERS * LAYER_BYTES + 2 * LAYER_BYTES);
    assert_int_equal(host, LAYERS * ((uint64_t)4194304 + 4096)); /* powers of two */
    fini(&j);
}

static void blocks_that_are_kept_stay(void **state)
{
    ps_error err = {0};
    uint64_t host;
    (void)state;
    job j = loaded(layer_job_trace(&layer_job_forward));
    assert_ok(&err, change_as(&j, (ps_offload){.parameters = true, .keep_first = 1, .keep_last = 2},
                              &err));
    assert_int_equal(copied_bytes(j.changed, PS_COPY_HTOD), LAYER_BYTES);
    const uint64_t before = peak_live_bytes(j.recorded, &host);
    assert_int_equal(peak_live_bytes(j.changed, &host), before - LAYER_BYTES + LAYER_BYTES);
    fini(&j);
}

/* ---- recordings ---- */

static void recordings_of_models(void **state)
{
    static const char *const names[] = {
        "bert-fp32-sdpa-adamw",    "gemma2-bf16-sdpa-adamw",          "gpt2-amp-sdpa-adamw",
        "gpt2-fp32-sdpa-adamw",    "gpt2-fp32-sdpa-adamw-long",       "gpt_neo-fp32-eager-adamw",
        "opt-fp32-sdpa-adamw",     "gpt_neox-fp32-sdpa-adamw",        "llama-bf16-sdpa-adamw",
        "mixtral-bf16-sdpa-adamw", "llama-bf16-sdpa-adamw-lora",      "qwen3-bf16-sdpa-adamw",
        "llama-fp32-eager-sgd",    "llama-fp32-sdpa-adamw-checkpoint"};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        ps_error err = {0};
        uint64_t host, none;
        job j = committed(names[i]);
        assert_ok(&err, change(&j, &err));
        assert_proved(j.changed);
        assert_recorded_tasks(j.recorded, j.changed);
        assert_recorded_requests(j.recorded, j.changed);
        assert_int_equal(needless_wait(j.changed), NO_ROW);
        assert_true(peak_live_bytes(j.changed, &host) <= peak_live_bytes(j.recorded, &none));
        assert_true(host > 0);
        fini(&j);
    }
}

/* Sizes of the model itself: two layers of 240 wide, 632 inside, 6 heads and 2 of keys. */
static void parameters_of_a_recording_are_those_of_its_model(void **state)
{
    ps_error err = {0};
    const uint64_t layer = 2 * (2 * 240 * 240 + 2 * 240 * 80 + 3 * 240 * 632 + 2 * 240);
    (void)state;
    job full = committed("llama-bf16-sdpa-adamw"), lora = committed("llama-bf16-sdpa-adamw-lora");
    assert_ok(&err, change(&full, &err));
    assert_ok(&err, change(&lora, &err));
    assert_int_equal(copied_bytes(full.changed, PS_COPY_HTOD), 2 * 3 * layer);
    assert_int_equal(copied_bytes(full.changed, PS_COPY_DTOH), 2 * 2 * layer);
    assert_int_equal(copied_bytes(lora.changed, PS_COPY_HTOD), 2 * 3 * layer);
    assert_int_equal(copied_bytes(lora.changed, PS_COPY_DTOH), 0);
    fini(&full);
    fini(&lora);
}

static void made_jobs_keep_what_was_recorded(void **state)
{
    ps_error err = {0};
    layer_job of = layer_job_forward;
    (void)state;
    of.trains = true;
    of.steps = 2;
    job j = loaded(layer_job_trace(&of));
    assert_ok(&err, change(&j, &err));
    assert_recorded_tasks(j.recorded, j.changed);
    assert_recorded_requests(j.recorded, j.changed);
    assert_int_equal(needless_wait(j.changed), NO_ROW);
    fini(&j);
}

static void both_kinds_go_together(void **state)
{
    ps_error err = {0};
    uint64_t host, alone;
    (void)state;
    job j = committed("gpt2-fp32-sdpa-adamw-long"), k = committed("gpt2-fp32-sdpa-adamw-long");
    assert_ok(&err, change(&j, &err));
    assert_ok(
        &err,
        change_as(&k, (ps_offload){.parameters = true, .activations = true, .prefetch = 1}, &err));
    assert_proved(k.changed);
    assert_recorded_tasks(k.recorded, k.changed);
    assert_true(peak_live_bytes(k.changed, &host) < peak_live_bytes(j.changed, &alone));
    assert_true(host > alone);
    fini(&j);
    fini(&k);
}

/* The host's optimizer writes what lies in the host: nothing goes back to the device behind it but
 * with its block, and of the device only gradients leave. */
static void with_the_optimizer_on_the_host(void **state)
{
    ps_error err = {0};
    uint64_t host, none;
    layer_job of = layer_job_forward;
    const ps_offload what = {.parameters = true, .optimizer = true, .prefetch = 1};
    (void)state;
    of.trains = true;
    of.steps = 3;
    job j = loaded(layer_job_trace(&of));
    assert_ok(&err, change_as(&j, what, &err));
    assert_proved(j.changed);
    assert_int_equal(copied_bytes(j.changed, PS_COPY_HTOD),
                     of.steps * (2 * LAYERS - 1) * LAYER_BYTES);
    assert_int_equal(copied_bytes(j.changed, PS_COPY_DTOH), of.steps * LAYERS * LAYER_BYTES);
    /* gone are parameters and two states; gradients are from before, too, and stay */
    assert_int_equal(peak_live_bytes(j.changed, &host), peak_live_bytes(j.recorded, &none) -
                                                            3 * LAYERS * LAYER_BYTES +
                                                            2 * LAYER_BYTES);
    fini(&j);
    job k = committed("gpt2-fp32-sdpa-adamw-long");
    assert_ok(&err, change_as(&k, what, &err));
    assert_proved(k.changed);
    assert_true(peak_live_bytes(k.changed, &host) < peak_live_bytes(k.recorded, &none));
    fini(&k);
}

/* ---- refusals ---- */

static void assert_refused(job *self, const char *why)
{
    ps_error err = {0};
    assert_int_equal(change(self, &err), PS_USAGE);
    if (strstr(err.message, why) == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", err.message, why);
    }
    fini(self);
}

static void what_is_missing_is_named(void **state)
{
    layer_job of = layer_job_forward;
    (void)state;
    of.shapes = NULL;
    job no_shapes = loaded(layer_job_trace(&of));
    assert_refused(&no_shapes, "nothing says how large the parameters of blocks are");

    of = layer_job_forward;
    of.has_modules = false;
    job no_blocks = loaded(layer_job_trace(&of));
    assert_refused(&no_blocks, "no unit of the recording repeats");

    of = layer_job_forward;
    of.resident_bytes = MIB;
    job no_room = loaded(layer_job_trace(&of));
    assert_refused(&no_room, "resident before the recording");

    of = layer_job_forward;
    of.perturbs = of.changes_more = true;
    job no_sweep = loaded(layer_job_trace(&of));
    assert_refused(&no_sweep, "a sweep over them is not complete");

    of.changes_more = false;
    of.trains = true; /* backward and an optimizer of its own: changes beside it are of gradients */
    ps_error err = {0};
    job both = loaded(layer_job_trace(&of));
    assert_ok(&err, change(&both, &err));
    assert_int_equal(copied_bytes(both.changed, PS_COPY_DTOH), LAYERS * LAYER_BYTES);
    fini(&both);

    job plan_alone = loaded(layer_job_trace(&layer_job_forward));
    ps_trace_destroy(plan_alone.trace);
    plan_alone.trace = NULL;
    assert_refused(&plan_alone, "needs the recording");

    job all_kept = loaded(layer_job_trace(&layer_job_forward));
    assert_int_equal(
        change_as(&all_kept, (ps_offload){.parameters = true, .keep_first = LAYERS}, &err),
        PS_USAGE);
    assert_non_null(strstr(err.message, "kept on the device"));
    fini(&all_kept);
}

/* Each range in turn is of something else, or carries another sequence number: what is left is
 * refused, or gives a plan that is proved. */
static void spoilt_recordings(void **state)
{
    layer_job of = layer_job_forward;
    size_t refused = 0, rows = 1;
    (void)state;
    of.trains = true;
    of.steps = 2;
    for (size_t i = 0; i < 2 * rows; i++) {
        ps_error err = {0};
        ps_trace *trace = layer_job_trace(&of);
        rows = trace->range.head.count;
        if (i < rows) {
            assert_ok(&err,
                      ps_strings_put_z(trace->strings, "aten::relu", &trace->range.name[i], &err));
        } else {
            trace->range.sequence[i - rows] = (int64_t)(i % 9);
        }
        job j = loaded(trace);
        const ps_code code = change(&j, &err);
        if (code == PS_OK) {
            assert_proved(j.changed);
            assert_recorded_tasks(j.recorded, j.changed);
        } else {
            assert_true(code == PS_USAGE || code == PS_BAD_INPUT);
            assert_true(err.message[0] != '\0');
            refused++;
        }
        fini(&j);
    }
    assert_true(refused > 0 && refused < 2 * rows);
}

static void test_memory_that_runs_out(void **state)
{
    ps_code code = PS_NOMEM;
    layer_job of = layer_job_forward;
    (void)state;
    of.trains = true;
    job j = loaded(layer_job_trace(&of));
    for (unsigned long n = 1; code == PS_NOMEM; n += 7) {
        ps_error err = {0};
        ps_plan *plan;
        const ps_network network = host_network(&j.rate);
        const ps_offload offload = {.parameters = true,
                                    .prefetch = 1,
                                    .network = &network,
                                    .trace = j.trace,
                                    .structure = &j.structure};
        const ps_whatif what = {.offload = &offload};
        assert_ok(&err, ps_lower_trace(j.trace, &plan, &err));
        ps_memory_fail_nth(n);
        code = ps_whatif_apply(plan, j.catalogue, &what, &err);
        ps_memory_fail_nth(0);
        assert_true(code == PS_OK || code == PS_NOMEM);
        ps_plan_destroy(plan);
    }
    fini(&j);
}

/* ---- real recordings ---- */

static bool import(const char *name, job *out)
{
    ps_error err = {0};
    char path[1024];
    ps_trace_builder *builder;
    ps_trace *trace;
    const char *shared = ps_test_shared();
    (void)snprintf(path, sizeof path, "%.512s/traces/real/%s", shared == NULL ? "" : shared, name);
    FILE *there = shared == NULL ? NULL : fopen(path, "r");
    if (there == NULL) {
        return false;
    }
    (void)fclose(there);
    assert_ok(&err, ps_trace_builder_open_memory(&builder, &err));
    assert_ok(&err, ps_import_file(path, NULL, builder, NULL, &err));
    assert_ok(&err, ps_trace_builder_take(builder, &trace, &err));
    *out = loaded(trace);
    return true;
}

/* Recordings of others that have shapes, blocks and memory: bytes of their blocks' parameters, as
 * the published models have them where they are published ones. */
static void real_recordings(void **state)
{
#define TRACELENS "AMD-AGI+TraceLens/tests/traces/"
    static const struct {
        const char *name;
        uint64_t bytes, up, down;
    } rows[] = {
        {TRACELENS "h100/Qwen_Qwen1.5-0.5B-Chat__1016005.json.gz", 616710144, 616710144, 0},
        {TRACELENS "mi300/Qwen_Qwen1.5-0.5B-Chat__1016005.json.gz", 616710144, 616710144, 0},
        {TRACELENS "h100/gaunernst_bert-small-uncased__1016001.json.gz", 25219072, 25219072, 0},
        {TRACELENS "mi300/gaunernst_bert-small-uncased__1016001.json.gz", 25219072, 25219072, 0},
        {TRACELENS "h100/Falconsai_nsfw_image_detection__1016002.json.gz", 170108928, 170108928, 0},
        {TRACELENS "mi300/Falconsai_nsfw_image_detection__1016002.json.gz", 170108928, 170108928,
         0},
        {"sarchlab+triosim/tracer/data/profiler/profiler_vgg13-iter41.json", 532191392, 569811360,
         532191392},
    };
    bool any = false;
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        ps_error err = {0};
        job j;
        uint64_t host, none;
        if (!import(rows[i].name, &j)) {
            continue;
        }
        any = true;
        j.rate = 25000000000;
        assert_ok(&err, change(&j, &err));
        assert_proved(j.changed);
        assert_recorded_tasks(j.recorded, j.changed);
        assert_recorded_requests(j.recorded, j.changed);
        assert_int_equal(copied_bytes(j.changed, PS_COPY_HTOD), rows[i].up);
        assert_int_equal(copied_bytes(j.changed, PS_COPY_DTOH), rows[i].down);
        assert_true(peak_live_bytes(j.changed, &host) <= peak_live_bytes(j.recorded, &none));
        assert_true(host >= rows[i].bytes);
        fini(&j);
    }
    if (!any) {
        skip();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(copies_take_longer_than_kernels),
        cmocka_unit_test(kernels_take_longer_than_copies),
        cmocka_unit_test(nothing_ahead_is_nothing_hidden),
        cmocka_unit_test(trained_parameters_go_back_when_the_optimizer_has_written_them),
        cmocka_unit_test(frozen_parameters_never_go_back),
        cmocka_unit_test(what_changes_in_place_goes_back),
        cmocka_unit_test(two_blocks_are_on_the_device),
        cmocka_unit_test(blocks_that_are_kept_stay),
        cmocka_unit_test(recordings_of_models),
        cmocka_unit_test(parameters_of_a_recording_are_those_of_its_model),
        cmocka_unit_test(made_jobs_keep_what_was_recorded),
        cmocka_unit_test(both_kinds_go_together),
        cmocka_unit_test(with_the_optimizer_on_the_host),
        cmocka_unit_test(what_is_missing_is_named),
        cmocka_unit_test(spoilt_recordings),
        cmocka_unit_test(test_memory_that_runs_out),
        cmocka_unit_test(real_recordings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
