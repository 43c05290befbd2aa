/* SPDX-License-Identifier: MIT
 *
 * Random scenes: agreement with the slow reference, indifference to
 * numbering, bounds that hold for every schedule, and the same bytes
 * everywhere. A failure prints the seed of its scene.
 */
#include "support/test.h"

#include <string.h>

#include "scene_random.h"

#define ROUNDS 4000u

static uint64_t seed_of(unsigned round)
{
    return (round + 1) * UINT64_C(0x9e3779b97f4a7c15);
}

static void expect_times(const scene *s, const int64_t *start_ns, const int64_t *end_ns,
                         uint64_t seed)
{
    for (uint32_t i = 0; i < s->task_count; i++) {
        if (s->start_ns[i] != start_ns[i] || s->end_ns[i] != end_ns[i]) {
            fail_msg("seed %#llx: task %u runs %lld..%lld, not %lld..%lld",
                     (unsigned long long)seed, (unsigned)i, (long long)s->start_ns[i],
                     (long long)s->end_ns[i], (long long)start_ns[i], (long long)end_ns[i]);
        }
    }
}

static void agrees_with_the_reference(void **state)
{
    (void)state;
    unsigned deadlocks = 0;
    for (unsigned round = 0; round < ROUNDS; round++) {
        const uint64_t seed = seed_of(round);
        dice d = {seed};
        scene s;
        int64_t start_ns[SCENE_MAX_TASKS];
        int64_t end_ns[SCENE_MAX_TASKS];
        ps_error err = {0};
        scene_random(&s, &d,
                     (scene_shape){.lanes = 6,
                                   .tasks = 24,
                                   .deps = 16,
                                   .links = 3,
                                   .has_circles = round % 4 == 0,
                                   .is_divisible = true,
                                   .is_tied = round % 2 == 0});
        const ps_code code = scene_run(&s, &err);
        if (!scene_naive(&s, start_ns, end_ns)) {
            deadlocks++;
            assert_int_equal(code, PS_DEADLOCK);
            continue;
        }
        if (code != PS_OK) {
            fail_msg("seed %#llx: %s", (unsigned long long)seed, err.message);
        }
        expect_times(&s, start_ns, end_ns, seed);
    }
    assert_in_range(deadlocks, ROUNDS / 100, ROUNDS / 4);
}

static void numbering_does_not_matter(void **state)
{
    (void)state;
    for (unsigned round = 0; round < ROUNDS; round++) {
        const uint64_t seed = seed_of(round);
        dice d = {seed};
        scene s;
        scene shuffled;
        uint32_t row_of[SCENE_MAX_TASKS];
        int64_t start_ns[SCENE_MAX_TASKS];
        int64_t end_ns[SCENE_MAX_TASKS];
        ps_error err = {0};
        scene_random(
            &s, &d,
            (scene_shape){
                .lanes = 20, .tasks = 120, .deps = 200, .links = 8, .is_tied = round % 2 == 0});
        assert_ok(&err, scene_run(&s, &err));
        scene_shuffle(&s, &shuffled, row_of, &d);
        assert_ok(&err, scene_run(&shuffled, &err));
        for (uint32_t i = 0; i < s.task_count; i++) {
            start_ns[i] = shuffled.start_ns[row_of[i]];
            end_ns[i] = shuffled.end_ns[row_of[i]];
        }
        expect_times(&s, start_ns, end_ns, seed);
    }
}

/* [ns] the transfer of a task when nobody else is there. */
static int64_t alone_ns(const scene *s, uint32_t task)
{
    uint64_t rate = s->rate_bytes_per_s[task] > 0 ? s->rate_bytes_per_s[task] : UINT64_MAX;
    bool has_link = false;
    for (size_t i = 0; i < s->transfer_count; i++) {
        if (s->transfer[i].task == task) {
            const uint64_t link = s->link_bytes_per_s[s->transfer[i].link];
            rate = link < rate ? link : rate;
            has_link = true;
        }
    }
    const uint64_t work = s->bytes[task] * UINT64_C(1000000000);
    return has_link ? (int64_t)(work / rate + (work % rate != 0 ? 1 : 0)) : 0;
}

static int64_t awaited_edge(const scene *s, const scene_dep *dep)
{
    const bool awaits_end =
        dep->kind == PS_ENGINE_START_AFTER_END || dep->kind == PS_ENGINE_END_AFTER_END;
    return (awaits_end ? s->end_ns : s->start_ns)[dep->before] + dep->lag_ns;
}

