/* SPDX-License-Identifier: MIT
 *
 * Activations of recorded jobs wait in the host: what was recorded stays as it
 * was, the changed plan is proved, memory goes by what moves, and the step
 * takes longer by what the link takes.
 */
#include "host_network.h"
#include "make_trace.h"
#include "recorded_plans.h"

#include <string.h>

#include "base/memory.h"
#include "import/import.h"
#include "lower/lower.h"
#include "plan/hazards.h"
#include "policy/whatif.h"
#include "trace/file.h"

#define COMMITTED PS_TEST_SOURCE_DIR "/traces/models/gpt2-fp32-sdpa-adamw-long.pstrace"
#define REAL                                                                                       \
    "pytorch+kineto/tb_plugin/samples/resnet50_num_workers_0/worker0.1623143566756.pt.trace.json." \
    "gz"

/* ---- a recording and what becomes of it ---- */

typedef struct job {
    ps_trace *trace;
    ps_plan *recorded, *changed;
    ps_structure structure;
    ps_catalogue *catalogue;
} job;

static void load(job *self)
{
    ps_error err = {0};
    assert_ok(&err, ps_lower_trace(self->trace, &self->recorded, &err));
    assert_ok(&err, ps_lower_trace(self->trace, &self->changed, &err));
    assert_ok(&err,
              ps_structure_recover(self->trace, self->recorded, NULL, &self->structure, &err));
    assert_ok(&err, ps_catalogue_create(&self->catalogue, &err));
}

static job committed(void)
{
    ps_error err = {0};
    job self = {0};
    assert_ok(&err, ps_trace_read(COMMITTED, &self.trace, NULL, &err));
    load(&self);
    return self;
}

static ps_code change(job *self, uint64_t rate, bool activations, ps_error *err)
{
    const ps_network network = host_network(&rate);
    const ps_offload offload = {.activations = activations,
                                .network = &network,
                                .trace = self->trace,
                                .structure = &self->structure};
    const ps_whatif what = {.offload = &offload};
    const ps_whatif nothing = {0};
    assert_ok(err, ps_whatif_apply(self->recorded, self->catalogue, &nothing, err));
    return ps_whatif_apply(self->changed, self->catalogue, &what, err);
}

static void fini(job *self)
{
    ps_catalogue_destroy(self->catalogue);
    ps_structure_fini(&self->structure);
    ps_plan_destroy(self->recorded);
    ps_plan_destroy(self->changed);
    ps_trace_destroy(self->trace);
}

static bool is_moved(const ps_plan *plan, uint32_t buffer)
{
    return plan->buffer.memory[buffer] == PS_MEMORY_PINNED;
}

/* [bytes] that went to the host. */
static uint64_t moved_bytes(const ps_plan *plan)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < plan->buffer.head.count; i++) {
        bytes += is_moved(plan, i) ? plan->buffer.bytes[i] : 0;
    }
    return bytes;
}

/* ---- tests ---- */

static void assert_same_rows(const ps_plan *a, const ps_plan *b, ps_plan_table_id id)
{
    const ps_table_spec *spec = &ps_plan_specs()[id];
    const ps_table_head *x = ps_plan_table_const(a, id), *y = ps_plan_table_const(b, id);
    assert_int_equal(x->count, y->count);
    for (size_t c = 0; c < spec->column_count; c++) {
        for (size_t i = 0; i < x->count; i++) {
            assert_int_equal(ps_table_get(&spec->columns[c], x, i),
                             ps_table_get(&spec->columns[c], y, i));
        }
    }
}

static void test_nothing_asked_changes_nothing(void **state)
{
    ps_error err = {0};
    (void)state;
    job j = committed();
    assert_ok(&err, change(&j, 1000000000, false, &err));
    for (int id = 0; id < PS_PLAN_TABLE_COUNT; id++) {
        assert_same_rows(j.recorded, j.changed, (ps_plan_table_id)id);
    }
    fini(&j);
}

/* Every recorded task, in its place and as it was, and what it waited for. */
static void test_what_was_recorded_stays(void **state)
{
    ps_error err = {0};
    (void)state;
    job j = committed();
    assert_ok(&err, change(&j, 10000000000, true, &err));
    assert_recorded_tasks(j.recorded, j.changed);
    fini(&j);
}

static void test_the_plan_is_proved(void **state)
{
    ps_error err = {0};
    (void)state;
    job j = committed();
    assert_ok(&err, change(&j, 10000000000, true, &err));
    assert_proved(j.changed);
    fini(&j);
}

/* [bytes] live in a memory behind each request that was recorded. */
static uint64_t *live_bytes(const ps_plan *plan, bool of_host, size_t *count)
{
    uint64_t *out = calloc(plan->memop.head.count + 1, sizeof *out), live = 0;
    assert_non_null(out);
    *count = 0;
    for (size_t i = 0; i < plan->memop.head.count; i++) {
        const uint8_t op = plan->memop.op[i];
        const uint32_t buffer = plan->memop.buffer[i];
        if (op != PS_MEMOP_ALLOC && op != PS_MEMOP_FREE) {
            continue; /* recorded addresses hold no longer */
        }
        const bool counts = is_moved(plan, buffer) == of_host;
        const uint64_t bytes = counts ? plan->buffer.bytes[buffer] : 0;
        live = op == PS_MEMOP_ALLOC ? live + bytes : live - bytes;
        if (!is_new(plan, plan->memop.task[i]) && !is_moved(plan, buffer)) {
            out[(*count)++] = live;
        }
    }
    return out;
}

