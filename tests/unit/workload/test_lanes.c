/* SPDX-License-Identifier: MIT
 *
 * Lanes of a workload on a GPU: each that is used becomes a stream of its own,
 * copies in them run beside the computation, the host waits where the workload
 * says so and nowhere else, and memory is asked for in the lane's pool.
 */
#include "support/test.h"

#include <string.h>

#include "cluster/catalogue.h"
#include "job/job.h"

#define COPY_BYTES 1000000000u

static void add_tensor(ps_workload *w, ps_workload_lane lane)
{
    size_t row;
    ps_error err = {0};
    assert_ok(&err, ps_workload_add(w, PS_WORKLOAD_TENSOR, &row, &err));
    w->tensor.bytes[row] = 4096;
    w->tensor.lane[row] = (uint8_t)lane;
    assert_ok(&err, ps_workload_add_event(w, PS_WORKLOAD_EVENT_ALLOC, (uint32_t)row, &err));
}

static void add_op(ps_workload *w, ps_op_kind kind, ps_workload_lane lane, uint64_t bytes)
{
    size_t row;
    ps_error err = {0};
    assert_ok(&err, ps_workload_add(w, PS_WORKLOAD_OP, &row, &err));
    assert_ok(&err, ps_strings_put_z(w->strings, "op", &w->op.name[row], &err));
    w->op.kind[row] = (uint8_t)kind;
    w->op.lane[row] = (uint8_t)lane;
    w->op.moved_bytes[row] = bytes;
    w->op.launches[row] = kind == PS_OP_HOST ? 0 : 1;
    assert_ok(&err, ps_workload_add_event(w, PS_WORKLOAD_EVENT_OP, (uint32_t)row, &err));
}

static ps_plan *lower(const ps_workload *w)
{
    ps_error err = {0};
    ps_catalogue *catalogue;
    ps_hardware_id host_id;
    ps_cost_model *cost;
    ps_cost_host host;
    ps_plan *plan = NULL;
    assert_ok(&err, ps_catalogue_create(&catalogue, &err));
    ps_job_target to = {.catalogue = catalogue, .host = &host};
    assert_ok(&err, ps_catalogue_find(catalogue, PS_HARDWARE_GPU, "RTX-3090", &to.gpu, &err));
    assert_ok(&err, ps_catalogue_find(catalogue, PS_HARDWARE_HOST, "host-server", &host_id, &err));
    assert_ok(&err, ps_cost_host_read(catalogue, host_id, &host, &err));
    assert_ok(&err, ps_cost_create(catalogue, to.gpu, NULL, &cost, &err));
    to.cost = cost;
    assert_ok(&err, ps_job_lower_one(w, &to, &plan, &err));
    ps_cost_destroy(cost);
    ps_catalogue_destroy(catalogue);
    return plan;
}

static const char *lane_name(const ps_plan *plan, size_t lane)
{
    return ps_strings_text(plan->strings, plan->lane.name[lane]);
}

/* The only task of a kind in a lane; fails when there are others. */
static size_t only_task(const ps_plan *plan, const char *lane, ps_task_kind kind)
{
    size_t found = SIZE_MAX;
    for (size_t i = 0; i < plan->task.head.count; i++) {
        if (plan->task.kind[i] == (uint8_t)kind &&
            strcmp(lane_name(plan, plan->task.lane[i]), lane) == 0) {
            assert_true(found == SIZE_MAX);
            found = i;
        }
    }
    assert_true(found != SIZE_MAX);
    return found;
}

static bool waits_for(const ps_plan *plan, size_t task, size_t before)
{
    for (size_t i = 0; i < plan->dep.head.count; i++) {
        if (plan->dep.task[i] == task && plan->dep.before[i] == before &&
            plan->dep.kind[i] == (uint8_t)PS_DEP_END_AFTER_END) {
            return true;
        }
    }
    return false;
}

static void test_a_workload_of_one_lane_has_one_stream(void **state)
{
    ps_workload *w = ps_workload_create();
    (void)state;
    add_op(w, PS_OP_MEMORY, PS_WORKLOAD_MAIN, 4096);
    ps_plan *plan = lower(w);
    assert_int_equal(plan->lane.head.count, 2);
    ps_plan_destroy(plan);
    ps_workload_destroy(w);
}

static void test_copies_run_beside_and_the_host_waits_when_told(void **state)
{
    ps_workload *w = ps_workload_create();
    (void)state;
    add_tensor(w, PS_WORKLOAD_UPLOAD);
    add_op(w, PS_OP_COPY, PS_WORKLOAD_UPLOAD, COPY_BYTES);
    add_op(w, PS_OP_COPY, PS_WORKLOAD_OFFLOAD, COPY_BYTES);
    add_tensor(w, PS_WORKLOAD_COMPUTE);
    add_op(w, PS_OP_MEMORY, PS_WORKLOAD_COMPUTE, 4096);
    add_op(w, PS_OP_HOST, PS_WORKLOAD_UPLOAD, 0);
    add_tensor(w, PS_WORKLOAD_MAIN);
    add_op(w, PS_OP_MEMORY, PS_WORKLOAD_MAIN, 4096);
    ps_plan *plan = lower(w);
    const size_t up = only_task(plan, "upload", PS_TASK_MEMCPY);
    const size_t down = only_task(plan, "offload", PS_TASK_MEMCPY);
    const size_t kernel = only_task(plan, "compute", PS_TASK_KERNEL);
    assert_int_equal(plan->lane.head.count, 5);
    assert_int_equal(plan->task.copy_kind[up], PS_COPY_HTOD);
    assert_int_equal(plan->task.copy_kind[down], PS_COPY_DTOH);
    assert_true(plan->task.dur_ns[up] > 10000000); /* a GB takes no less than 10 ms on any link */
    /* two waits: the one asked for, for the upload alone, and the end's, for all */
    size_t waits[2], count = 0;
    for (size_t i = 0; i < plan->task.head.count; i++) {
        if (plan->task.kind[i] == (uint8_t)PS_TASK_WAIT) {
            assert_true(count < 2);
            waits[count++] = i;
        }
    }
    assert_int_equal(count, 2);
    assert_true(waits_for(plan, waits[0], up));
    assert_false(waits_for(plan, waits[0], down));
    assert_false(waits_for(plan, waits[0], kernel));
    assert_true(waits_for(plan, waits[1], down));
    assert_true(waits_for(plan, waits[1], kernel));
    for (size_t i = 0; i < 3; i++) {
        static const uint8_t lanes[] = {PS_WORKLOAD_UPLOAD, PS_WORKLOAD_COMPUTE, PS_WORKLOAD_MAIN};
        assert_int_equal(plan->buffer.stream[i], lanes[i]);
    }
    ps_plan_destroy(plan);
    ps_workload_destroy(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_workload_of_one_lane_has_one_stream),
        cmocka_unit_test(test_copies_run_beside_and_the_host_waits_when_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
