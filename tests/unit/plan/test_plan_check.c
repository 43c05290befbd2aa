/* SPDX-License-Identifier: MIT
 *
 * The plan checker: a valid plan passes, and each rule has a change of that
 * plan which breaks it and nothing before it.
 */
#include "unit/plan/make_plan.h"

#include <string.h>

#include "base/memory.h"

/* Devices 0, 1; lanes 0 host, 1 stream, 2 host; one live and one pending block on device 0. */
static ps_plan *valid_plan(void)
{
    ps_plan *plan = plan_new();
    (void)plan_device(plan);
    (void)plan_device(plan);
    (void)plan_host_lane(plan);
    (void)plan_stream(plan, 0);
    (void)plan_host_lane(plan);
    (void)plan_task(plan, 0, PS_TASK_HOST, 5, 10);   /* 0 */
    (void)plan_task(plan, 1, PS_TASK_KERNEL, 0, 10); /* 1 */
    (void)plan_copy(plan, 1, PS_COPY_HTOD, 100, 10); /* 2 */
    (void)plan_task(plan, 0, PS_TASK_WAIT, 0, 10);   /* 3 */
    (void)plan_dep(plan, 1, 0, PS_DEP_START_AFTER_START, 3);
    (void)plan_dep(plan, 3, 2, PS_DEP_END_AFTER_END, 0);
    (void)plan_link(plan, 1000);
    plan_transfer(plan, 1, 0);
    plan_transfer(plan, 2, 0);
    for (int i = 0; i < 5; i++) {
        (void)plan_buffer(plan, 0, 512);
    }
    plan->buffer.role[4] = PS_ROLE_BEFORE;
    (void)plan_segment(plan, 0, 4096, 2048);
    (void)plan_segment(plan, 0, 8192, 512);
    (void)plan_segment(plan, 1, 0, 512);
    (void)plan_block(plan, 0, 4096, 512, PS_BLOCK_ALLOCATED, 1);
    (void)plan_block(plan, 0, 4608, 1536, PS_BLOCK_INACTIVE, 0);
    (void)plan_block(plan, 0, 8192, 512, PS_BLOCK_PENDING_FREE, 2);
    (void)plan_block(plan, 1, 0, 512, PS_BLOCK_INACTIVE, 0);
    (void)plan_memop(plan, PS_MEMOP_ALLOC, 0, 2, 0, -2);         /* 0 */
    (void)plan_memop(plan, PS_MEMOP_FREE, 0, 0, 0, 1);           /* 1 */
    (void)plan_memop(plan, PS_MEMOP_FREE_REQUEST, 0, 2, 3, 1);   /* 2 */
    (void)plan_memop(plan, PS_MEMOP_FREE_COMPLETE, 0, 2, 3, 2);  /* 3 */
    (void)plan_memop(plan, PS_MEMOP_FREE_COMPLETE, 0, 1, 3, 2);  /* 4 */
    (void)plan_memop(plan, PS_MEMOP_OOM, 0, 3, 3, 3);            /* 5 */
    (void)plan_memop(plan, PS_MEMOP_RELEASE_CACHE, 0, 99, 3, 3); /* 6 */
    (void)plan_memop(plan, PS_MEMOP_PLACE, 0, 99, 3, 3);         /* 7 */
    plan->memop.bytes[7] = 4096;
    (void)plan_memop(plan, PS_MEMOP_FREE, 0, 4, 3, 3);         /* 8 */
    (void)plan_buffer(plan, 0, 512);                           /* 5 */
    (void)plan_memop(plan, PS_MEMOP_ALLOC, 0, 5, 3, 4);        /* 9 */
    (void)plan_memop(plan, PS_MEMOP_FREE_REQUEST, 0, 5, 3, 5); /* 10 */
    plan_hold(plan, 5, 2);
    (void)plan_step(plan, 0, 0, 3, 10);
    (void)plan_step(plan, 3, 10, PS_PLAN_WHOLE, 0);
    ps_error err = {0};
    assert_ok(&err, ps_plan_set_meta(plan, "a", "1", &err));
    assert_ok(&err, ps_plan_set_meta(plan, "b", "2", &err));
    const size_t loss = plan_row(plan, PS_PLAN_LOSS);
    plan->loss.severity[loss] = PS_SEVERITY_LOSS;
    return plan;
}

/* One cell changed, and a part of the message that the change must give. */
typedef struct violation {
    ps_plan_table_id table;
    const char *column;
    size_t row;
    uint64_t value;
    const char *message;
} violation;