/* A tensor lies on the device, in the host, or for a while in both. */
static void test_memory_goes_and_comes_back(void **state)
{
    ps_error err = {0};
    size_t before, after, in_host;
    uint64_t least = 0;
    (void)state;
    job j = committed();
    assert_ok(&err, change(&j, 10000000000, true, &err));
    uint64_t *recorded = live_bytes(j.recorded, false, &before);
    uint64_t *device = live_bytes(j.changed, false, &after);
    uint64_t *host = live_bytes(j.changed, true, &in_host);
    assert_int_equal(before, after);
    for (size_t i = 0; i < before; i++) {
        assert_true(device[i] <= recorded[i]);
        assert_true(device[i] + host[i] >= recorded[i]);
        least = recorded[i] - device[i] > least ? recorded[i] - device[i] : least;
    }
    assert_int_equal(device[after - 1], recorded[before - 1]);
    assert_int_equal(host[in_host - 1], 0);
    assert_int_equal(least, moved_bytes(j.changed) / 2); /* two steps */
    free(recorded);
    free(device);
    free(host);
    fini(&j);
}

static ps_ns makespan(const ps_plan *plan)
{
    ps_result result = run_plan(plan);
    const ps_ns out = result.makespan_ns;
    ps_result_fini(&result);
    return out;
}

/* Nothing overlaps where one block is left: out, then in. */
static void test_a_slow_link_is_paid_for(void **state)
{
    const uint64_t rates[] = {10000000, 1000000000000};
    ps_error err = {0};
    ps_ns longer[2];
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        job j = committed();
        assert_ok(&err, change(&j, rates[i], true, &err));
        longer[i] = makespan(j.changed) - makespan(j.recorded);
        const ps_ns moving_ns =
            (ps_ns)ps_mul_div_u64(2 * moved_bytes(j.changed), 1000000000, rates[i]);
        ps_ns calls_ns = 0;
        for (uint32_t t = 0; t < j.changed->task.head.count; t++) {
            calls_ns += is_new(j.changed, t) ? j.changed->task.dur_ns[t] : 0;
        }
        assert_true(longer[i] <= moving_ns + calls_ns + 1000);
        assert_true(i == 1 || longer[i] >= moving_ns * 9 / 10); /* the head's work hides some */
        fini(&j);
    }
    assert_true(longer[1] >= 0 && longer[1] < longer[0] / 1000);
}

static void test_a_plan_alone_is_refused(void **state)
{
    ps_error err = {0};
    (void)state;
    job j = committed();
    const ps_offload offload = {.activations = true};
    const ps_whatif what = {.offload = &offload};
    assert_int_equal(ps_whatif_apply(j.changed, j.catalogue, &what, &err), PS_USAGE);
    assert_non_null(strstr(err.message, "needs the recording"));
    fini(&j);
}

static void test_memory_that_runs_out(void **state)
{
    uint64_t rate = 1000000000;
    const ps_network network = host_network(&rate);
    (void)state;
    job j = committed();
    const ps_offload offload = {
        .activations = true, .network = &network, .trace = j.trace, .structure = &j.structure};
    assert_memory_may_run_out(j.trace, j.catalogue, &offload, 37);
    fini(&j);
}

static void test_a_real_recording(void **state)
{
    ps_error err = {0};
    char path[1024];
    ps_trace_builder *builder;
    job j = {0};
    (void)state;
    const char *shared = ps_test_shared();
    (void)snprintf(path, sizeof path, "%.512s/traces/real/" REAL, shared == NULL ? "" : shared);
    FILE *there = shared == NULL ? NULL : fopen(path, "r");
    if (there == NULL) {
        skip();
        return;
    }
    (void)fclose(there);
    assert_ok(&err, ps_trace_builder_open_memory(&builder, &err));
    assert_ok(&err, ps_import_file(path, NULL, builder, NULL, &err));
    assert_ok(&err, ps_trace_builder_take(builder, &j.trace, &err));
    load(&j);
    assert_ok(&err, change(&j, 12000000000, true, &err));
    assert_proved(j.changed);
    assert_true(moved_bytes(j.changed) > 100000000);
    assert_true(makespan(j.changed) >= makespan(j.recorded));
    fini(&j);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_asked_changes_nothing),
        cmocka_unit_test(test_what_was_recorded_stays),
        cmocka_unit_test(test_the_plan_is_proved),
        cmocka_unit_test(test_memory_goes_and_comes_back),
        cmocka_unit_test(test_a_slow_link_is_paid_for),
        cmocka_unit_test(test_a_plan_alone_is_refused),
        cmocka_unit_test(test_memory_that_runs_out),
        cmocka_unit_test(test_a_real_recording),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
