/* SPDX-License-Identifier: MIT
 *
 * A real recording of two ranks under tensor parallelism, merged: all its
 * collectives are matched, recorded times come out again, and what one rank
 * spent almost all its time with turns out to be waiting for the other.
 */
#include "make_trace.h"

#include <dirent.h>
#include <string.h>

#include "import/import.h"
#include "lower/lower.h"
#include "merge.h"

#define PATH_BYTES 1024u
#define COLLECTIVES 13

/* The one file in a folder below the shared traces; skips the test when there is none. */
static ps_trace *rank_or_skip(unsigned rank)
{
    ps_error err = {0};
    ps_trace_builder *builder;
    ps_trace *trace = NULL;
    char folder[PATH_BYTES], path[2 * PATH_BYTES] = "";
    const char *shared = ps_test_shared();
    DIR *dir = NULL;
    if (shared != NULL) {
        (void)snprintf(folder, sizeof folder, "%.512s/traces/real/NVIDIA+Megatron-LM/tp2/result/%u",
                       shared, rank);
        dir = opendir(folder);
    }
    if (dir == NULL) {
        skip();
    }
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        if (strstr(entry->d_name, ".pt.trace.json") != NULL) {
            (void)snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        }
    }
    (void)closedir(dir);
    assert_ok(&err, ps_trace_builder_open_memory(&builder, &err));
    assert_ok(&err, ps_import_file(path, NULL, builder, NULL, &err));
    assert_ok(&err, ps_trace_builder_take(builder, &trace, &err));
    return trace;
}

static ps_trace *merge_or_skip(void)
{
    ps_error err = {0};
    ps_merge_rank aligned[2];
    ps_trace *merged = NULL;
    ps_trace *ranks[2] = {rank_or_skip(0), rank_or_skip(1)};
    assert_ok(&err, ps_merge_traces((const ps_trace *const *)ranks, 2, aligned, &merged, &err));
    ps_trace_destroy(ranks[0]);
    ps_trace_destroy(ranks[1]);
    return merged;
}

/* Begin and end of every collective as recorded, from the first event. */
static void collectives_come_out_as_recorded(void **state)
{
    (void)state;
    ps_trace *trace = merge_or_skip();
    const size_t count = trace->collective.head.count;
    span *recorded = calloc(count, sizeof *recorded);
    assert_non_null(recorded);
    assert_int_equal(count, (size_t)2 * COLLECTIVES);
    for (size_t i = 0; i < count; i++) {
        recorded[i] = (span){trace->collective.start_ns[i],
                             trace->collective.start_ns[i] + trace->collective.dur_ns[i]};
    }
    play p = play_trace(trace);
    const ps_ns origin = strtoll(ps_plan_meta(p.plan, PS_PLAN_META_ORIGIN), NULL, 10);
    size_t parts = 0, exchanges = 0;
    for (size_t i = 0; i < p.plan->task.head.count; i++) {
        exchanges += p.plan->task.kind[i] == PS_TASK_EXCHANGE;
        if (p.plan->task.kind[i] == PS_TASK_COLLECTIVE) {
            /* tasks of devices are in order of their recorded begin */
            assert_int_equal(p.start[i], recorded[parts].start - origin);
            assert_int_equal(p.end[i], recorded[parts].end - origin);
            parts++;
        }
    }
    assert_int_equal(parts, count);
    assert_int_equal(exchanges, COLLECTIVES);
    free(recorded);
    play_end(&p);
}

static void rank_1_waits_for_rank_0(void **state)
{
    (void)state;
    ps_plan *plan = lower(merge_or_skip());
    ps_result result = run_plan(plan);
    const ps_result_time *first = &result.device[0].time, *second = &result.device[1].time;
    assert_int_equal(result.device_count, 2);
    for (size_t i = 0; i < 2; i++) {
        const ps_result_time *time = &result.device[i].time;
        assert_int_equal(time->collective_wait_ns + time->collective_transfer_ns,
                         time->all_collectives_ns);
        assert_int_equal(result.step[0].time_ns, result.step[0].recorded_ns);
    }
    assert_true(first->collective_wait_ns < 5000);
    assert_true(second->collective_wait_ns > 48000000);
    /* 13 all-reduces of 24 KiB and 2 KiB: as long on one rank as on the other */
    assert_true(first->collective_transfer_ns > 240000 && first->collective_transfer_ns < 300000);
    assert_true(second->collective_transfer_ns > 240000 && second->collective_transfer_ns < 300000);
    ps_result_fini(&result);
    ps_plan_destroy(plan);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(collectives_come_out_as_recorded),
        cmocka_unit_test(rank_1_waits_for_rank_0),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