static const violation violations[] = {
    /* cells */
    {PS_PLAN_LANE, "name", 1, 12345, "lane 1: name is string 12345"},
    {PS_PLAN_DEVICE, "sizes_are_blocks", 1, 2, "device 1: sizes_are_blocks is 2"},
    {PS_PLAN_DEVICE, "base_basis", 1, PS_BASIS_COUNT, "device 1: base_basis is 4"},
    {PS_PLAN_DEVICE, "limit_basis", 1, PS_BASIS_COUNT, "device 1: limit_basis is 4"},
    {PS_PLAN_DEVICE, "private_pools_expand", 0, 2, "device 0: private_pools_expand is 2"},
    {PS_PLAN_LANE, "kind", 2, 3, "lane 2: kind is 3, the largest is 2"},
    {PS_PLAN_TASK, "kind", 1, PS_TASK_KIND_COUNT, "task 1: kind is 8"},
    {PS_PLAN_TASK, "copy_kind", 2, 6, "task 2: copy_kind is 6"},
    {PS_PLAN_TASK, "basis", 2, PS_BASIS_COUNT, "task 2: basis is 4"},
    {PS_PLAN_TASK, "phase", 2, 4, "task 2: phase is 4"},
    {PS_PLAN_TASK, "memory_kind", 2, 7, "task 2: memory_kind is 7"},
    {PS_PLAN_DEP, "kind", 1, 4, "dep 1: kind is 4"},
    {PS_PLAN_DEP, "origin", 1, 3, "dep 1: origin is 3"},
    {PS_PLAN_BUFFER, "role", 1, PS_ROLE_COUNT, "buffer 1: role is 9"},
    {PS_PLAN_BUFFER, "growth", 1, PS_GROWTH_COUNT, "buffer 1: growth is 8"},
    {PS_PLAN_BUFFER, "memory", 1, 7, "buffer 1: memory is 7"},
    {PS_PLAN_DEVICE, "node", 1, 9, "device 1: node is 9"},
    {PS_PLAN_MEMOP, "op", 1, PS_MEMOP_COUNT, "memop 1: op is"},
    {PS_PLAN_MEMOP, "is_capturing", 1, 2, "memop 1: is_capturing is 2"},
    {PS_PLAN_SEGMENT, "is_large", 1, 2, "segment 1: is_large is 2"},
    {PS_PLAN_SEGMENT, "is_expandable", 1, 2, "segment 1: is_expandable is 2"},
    {PS_PLAN_BLOCK, "state", 1, 3, "block 1: state is 3"},
    {PS_PLAN_LOSS, "severity", 0, 3, "loss 0: severity is 3"},
    {PS_PLAN_LANE, "device", 1, 3, "lane 1: device is 3, must be below 3"},
    {PS_PLAN_TASK, "lane", 1, 3, "task 1: lane is 3, must be below 3"},
    {PS_PLAN_DEP, "task", 1, 4, "dep 1: task is 4"},
    {PS_PLAN_DEP, "before", 1, 4, "dep 1: before is 4"},
    {PS_PLAN_TRANSFER, "task", 1, 4, "transfer 1: task is 4"},
    {PS_PLAN_TRANSFER, "link", 1, 1, "transfer 1: link is 1"},
    {PS_PLAN_BUFFER, "device", 1, 2, "buffer 1: device is 2"},
    {PS_PLAN_MEMOP, "device", 1, 2, "memop 1: device is 2"},
    {PS_PLAN_MEMOP, "task", 1, 4, "memop 1: task is 4"},
    {PS_PLAN_SEGMENT, "device", 1, 2, "segment 1: device is 2"},
    {PS_PLAN_BLOCK, "device", 1, 2, "block 1: device is 2"},
    {PS_PLAN_BLOCK, "buffer", 1, 7, "block 1: buffer is 7, must be below 7"},
    {PS_PLAN_HOLD, "buffer", 0, 6, "hold 0: buffer is 6, must be below 6"},
    {PS_PLAN_HOLD, "task", 0, 4, "hold 0: task is 4, must be below 4"},
    {PS_PLAN_TASK, "gap_ns", 1, UINT64_MAX, "task 1: gap_ns is -1, must be >= 0"},
    {PS_PLAN_TASK, "dur_ns", 1, UINT64_MAX, "task 1: dur_ns is -1"},
    {PS_PLAN_DEP, "lag_ns", 1, UINT64_MAX, "dep 1: lag_ns is -1"},
    {PS_PLAN_STEP, "recorded_ns", 0, UINT64_MAX, "step 0: recorded_ns is -1"},
    /* lanes, tasks, deps, links */
    {PS_PLAN_LANE, "device", 1, 0, "lane 1 is a stream of no device"},
    {PS_PLAN_LANE, "device", 0, 2, "lane 0 is no stream, yet names device 1"},
    {PS_PLAN_TASK, "lane", 0, 1, "task 0 is host work on lane 1, a stream"},
    {PS_PLAN_TASK, "lane", 1, 0, "task 1 is a kernel on lane 0, a host lane"},
    {PS_PLAN_TASK, "kind", 1, PS_TASK_CPU, "task 1 is computation of the host on lane 1, a stream"},
    {PS_PLAN_TASK, "kind", 2, PS_TASK_EXCHANGE, "exchanges, and nothing else, run on groups"},
    {PS_PLAN_DEP, "before", 1, 3, "dep 1: task 3 waits for itself"},
    {PS_PLAN_DEP, "task", 0, 3, ""},
    {PS_PLAN_DEP, "task", 1, 0, "dep 1 is of task 0, after one of task 1"},
    {PS_PLAN_TRANSFER, "task", 1, 0, "transfer 1 is of task 0, after one of task 1"},
    {PS_PLAN_LINK, "bytes_per_s", 0, 0, "link 0 moves 0 bytes/s"},
    /* the origin */
    {PS_PLAN_SEGMENT, "bytes", 2, 0, "segment 2 at 0x0 has 0 bytes"},
    {PS_PLAN_SEGMENT, "addr", 1, UINT64_MAX, "segment 1 at 0xffffffffffffffff has 512 bytes"},
    {PS_PLAN_SEGMENT, "addr", 1, 6143, "segment 1 lies before the end of segment 0"},
    {PS_PLAN_SEGMENT, "device", 0, 1, "segment 0 is not tiled: block 0"},
    {PS_PLAN_BLOCK, "addr", 1, 4609, "segment 0 is not tiled: block 1 should start at 0x1200"},
    {PS_PLAN_BLOCK, "bytes", 1, 0, "segment 0 is not tiled: block 1"},
    {PS_PLAN_BLOCK, "bytes", 1, 1537, "segment 0 is not tiled: block 1"},
    {PS_PLAN_BLOCK, "bytes", 1, 1024, "segment 0 is not tiled: block 2"},
    {PS_PLAN_BLOCK, "requested_bytes", 0, 513, "block 0 of 512 bytes serves a request of 513"},
    {PS_PLAN_BLOCK, "buffer", 1, 1, "block 1 is free, yet holds a buffer"},
    {PS_PLAN_BLOCK, "buffer", 0, 0, "block 0 is live without a buffer"},
    {PS_PLAN_BUFFER, "device", 0, 1, "block 0 of device 0 holds buffer 0 of device 1"},
    {PS_PLAN_BLOCK, "buffer", 2, 1, "block 2 holds buffer 0, as does an earlier one"},
    /* requests */
    {PS_PLAN_MEMOP, "task", 1, 1, "memop 1 happens in task 1, no host task"},
    {PS_PLAN_MEMOP, "buffer", 1, 6, "memop 1: buffer is 6, must be below 6"},
    {PS_PLAN_MEMOP, "device", 1, 1, "memop 1 on device 1 names buffer 0 of device 0"},
    {PS_PLAN_MEMOP, "buffer", 0, 0, "memop 0: buffer 0 is live, must be not allocated"},
    {PS_PLAN_MEMOP, "buffer", 0, 4, "memop 0: buffer 4 is live, must be not allocated"},
    {PS_PLAN_MEMOP, "buffer", 1, 3, "memop 1: buffer 3 is not allocated, must be live"},
    {PS_PLAN_MEMOP, "buffer", 2, 0, "memop 2: buffer 0 is freed, must be live"},
    {PS_PLAN_MEMOP, "buffer", 4, 2, "memop 4: buffer 2 is freed, must be waiting for its free"},
    {PS_PLAN_MEMOP, "buffer", 5, 0, "memop 5: buffer 0 is freed, must be not allocated"},
    {PS_PLAN_MEMOP, "bytes", 7, 0, "memop 7 places a segment of 0 bytes"},
    {PS_PLAN_MEMOP, "op", 5, PS_MEMOP_RELEASE_CACHE, "buffer 3 is never allocated"},
    {PS_PLAN_MEMOP, "op", 10, PS_MEMOP_FREE,
     "hold 0: buffer 5 is freed at the end, must be waiting"},
    {PS_PLAN_HOLD, "buffer", 0, 2, "hold 0: buffer 2 is freed at the end, must be waiting"},
    /* steps and facts */
    {PS_PLAN_STEP, "begin_task", 0, 1, "step 0 is bounded by task 1, no host task"},
    {PS_PLAN_STEP, "end_task", 0, 4, "step 0 is bounded by task 4, no host task"},
    {PS_PLAN_STEP, "end_task", 1, 0, "step 1 ends before it begins"},
    {PS_PLAN_STEP, "begin_offset_ns", 0, 11, ""},
    {PS_PLAN_META, "key", 1, 0, "meta 1 has no key"},
};

