/* SPDX-License-Identifier: MIT
 *
 * Shared links against closed forms and numbers worked by hand. Capacities in
 * bytes/s are chosen so that one byte a nanosecond is 10^9.
 */
#include "support/test.h"

#include "scene.h"

#define G UINT64_C(1000000000)

static void assert_end(const scene *s, uint32_t task, int64_t end)
{
    if (s->end_ns[task] != end) {
        fail_msg("task %u ends at %lld, not %lld", (unsigned)task, (long long)s->end_ns[task],
                 (long long)end);
    }
}

static void one_flow_takes_bytes_over_rate(void **state)
{
    (void)state;
    static const struct {
        uint64_t bytes, link, cap;
        int64_t end;
    } cases[] = {
        {1000, G, 0, 1000},
        {1000, G, G / 4, 4000},
        {1000, G, 2 * G, 1000},
        {1, 3, 0, 333333334}, /* rounds up */
        {1, 1, 0, 1000000000},
        {0, G, 0, 0}, /* nothing to move */
        {25 * G, 25 * G, 0, 1000000000},
        {UINT64_MAX, UINT64_MAX, 0, 1000000000},
        {9007199254740993, 9007199254740993, 0, 1000000000}, /* beyond the exact doubles */
        {9007199254740993 + 9007199, 9007199254740993, 0, 1000000001},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ps_error err = {0};
        scene s = {0};
        (void)scene_flow(&s, 0, cases[i].bytes, cases[i].cap, scene_link(&s, cases[i].link));
        assert_ok(&err, scene_run(&s, &err));
        assert_end(&s, 0, cases[i].end);
    }
}

/* The bytes follow the task's own work and the lane is held until they are there. */
static void bytes_follow_the_work(void **state)
{
    (void)state;
    ps_error err = {0};
    scene s = {0};
    const uint32_t copy = scene_task(&s, 0, 5, 8);
    const uint32_t next = scene_task(&s, 0, 2, 1);
    const uint32_t peer = scene_task(&s, 1, 0, 1);
    scene_move(&s, copy, 100, 0);
    scene_cross(&s, copy, scene_link(&s, G));
    scene_dep_add(&s, peer, PS_ENGINE_START_AFTER_END, copy, 0);
    assert_ok(&err, scene_run(&s, &err));
    assert_int_equal(s.start_ns[copy], 5);
    assert_end(&s, copy, 113);
    assert_end(&s, next, 116);
    assert_end(&s, peer, 114);
}

/* An end dependency can be later than the bytes. */
static void an_end_waits_for_bytes_and_dependencies(void **state)
{
    (void)state;
    ps_error err = {0};
    scene s = {0};
    const uint32_t copy = scene_flow(&s, 0, 100, 0, scene_link(&s, G));
    const uint32_t peer = scene_task(&s, 1, 0, 300);
    scene_dep_add(&s, copy, PS_ENGINE_END_AFTER_END, peer, 11);
    assert_ok(&err, scene_run(&s, &err));
    assert_end(&s, copy, 311);
}

/* n equal flows share equally and end together, also where n does not divide the capacity. */
static void equal_flows_end_together(void **state)
{
    (void)state;
    static const uint64_t capacities[] = {10, 7, G, 25 * G, 12345678901, 3};
    for (size_t c = 0; c < sizeof capacities / sizeof capacities[0]; c++) {
        for (uint64_t n = 1; n <= 64; n++) {
            ps_error err = {0};
            scene s = {0};
            const uint32_t link = scene_link(&s, capacities[c]);
            for (uint64_t i = 0; i < n; i++) {
                (void)scene_flow(&s, 0, 1000, 0, link);
            }
            assert_ok(&err, scene_run(&s, &err));
            const uint64_t work = n * 1000 * G;
            const uint64_t end = work / capacities[c] + (work % capacities[c] != 0 ? 1 : 0);
            for (uint32_t i = 0; i < n; i++) {
                assert_end(&s, i, (int64_t)end);
            }
        }
    }
}

/* 1 byte/ns; limits 0.2 and none: 0.2 and 0.8; the first stays at its limit when alone. */
static void a_limit_leaves_the_rest_to_others(void **state)
{
    (void)state;
    ps_error err = {0};
    scene s = {0};
    const uint32_t link = scene_link(&s, G);
    const uint32_t slow = scene_flow(&s, 0, 1000, G / 5, link);
    const uint32_t fast = scene_flow(&s, 0, 1000, 0, link);
    assert_ok(&err, scene_run(&s, &err));
    assert_end(&s, fast, 1250);
    assert_end(&s, slow, 5000);
}

