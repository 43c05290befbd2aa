/* SPDX-License-Identifier: MIT
 *
 * Jobs of a few ranks whose times follow from a sum.
 *
 * Launches take the host some microseconds; kernels here last milliseconds,
 * so that the device is what everything waits for.
 */
#include "job_scene.h"

#include <string.h>

#include "run/run.h"

#define MS INT64_C(1000000)
#define GB UINT64_C(1000000000)
#define SLACK (MS / 4) /* launches and the like */

static const scene_network one_node = {
    .ranks = 4, .ranks_per_node = 4, .port_bytes_per_s = 100 * GB, .node_bytes_per_s = 10 * GB};

static void assert_near(ps_ns got, ps_ns expected)
{
    if (got < expected || got > expected + SLACK) {
        fail_msg("%lld ns, not %lld and a little", (long long)got, (long long)expected);
    }
}

static ps_result run(const ps_plan *plan)
{
    ps_error err = {0};
    ps_result result;
    assert_ok(&err, ps_run_plan(plan, &result, &err));
    return result;
}

static ps_plan *lower(scene *s, bool folds)
{
    ps_error err = {0};
    ps_code code;
    ps_plan *plan = scene_lower(s, folds, &code, &err);
    assert_ok(&err, code);
    return plan;
}

static size_t count_tasks(const ps_plan *plan, ps_task_kind kind)
{
    size_t count = 0;
    for (size_t i = 0; i < plan->task.head.count; i++) {
        count += plan->task.kind[i] == (uint8_t)kind ? 1 : 0;
    }
    return count;
}

/* 2 ms before, one rank 3 ms more; 100 MB at 100 GB/s take 1 ms; 1 ms after. */
static void test_the_last_rank_is_waited_for(void **state)
{
    const uint32_t size[] = {2}, here[] = {0}, there[] = {1};
    scene s = {.network = one_node, .workload_of = {0, 1}};
    (void)state;
    s.network.ranks = 2;
    ps_workload *a = scene_workload(&s, size, here, 1), *b = scene_workload(&s, size, there, 1);
    scene_kernel(a, 2 * MS);
    scene_kernel(b, 5 * MS);
    scene_collective(a, PS_COLLECTIVE_ALL_REDUCE, 1, PS_WORKLOAD_GROUP, GB / 10, true);
    scene_collective(b, PS_COLLECTIVE_ALL_REDUCE, 1, PS_WORKLOAD_GROUP, GB / 10, true);
    scene_kernel(a, MS);
    scene_kernel(b, MS);
    ps_plan *plan = lower(&s, true);
    ps_result result = run(plan);
    assert_int_equal(result.device_count, 2);
    assert_int_equal(count_tasks(plan, PS_TASK_EXCHANGE), 1);
    assert_int_equal(count_tasks(plan, PS_TASK_COLLECTIVE), 2);
    assert_near(result.makespan_ns, 7 * MS);
    assert_near(result.device[0].time.collective_ns, 4 * MS); /* 3 of them waiting */
    assert_near(result.device[1].time.collective_ns, MS);
    ps_result_fini(&result);
    ps_plan_destroy(plan);
    scene_fini(&s);
}

/* Two collectives of 1 ms, for each of which a host comes 2 ms late; messages are nobody's in common. */
static void test_late_hosts_delay_collectives(void **state)
{
    const uint32_t size[] = {2}, here[] = {0}, there[] = {1};
    scene s = {.network = one_node, .workload_of = {0, 1}, .late_ns = 2 * MS};
    (void)state;
    s.network.ranks = 2;
    ps_workload *a = scene_workload(&s, size, here, 1), *b = scene_workload(&s, size, there, 1);
    for (int i = 0; i < 2; i++) {
        scene_collective(a, PS_COLLECTIVE_ALL_REDUCE, 1, PS_WORKLOAD_GROUP, GB / 10, true);
        scene_collective(b, PS_COLLECTIVE_ALL_REDUCE, 1, PS_WORKLOAD_GROUP, GB / 10, true);
    }
    scene_message(a, PS_COLLECTIVE_SEND, 0, 1, PS_WORKLOAD_GROUP, GB / 10);
    scene_message(b, PS_COLLECTIVE_RECV, 0, 0, PS_WORKLOAD_GROUP, GB / 10);
    ps_plan *plan = lower(&s, true);
    ps_result result = run(plan);
    assert_near(result.makespan_ns, 2 * (1 + 2) * MS + MS);
    ps_result_fini(&result);
    ps_plan_destroy(plan);
    scene_fini(&s);
}