/* Every task starts at the largest of what it awaits, and ends no earlier than it can. */
static void expect_rules_kept(const scene *s, uint64_t seed)
{
    int64_t lane_end[SCENE_MAX_TASKS] = {0};
    for (uint32_t i = 0; i < s->task_count; i++) {
        int64_t start = lane_end[s->lane[i]] + s->gap_ns[i];
        int64_t end = s->start_ns[i] + s->dur_ns[i] + alone_ns(s, i);
        for (size_t k = 0; k < s->dep_count; k++) {
            const int64_t awaited = awaited_edge(s, &s->dep[k]);
            if (s->dep[k].task != i) {
                continue;
            }
            if (s->dep[k].kind >= PS_ENGINE_END_AFTER_END) {
                end = awaited > end ? awaited : end;
            } else {
                start = awaited > start ? awaited : start;
            }
        }
        if (s->start_ns[i] != start || s->end_ns[i] < end ||
            (alone_ns(s, i) == 0 && s->end_ns[i] != end)) {
            fail_msg("seed %#llx: task %u runs %lld..%lld, expected %lld..%lld or later",
                     (unsigned long long)seed, (unsigned)i, (long long)s->start_ns[i],
                     (long long)s->end_ns[i], (long long)start, (long long)end);
        }
        lane_end[s->lane[i]] = s->end_ns[i];
    }
}

/*
 * critical path <= makespan <= serial sum. The first is the run with every
 * transfer alone on its links; the second holds because some resource always
 * works at its full rate while anything moves, each end rounded up once.
 */
static void makespan_lies_between_its_bounds(void **state)
{
    (void)state;
    for (unsigned round = 0; round < ROUNDS; round++) {
        const uint64_t seed = seed_of(round) ^ 0x5555;
        dice d = {seed};
        scene s;
        ps_error err = {0};
        scene_random(
            &s, &d,
            (scene_shape){
                .lanes = 12, .tasks = 80, .deps = 80, .links = 6, .is_tied = round % 3 == 0});
        assert_ok(&err, scene_run(&s, &err));
        expect_rules_kept(&s, seed);
        scene free_of_others = s;
        free_of_others.transfer_count = 0;
        int64_t serial = 0;
        for (uint32_t i = 0; i < s.task_count; i++) {
            free_of_others.dur_ns[i] += alone_ns(&s, i);
            serial += s.gap_ns[i] + s.dur_ns[i] + alone_ns(&s, i) + 1;
        }
        for (size_t i = 0; i < s.dep_count; i++) {
            serial += s.dep[i].lag_ns;
        }
        assert_ok(&err, scene_run(&free_of_others, &err));
        const int64_t makespan = scene_makespan(&s);
        if (makespan < scene_makespan(&free_of_others) || makespan > serial) {
            fail_msg("seed %#llx: makespan %lld outside %lld..%lld", (unsigned long long)seed,
                     (long long)makespan, (long long)scene_makespan(&free_of_others),
                     (long long)serial);
        }
    }
}

/* No link carries more between its first start and its last end than its capacity allows. */
static void links_are_never_overdrawn(void **state)
{
    (void)state;
    for (unsigned round = 0; round < ROUNDS / 4; round++) {
        const uint64_t seed = seed_of(round) ^ 0xaaaa;
        dice d = {seed};
        scene s;
        ps_error err = {0};
        scene_random(&s, &d, (scene_shape){.lanes = 16, .tasks = 60, .deps = 20, .links = 5});
        assert_ok(&err, scene_run(&s, &err));
        for (uint32_t link = 0; link < s.link_count; link++) {
            int64_t first = INT64_MAX;
            int64_t last = 0;
            uint64_t bytes = 0;
            for (size_t i = 0; i < s.transfer_count; i++) {
                const uint32_t task = s.transfer[i].task;
                if (s.transfer[i].link == link && s.bytes[task] > 0) {
                    const int64_t from = s.start_ns[task] + s.dur_ns[task];
                    first = from < first ? from : first;
                    last = s.end_ns[task] > last ? s.end_ns[task] : last;
                    bytes += s.bytes[task];
                }
            }
            if (bytes > 0 && (uint64_t)(last - first) <
                                 bytes * UINT64_C(1000000000) / s.link_bytes_per_s[link]) {
                fail_msg("seed %#llx: link %u carries %llu bytes in %lld ns",
                         (unsigned long long)seed, (unsigned)link, (unsigned long long)bytes,
                         (long long)(last - first));
            }
        }
    }
}

/* FNV-1a over all times of many scenes: one number for every compiler, level and machine. */
static void results_are_the_same_everywhere(void **state)
{
    (void)state;
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (unsigned round = 0; round < 500; round++) {
        dice d = {seed_of(round) ^ 0x1234};
        scene s;
        ps_error err = {0};
        scene_random(&s, &d, (scene_shape){.lanes = 24, .tasks = 200, .deps = 300, .links = 10});
        assert_ok(&err, scene_run(&s, &err));
        for (uint32_t i = 0; i < s.task_count; i++) {
            hash = (hash ^ (uint64_t)s.start_ns[i]) * UINT64_C(0x100000001b3);
            hash = (hash ^ (uint64_t)s.end_ns[i]) * UINT64_C(0x100000001b3);
        }
    }
    if (hash != UINT64_C(0xaa93c515805ec228)) {
        fail_msg("hash %#llx", (unsigned long long)hash);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_the_reference),
        cmocka_unit_test(numbering_does_not_matter),
        cmocka_unit_test(makespan_lies_between_its_bounds),
        cmocka_unit_test(links_are_never_overdrawn),
        cmocka_unit_test(results_are_the_same_everywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