/* Limits 0.1, 0.3, 0.9 on 1.0: 0.1, 0.3, 0.6. */
static void limits_are_filled_in_order(void **state)
{
    (void)state;
    ps_error err = {0};
    scene s = {0};
    const uint32_t link = scene_link(&s, G);
    const uint32_t a = scene_flow(&s, 0, 100, G / 10, link);
    const uint32_t b = scene_flow(&s, 0, 300, G * 3 / 10, link);
    const uint32_t c = scene_flow(&s, 0, 600, G * 9 / 10, link);
    assert_ok(&err, scene_run(&s, &err));
    assert_end(&s, a, 1000);
    assert_end(&s, b, 1000);
    assert_end(&s, c, 1000);
}

/*
 * X and Y of 1.0 and 0.4 bytes/ns. a over X, b over X and Y, c over Y:
 * Y is narrowest: b = c = 0.2, a = 0.8.
 *   a: 800 bytes -> 1000.  b: 100 -> 500.  c: 180: 100 by 500, then alone at 0.4: 80 -> 700.
 *   a after 500: alone on X at 1.0: 800 - 400 = 400 -> 900.
 */
static void two_links_by_hand(void **state)
{
    (void)state;
    ps_error err = {0};
    scene s = {0};
    const uint32_t x = scene_link(&s, G);
    const uint32_t y = scene_link(&s, G * 4 / 10);
    const uint32_t a = scene_flow(&s, 0, 800, 0, x);
    const uint32_t b = scene_flow(&s, 0, 100, 0, x);
    const uint32_t c = scene_flow(&s, 0, 180, 0, y);
    scene_cross(&s, b, y);
    assert_ok(&err, scene_run(&s, &err));
    assert_end(&s, a, 900);
    assert_end(&s, b, 500);
    assert_end(&s, c, 700);
}

/*
 * Three links of 3 bytes/ns; one flow over all of them, one more on the first
 * and on the second, two on the last: 1 for the long flow, 2, 2, 1 and 1 for
 * the others.
 */
static void a_long_flow_gets_its_narrowest_share(void **state)
{
    (void)state;
    ps_error err = {0};
    scene s = {0};
    const uint32_t l0 = scene_link(&s, 3 * G);
    const uint32_t l1 = scene_link(&s, 3 * G);
    const uint32_t l2 = scene_link(&s, 3 * G);
    const uint32_t wide = scene_flow(&s, 0, 1000, 0, l0);
    scene_cross(&s, wide, l1);
    scene_cross(&s, wide, l2);
    const uint32_t a = scene_flow(&s, 0, 2000, 0, l0);
    const uint32_t b = scene_flow(&s, 0, 2000, 0, l1);
    const uint32_t c = scene_flow(&s, 0, 1000, 0, l2);
    const uint32_t d = scene_flow(&s, 0, 1000, 0, l2);
    assert_ok(&err, scene_run(&s, &err));
    assert_end(&s, wide, 1000);
    assert_end(&s, a, 1000);
    assert_end(&s, b, 1000);
    assert_end(&s, c, 1000);
    assert_end(&s, d, 1000);
}

/*
 * 1 byte/ns. a: 1000 bytes from 0. b: 300 from 400. c: 50 from 600.
 *   0..400 a alone: 400.  400..600 halves: a 500, b 100.
 *   600..750 thirds: c 50 done at 750; a 550, b 150.
 *   750.. halves: b 150 left -> 1050; a 700.  then a alone: 300 -> 1350.
 */
static void starts_in_mid_transfer(void **state)
{
    (void)state;
    ps_error err = {0};
    scene s = {0};
    const uint32_t link = scene_link(&s, G);
    const uint32_t a = scene_flow(&s, 0, 1000, 0, link);
    const uint32_t b = scene_flow(&s, 400, 300, 0, link);
    const uint32_t c = scene_flow(&s, 600, 50, 0, link);
    assert_ok(&err, scene_run(&s, &err));
    assert_end(&s, c, 750);
    assert_end(&s, b, 1050);
    assert_end(&s, a, 1350);
}