/* What is not waited for runs beside the computation. */
static void test_a_collective_overlaps(void **state)
{
    const uint32_t size[] = {4};
    scene s = {.network = one_node};
    (void)state;
    ps_workload *w = scene_workload(&s, size, NULL, 1);
    scene_kernel(w, MS);
    scene_collective(w, PS_COLLECTIVE_ALL_REDUCE, 1, PS_WORKLOAD_GROUP, GB / 5, false);
    scene_kernel(w, 3 * MS);
    ps_plan *plan = lower(&s, true);
    ps_result result = run(plan);
    assert_int_equal(result.device_count, 1);
    assert_int_equal(plan->device.stands_for[0], 4);
    assert_near(result.makespan_ns, 4 * MS);
    assert_near(result.device[0].time.all_collectives_ns, 2 * MS);
    ps_result_fini(&result);
    ps_plan_destroy(plan);
    scene_fini(&s);
}

/* Two groups of two nodes each share the nodes' ports: 10 MB each at half of 10 GB/s. */
static void test_groups_share_links(void **state)
{
    const uint32_t size[] = {2, 2};
    for (int folds = 0; folds < 2; folds++) {
        scene s = {.network = one_node};
        (void)state;
        s.network.ranks_per_node = 2;
        ps_workload *w = scene_workload(&s, size, NULL, 2);
        scene_collective(w, PS_COLLECTIVE_ALL_REDUCE, 2, PS_WORKLOAD_GROUP, GB / 100, true);
        ps_plan *plan = lower(&s, folds != 0);
        ps_result result = run(plan);
        assert_int_equal(result.device_count, folds != 0 ? 1 : 4);
        assert_near(result.makespan_ns, 2 * MS);
        ps_result_fini(&result);
        ps_plan_destroy(plan);
        scene_fini(&s);
    }
}

/* A pipeline of three: each stage waits for the one before. */
static void test_messages_go_from_stage_to_stage(void **state)
{
    const uint32_t size[] = {3};
    scene s = {.network = one_node, .workload_of = {0, 1, 2}};
    (void)state;
    s.network.ranks = 3;
    for (uint32_t stage = 0; stage < 3; stage++) {
        ps_workload *w = scene_workload(&s, size, &stage, 1);
        if (stage > 0) {
            scene_message(w, PS_COLLECTIVE_RECV, 0, stage - 1, PS_WORKLOAD_GROUP, GB / 10);
        }
        scene_kernel(w, 2 * MS);
        if (stage < 2) {
            scene_message(w, PS_COLLECTIVE_SEND, 0, stage + 1, PS_WORKLOAD_GROUP + 1, GB / 10);
        }
    }
    ps_plan *plan = lower(&s, true);
    ps_result result = run(plan);
    assert_int_equal(count_tasks(plan, PS_TASK_EXCHANGE), 2);
    assert_near(result.makespan_ns, 8 * MS);
    ps_result_fini(&result);
    ps_plan_destroy(plan);
    scene_fini(&s);
}

static void test_a_slow_rank_holds_the_others_up(void **state)
{
    const uint32_t size[] = {4};
    scene s = {.network = one_node, .has_speeds = true, .speed_permille = {1000, 1000, 500, 1000}};
    (void)state;
    ps_workload *w = scene_workload(&s, size, NULL, 1);
    scene_kernel(w, 2 * MS);
    scene_collective(w, PS_COLLECTIVE_ALL_REDUCE, 1, PS_WORKLOAD_GROUP, GB / 10, true);
    ps_plan *plan = lower(&s, true);
    ps_result result = run(plan);
    assert_int_equal(result.device_count, 2); /* three that do the same, and the slow one */
    assert_int_equal(plan->device.stands_for[0], 3);
    assert_int_equal(plan->device.rank[1], 2);
    assert_near(result.makespan_ns, 5 * MS);
    assert_near(result.device[0].time.compute_ns, 2 * MS);
    ps_result_fini(&result);
    ps_plan_destroy(plan);
    scene_fini(&s);
}

/* Axes of one rank change nothing but the lanes' names. */
static void test_one_rank_has_nobody_to_wait_for(void **state)
{
    const uint32_t size[] = {1, 1};
    ps_ns makespan[2];
    for (int with_collective = 0; with_collective < 2; with_collective++) {
        scene s = {.network = one_node};
        (void)state;
        s.network.ranks = 1;
        ps_workload *w = scene_workload(&s, size, NULL, 2);
        scene_kernel(w, MS);
        if (with_collective != 0) {
            scene_collective(w, PS_COLLECTIVE_ALL_REDUCE, 3, PS_WORKLOAD_GROUP, GB, true);
        }
        scene_kernel(w, MS);
        ps_plan *plan = lower(&s, true);
        ps_result result = run(plan);
        assert_int_equal(count_tasks(plan, PS_TASK_EXCHANGE), 0);
        makespan[with_collective] = result.makespan_ns;
        ps_result_fini(&result);
        ps_plan_destroy(plan);
        scene_fini(&s);
    }
    assert_int_equal(makespan[0], makespan[1]);
}

