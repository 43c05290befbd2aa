/* SPDX-License-Identifier: MIT
 *
 * What each cell of a plan must satisfy by itself, as three lists of rules:
 * enumerations, references to rows, times that are not negative.
 */
#include "base/cell_rules.h"
#include "plan/plan_check.h"

static const ps_value_rule value_rules[] = {
    {PS_PLAN_DEVICE, offsetof(ps_plan_device_table, sizes_are_blocks), 1},
    {PS_PLAN_DEVICE, offsetof(ps_plan_device_table, base_basis), PS_BASIS_COUNT - 1},
    {PS_PLAN_DEVICE, offsetof(ps_plan_device_table, limit_basis), PS_BASIS_COUNT - 1},
    {PS_PLAN_DEVICE, offsetof(ps_plan_device_table, private_pools_expand), 1},
    {PS_PLAN_LANE, offsetof(ps_plan_lane_table, kind), PS_LANE_KIND_COUNT - 1},
    {PS_PLAN_TASK, offsetof(ps_plan_task_table, kind), PS_TASK_KIND_COUNT - 1},
    {PS_PLAN_TASK, offsetof(ps_plan_task_table, copy_kind), PS_COPY_HTOH},
    {PS_PLAN_TASK, offsetof(ps_plan_task_table, basis), PS_BASIS_COUNT - 1},
    {PS_PLAN_TASK, offsetof(ps_plan_task_table, phase), PS_PHASE_OPTIMIZER},
    {PS_PLAN_TASK, offsetof(ps_plan_task_table, memory_kind), PS_MEMORY_STORAGE},
    {PS_PLAN_DEP, offsetof(ps_plan_dep_table, kind), PS_DEP_END_AFTER_START},
    {PS_PLAN_DEP, offsetof(ps_plan_dep_table, origin), PS_DEP_INFERRED},
    {PS_PLAN_BUFFER, offsetof(ps_plan_buffer_table, role), PS_ROLE_COUNT - 1},
    {PS_PLAN_BUFFER, offsetof(ps_plan_buffer_table, growth), PS_GROWTH_COUNT - 1},
    {PS_PLAN_BUFFER, offsetof(ps_plan_buffer_table, memory), PS_MEMORY_STORAGE},
    {PS_PLAN_ACCESS, offsetof(ps_plan_access_table, is_write), 1},
    {PS_PLAN_MEMOP, offsetof(ps_plan_memop_table, op), PS_MEMOP_COUNT - 1},
    {PS_PLAN_MEMOP, offsetof(ps_plan_memop_table, is_capturing), 1},
    {PS_PLAN_SEGMENT, offsetof(ps_plan_segment_table, is_large), 1},
    {PS_PLAN_SEGMENT, offsetof(ps_plan_segment_table, is_expandable), 1},
    {PS_PLAN_BLOCK, offsetof(ps_plan_block_table, state), PS_BLOCK_PENDING_FREE},
    {PS_PLAN_LOSS, offsetof(ps_plan_loss_table, severity), PS_SEVERITY_ERROR},
};

/* Missing here: memop.buffer, which some operations leave unused (plan_check_memory.c), and the
 * tasks of steps, which may be PS_PLAN_WHOLE (plan_check.c). */
static const ps_row_rule row_rules[] = {
    {PS_PLAN_DEVICE, offsetof(ps_plan_device_table, node), PS_PLAN_NODE, true},
    {PS_PLAN_LANE, offsetof(ps_plan_lane_table, device), PS_PLAN_DEVICE, true},
    {PS_PLAN_TASK, offsetof(ps_plan_task_table, lane), PS_PLAN_LANE, false},
    {PS_PLAN_DEP, offsetof(ps_plan_dep_table, task), PS_PLAN_TASK, false},
    {PS_PLAN_DEP, offsetof(ps_plan_dep_table, before), PS_PLAN_TASK, false},
    {PS_PLAN_TRANSFER, offsetof(ps_plan_transfer_table, task), PS_PLAN_TASK, false},
    {PS_PLAN_TRANSFER, offsetof(ps_plan_transfer_table, link), PS_PLAN_LINK, false},
    {PS_PLAN_BUFFER, offsetof(ps_plan_buffer_table, device), PS_PLAN_DEVICE, false},
    {PS_PLAN_ACCESS, offsetof(ps_plan_access_table, task), PS_PLAN_TASK, false},
    {PS_PLAN_ACCESS, offsetof(ps_plan_access_table, buffer), PS_PLAN_BUFFER, false},
    {PS_PLAN_HOLD, offsetof(ps_plan_hold_table, buffer), PS_PLAN_BUFFER, false},
    {PS_PLAN_HOLD, offsetof(ps_plan_hold_table, task), PS_PLAN_TASK, false},
    {PS_PLAN_MEMOP, offsetof(ps_plan_memop_table, device), PS_PLAN_DEVICE, false},
    {PS_PLAN_MEMOP, offsetof(ps_plan_memop_table, task), PS_PLAN_TASK, false},
    {PS_PLAN_SEGMENT, offsetof(ps_plan_segment_table, device), PS_PLAN_DEVICE, false},
    {PS_PLAN_BLOCK, offsetof(ps_plan_block_table, device), PS_PLAN_DEVICE, false},
    {PS_PLAN_BLOCK, offsetof(ps_plan_block_table, buffer), PS_PLAN_BUFFER, true},
};

static const ps_time_rule time_rules[] = {
    {PS_PLAN_TASK, offsetof(ps_plan_task_table, gap_ns)},
    {PS_PLAN_TASK, offsetof(ps_plan_task_table, dur_ns)},
    {PS_PLAN_DEP, offsetof(ps_plan_dep_table, lag_ns)},
    {PS_PLAN_STEP, offsetof(ps_plan_step_table, recorded_ns)},
};

#define COUNT(list) (sizeof(list) / sizeof(list)[0])

ps_code ps_plan_check_columns(const ps_plan *plan, ps_error *err)
{
    static const ps_cell_rules rules = {.values = value_rules,
                                        .value_count = COUNT(value_rules),
                                        .rows = row_rules,
                                        .row_count = COUNT(row_rules),
                                        .times = time_rules,
                                        .time_count = COUNT(time_rules)};
    const ps_table_head *tables[PS_PLAN_TABLE_COUNT];
    for (int i = 0; i < PS_PLAN_TABLE_COUNT; i++) {
        tables[i] = ps_plan_table_const(plan, (ps_plan_table_id)i);
    }
    const ps_dataset_view data = {ps_plan_specs(), PS_PLAN_TABLE_COUNT, tables, plan->strings};
    return ps_cell_rules_check(&data, &rules, err);
}
