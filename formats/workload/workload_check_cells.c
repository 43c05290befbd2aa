/* SPDX-License-Identifier: MIT
 *
 * What each cell of a workload must satisfy by itself, as lists of rules.
 * What an event refers to depends on its kind: workload_check.c's matter.
 */
#include "base/cell_rules.h"
#include "workload/workload_check.h"

#define CONFIDENCE_MAX 1000u

static const ps_value_rule value_rules[] = {
    {PS_WORKLOAD_TENSOR, offsetof(ps_workload_tensor_table, role), PS_ROLE_COUNT - 1},
    {PS_WORKLOAD_TENSOR, offsetof(ps_workload_tensor_table, dtype), PS_ELEMENT_COUNT - 1},
    {PS_WORKLOAD_TENSOR, offsetof(ps_workload_tensor_table, is_saved), 1},
    {PS_WORKLOAD_TENSOR, offsetof(ps_workload_tensor_table, scaling), PS_SCALING_COUNT - 1},
    {PS_WORKLOAD_TENSOR, offsetof(ps_workload_tensor_table, lane), PS_WORKLOAD_LANE_COUNT - 1},
    {PS_WORKLOAD_TENSOR, offsetof(ps_workload_tensor_table, memory), PS_MEMORY_STORAGE},
    {PS_WORKLOAD_TENSOR, offsetof(ps_workload_tensor_table, users),
     (UINT32_C(1) << PS_WORKLOAD_LANE_COUNT) - 1},
    {PS_WORKLOAD_OP, offsetof(ps_workload_op_table, lane), PS_WORKLOAD_LANE_COUNT - 1},
    {PS_WORKLOAD_OP, offsetof(ps_workload_op_table, copy_kind), PS_COPY_HTOH},
    {PS_WORKLOAD_OP, offsetof(ps_workload_op_table, memory), PS_MEMORY_STORAGE},
    {PS_WORKLOAD_OP, offsetof(ps_workload_op_table, is_blocking), 1},
    {PS_WORKLOAD_OP, offsetof(ps_workload_op_table, kind), PS_OP_KIND_COUNT - 1},
    {PS_WORKLOAD_OP, offsetof(ps_workload_op_table, awaited), PS_WORKLOAD_LANE_COUNT - 1},
    {PS_WORKLOAD_OP, offsetof(ps_workload_op_table, collective), PS_COLLECTIVE_OP_COUNT - 1},
    {PS_WORKLOAD_OP, offsetof(ps_workload_op_table, layout), PS_OPERANDS_COUNT - 1},
    {PS_WORKLOAD_OP, offsetof(ps_workload_op_table, access), PS_ACCESS_COUNT - 1},
    {PS_WORKLOAD_OP, offsetof(ps_workload_op_table, phase), PS_PHASE_OPTIMIZER},
    {PS_WORKLOAD_OP, offsetof(ps_workload_op_table, dtype), PS_ELEMENT_COUNT - 1},
    {PS_WORKLOAD_OP, offsetof(ps_workload_op_table, basis), PS_BASIS_COUNT - 1},
    {PS_WORKLOAD_EVENT, offsetof(ps_workload_event_table, kind), PS_WORKLOAD_EVENT_KIND_COUNT - 1},
    {PS_WORKLOAD_STEP, offsetof(ps_workload_step_table, is_first), 1},
    {PS_WORKLOAD_ACCESS, offsetof(ps_workload_access_table, is_write), 1},
    {PS_WORKLOAD_FINDING, offsetof(ps_workload_finding_table, confidence_permille), CONFIDENCE_MAX},
    {PS_WORKLOAD_LOSS, offsetof(ps_workload_loss_table, severity), PS_SEVERITY_ERROR},
};

static const ps_row_rule row_rules[] = {
    {PS_WORKLOAD_BLOCK, offsetof(ps_workload_block_table, parent), PS_WORKLOAD_BLOCK, true},
    {PS_WORKLOAD_TENSOR, offsetof(ps_workload_tensor_table, block), PS_WORKLOAD_BLOCK, true},
    {PS_WORKLOAD_OP, offsetof(ps_workload_op_table, block), PS_WORKLOAD_BLOCK, true},
    {PS_WORKLOAD_ACCESS, offsetof(ps_workload_access_table, event), PS_WORKLOAD_EVENT, false},
    {PS_WORKLOAD_ACCESS, offsetof(ps_workload_access_table, tensor), PS_WORKLOAD_TENSOR, false},
};

static const ps_time_rule time_rules[] = {
    {PS_WORKLOAD_OP, offsetof(ps_workload_op_table, dur_ns)},
};

#define COUNT(list) (sizeof(list) / sizeof(list)[0])

ps_code ps_workload_check_cells(const ps_workload *workload, ps_error *err)
{
    static const ps_cell_rules rules = {.values = value_rules,
                                        .value_count = COUNT(value_rules),
                                        .rows = row_rules,
                                        .row_count = COUNT(row_rules),
                                        .times = time_rules,
                                        .time_count = COUNT(time_rules)};
    const ps_table_head *tables[PS_WORKLOAD_TABLE_COUNT];
    for (int i = 0; i < PS_WORKLOAD_TABLE_COUNT; i++) {
        tables[i] = ps_workload_table_const(workload, (ps_workload_table_id)i);
    }
    const ps_dataset_view data = {ps_workload_specs(), PS_WORKLOAD_TABLE_COUNT, tables,
                                  workload->strings};
    return ps_cell_rules_check(&data, &rules, err);
}
