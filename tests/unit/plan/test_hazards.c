/* SPDX-License-Identifier: MIT
 *
 * Each rule of the hazards by hand: a plan that keeps it, the same plan
 * without the dependency that keeps it, and the sentence about that.
 */
#include "make_plan.h"

#include <string.h>

#include "base/memory.h"
#include "plan/hazards.h"
#include "plan/plan_order.h"

/*
 *   host     up ─ run ─ down ─ [wait] ─ next
 *   upload   ├ up ┤               ├ next ┤
 *   compute        ├ run ┤
 *   offload               ├ down ┤
 *
 * A block is uploaded, computed with and sent away; the next one may get its memory.
 */
enum { HOST, UPLOAD, COMPUTE, OFFLOAD };

typedef struct scene {
    ps_plan *plan;
    uint32_t launch[4], work[4]; /* up, run, down, next */
    uint32_t wait;
} scene;

typedef struct omission {
    bool run_after_up, down_after_run, host_after_down;
} omission;

static void tell(ps_plan *plan, uint32_t task, uint32_t buffer, bool is_write)
{
    const size_t row = plan_row(plan, PS_PLAN_ACCESS);
    plan->access.task[row] = task;
    plan->access.buffer[row] = buffer;
    plan->access.is_write[row] = is_write ? 1 : 0;
}

static uint32_t launched(scene *s, size_t i, uint32_t lane, const char *name)
{
    s->launch[i] = plan_task(s->plan, HOST, PS_TASK_HOST, 0, 1);
    s->work[i] = plan_task(s->plan, lane, lane == COMPUTE ? PS_TASK_KERNEL : PS_TASK_MEMCPY, 0, 9);
    s->plan->task.name[s->work[i]] = plan_text(s->plan, name);
    (void)plan_dep(s->plan, s->work[i], s->launch[i], PS_DEP_START_AFTER_START, 0);
    return s->work[i];
}

static scene stream_a_block(omission without, uint8_t memory)
{
    static const char *const names[] = {"upload", "compute", "offload"};
    scene s = {.plan = plan_new()};
    ps_plan *plan = s.plan;
    (void)plan_device(plan);
    (void)plan_host_lane(plan);
    for (uint64_t i = 1; i <= 3; i++) {
        const uint32_t lane = plan_stream(plan, 0);
        plan->lane.number[lane] = i;
        plan->lane.name[lane] = plan_text(plan, names[i - 1]);
    }
    for (uint32_t i = 0; i < 2; i++) {
        (void)plan_buffer(plan, 0, 4096);
        plan->buffer.stream[i] = UPLOAD;
        plan->buffer.role[i] = PS_ROLE_PARAMETER;
        plan->buffer.label[i] = plan_text(plan, "weight");
        plan->buffer.memory[i] = memory;
    }
    const uint32_t up = launched(&s, 0, UPLOAD, "up");
    const uint32_t run = launched(&s, 1, COMPUTE, "run");
    if (!without.run_after_up) {
        (void)plan_dep(plan, run, up, PS_DEP_START_AFTER_END, 0);
    }
    const uint32_t down = launched(&s, 2, OFFLOAD, "down");
    if (!without.down_after_run) {
        (void)plan_dep(plan, down, run, PS_DEP_START_AFTER_END, 0);
    }
    s.wait = plan_task(plan, HOST, PS_TASK_WAIT, 0, 0);
    if (!without.host_after_down) {
        (void)plan_dep(plan, s.wait, down, PS_DEP_END_AFTER_END, 0);
    }
    const uint32_t next = launched(&s, 3, UPLOAD, "next");
    tell(plan, up, 0, true);
    tell(plan, run, 0, true);
    tell(plan, down, 0, false);
    tell(plan, next, 1, true);
    (void)plan_memop(plan, PS_MEMOP_ALLOC, 0, 0, s.launch[0], 0);
    (void)plan_memop(plan, PS_MEMOP_FREE, 0, 0, s.launch[3], 0);
    (void)plan_memop(plan, PS_MEMOP_ALLOC, 0, 1, s.launch[3], 0);
    return s;
}

static ps_hazards hazards_of(const ps_plan *plan)
{
    ps_error err = {0};
    ps_hazards found;
    assert_ok(&err, ps_plan_check(plan, &err));
    assert_ok(&err, ps_plan_hazards(plan, &found, &err));
    return found;
}

/* Exactly one hazard, of this rule, in these words. */
static void assert_only(const ps_plan *plan, ps_hazard_rule rule, const char *words)
{
    char text[512];
    const ps_hazards found = hazards_of(plan);
    assert_int_equal(found.count[rule], 1);
    assert_int_equal(found.total, 1);
    ps_hazard_text(plan, &found.first[rule], text, sizeof text);
    assert_string_equal(text, words);
}

static void test_what_waits_is_proved(void **state)
{
    (void)state;
    static const uint8_t memories[] = {PS_MEMORY_UNKNOWN, PS_MEMORY_PINNED, PS_MEMORY_PAGEABLE};
    for (size_t i = 0; i < 3; i++) {
        scene s = stream_a_block((omission){0}, memories[i]);
        assert_int_equal(hazards_of(s.plan).total, 0);
        ps_plan_destroy(s.plan);
    }
}

