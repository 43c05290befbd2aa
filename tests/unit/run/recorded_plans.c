/* SPDX-License-Identifier: MIT
 *
 * Recorded plans beside what a policy made of them.
 */
#include "recorded_plans.h"

#include "base/memory.h"
#include "lower/lower.h"
#include "plan/hazards.h"

bool is_new(const ps_plan *plan, uint32_t task)
{
    return plan->task.basis[task] != PS_BASIS_MEASURED;
}

void assert_proved(const ps_plan *plan)
{
    ps_error err = {0};
    ps_hazards found;
    assert_ok(&err, ps_plan_check(plan, &err));
    assert_ok(&err, ps_plan_hazards(plan, &found, &err));
    for (int i = 0; i < PS_HAZARD_RULE_COUNT; i++) {
        char text[512];
        if (found.count[i] > 0) {
            ps_hazard_text(plan, &found.first[i], text, sizeof text);
            fail_msg("%s", text);
        }
    }
    assert_true(plan->access.head.count > 0);
}

void assert_recorded_tasks(const ps_plan *a, const ps_plan *b)
{
    uint32_t *row = calloc(a->task.head.count, sizeof *row), count = 0;
    size_t dep = 0;
    assert_non_null(row);
    for (uint32_t i = 0; i < b->task.head.count; i++) {
        if (!is_new(b, i)) {
            assert_true(count < a->task.head.count);
            assert_int_equal(a->task.lane[count], b->task.lane[i]);
            assert_int_equal(a->task.dur_ns[count], b->task.dur_ns[i]);
            assert_int_equal(a->task.gap_ns[count], b->task.gap_ns[i]);
            assert_int_equal(a->task.bytes[count], b->task.bytes[i]);
            row[count++] = i;
        }
    }
    assert_int_equal(count, a->task.head.count);
    for (size_t i = 0; i < b->dep.head.count; i++) {
        if (!is_new(b, b->dep.task[i]) && !is_new(b, b->dep.before[i])) {
            assert_int_equal(row[a->dep.task[dep]], b->dep.task[i]);
            assert_int_equal(row[a->dep.before[dep]], b->dep.before[i]);
            assert_int_equal(a->dep.lag_ns[dep++], b->dep.lag_ns[i]);
        }
    }
    assert_int_equal(dep, a->dep.head.count);
    free(row);
}

void assert_memory_may_run_out(ps_trace *trace, const ps_catalogue *catalogue,
                               const ps_offload *offload, unsigned long every)
{
    const ps_whatif what = {.offload = offload};
    ps_code code = PS_NOMEM;
    unsigned failures = 0;
    for (unsigned long n = 1; code == PS_NOMEM; n += every) {
        ps_error err = {0};
        ps_plan *plan;
        assert_ok(&err, ps_lower_trace(trace, &plan, &err));
        ps_memory_fail_nth(n);
        code = ps_whatif_apply(plan, catalogue, &what, &err);
        ps_memory_fail_nth(0);
        assert_true(code == PS_OK || code == PS_NOMEM);
        failures += code == PS_NOMEM;
        ps_plan_destroy(plan);
    }
    assert_true(failures > 4);
}
