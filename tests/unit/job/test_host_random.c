/* SPDX-License-Identifier: MIT
 *
 * Random jobs that copy, compute on their hosts and wait for marks, on random
 * machines: folding changes nothing, no link carries more than it can, and the
 * critical path is as long as its step. A failure prints the seed of its job.
 */
#include "lab.h"

#include <string.h>

#define ROUNDS 120
#define MB UINT64_C(1000000)

static uint64_t draw(uint64_t *state, uint64_t below)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (*state >> 33) % below;
}

static lab_machine draw_machine(uint64_t *rng)
{
    static const uint32_t counts[] = {1, 2, 4, 8};
    lab_machine m = {.gpus = counts[draw(rng, 4)], .capacity_gib = 1 + (uint32_t)draw(rng, 8)};
    m.sockets = 1 + (uint32_t)draw(rng, 2);
    m.gpus_per_switch = counts[draw(rng, 3)];
    m.pcie = 5 + (uint32_t)draw(rng, 60);
    m.both_percent = 100 + (uint32_t)draw(rng, 101);
    m.uplink = 5 + (uint32_t)draw(rng, 60);
    m.memory = 10 + (uint32_t)draw(rng, 300);
    m.cores = 1 + (uint32_t)draw(rng, 64);
    m.core_stream = 1 + (uint32_t)draw(rng, 20);
    m.pageable = 1 + (uint32_t)draw(rng, m.pcie);
    return m;
}

/* Lanes that copies may be in. */
static uint8_t copy_lane(uint64_t *rng)
{
    static const uint8_t lanes[] = {PS_WORKLOAD_UPLOAD, PS_WORKLOAD_OFFLOAD, PS_WORKLOAD_STREAM,
                                    PS_WORKLOAD_MAIN};
    return lanes[draw(rng, 4)];
}

static void draw_copy(ps_workload *w, uint64_t *rng)
{
    const scene_copy_of what = {.lane = copy_lane(rng),
                                .kind = draw(rng, 2) == 0 ? PS_COPY_HTOD : PS_COPY_DTOH,
                                .memory = draw(rng, 3) == 0 ? PS_MEMORY_PAGEABLE : PS_MEMORY_PINNED,
                                .bytes = draw(rng, 200 * MB),
                                .mark = 1 + (uint32_t)draw(rng, 6),
                                .is_blocking = draw(rng, 8) == 0};
    scene_copy(w, &what);
}

static void draw_cpu(ps_workload *w, uint64_t *rng)
{
    static const uint8_t lanes[] = {PS_WORKLOAD_MAIN, PS_WORKLOAD_WORKER, PS_WORKLOAD_WORKER + 1};
    const uint8_t lane = lanes[draw(rng, 3)];
    const uint64_t bytes = draw(rng, 400 * MB);
    scene_cpu(w, lane, bytes, 1 + (uint32_t)draw(rng, 6));
}

static void draw_wait(ps_workload *w, uint64_t *rng)
{
    static const uint8_t lanes[] = {PS_WORKLOAD_MAIN,   PS_WORKLOAD_UPLOAD, PS_WORKLOAD_OFFLOAD,
                                    PS_WORKLOAD_WORKER, PS_WORKLOAD_STREAM, PS_WORKLOAD_WORKER + 1};
    const uint32_t mark = 1 + (uint32_t)draw(rng, 6);
    const uint8_t lane = lanes[draw(rng, 6)], awaited = lanes[draw(rng, 6)];
    switch (draw(rng, 4)) {
    case 0:
        scene_wait_mark(w, mark);
        return;
    case 1:
        if (lane != awaited) {
            scene_join(w, lane, awaited);
        }
        return;
    default:
        scene_join_mark(w, lane, mark);
        return;
    }
}

static void draw_memory(ps_workload *w, uint64_t *rng)
{
    const ps_memory_kind memory = draw(rng, 2) == 0 ? PS_MEMORY_PAGEABLE : PS_MEMORY_PINNED;
    const uint32_t row = scene_host_tensor(w, memory, 1 + draw(rng, 300 * MB));
    if (draw(rng, 2) == 0) {
        scene_free(w, row);
    }
}

static void draw_op(scene *s, uint32_t ranks, uint64_t *rng)
{
    const uint64_t what = draw(rng, 8), seed = *rng;
    for (size_t i = 0; i < s->workload_count; i++) {
        ps_workload *w = s->workload[i];
        uint64_t own = seed + (i + 1) * UINT64_C(0x9e3779b97f4a7c15); /* each its own sizes */
        uint64_t *state = draw(rng, 2) == 0 ? &own : rng;
        if (what == 0 && ranks > 1) {
            uint64_t same = seed; /* ranks agree on what they exchange */
            scene_collective(w, PS_COLLECTIVE_ALL_GATHER, 1, PS_WORKLOAD_GROUP,
                             draw(&same, 50 * MB), draw(&same, 2) == 0);
        } else if (what == 1) {
            scene_kernel(w, 1 + (ps_ns)draw(state, 4000000));
        } else if (what == 2) {
            draw_memory(w, state);
        } else if (what <= 4) {
            draw_copy(w, state);
        } else if (what == 5) {
            draw_cpu(w, state);
        } else {
            draw_wait(w, state);
        }
    }
}