static void test_a_read_waits_for_what_arrives(void **state)
{
    (void)state;
    scene s = stream_a_block((omission){.run_after_up = true}, PS_MEMORY_UNKNOWN);
    const uint8_t is_write = s.plan->access.is_write[1];
    s.plan->access.is_write[1] = 0; /* neither "run" nor "down" waits for "up" then */
    assert_int_equal(hazards_of(s.plan).count[PS_HAZARD_UNORDERED], 2);
    s.plan->access.is_write[1] = is_write;
    assert_only(s.plan, PS_HAZARD_UNORDERED,
                "task 3 \"run\" (lane 2 \"compute\") writes buffer 0 (parameter \"weight\", 4096 "
                "bytes) without waiting for task 1 \"up\" (lane 1 \"upload\"), which writes it");
    ps_plan_destroy(s.plan);
}

static void test_a_copy_waits_for_what_it_reads(void **state)
{
    (void)state;
    scene s = stream_a_block((omission){.down_after_run = true}, PS_MEMORY_UNKNOWN);
    const ps_hazards found = hazards_of(s.plan);
    /* nor is the computation done when the memory comes back */
    assert_int_equal(found.count[PS_HAZARD_UNORDERED], 1);
    assert_int_equal(found.count[PS_HAZARD_REUSED], 1);
    assert_int_equal(found.total, 2);
    ps_plan_destroy(s.plan);
}

static void test_memory_comes_back_when_its_last_reader_is_done(void **state)
{
    const omission without = {.host_after_down = true};
    (void)state;
    scene s = stream_a_block(without, PS_MEMORY_UNKNOWN);
    const ps_hazards found = hazards_of(s.plan);
    char text[512];
    assert_int_equal(found.total, found.count[PS_HAZARD_REUSED]);
    assert_int_equal(found.total, 2); /* neither the offload nor the computation before it */
    ps_hazard_text(s.plan, &found.first[PS_HAZARD_REUSED], text, sizeof text);
    assert_string_equal(text, "task 3 \"run\" (lane 2 \"compute\") writes buffer 0 (parameter "
                              "\"weight\", 4096 bytes), freed meanwhile: task 8 \"next\" (lane 1 "
                              "\"upload\") does not wait for that, and may have the memory");
    ps_plan_destroy(s.plan);
}

/* Copies leave events behind in pinned memory; a kernel does not, and pageable memory has none. */
static void test_memory_of_the_host_comes_back_as_its_allocator_knows(void **state)
{
    const omission without = {.host_after_down = true};
    (void)state;
    scene s = stream_a_block(without, PS_MEMORY_PINNED);
    assert_int_equal(hazards_of(s.plan).total, 1);
    assert_int_equal(hazards_of(s.plan).first[PS_HAZARD_REUSED].task, s.work[1]);
    ps_plan_destroy(s.plan);
    s = stream_a_block(without, PS_MEMORY_PAGEABLE);
    assert_int_equal(hazards_of(s.plan).count[PS_HAZARD_REUSED], 3);
    ps_plan_destroy(s.plan);
}

static void test_memory_is_taken_behind_its_streams_work(void **state)
{
    (void)state;
    scene s = stream_a_block((omission){.host_after_down = true}, PS_MEMORY_UNKNOWN);
    s.plan->memop.op[1] = PS_MEMOP_RELEASE_CACHE; /* in place of the FREE */
    assert_int_equal(hazards_of(s.plan).total, 0);
    s.plan->buffer.stream[1] = COMPUTE;
    assert_only(s.plan, PS_HAZARD_TAKEN,
                "task 8 \"next\" (lane 1 \"upload\") writes buffer 1 (parameter \"weight\", 4096 "
                "bytes) without waiting for task 3 \"run\" (lane 2 \"compute\"), which may still "
                "use the memory");
    ps_plan_destroy(s.plan);
}

/* No task of the stream stands between: the next user itself waits for the last. */
static void test_memory_is_handed_on(void **state)
{
    static const bool waits[] = {true, false};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        scene s = stream_a_block((omission){.host_after_down = !waits[i]}, PS_MEMORY_UNKNOWN);
        s.plan->buffer.stream[0] = s.plan->buffer.stream[1] = 9;
        const ps_hazards found = hazards_of(s.plan);
        assert_int_equal(found.total, waits[i] ? 0 : 2); /* "run" and "down" */
        assert_int_equal(found.count[PS_HAZARD_TAKEN], found.total);
        ps_plan_destroy(s.plan);
    }
}

