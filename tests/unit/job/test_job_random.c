/* SPDX-License-Identifier: MIT
 *
 * Random jobs on random networks: folding changes nothing, numbering changes
 * nothing, what is sent arrives. A failure prints the seed of its job.
 */
#include "job_scene.h"

#include "run/run.h"

#define ROUNDS 150
#define MAX_AXES 3
#define GB UINT64_C(1000000000)

static uint64_t draw(uint64_t *state, uint64_t below)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (*state >> 33) % below;
}

typedef struct job_shape {
    uint32_t size[MAX_AXES];
    size_t axes;
    uint32_t staged; /* axis on which workloads differ */
    uint32_t ranks;
} job_shape;

static job_shape draw_shape(uint64_t *rng)
{
    static const uint32_t sizes[] = {1, 2, 2, 4};
    job_shape shape = {.axes = 1 + draw(rng, MAX_AXES), .ranks = 1};
    for (size_t i = 0; i < shape.axes; i++) {
        do {
            shape.size[i] = sizes[draw(rng, 4)];
        } while (shape.ranks * shape.size[i] > 16);
        shape.ranks *= shape.size[i];
    }
    shape.staged = (uint32_t)draw(rng, shape.axes);
    return shape;
}

/* The same collectives for all, messages from one place of the staged axis to the next. */
static void draw_step(scene *s, const job_shape *shape, uint64_t *rng)
{
    const uint32_t axes = 1 + (uint32_t)draw(rng, (UINT64_C(1) << shape->axes) - 1);
    const uint8_t lane = (uint8_t)(PS_WORKLOAD_GROUP + draw(rng, 3));
    const uint64_t bytes = draw(rng, GB / 4);
    const bool is_waited_for = draw(rng, 2) == 0, is_message = draw(rng, 4) == 0;
    const uint32_t places = shape->size[shape->staged];
    const uint32_t from = (uint32_t)draw(rng, places);
    for (uint32_t i = 0; i < s->workload_count; i++) {
        ps_workload *w = s->workload[i];
        scene_kernel(w, 1 + (ps_ns)draw(rng, 4000000));
        scene_tensor(w, 1 + draw(rng, 1 << 24));
        if (!is_message) {
            scene_collective(w, PS_COLLECTIVE_ALL_GATHER, axes, lane, bytes, is_waited_for);
        } else if (from + 1 < places && i == from) {
            scene_message(w, PS_COLLECTIVE_SEND, shape->staged, from + 1, PS_WORKLOAD_GROUP + 6,
                          bytes);
        } else if (from + 1 < places && i == from + 1) {
            scene_message(w, PS_COLLECTIVE_RECV, shape->staged, from, PS_WORKLOAD_GROUP + 7, bytes);
        }
    }
}

static scene draw_scene(const job_shape *shape, uint64_t *rng)
{
    scene s = {.network = {.ranks = shape->ranks,
                           .ranks_per_node = 1 + (uint32_t)draw(rng, shape->ranks),
                           .port_bytes_per_s = GB * (1 + draw(rng, 100)),
                           .node_bytes_per_s = GB * (1 + draw(rng, 100))}};
    uint32_t stride = 1;
    for (uint32_t i = 0; i < shape->staged; i++) {
        stride *= shape->size[i];
    }
    for (uint32_t stage = 0; stage < shape->size[shape->staged]; stage++) {
        uint32_t place[MAX_AXES] = {UINT32_MAX, UINT32_MAX, UINT32_MAX};
        place[shape->staged] = stage;
        (void)scene_workload(&s, shape->size, place, shape->axes);
    }
    s.has_speeds = draw(rng, 3) == 0;
    for (uint32_t rank = 0; rank < shape->ranks; rank++) {
        s.workload_of[rank] = rank / stride % shape->size[shape->staged];
        s.speed_permille[rank] = draw(rng, 8) == 0 ? 700 : 1000;
    }
    for (size_t steps = 1 + draw(rng, 3); steps > 0; steps--) {
        for (size_t i = 0; i < s.workload_count; i++) {
            scene_begin_step(s.workload[i]);
        }
        for (size_t i = 1 + draw(rng, 6); i > 0; i--) {
            draw_step(&s, shape, rng);
        }
    }
    return s;
}

static ps_result simulate(scene *s, bool folds, ps_plan **plan)
{
    ps_error err = {0};
    ps_code code;
    ps_result result;
    *plan = scene_lower(s, folds, &code, &err);
    assert_ok(&err, code);
    assert_ok(&err, ps_run_plan(*plan, &result, &err));
    return result;
}

static const ps_result_device *device_of(const ps_result *result, uint32_t rank)
{
    for (size_t i = 0; i < result->device_count; i++) {
        if (result->device[i].rank == rank) {
            return &result->device[i];
        }
    }
    return NULL;
}