static void refuse(scene *s, const char *words)
{
    ps_error err = {0};
    ps_code code;
    char text[512];
    assert_null(scene_lower(s, true, &code, &err));
    assert_int_equal(code, PS_BAD_INPUT);
    ps_error_format(&err, text, sizeof text);
    if (strstr(text, words) == NULL) {
        fail_msg("\"%s\" without \"%s\"", text, words);
    }
    scene_fini(s);
}

static void test_ranks_must_agree(void **state)
{
    const uint32_t size[] = {2}, place[] = {0, 1};
    (void)state;
    scene bytes = {.network = one_node, .workload_of = {0, 1}};
    scene kinds = bytes, counts = bytes;
    for (uint32_t i = 0; i < 2; i++) {
        ps_workload *w = scene_workload(&bytes, size, &place[i], 1);
        scene_collective(w, PS_COLLECTIVE_ALL_REDUCE, 1, PS_WORKLOAD_GROUP, 100 + i, true);
        w = scene_workload(&kinds, size, &place[i], 1);
        scene_collective(w, i == 0 ? PS_COLLECTIVE_ALL_REDUCE : PS_COLLECTIVE_ALL_GATHER, 1,
                         PS_WORKLOAD_GROUP, 100, true);
        w = scene_workload(&counts, size, &place[i], 1);
        for (uint32_t k = 0; k <= i; k++) {
            scene_collective(w, PS_COLLECTIVE_ALL_REDUCE, 1, PS_WORKLOAD_GROUP, 100, true);
        }
    }
    refuse(&bytes, "do not agree on number 1");
    refuse(&kinds, "do not agree on number 1");
    refuse(&counts, "number 2 of what its group does together, and not all of them come");
}

static void test_a_workload_must_be_its_ranks(void **state)
{
    const uint32_t size[] = {2}, place[] = {0};
    scene s = {.network = one_node};
    (void)state;
    scene_kernel(scene_workload(&s, size, place, 1), MS);
    refuse(&s, "workload 0 is not of rank 1");
}

/* The same bytes: rows longer than by place, by place longer than one after another. */
static void test_the_way_through_the_operands_counts(void **state)
{
    static const ps_access ways[] = {PS_ACCESS_CONTIGUOUS, PS_ACCESS_STRIDED, PS_ACCESS_ROWS};
    const uint32_t size[] = {1};
    scene s = {.network = one_node, .workload_of = {0}};
    ps_ns before_ns = 0;
    (void)state;
    s.network.ranks = 1;
    ps_workload *w = scene_workload(&s, size, NULL, 1);
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        scene_memory(w, ways[i], GB);
    }
    ps_plan *plan = lower(&s, true);
    size_t kernels = 0;
    for (size_t i = 0; i < plan->task.head.count; i++) {
        if (plan->task.kind[i] == PS_TASK_KERNEL) {
            assert_true(plan->task.dur_ns[i] > before_ns);
            before_ns = plan->task.dur_ns[i];
            kernels++;
        }
    }
    assert_int_equal(kernels, sizeof ways / sizeof ways[0]);
    ps_plan_destroy(plan);
    scene_fini(&s);
}

/* Rows of the same bytes and twice the elements, so many that bytes do not matter. */
static void test_elements_of_rows_count(void **state)
{
    const uint32_t size[] = {1};
    scene s = {.network = one_node, .workload_of = {0}};
    ps_ns dur_ns[2] = {0};
    size_t kernels = 0;
    (void)state;
    s.network.ranks = 1;
    ps_workload *w = scene_workload(&s, size, NULL, 1);
    scene_memory(w, PS_ACCESS_ROWS, GB);
    scene_memory(w, PS_ACCESS_ROWS, GB);
    w->op.elements[0] = GB / 2;
    w->op.elements[1] = GB;
    ps_plan *plan = lower(&s, true);
    for (size_t i = 0; i < plan->task.head.count; i++) {
        if (plan->task.kind[i] == PS_TASK_KERNEL) {
            assert_true(kernels < 2);
            dur_ns[kernels++] = plan->task.dur_ns[i];
        }
    }
    assert_int_equal(kernels, 2);
    assert_in_range(dur_ns[1], 19 * dur_ns[0] / 10, 2 * dur_ns[0]);
    ps_plan_destroy(plan);
    scene_fini(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_last_rank_is_waited_for),
        cmocka_unit_test(test_late_hosts_delay_collectives),
        cmocka_unit_test(test_a_collective_overlaps),
        cmocka_unit_test(test_groups_share_links),
        cmocka_unit_test(test_messages_go_from_stage_to_stage),
        cmocka_unit_test(test_a_slow_rank_holds_the_others_up),
        cmocka_unit_test(test_one_rank_has_nobody_to_wait_for),
        cmocka_unit_test(test_the_way_through_the_operands_counts),
        cmocka_unit_test(test_elements_of_rows_count),
        cmocka_unit_test(test_ranks_must_agree),
        cmocka_unit_test(test_a_workload_must_be_its_ranks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
