/* SPDX-License-Identifier: MIT
 *
 * Who gets how much of what hosts and their GPUs share, in closed form.
 *
 * A slot moves 10 GB/s each way and 15 both ways together, an uplink 10, the
 * memory of a socket 60; a pageable copy has 6 at most.
 */
#include "lab.h"

#define MS INT64_C(1000000)
#define GB LAB_GB

static const uint32_t one[] = {1}, two[] = {2}, four[] = {4};

static scene_copy_of upload(uint64_t bytes)
{
    return (scene_copy_of){PS_WORKLOAD_UPLOAD, PS_COPY_HTOD, PS_MEMORY_PINNED, bytes, 0, false};
}

static scene_copy_of offload(uint64_t bytes)
{
    return (scene_copy_of){PS_WORKLOAD_OFFLOAD, PS_COPY_DTOH, PS_MEMORY_PINNED, bytes, 0, false};
}

static void copy(ps_workload *w, scene_copy_of what)
{
    scene_copy(w, &what);
}

static scene alone(ps_workload **w)
{
    scene s = {.network = {.ranks = 1}};
    *w = scene_workload(&s, one, NULL, 1);
    return s;
}

static void moves_for(const lab_run *run, const char *lane, ps_task_kind kind, ps_ns expected)
{
    assert_int_equal(lab_moving(run, lab_task(run, lane, kind, 0)), expected);
}

/* ---- slots and uplinks ---- */

/* 100 MB at 10 GB/s; two GPUs behind the switch have half of its uplink each, folded or not. */
static void an_uplink_is_halved(void **state)
{
    (void)state;
    for (int folds = 0; folds < 2; folds++) {
        scene s = {.network = {.ranks = 2}};
        ps_workload *w = scene_workload(&s, two, NULL, 1);
        copy(w, upload(GB / 10));
        lab_run run = lab_simulate(&s, &lab_pair, folds != 0);
        assert_int_equal(run.plan->device.head.count, folds != 0 ? 1 : 2);
        moves_for(&run, "upload", PS_TASK_MEMCPY, 20 * MS);
        lab_end(&run);
        lab_machine wide = lab_pair;
        wide.uplink = 30;
        run = lab_simulate(&s, &wide, folds != 0);
        moves_for(&run, "upload", PS_TASK_MEMCPY, 10 * MS);
        lab_end(&run);
        scene_fini(&s);
    }
}

/* One GPU stops half way: the other has the uplink to itself from then on. */
static void what_is_given_back_is_used(void **state)
{
    const uint32_t here[] = {0}, there[] = {1};
    scene s = {.network = {.ranks = 2}, .workload_of = {0, 1}};
    (void)state;
    copy(scene_workload(&s, two, here, 1), upload(GB / 20));
    copy(scene_workload(&s, two, there, 1), upload(GB / 10));
    lab_run run = lab_simulate(&s, &lab_pair, true);
    moves_for(&run, "rank 0 upload", PS_TASK_MEMCPY, 10 * MS); /* 50 MB at 5 GB/s */
    moves_for(&run, "rank 1 upload", PS_TASK_MEMCPY, 15 * MS); /* then 50 MB at 10 GB/s */
    lab_end(&run);
    scene_fini(&s);
}

/* Two directions of one slot have 7.5 GB/s each; by the second launch the first has a start. */
static void both_ways_share_the_slot(void **state)
{
    ps_workload *w;
    scene s = alone(&w);
    (void)state;
    copy(w, upload(3 * GB / 4));
    copy(w, offload(3 * GB / 4));
    lab_run run = lab_simulate(&s, &lab_pair, true);
    const uint32_t up = lab_task(&run, "upload", PS_TASK_MEMCPY, 0);
    const uint32_t down = lab_task(&run, "offload", PS_TASK_MEMCPY, 0);
    const ps_ns ahead = run.start_ns[down] - run.start_ns[up];
    assert_true(ahead > 0);
    /* alone for `ahead`: 10 GB/s; then 7.5 each; what is left of the second one alone again */
    assert_int_equal(lab_moving(&run, up), 100 * MS - ahead / 3);
    assert_int_equal(run.end_ns[down] - run.end_ns[up], ahead);
    lab_end(&run);
    scene_fini(&s);
}

