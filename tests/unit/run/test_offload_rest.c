/* SPDX-License-Identifier: MIT
 *
 * The optimizer of recorded jobs on the host: what was recorded beside it as
 * it was, plans that are proved, and real recordings.
 */
#include "optimizer_scene.h"

#include <stdlib.h>
#include <string.h>

#include "lower/lower.h"

/* ---- what was recorded ---- */

static bool is_same_task(const ps_plan *a, uint32_t i, const ps_plan *b, uint32_t k)
{
    const ps_table_spec *spec = &ps_plan_specs()[PS_PLAN_TASK];
    for (size_t c = 0; c < spec->column_count; c++) {
        const bool is_gap = strcmp(spec->columns[c].name, "gap_ns") == 0;
        const bool is_name = strcmp(spec->columns[c].name, "name") == 0;
        if (!is_gap && !is_name &&
            ps_table_get(&spec->columns[c], &a->task.head, i) !=
                ps_table_get(&spec->columns[c], &b->task.head, k)) {
            return false;
        }
    }
    return strcmp(ps_strings_text(a->strings, a->task.name[i]),
                  ps_strings_text(b->strings, b->task.name[k])) == 0;
}

static size_t in_steps(const job *j, const play *p, uint32_t task, ps_ns origin)
{
    return ps_structure_phase_at(&j->structure, origin + p->start[task]) == PS_PHASE_OPTIMIZER;
}

/* Per recorded task: its row in the changed plan, or UINT32_MAX; gone are only those that the
 * optimizer's thread began in its phase, and what they launched. Gaps shorten behind those. */
static uint32_t *match_tasks(const job *j, size_t *gone)
{
    const ps_plan *a = j->recorded, *b = j->changed;
    uint32_t *row = calloc(a->task.head.count, sizeof *row), next = 0;
    play p = play_plan(j->recorded);
    const ps_ns origin = strtoll(ps_plan_meta(a, PS_PLAN_META_ORIGIN), NULL, 10);
    assert_non_null(row);
    *gone = 0;
    for (uint32_t i = 0; i < a->task.head.count; i++) {
        while (next < b->task.head.count && is_new(b, next)) {
            next++;
        }
        const bool stays = next < b->task.head.count && is_same_task(a, i, b, next) &&
                           !(a->lane.kind[a->task.lane[i]] == PS_LANE_HOST &&
                             in_steps(j, &p, i, origin) && a->task.lane[i] == 0);
        row[i] = stays ? next++ : UINT32_MAX;
        *gone += !stays;
        if (stays && i > 0 && row[i - 1] != UINT32_MAX) {
            assert_int_equal(a->task.gap_ns[i], b->task.gap_ns[row[i]]);
        } else if (stays) {
            assert_true(b->task.gap_ns[row[i]] <= a->task.gap_ns[i]);
        }
    }
    while (next < b->task.head.count && is_new(b, next)) {
        next++;
    }
    assert_int_equal(next, b->task.head.count); /* nothing else is there */
    play_over(&p);
    return row;
}

/* Of every dependency between tasks that stay, none is lost. */
static void assert_same_deps(const ps_plan *a, const ps_plan *b, const uint32_t *row)
{
    size_t at = 0;
    for (size_t i = 0; i < a->dep.head.count; i++) {
        const uint32_t task = row[a->dep.task[i]], before = row[a->dep.before[i]];
        if (task == UINT32_MAX || before == UINT32_MAX) {
            continue;
        }
        while (at < b->dep.head.count &&
               !(b->dep.task[at] == task && b->dep.before[at] == before &&
                 b->dep.kind[at] == a->dep.kind[i] && b->dep.lag_ns[at] == a->dep.lag_ns[i])) {
            at++;
        }
        assert_true(at < b->dep.head.count);
    }
}

