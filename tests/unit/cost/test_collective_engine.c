/* SPDX-License-Identifier: MIT
 *
 * Collectives as flows of the engine: alone one ends when the model says; many
 * at a time share the links that their paths have in common.
 */
#include "collective_support.h"
#include "engine/engine.h"

enum { MAX_FLOWS = 8, MAX_ROWS = 4096, MAX_LINKS = 1024 };

/* The columns of an input of collectives that all start at 0, each on a lane of its own. */
typedef struct flows {
    uint32_t lane[MAX_FLOWS];
    int64_t zero[MAX_FLOWS], latency_ns[MAX_FLOWS], start_ns[MAX_FLOWS], end_ns[MAX_FLOWS];
    uint64_t bytes[MAX_FLOWS], rate[MAX_FLOWS], link_rate[MAX_LINKS];
    uint32_t task[MAX_ROWS], link[MAX_ROWS];
    size_t count, rows;
} flows;

static ps_collective_result add(flows *self, const scene *at, ps_collective_op kind,
                                const uint32_t *rank, uint32_t ranks, uint64_t bytes)
{
    ps_error err = {0};
    ps_crossing path[MAX_LINKS];
    uint32_t length = 0;
    const ps_group group = {rank, ranks};
    ps_collective_call call = {.kind = kind,
                               .bytes = bytes,
                               .algorithm = PS_COLLECTIVE_ANY_ALGORITHM,
                               .protocol = PS_COLLECTIVE_ANY_PROTOCOL};
    assert_ok(&err, ps_cluster_place(at->cluster, &group, &call.place, &err));
    const ps_collective_result got = time_of(at, &call);
    assert_ok(&err,
              ps_cluster_path(at->cluster, got.traffic, &group, path, MAX_LINKS, &length, &err));
    const size_t task = self->count;
    self->lane[task] = (uint32_t)task;
    self->latency_ns[task] = got.latency_ns;
    self->bytes[task] = got.wire_bytes;
    self->rate[task] = got.rate_bytes_per_s;
    for (uint32_t i = 0; i < length; i++) {
        for (uint32_t k = 0; k < path[i].times; k++) {
            self->task[self->rows] = (uint32_t)task;
            self->link[self->rows] = path[i].link;
            self->rows++;
        }
    }
    self->count++;
    return got;
}

static void run(flows *self, const scene *at)
{
    ps_error err = {0};
    const uint32_t links = ps_cluster_link_count(at->cluster);
    for (uint32_t i = 0; i < links; i++) {
        self->link_rate[i] = ps_cluster_link_at(at->cluster, i).bytes_per_s;
    }
    const ps_engine_input input = {.lane_count = self->count,
                                   .task_count = self->count,
                                   .lane = self->lane,
                                   .gap_ns = self->zero,
                                   .dur_ns = self->latency_ns,
                                   .bytes = self->bytes,
                                   .rate_bytes_per_s = self->rate,
                                   .link_count = links,
                                   .link_bytes_per_s = self->link_rate,
                                   .transfer_count = self->rows,
                                   .transfer_task = self->task,
                                   .transfer_link = self->link};
    assert_ok(&err, ps_engine_run(&input, NULL, NULL, self->start_ns, self->end_ns, &err));
}

static const uint32_t all[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

static void alone_it_ends_when_the_model_says(void **state)
{
    (void)state;
    static const struct {
        const char *kind;
        uint32_t gpus;
    } cases[] = {{"dgx-a100-80", 16},
                 {"dgx-h100", 8},
                 {"dgx-1-v100-32", 8},
                 {"rtx4090-8", 8},
                 {"a100-pcie-8", 8}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        scene at = scene_make(cases[i].kind, cases[i].gpus, NULL);
        for (int kind = PS_COLLECTIVE_ALL_REDUCE; kind < PS_COLLECTIVE_OP_COUNT; kind++) {
            flows one = {0};
            const uint32_t ranks = kind >= PS_COLLECTIVE_SEND ? 2 : cases[i].gpus;
            const ps_collective_result got =
                add(&one, &at, (ps_collective_op)kind, all, ranks, 100000000);
            run(&one, &at);
            assert_int_equal(one.end_ns[0], got.dur_ns);
        }
        scene_end(&at);
    }
}

/* Eight groups of one GPU a node: alone each has its port, together they have four ports. */
static void groups_share_the_ports_of_a_node(void **state)
{
    (void)state;
    scene at = scene_make("a100-4xhdr", 16, NULL);
    flows eight = {0};
    ps_collective_result got = {0};
    for (uint32_t i = 0; i < 8; i++) {
        const uint32_t rank[2] = {i, i + 8};
        got = add(&eight, &at, PS_COLLECTIVE_ALL_REDUCE, rank, 2, 940000000);
    }
    assert_int_equal(got.rate_bytes_per_s, 23500000000);
    run(&eight, &at);
    for (uint32_t i = 0; i < 8; i++) { /* 940 MB at 94 / 8 GB/s */
        assert_int_equal(eight.end_ns[i], got.latency_ns + 80000000);
    }
    scene_end(&at);
}

/* Pairs on NVLinks of their own do not meet. */
static void groups_apart_do_not_meet(void **state)
{
    (void)state;
    scene at = scene_make("dgx-a100-80", 8, NULL);
    flows two = {0};
    const ps_collective_result got = add(&two, &at, PS_COLLECTIVE_ALL_REDUCE, all, 4, 100000000);
    (void)add(&two, &at, PS_COLLECTIVE_ALL_REDUCE, all + 4, 4, 100000000);
    run(&two, &at);
    assert_int_equal(two.end_ns[0], got.dur_ns);
    assert_int_equal(two.end_ns[1], got.dur_ns);
    scene_end(&at);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(alone_it_ends_when_the_model_says),
        cmocka_unit_test(groups_share_the_ports_of_a_node),
        cmocka_unit_test(groups_apart_do_not_meet),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