/* A flow that starts when another ends, at the same nanosecond, does not share with it. */
static void ends_come_before_starts(void **state)
{
    (void)state;
    ps_error err = {0};
    scene s = {0};
    const uint32_t link = scene_link(&s, G);
    const uint32_t a = scene_flow(&s, 0, 1000, 0, link);
    const uint32_t b = scene_flow(&s, 1000, 500, 0, link);
    const uint32_t c = scene_flow(&s, 0, 500, 0, link);
    scene_dep_add(&s, c, PS_ENGINE_START_AFTER_END, b, 0);
    assert_ok(&err, scene_run(&s, &err));
    assert_end(&s, a, 1000);
    assert_end(&s, b, 1500);
    assert_end(&s, c, 2000);
}

/* A link that a flow crosses twice (out and back on one bus) counts twice. */
static void a_link_crossed_twice_counts_twice(void **state)
{
    (void)state;
    ps_error err = {0};
    scene s = {0};
    const uint32_t link = scene_link(&s, 3 * G);
    const uint32_t twice = scene_flow(&s, 0, 1000, 0, link);
    scene_cross(&s, twice, link);
    const uint32_t once = scene_flow(&s, 0, 1000, 0, link);
    assert_ok(&err, scene_run(&s, &err));
    assert_end(&s, twice, 1000);
    assert_end(&s, once, 1000);
}

/* Two directions with a shared cap: 26 one way, 37 together. */
static void host_link_with_both_directions(void **state)
{
    (void)state;
    ps_error err = {0};
    scene s = {0};
    const uint32_t up = scene_link(&s, 26 * G);
    const uint32_t down = scene_link(&s, 26 * G);
    const uint32_t both = scene_link(&s, 37 * G);
    const uint32_t a = scene_flow(&s, 0, 26 * G, 0, up);
    const uint32_t b = scene_flow(&s, 0, 37 * G, 0, down);
    scene_cross(&s, a, both);
    scene_cross(&s, b, both);
    assert_ok(&err, scene_run(&s, &err));
    /* a: 26 at 18.5; b: 26 by then, 11 left at 26 */
    assert_end(&s, a, 1405405406);
    assert_end(&s, b, 1405405406 + 423076923);
}

/* A link that is never idle is done when all bytes are through, give or take 1 ns a flow. */
static void a_busy_link_loses_no_time(void **state)
{
    (void)state;
    ps_error err = {0};
    scene s = {0};
    const uint64_t capacity = 12345678000;
    const uint32_t link = scene_link(&s, capacity);
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < 100; i++) {
        const uint64_t size = 1000003 + 77 * (uint64_t)i * i;
        (void)scene_flow(&s, (int64_t)i * 1000, size, 0, link);
        bytes += size;
    }
    assert_ok(&err, scene_run(&s, &err));
    const int64_t ideal = (int64_t)(bytes * 1000000 / (capacity / 1000));
    assert_in_range((uint64_t)scene_makespan(&s), (uint64_t)ideal - 100, (uint64_t)ideal + 100);
}

/* A queue of copies on one lane: each alone on the link, each end rounds up once. */
static void copies_in_a_queue_add_up(void **state)
{
    (void)state;
    ps_error err = {0};
    scene s = {0};
    const uint32_t link = scene_link(&s, 3 * G);
    for (uint32_t i = 0; i < 50; i++) {
        const uint32_t task = scene_task(&s, 0, 0, 0);
        scene_move(&s, task, 100, 0);
        scene_cross(&s, task, link);
    }
    assert_ok(&err, scene_run(&s, &err));
    assert_int_equal(scene_makespan(&s), 50 * 34);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_flow_takes_bytes_over_rate),
        cmocka_unit_test(bytes_follow_the_work),
        cmocka_unit_test(an_end_waits_for_bytes_and_dependencies),
        cmocka_unit_test(equal_flows_end_together),
        cmocka_unit_test(a_limit_leaves_the_rest_to_others),
        cmocka_unit_test(limits_are_filled_in_order),
        cmocka_unit_test(two_links_by_hand),
        cmocka_unit_test(a_long_flow_gets_its_narrowest_share),
        cmocka_unit_test(starts_in_mid_transfer),
        cmocka_unit_test(ends_come_before_starts),
        cmocka_unit_test(a_link_crossed_twice_counts_twice),
        cmocka_unit_test(host_link_with_both_directions),
        cmocka_unit_test(a_busy_link_loses_no_time),
        cmocka_unit_test(copies_in_a_queue_add_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