static const ps_column_spec *column_of(const violation *v)
{
    const ps_table_spec *spec = &ps_plan_specs()[v->table];
    for (size_t c = 0; c < spec->column_count; c++) {
        if (strcmp(spec->columns[c].name, v->column) == 0) {
            return &spec->columns[c];
        }
    }
    fail_msg("no column %s.%s", spec->name, v->column);
    return NULL;
}

static void each_violation_is_found_and_named(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof violations / sizeof violations[0]; i++) {
        const violation *v = &violations[i];
        ps_error err = {0};
        ps_plan *plan = valid_plan();
        ps_table_set(column_of(v), ps_plan_table(plan, v->table), v->row, v->value);
        const ps_code code = ps_plan_check(plan, &err);
        if (v->message[0] == '\0') { /* near a limit, still fine */
            assert_ok(&err, code);
        } else if (code != PS_CHECK_FAILED || strstr(err.message, v->message) == NULL) {
            fail_msg("%s[%zu].%s = %llu: \"%s\", expected \"%s\"", ps_plan_specs()[v->table].name,
                     v->row, v->column, (unsigned long long)v->value, err.message, v->message);
        }
        ps_plan_destroy(plan);
    }
}

static void expect(ps_plan *plan, const char *message)
{
    ps_error err = {0};
    assert_int_equal(ps_plan_check(plan, &err), PS_CHECK_FAILED);
    if (strstr(err.message, message) == NULL) {
        fail_msg("\"%s\", expected \"%s\"", err.message, message);
    }
    ps_plan_destroy(plan);
}