/* Requests that stay, in their order: bytes, what is asked, and the task in whose course. */
static void assert_same_requests(const job *j, const uint32_t *row)
{
    const ps_plan *a = j->recorded, *b = j->changed;
    size_t at = 0, same = 0;
    for (size_t i = 0; i < a->memop.head.count; i++) {
        const ps_role role = j->structure.buffer[a->memop.buffer[i]].role;
        const uint32_t task = row[a->memop.task[i]];
        const bool has_buffer = a->memop.op[i] <= PS_MEMOP_FREE_COMPLETE; /* not a place */
        if (!has_buffer || task == UINT32_MAX || role == PS_ROLE_GRADIENT ||
            role == PS_ROLE_OPTIMIZER_STATE ||
            (role == PS_ROLE_TEMPORARY &&
             j->structure.buffer[a->memop.buffer[i]].birth == PS_PHASE_OPTIMIZER)) {
            continue;
        }
        while (at < b->memop.head.count &&
               !(b->memop.op[at] == a->memop.op[i] && b->memop.task[at] == task &&
                 b->buffer.bytes[b->memop.buffer[at]] == a->buffer.bytes[a->memop.buffer[i]])) {
            at++;
        }
        assert_true(at < b->memop.head.count);
        at++;
        same++;
    }
    assert_true(same > 0 || a->memop.head.count < 40);
}

static void assert_rest_stays(job *j, size_t least_gone)
{
    ps_error err = {0};
    size_t gone;
    assert_ok(&err, change(j, true, false, &err));
    uint32_t *row = match_tasks(j, &gone);
    assert_true(gone >= least_gone);
    assert_same_deps(j->recorded, j->changed, row);
    assert_same_requests(j, row);
    assert_proved(j->changed);
    free(row);
}

static void test_the_rest_stays(void **state)
{
    size_t gone;
    (void)state;
    job made = load(record(&(scene){0}));
    assert_rest_stays(&made, 4 * STEPS);
    free(match_tasks(&made, &gone));
    assert_int_equal(gone, 4 * STEPS);
    fini(&made);
    job rank = imported(FIXTURE_OF_RANKS);
    rank.ranks = 2;
    assert_rest_stays(&rank, 6 * 3);
    fini(&rank);
    for (int delayed = 0; delayed < 2; delayed++) {
        job file = imported(FIXTURE);
        file.delayed = delayed == 1;
        assert_rest_stays(&file, 6 * 3);
        fini(&file);
        job traced = committed();
        traced.delayed = delayed == 1;
        assert_rest_stays(&traced, 144); /* 72 kernels and their launches */
        fini(&traced);
    }
}

static void test_nothing_asked_changes_nothing(void **state)
{
    ps_error err = {0};
    (void)state;
    job j = committed();
    assert_ok(&err, change(&j, false, false, &err));
    for (int id = 0; id < PS_PLAN_TABLE_COUNT; id++) {
        const ps_table_spec *spec = &ps_plan_specs()[id];
        const ps_table_head *x = ps_plan_table_const(j.recorded, (ps_plan_table_id)id);
        const ps_table_head *y = ps_plan_table_const(j.changed, (ps_plan_table_id)id);
        assert_int_equal(x->count, y->count);
        for (size_t c = 0; c < spec->column_count; c++) {
            for (size_t i = 0; i < x->count; i++) {
                assert_int_equal(ps_table_get(&spec->columns[c], x, i),
                                 ps_table_get(&spec->columns[c], y, i));
            }
        }
    }
    fini(&j);
}

static void test_with_activations(void **state)
{
    ps_error err = {0};
    (void)state;
    job one = committed(), both = committed();
    assert_ok(&err, change(&one, true, false, &err));
    assert_ok(&err, change(&both, true, true, &err));
    assert_proved(both.changed);
    ps_result a = run_plan(one.changed), b = run_plan(both.changed);
    assert_true(b.device[0].peak_allocated_bytes < a.device[0].peak_allocated_bytes);
    assert_true(b.device[0].host.peak_bytes > a.device[0].host.peak_bytes);
    ps_result_fini(&a);
    ps_result_fini(&b);
    fini(&one);
    fini(&both);
}

/* ---- recordings with faults ---- */

#define FAULTY 600

/* Some times move, some links between calls and kernels are lost. */
static void spoil(ps_trace *trace, uint64_t *rng)
{
    const size_t ranges = trace->range.head.count, kernels = trace->kernel.head.count;
    for (uint64_t i = 1 + next_random(rng) % 3; i > 0; i--) {
        const ps_ns by = (ps_ns)(next_random(rng) % 4000000) - 2000000;
        const size_t row = (size_t)(next_random(rng) % ranges);
        switch (next_random(rng) % 4) {
        case 0:
            trace->range.dur_ns[row] += by + trace->range.dur_ns[row] < 0 ? 0 : by;
            break;
        case 1:
            trace->range.start_ns[row] += by < 0 ? -by : by;
            break;
        case 2:
            trace->kernel.correlation[next_random(rng) % kernels] = next_random(rng) % 8;
            break;
        default:
            trace->memory.time_ns[next_random(rng) % trace->memory.head.count] += by < 0 ? -by : by;
            break;
        }
    }
}

