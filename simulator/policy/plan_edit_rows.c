/* SPDX-License-Identifier: MIT
 *
 * Rows of a plan that go, and names of tasks that change.
 */
#include "policy/plan_edit.h"

void ps__plan_keep_rows(ps_plan *plan, ps_plan_table_id id, const bool *keep)
{
    const ps_table_spec *spec = &ps_plan_specs()[id];
    ps_table_head *table = ps_plan_table(plan, id);
    size_t kept = 0;
    for (size_t row = 0; row < table->count; row++) {
        if (!keep[row]) {
            continue;
        }
        for (size_t c = 0; c < spec->column_count && kept != row; c++) {
            ps_table_set(&spec->columns[c], table, kept,
                         ps_table_get(&spec->columns[c], table, row));
        }
        kept++;
    }
    table->count = kept;
}

void ps__plan_rename_tasks(ps_plan *plan, const uint32_t *new_row)
{
    const struct {
        uint32_t *task;
        size_t count;
    } columns[] = {
        {plan->dep.task, plan->dep.head.count},
        {plan->dep.before, plan->dep.head.count},
        {plan->transfer.task, plan->transfer.head.count},
        {plan->access.task, plan->access.head.count},
        {plan->hold.task, plan->hold.head.count},
        {plan->memop.task, plan->memop.head.count},
        {plan->step.begin_task, plan->step.head.count},
        {plan->step.end_task, plan->step.head.count},
    };
    for (size_t c = 0; c < sizeof columns / sizeof columns[0]; c++) {
        for (size_t i = 0; i < columns[c].count; i++) {
            uint32_t *task = &columns[c].task[i];
            *task = *task == PS_PLAN_WHOLE ? *task : new_row[*task];
        }
    }
}