static void assert_same(uint64_t seed, const char *what, int64_t folded, int64_t full)
{
    if (folded != full) {
        fail_msg("seed %#llx: %s is %lld folded and %lld in full", (unsigned long long)seed, what,
                 (long long)folded, (long long)full);
    }
}

static void compare_device(uint64_t seed, const ps_result_device *a, const ps_result_device *b)
{
    assert_same(seed, "compute", a->time.compute_ns, b->time.compute_ns);
    assert_same(seed, "collectives", a->time.all_collectives_ns, b->time.all_collectives_ns);
    assert_same(seed, "host", a->time.host_ns, b->time.host_ns);
    assert_same(seed, "peak", (int64_t)a->peak_allocated_bytes, (int64_t)b->peak_allocated_bytes);
    assert_same(seed, "moment", a->peak_time_ns, b->peak_time_ns);
}

/* Every rank of the whole job is one of those that a folded device stands for. */
static void compare_sums(uint64_t seed, const ps_plan *plan, const ps_result *folded,
                         const ps_result *full)
{
    int64_t sum = 0;
    uint32_t ranks = 0;
    for (size_t i = 0; i < folded->device_count; i++) {
        const uint32_t n = plan->device.stands_for[i] > 0 ? plan->device.stands_for[i] : 1;
        ranks += n;
        sum += n * folded->device[i].time.collective_ns;
    }
    for (size_t i = 0; i < full->device_count; i++) {
        sum -= full->device[i].time.collective_ns;
    }
    assert_same(seed, "number of ranks", ranks, (int64_t)full->device_count);
    assert_same(seed, "sum of collectives", sum, 0);
}

static void test_folding_is_exact(void **state)
{
    size_t folded_away = 0;
    (void)state;
    for (uint64_t round = 0; round < ROUNDS; round++) {
        const uint64_t seed = round * UINT64_C(0x9e3779b97f4a7c15) + 1;
        uint64_t rng = seed;
        const job_shape shape = draw_shape(&rng);
        scene s = draw_scene(&shape, &rng);
        ps_plan *short_plan, *long_plan;
        ps_result folded = simulate(&s, true, &short_plan);
        ps_result full = simulate(&s, false, &long_plan);
        assert_same(seed, "makespan", folded.makespan_ns, full.makespan_ns);
        assert_same(seed, "step", folded.step_time_ns, full.step_time_ns);
        for (size_t i = 0; i < folded.device_count; i++) {
            compare_device(seed, &folded.device[i], device_of(&full, folded.device[i].rank));
        }
        compare_sums(seed, short_plan, &folded, &full);
        folded_away += full.device_count - folded.device_count;
        ps_result_fini(&folded);
        ps_result_fini(&full);
        ps_plan_destroy(short_plan);
        ps_plan_destroy(long_plan);
        scene_fini(&s);
    }
    assert_true(folded_away > ROUNDS); /* else nothing was tested */
}

/* On one node places are interchangeable: ranks may be numbered along the axes in any order. */
static void test_numbering_does_not_matter(void **state)
{
    (void)state;
    for (uint64_t round = 0; round < ROUNDS; round++) {
        const uint64_t seed = round * UINT64_C(0xbf58476d1ce4e5b9) + 7;
        ps_ns makespan[2];
        for (int turned = 0; turned < 2; turned++) {
            uint64_t rng = seed;
            scene s = {.network = {.ranks = 8,
                                   .ranks_per_node = 8,
                                   .port_bytes_per_s = 50 * GB,
                                   .node_bytes_per_s = GB}};
            const uint32_t size[2][2] = {{2, 4}, {4, 2}};
            ps_workload *w = scene_workload(&s, size[turned], NULL, 2);
            for (int i = 0; i < 5; i++) {
                const uint32_t axes = 1 + (uint32_t)draw(&rng, 3);
                const uint32_t mask = turned == 0 || axes == 3 ? axes : 3 - axes;
                scene_kernel(w, 1 + (ps_ns)draw(&rng, 1000000));
                scene_collective(w, PS_COLLECTIVE_ALL_REDUCE, mask, PS_WORKLOAD_GROUP,
                                 draw(&rng, GB / 8), draw(&rng, 2) == 0);
            }
            ps_plan *plan;
            ps_result result = simulate(&s, false, &plan);
            makespan[turned] = result.makespan_ns;
            ps_result_fini(&result);
            ps_plan_destroy(plan);
            scene_fini(&s);
        }
        assert_same(seed, "makespan, numbered otherwise,", makespan[1], makespan[0]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_folding_is_exact),
        cmocka_unit_test(test_numbering_does_not_matter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