/* A slot is free to move 10 each way: memory of 12 is what holds both, 6 each. */
static void memory_holds_both_ways(void **state)
{
    lab_machine narrow = lab_pair;
    ps_workload *w;
    scene s = alone(&w);
    (void)state;
    narrow.memory = 12;
    narrow.both_percent = 200;
    copy(w, upload(6 * GB / 10));
    lab_run run = lab_simulate(&s, &narrow, true);
    moves_for(&run, "upload", PS_TASK_MEMCPY, 60 * MS);
    lab_end(&run);
    copy(w, offload(6 * GB / 10));
    run = lab_simulate(&s, &narrow, true);
    const uint32_t up = lab_task(&run, "upload", PS_TASK_MEMCPY, 0);
    const uint32_t down = lab_task(&run, "offload", PS_TASK_MEMCPY, 0);
    const ps_ns ahead = run.start_ns[down] - run.start_ns[up];
    /* 10 GB/s for `ahead`, then 6: the rest of 600 MB */
    assert_int_equal(lab_moving(&run, up), 100 * MS - ahead * 10 / 6 + ahead);
    lab_end(&run);
    scene_fini(&s);
}

/* ---- memory of the socket ---- */

/* Pageable bytes cross it three times: 12 GB/s of it are 4, below the 6 that such a copy has. */
static void pageable_copies_cross_memory_three_times(void **state)
{
    lab_machine narrow = lab_pair;
    scene_copy_of what = upload(GB / 10);
    ps_workload *w;
    scene s = alone(&w);
    (void)state;
    what.memory = PS_MEMORY_PAGEABLE;
    copy(w, what);
    lab_run run = lab_simulate(&s, &lab_pair, true);
    moves_for(&run, "upload", PS_TASK_MEMCPY, 16666667); /* at 6 GB/s */
    lab_end(&run);
    narrow.memory = 12;
    run = lab_simulate(&s, &narrow, true);
    moves_for(&run, "upload", PS_TASK_MEMCPY, 25 * MS); /* at 4 GB/s */
    lab_end(&run);
    scene_fini(&s);
}

/* Eight cores stream 32 GB/s for the one rank, and for two ranks half of that each. */
static void cores_are_shared_by_ranks(void **state)
{
    const uint32_t *sizes[] = {one, two};
    (void)state;
    for (uint32_t ranks = 1; ranks <= 2; ranks++) {
        for (int folds = 0; folds < 2; folds++) {
            scene s = {.network = {.ranks = ranks}};
            ps_workload *w = scene_workload(&s, sizes[ranks - 1], NULL, 1);
            scene_cpu(w, PS_WORKLOAD_WORKER, 32 * GB / 100, 1);
            scene_wait_mark(w, 1);
            scene_cpu(w, PS_WORKLOAD_MAIN, 32 * GB / 1000, 0);
            lab_run run = lab_simulate(&s, &lab_pair, folds != 0);
            assert_int_equal(lab_moving(&run, lab_task(&run, "worker 0", PS_TASK_CPU, 0)),
                             10 * MS * ranks);
            assert_int_equal(lab_moving(&run, lab_task(&run, "host", PS_TASK_CPU, 0)), MS * ranks);
            lab_end(&run);
            scene_fini(&s);
        }
    }
}

/* Two workers that begin together have 16 GB/s each of the rank's 32; then one has all. */
static void threads_of_a_rank_share_its_cores(void **state)
{
    ps_workload *w;
    scene s = alone(&w);
    (void)state;
    scene_kernel(w, 10 * MS);
    scene_join(w, PS_WORKLOAD_WORKER, PS_WORKLOAD_MAIN);
    scene_join(w, PS_WORKLOAD_WORKER + 1, PS_WORKLOAD_MAIN);
    scene_cpu(w, PS_WORKLOAD_WORKER, 16 * GB / 100, 0);
    scene_cpu(w, PS_WORKLOAD_WORKER + 1, 32 * GB / 100, 0);
    lab_run run = lab_simulate(&s, &lab_pair, true);
    assert_int_equal(lab_moving(&run, lab_task(&run, "worker 0", PS_TASK_CPU, 0)), 10 * MS);
    assert_int_equal(lab_moving(&run, lab_task(&run, "worker 1", PS_TASK_CPU, 0)), 15 * MS);
    lab_end(&run);
    scene_fini(&s);
}

/*
 * Memory of 30 GB/s: an upload takes at most 10 of it, a thread has the other 20 (its cores could
 * stream 32) until the copy of 100 MB is done after 10 ms, then 30.
 */