/* One workload for all ranks, or two: those of the first ranks and of the others. */
static scene draw_scene(const lab_machine *machine, uint64_t *rng)
{
    const uint32_t nodes = 1 + (uint32_t)draw(rng, 3), ranks = machine->gpus * nodes;
    const uint32_t size[] = {ranks};
    scene s = {.network = {.ranks = ranks}};
    const uint32_t workloads = ranks > 1 && draw(rng, 2) == 0 ? 2 : 1;
    const uint32_t first = (uint32_t)draw(rng, ranks);
    for (uint32_t i = 0; i < workloads; i++) {
        (void)scene_workload(&s, size, NULL, 1);
    }
    for (uint32_t rank = 0; rank < ranks; rank++) {
        s.workload_of[rank] = workloads == 2 && rank > first ? 1 : 0;
    }
    for (size_t steps = 1 + draw(rng, 2); steps > 0; steps--) {
        for (size_t i = 0; i < s.workload_count; i++) {
            scene_begin_step(s.workload[i]);
            scene_kernel(s.workload[i], 1000);
        }
        for (size_t i = 4 + draw(rng, 24); i > 0; i--) {
            draw_op(&s, ranks, rng);
        }
    }
    return s;
}

/* ---- comparing ---- */

static void same(uint64_t seed, const char *what, int64_t folded, int64_t full)
{
    if (folded != full) {
        fail_msg("seed %#llx: %s is %lld folded and %lld in full", (unsigned long long)seed, what,
                 (long long)folded, (long long)full);
    }
}

static const ps_result_device *device_of(const lab_run *run, uint32_t rank)
{
    for (size_t i = 0; i < run->result.device_count; i++) {
        if (run->result.device[i].rank == rank) {
            return &run->result.device[i];
        }
    }
    fail_msg("no rank %u", rank);
    return NULL;
}

static void compare(uint64_t seed, const lab_run *folded, const lab_run *full)
{
    same(seed, "makespan", folded->result.makespan_ns, full->result.makespan_ns);
    same(seed, "step", folded->result.step_time_ns, full->result.step_time_ns);
    for (size_t i = 0; i < folded->result.device_count; i++) {
        const ps_result_device *a = &folded->result.device[i];
        const ps_result_device *b = device_of(full, a->rank);
        same(seed, "compute", a->time.compute_ns, b->time.compute_ns);
        same(seed, "copies", a->time.all_copies_ns, b->time.all_copies_ns);
        same(seed, "copies in the step", a->steady.all_copies_ns, b->steady.all_copies_ns);
        same(seed, "collectives", a->time.all_collectives_ns, b->time.all_collectives_ns);
        same(seed, "pinned memory", (int64_t)a->host.peak_pinned_bytes,
             (int64_t)b->host.peak_pinned_bytes);
        same(seed, "host memory", (int64_t)a->host.peak_bytes, (int64_t)b->host.peak_bytes);
    }
}

/* Nodes that one stands for are missing in the folded plan; those that are there are equal. */
static void compare_nodes(uint64_t seed, const lab_run *folded, const lab_run *full)
{
    size_t whole = 0;
    for (size_t i = 0; i < folded->result.node_count; i++) {
        uint32_t ranks = 0;
        for (size_t d = 0; d < folded->plan->device.head.count; d++) {
            if (folded->plan->device.node[d] == i + 1) {
                ranks +=
                    folded->plan->device.node_ranks[d] > 1 ? folded->plan->device.node_ranks[d] : 1;
            }
        }
        for (size_t k = 0; k < full->result.node_count; k++) {
            uint32_t all = 0;
            for (size_t d = 0; d < full->plan->device.head.count; d++) {
                all += full->plan->device.node[d] == k + 1;
            }
            if (strcmp(ps_strings_text(folded->plan->strings, folded->result.node[i].name),
                       ps_strings_text(full->plan->strings, full->result.node[k].name)) == 0 &&
                ranks == all) {
                whole++;
                same(seed, "memory of a node", (int64_t)folded->result.node[i].peak_bytes,
                     (int64_t)full->result.node[k].peak_bytes);
            }
        }
    }
    assert_true(whole > 0 || folded->result.node_count == 0 || folded->result.device_count > 1);
}

static void check_path(uint64_t seed, const lab_run *run)
{
    const ps_result_steady *steady = &run->result.steady;
    ps_ns sum = 0;
    for (int i = 0; i < PS_RESOURCE_COUNT; i++) {
        sum += steady->path_ns[i];
    }
    if (steady->is_known) {
        same(seed, "critical path, not the step,", sum, steady->end_ns - steady->begin_ns);
    }
}

static void folding_and_links_are_exact(void **state)
{
    size_t folded_away = 0, explained = 0;
    (void)state;
    for (uint64_t round = 0; round < ROUNDS; round++) {
        const uint64_t seed = round * UINT64_C(0x9e3779b97f4a7c15) + 3;
        uint64_t rng = seed;
        const lab_machine machine = draw_machine(&rng);
        scene s = draw_scene(&machine, &rng);
        lab_run folded = lab_simulate(&s, &machine, true);
        lab_run full = lab_simulate(&s, &machine, false);
        compare(seed, &folded, &full);
        compare_nodes(seed, &folded, &full);
        check_path(seed, &folded);
        check_path(seed, &full);
        lab_check_links(&folded, seed);
        lab_check_links(&full, seed);
        folded_away += full.result.device_count - folded.result.device_count;
        explained += full.result.steady.is_known;
        lab_end(&folded);
        lab_end(&full);
        scene_fini(&s);
    }
    assert_true(folded_away > ROUNDS); /* else nothing was tested */
    assert_true(explained > ROUNDS / 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(folding_and_links_are_exact),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