/* Either the reason why not is said, or the plan is valid, proved, and runs to its end. */
static void test_faults_are_refused_or_survived(void **state)
{
    size_t moved = 0;
    (void)state;
    for (uint64_t seed = 1; seed <= FAULTY; seed++) {
        uint64_t rng = seed;
        ps_error err = {0};
        ps_trace *trace = record(&(scene){.clips = seed % 5 == 0,
                                          .makes_states = seed % 3 == 0,
                                          .communicates = seed % 4 == 0 ? "all-reduce" : NULL});
        spoil(trace, &rng);
        job j = load(trace);
        j.delayed = seed % 2 == 0;
        j.ranks = seed % 4 == 0 ? 2 : 1;
        const ps_code code = change(&j, true, seed % 7 == 0, &err);
        if (code == PS_OK) {
            assert_proved(j.changed);
            ps_result result = run_plan(j.changed);
            ps_result_fini(&result);
            moved++;
        } else {
            assert_true(err.message[0] != '\0');
            assert_true(code == PS_USAGE || code == PS_BAD_INPUT);
        }
        fini(&j);
    }
    assert_true(moved > FAULTY / 8 && moved < FAULTY);
}

/* ---- real recordings ---- */

#define LAB "incredere+gpu-profiling-pytorch-lab/Level2_mixed_precision_profiling/"
#define KINETO "pytorch+kineto/tb_plugin/samples/"

/* Every real recording with memory and steps of an optimizer: what is found, or what is missing. */
static const struct {
    const char *file, *says;
    bool moves;
} real[] = {
    {LAB "fp32.pt.trace.json", "6 tensors of 3716106 parameters", true},
    {LAB "amp.pt.trace.json", "kernels before a step may use them", true},
    {"sarchlab+triosim/tracer/data/profiler/profiler_vgg13-iter41.json",
     "26 tensors of 133047848 parameters", true},
    {KINETO "resnet50_num_workers_0/worker0.1623143566756.pt.trace.json.gz",
     "does not say how much was live then", false},
    {KINETO "resnet50_num_workers_4/worker0.1623213129365.pt.trace.json.gz",
     "does not say how much was live then", false},
    {"facebookresearch+HolisticTraceAnalysis/tests/data/df_index_resolver/"
     "df_index_resolver.json.gz",
     "gradients are not recorded", false},
};

static void try_real(const char *path, size_t i)
{
    ps_error err = {0};
    job j = imported(path);
    const ps_code code = change(&j, true, false, &err);
    if (!real[i].moves) {
        assert_true(code == PS_USAGE || code == PS_BAD_INPUT);
        assert_non_null(strstr(err.message, real[i].says));
    } else {
        assert_ok(&err, code);
        assert_non_null(strstr(fact(j.changed), real[i].says));
        assert_proved(j.changed);
        ps_result a = run_plan(j.recorded), b = run_plan(j.changed);
        assert_true(b.device[0].peak_allocated_bytes < a.device[0].peak_allocated_bytes);
        ps_result_fini(&a);
        ps_result_fini(&b);
    }
    fini(&j);
}

static void test_real_recordings(void **state)
{
    size_t tried = 0;
    (void)state;
    const char *shared = ps_test_shared();
    for (size_t i = 0; shared != NULL && i < sizeof real / sizeof real[0]; i++) {
        char path[1024];
        (void)snprintf(path, sizeof path, "%.512s/traces/real/%s", shared, real[i].file);
        FILE *there = fopen(path, "r");
        if (there != NULL) {
            (void)fclose(there);
            try_real(path, i);
            tried++;
        }
    }
    if (tried == 0) {
        skip();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_rest_stays),
        cmocka_unit_test(test_nothing_asked_changes_nothing),
        cmocka_unit_test(test_with_activations),
        cmocka_unit_test(test_faults_are_refused_or_survived),
        cmocka_unit_test(test_real_recordings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