static void test_lives_begin_and_end(void **state)
{
    (void)state;
    scene s = stream_a_block((omission){0}, PS_MEMORY_UNKNOWN);
    s.plan->memop.task[0] = s.launch[1];
    assert_only(s.plan, PS_HAZARD_UNALLOCATED,
                "task 1 \"up\" (lane 1 \"upload\") writes buffer 0 (parameter \"weight\", 4096 "
                "bytes) without waiting for its allocation in task 2 \"t2\" (lane 0 \"main\")");
    s.plan->memop.task[0] = s.launch[0];
    s.plan->memop.task[1] = s.launch[2];
    assert_int_equal(hazards_of(s.plan).count[PS_HAZARD_FREED], 1);
    ps_plan_destroy(s.plan);
}

static void test_somebody_writes_before_it_is_read(void **state)
{
    (void)state;
    scene s = stream_a_block((omission){0}, PS_MEMORY_UNKNOWN);
    s.plan->access.is_write[3] = 0;
    assert_only(s.plan, PS_HAZARD_UNWRITTEN,
                "task 8 \"next\" (lane 1 \"upload\") reads buffer 1 (parameter \"weight\", 4096 "
                "bytes), and nothing wrote it before");
    /* before the first phase something that nobody tells has loaded it */
    const uint32_t step = plan_task(s.plan, HOST, PS_TASK_HOST, 0, 1);
    s.plan->task.phase[step] = PS_PHASE_FORWARD;
    assert_int_equal(hazards_of(s.plan).total, 0);
    ps_plan_destroy(s.plan);
}

/* Memory that was live before a recording has been filled, and no request tells where it came from. */
static void test_what_was_there_before_is_written(void **state)
{
    (void)state;
    scene s = stream_a_block((omission){0}, PS_MEMORY_UNKNOWN);
    const uint32_t before = plan_buffer(s.plan, 0, 4096);
    s.plan->buffer.role[before] = PS_ROLE_BEFORE;
    tell(s.plan, s.work[3], before, false);
    assert_int_equal(hazards_of(s.plan).total, 0);
    ps_plan_destroy(s.plan);
}

static void test_a_plan_tells_of_its_hazards(void **state)
{
    ps_error err = {0};
    (void)state;
    scene s = stream_a_block((omission){0}, PS_MEMORY_UNKNOWN);
    const ps_hazards none = hazards_of(s.plan);
    assert_ok(&err, ps_plan_tell_hazards(s.plan, &none, &err));
    assert_int_equal(s.plan->loss.head.count, 0);
    assert_int_equal(ps_plan_told_hazards(s.plan), 0);
    s.plan->access.is_write[3] = 0;
    const ps_hazards one = hazards_of(s.plan);
    for (int i = 0; i < 2; i++) {
        assert_ok(&err, ps_plan_tell_hazards(s.plan, &one, &err));
        assert_int_equal(s.plan->loss.head.count, 1);
        assert_int_equal(ps_plan_told_hazards(s.plan), 1);
        assert_non_null(strstr(ps_plan_meta(s.plan, PS_HAZARDS_LOSS), "nothing wrote it"));
    }
    /* a change of the plan has mended it */
    assert_ok(&err, ps_plan_tell_hazards(s.plan, &none, &err));
    assert_int_equal(ps_plan_told_hazards(s.plan), 0);
    ps_plan_destroy(s.plan);
}

static void test_a_circle_is_refused(void **state)
{
    ps_error err = {0};
    ps_hazards found;
    (void)state;
    scene s = stream_a_block((omission){0}, PS_MEMORY_UNKNOWN);
    s.plan->dep.before[0] = s.work[2];
    assert_int_equal(ps_plan_hazards(s.plan, &found, &err), PS_CHECK_FAILED);
    assert_non_null(strstr(err.message, "circle"));
    ps_plan_destroy(s.plan);
}

static void test_no_memory_leaves_nothing_behind(void **state)
{
    (void)state;
    scene s = stream_a_block((omission){0}, PS_MEMORY_UNKNOWN);
    ps_hazards found;
    ps_code code = PS_NOMEM;
    for (unsigned long n = 1; code == PS_NOMEM; n++) {
        ps_error err = {0};
        ps_memory_fail_nth(n);
        code = ps_plan_hazards(s.plan, &found, &err);
        ps_memory_fail_nth(0);
        assert_true(code == PS_OK || code == PS_NOMEM);
    }
    assert_int_equal(found.total, 0);
    ps_plan_destroy(s.plan);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_waits_is_proved),
        cmocka_unit_test(test_a_read_waits_for_what_arrives),
        cmocka_unit_test(test_a_copy_waits_for_what_it_reads),
        cmocka_unit_test(test_memory_comes_back_when_its_last_reader_is_done),
        cmocka_unit_test(test_memory_of_the_host_comes_back_as_its_allocator_knows),
        cmocka_unit_test(test_memory_is_taken_behind_its_streams_work),
        cmocka_unit_test(test_memory_is_handed_on),
        cmocka_unit_test(test_lives_begin_and_end),
        cmocka_unit_test(test_somebody_writes_before_it_is_read),
        cmocka_unit_test(test_what_was_there_before_is_written),
        cmocka_unit_test(test_a_plan_tells_of_its_hazards),
        cmocka_unit_test(test_a_circle_is_refused),
        cmocka_unit_test(test_no_memory_leaves_nothing_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