static void computation_and_copies_share_memory(void **state)
{
    lab_machine narrow = lab_pair;
    ps_workload *w;
    scene s = alone(&w);
    (void)state;
    narrow.memory = 30;
    /* both begin when the kernel ends */
    scene_kernel(w, 10 * MS);
    scene_join(w, PS_WORKLOAD_UPLOAD, PS_WORKLOAD_MAIN);
    scene_join(w, PS_WORKLOAD_WORKER, PS_WORKLOAD_MAIN);
    copy(w, upload(GB / 10));
    scene_cpu(w, PS_WORKLOAD_WORKER, GB / 2, 0);
    lab_run run = lab_simulate(&s, &narrow, true);
    const uint32_t up = lab_task(&run, "upload", PS_TASK_MEMCPY, 0);
    const uint32_t work = lab_task(&run, "worker 0", PS_TASK_CPU, 0);
    const ps_ns start = run.plan->task.dur_ns[up]; /* of a copy, when the thread is alone */
    assert_int_equal(run.start_ns[up], run.start_ns[work]);
    assert_int_equal(lab_moving(&run, up), 10 * MS);
    /* 30 GB/s for `start`, 20 for 10 ms, 30 for the rest */
    const uint64_t left = GB / 2 - (uint64_t)start * 30 - 10 * MS * 20;
    assert_int_equal(lab_moving(&run, work), start + 10 * MS + (ps_ns)((left + 29) / 30));
    lab_end(&run);
    scene_fini(&s);
}

/* A copy crosses memory once and a pageable one three times: the four have a quarter each. */
static void crossings_share_memory_evenly(void **state)
{
    lab_machine narrow = lab_pair;
    scene_copy_of staged = offload(GB);
    ps_workload *w;
    scene s = alone(&w);
    (void)state;
    narrow.memory = 20;
    staged.memory = PS_MEMORY_PAGEABLE;
    scene_kernel(w, 10 * MS);
    for (uint8_t lane = PS_WORKLOAD_UPLOAD; lane <= PS_WORKLOAD_OFFLOAD; lane++) {
        scene_join(w, lane, PS_WORKLOAD_MAIN);
    }
    copy(w, upload(GB / 10));
    copy(w, staged);
    lab_run run = lab_simulate(&s, &narrow, true);
    /* four crossings of 20 GB/s: 5 each; the slot both ways, 15, holds nobody */
    const uint32_t up = lab_task(&run, "upload", PS_TASK_MEMCPY, 0);
    const uint32_t down = lab_task(&run, "offload", PS_TASK_MEMCPY, 0);
    assert_int_equal(run.start_ns[up], run.start_ns[down]);
    assert_int_equal(lab_moving(&run, up), 20 * MS);
    /* 100 MB by then; the rest at 6 GB/s, the most such a copy has */
    assert_int_equal(lab_moving(&run, down), 20 * MS + 150 * MS);
    lab_end(&run);
    scene_fini(&s);
}

/* GPUs on two sockets do not meet in memory; those of one do. */
static void sockets_have_memory_of_their_own(void **state)
{
    lab_machine pair = {.gpus = 4,
                        .sockets = 2,
                        .gpus_per_switch = 1,
                        .pcie = 10,
                        .both_percent = 200,
                        .uplink = 10,
                        .memory = 10,
                        .cores = 4,
                        .core_stream = 1,
                        .pageable = 6,
                        .capacity_gib = 1};
    (void)state;
    for (int folds = 0; folds < 2; folds++) {
        scene s = {.network = {.ranks = 4}};
        ps_workload *w = scene_workload(&s, four, NULL, 1);
        copy(w, upload(GB / 10));
        lab_run run = lab_simulate(&s, &pair, folds != 0);
        moves_for(&run, "upload", PS_TASK_MEMCPY, 20 * MS);
        lab_end(&run);
        pair.sockets = 4;
        run = lab_simulate(&s, &pair, folds != 0);
        moves_for(&run, "upload", PS_TASK_MEMCPY, 10 * MS);
        lab_end(&run);
        pair.sockets = 2;
        scene_fini(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_uplink_is_halved),
        cmocka_unit_test(what_is_given_back_is_used),
        cmocka_unit_test(both_ways_share_the_slot),
        cmocka_unit_test(memory_holds_both_ways),
        cmocka_unit_test(pageable_copies_cross_memory_three_times),
        cmocka_unit_test(cores_are_shared_by_ranks),
        cmocka_unit_test(threads_of_a_rank_share_its_cores),
        cmocka_unit_test(computation_and_copies_share_memory),
        cmocka_unit_test(crossings_share_memory_evenly),
        cmocka_unit_test(sockets_have_memory_of_their_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