static void violations_of_several_rows_are_found(void **state)
{
    (void)state;
    ps_plan *plan = valid_plan();
    (void)plan_block(plan, 1, 512, 512, PS_BLOCK_INACTIVE, 0);
    expect(plan, "block 4 lies in no segment");
    plan = valid_plan();
    plan->meta.key[1] = plan->meta.key[0];
    expect(plan, "meta 1 repeats the key \"a\" of meta 0");
    plan = valid_plan();
    (void)plan_step(plan, 0, 0, 0, 1);
    expect(plan, "step 2 begins before step 1");
    plan = valid_plan();
    plan->segment.device[0] = 1;
    plan->segment.device[1] = 0;
    for (int i = 0; i < 2; i++) {
        plan->block.device[i] = 1;
        plan->buffer.device[0] = 1;
    }
    expect(plan, "segment 1 lies before the end of segment 0");
    plan = valid_plan();
    (void)plan_buffer(plan, 0, 1);
    expect(plan, "buffer 6 is never allocated");
}

static void valid_plans_pass(void **state)
{
    (void)state;
    ps_error err = {0};
    ps_plan *plan = valid_plan();
    assert_ok(&err, ps_plan_check(plan, &err));
    ps_plan_destroy(plan);
    plan = plan_new();
    assert_ok(&err, ps_plan_check(plan, &err));
    ps_plan_destroy(plan);
    for (uint64_t seed = 1; seed <= 50; seed++) {
        plan = plan_random_new(&(plan_shape){1 + seed * 7, 100, 1000}, seed);
        print_message("seed %llu\n", (unsigned long long)seed);
        assert_ok(&err, ps_plan_check(plan, &err));
        ps_plan_destroy(plan);
    }
}

static void out_of_memory_is_a_result(void **state)
{
    (void)state;
    ps_error err = {0};
    ps_plan *plan = valid_plan();
    ps_code code = PS_NOMEM;
    for (unsigned long n = 1; code != PS_OK; n++) {
        assert_true(n < 100);
        ps_memory_fail_nth(n);
        code = ps_plan_check(plan, &err);
        ps_memory_fail_nth(0);
        assert_true(code == PS_OK || code == PS_NOMEM);
    }
    ps_plan_destroy(plan);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(valid_plans_pass),
        cmocka_unit_test(each_violation_is_found_and_named),
        cmocka_unit_test(violations_of_several_rows_are_found),
        cmocka_unit_test(out_of_memory_is_a_result),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
