/* SPDX-License-Identifier: MIT
 *
 * Random small plans: the checker finds a hazard of a rule where brute force
 * finds one, and nowhere else. A failure prints the seed of its plan.
 */
#include "make_plan.h"

#include "support/hazard_oracle.h"

#define ROUNDS 4000
#define TASKS 24
#define BUFFERS 6

/* Host threads, a worker and streams with numbers; pools of numbers that have no lane, too. */
static void add_lanes(ps_plan *plan, uint64_t *rng, size_t hosts)
{
    (void)plan_device(plan);
    for (size_t i = 0; i < hosts; i++) {
        (void)plan_host_lane(plan);
    }
    for (size_t i = 0; i < 2 + plan_random(rng) % 2; i++) {
        const uint32_t lane = plan_stream(plan, 0);
        plan->lane.number[lane] = i;
    }
}

static void add_buffers(ps_plan *plan, uint64_t *rng)
{
    static const uint8_t memories[] = {PS_MEMORY_UNKNOWN, PS_MEMORY_UNKNOWN, PS_MEMORY_UNKNOWN,
                                       PS_MEMORY_PINNED, PS_MEMORY_PAGEABLE};
    for (size_t i = 0; i < BUFFERS; i++) {
        const uint32_t buffer = plan_buffer(plan, 0, 64);
        plan->buffer.memory[buffer] = memories[plan_random(rng) % 5];
        plan->buffer.stream[buffer] = plan_random(rng) % 4;
    }
}

static void request(ps_plan *plan, uint64_t *rng, uint32_t task, uint8_t *state)
{
    const uint32_t buffer = (uint32_t)(plan_random(rng) % BUFFERS);
    const ps_ns offset = (ps_ns)(plan_random(rng) % 8) - 1;
    if (state[buffer] == 2) {
        return;
    }
    const ps_memop free = plan_random(rng) % 6 == 0 ? PS_MEMOP_FREE_REQUEST : PS_MEMOP_FREE;
    (void)plan_memop(plan, state[buffer] == 0 ? PS_MEMOP_ALLOC : free, 0, buffer, task,
                     offset <= 0 ? offset : offset - 6);
    state[buffer]++;
}

/* Most device work is launched by the host task before it; some waits for more. */
static void add_deps(ps_plan *plan, uint64_t *rng, uint32_t task, uint32_t host)
{
    if (plan->lane.kind[plan->task.lane[task]] == PS_LANE_STREAM && host != UINT32_MAX &&
        plan_random(rng) % 8 != 0) {
        (void)plan_dep(plan, task, host, PS_DEP_START_AFTER_START, 0);
    }
    for (size_t i = task == 0 ? 0 : plan_random(rng) % 3; i > 0; i--) {
        (void)plan_dep(plan, task, (uint32_t)(plan_random(rng) % task),
                       (ps_dep_kind)(plan_random(rng) % 4), 0);
    }
}

/* What no task asks for lives at the origin. */
static void add_origin(ps_plan *plan, const uint8_t *state)
{
    for (uint32_t i = 0; i < BUFFERS; i++) {
        if (state[i] == 0) {
            (void)plan_segment(plan, 0, 4096 * (i + 1), 64);
            (void)plan_block(plan, 0, 4096 * (i + 1), 64, PS_BLOCK_ALLOCATED, i + 1);
        }
    }
}

static ps_plan *draw(uint64_t seed, size_t hosts)
{
    uint64_t rng = seed;
    uint8_t state[BUFFERS] = {0};
    uint32_t host = UINT32_MAX;
    ps_plan *plan = plan_new();
    (void)plan_random(&rng);
    add_lanes(plan, &rng, hosts);
    add_buffers(plan, &rng);
    const size_t tasks = 2 + plan_random(&rng) % TASKS;
    for (size_t i = 0; i < tasks; i++) {
        const uint32_t lane = (uint32_t)(plan_random(&rng) % plan->lane.head.count);
        const bool is_stream = plan->lane.kind[lane] == PS_LANE_STREAM;
        const ps_task_kind on_stream = plan_random(&rng) % 2 == 0 ? PS_TASK_KERNEL : PS_TASK_MEMCPY;
        const uint32_t task = plan_task(plan, lane, is_stream ? on_stream : PS_TASK_HOST, 0, 1);
        plan->task.phase[task] = plan_random(&rng) % 6 == 0 ? PS_PHASE_FORWARD : 0;
        add_deps(plan, &rng, task, host);
        host = is_stream ? host : task;
        if (!is_stream && lane < hosts) {
            request(plan, &rng, task, state);
            request(plan, &rng, task, state);
        }
        for (size_t k = plan_random(&rng) % 3; k > 0; k--) {
            const size_t row = plan_row(plan, PS_PLAN_ACCESS);
            plan->access.task[row] = task;
            plan->access.buffer[row] = (uint32_t)(plan_random(&rng) % BUFFERS);
            plan->access.is_write[row] = plan_random(&rng) % 2 == 0;
        }
    }
    add_origin(plan, state);
    return plan;
}

/* One rule may be told as another: who reads beside the only write has no write before. */
static bool is_told(const ps_hazards *found, ps_hazard_rule rule)
{
    return found->count[rule] > 0 ||
           (rule == PS_HAZARD_UNWRITTEN && found->count[PS_HAZARD_UNORDERED] > 0);
}

static size_t compare(uint64_t seed, size_t hosts, size_t broken[PS_HAZARD_RULE_COUNT])
{
    ps_plan *plan = draw(seed, hosts);
    ps_error err = {0};
    ps_hazards found;
    assert_ok(&err, ps_plan_check(plan, &err));
    assert_ok(&err, ps_plan_hazards(plan, &found, &err));
    hazard_oracle oracle = hazard_oracle_of(plan);
    bool has_any = false;
    for (int i = 0; i < PS_HAZARD_RULE_COUNT; i++) {
        const ps_hazard_rule rule = (ps_hazard_rule)i;
        const bool expected = hazard_oracle_breaks(&oracle, rule);
        /* what comes back in use, or is used when it is back, spoils what is taken */
        const bool may_hide = rule == PS_HAZARD_TAKEN && (found.count[PS_HAZARD_REUSED] > 0 ||
                                                          found.count[PS_HAZARD_FREED] > 0);
        if ((expected && !is_told(&found, rule) && !may_hide) ||
            (!expected && found.count[rule] > 0 && (hosts == 1 || rule != PS_HAZARD_TAKEN))) {
            fail_msg("seed %llu, %zu hosts: %s is %s", (unsigned long long)seed, hosts,
                     ps_hazard_name(rule), expected ? "not found" : "found where there is none");
        }
        broken[i] += expected ? 1 : 0;
        has_any = has_any || expected;
    }
    hazard_oracle_fini(&oracle);
    ps_plan_destroy(plan);
    return has_any ? 0 : 1;
}

static void test_the_checker_agrees_with_brute_force(void **state)
{
    size_t broken[PS_HAZARD_RULE_COUNT] = {0}, clean = 0;
    (void)state;
    for (uint64_t seed = 1; seed <= ROUNDS; seed++) {
        clean += compare(seed, 1 + seed % 2, broken);
    }
    for (int i = 0; i < PS_HAZARD_RULE_COUNT; i++) {
        assert_true(broken[i] > ROUNDS / 100);
    }
    assert_true(clean > ROUNDS / 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_checker_agrees_with_brute_force),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
