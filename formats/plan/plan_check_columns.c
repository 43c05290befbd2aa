/* SPDX-License-Identifier: MIT
 *
 * What each cell of a plan must satisfy by itself, as three lists of rules:
 * enumerations, references to rows, times that are not negative. Strings are
 * checked for every column that holds them.
 */
#include "plan/plan_check.h"

/* Largest value an enumerated column may hold. */
typedef struct value_rule {
    ps_plan_table_id table;
    size_t offset; /* of the column's array in the table struct */
    uint64_t max;
} value_rule;

/* The column names a row of `target`; with `is_optional` it holds row + 1, and 0 for none. */
typedef struct row_rule {
    ps_plan_table_id table;
    size_t offset;
    ps_plan_table_id target;
    bool is_optional;
} row_rule;

typedef struct time_rule {
    ps_plan_table_id table;
    size_t offset;
} time_rule;

static const value_rule value_rules[] = {
    {PS_PLAN_DEVICE, offsetof(ps_plan_device_table, sizes_are_blocks), 1},
    {PS_PLAN_DEVICE, offsetof(ps_plan_device_table, base_basis), PS_BASIS_COUNT - 1},
    {PS_PLAN_DEVICE, offsetof(ps_plan_device_table, limit_basis), PS_BASIS_COUNT - 1},
    {PS_PLAN_DEVICE, offsetof(ps_plan_device_table, private_pools_expand), 1},
    {PS_PLAN_LANE, offsetof(ps_plan_lane_table, kind), PS_LANE_STREAM},
    {PS_PLAN_TASK, offsetof(ps_plan_task_table, kind), PS_TASK_KIND_COUNT - 1},
    {PS_PLAN_TASK, offsetof(ps_plan_task_table, copy_kind), PS_COPY_HTOH},
    {PS_PLAN_TASK, offsetof(ps_plan_task_table, basis), PS_BASIS_COUNT - 1},
    {PS_PLAN_TASK, offsetof(ps_plan_task_table, phase), PS_PHASE_OPTIMIZER},
    {PS_PLAN_TASK, offsetof(ps_plan_task_table, memory_kind), PS_MEMORY_MANAGED},
    {PS_PLAN_DEP, offsetof(ps_plan_dep_table, kind), PS_DEP_END_AFTER_START},
    {PS_PLAN_DEP, offsetof(ps_plan_dep_table, origin), PS_DEP_INFERRED},
    {PS_PLAN_BUFFER, offsetof(ps_plan_buffer_table, role), PS_ROLE_COUNT - 1},
    {PS_PLAN_MEMOP, offsetof(ps_plan_memop_table, op), PS_MEMOP_COUNT - 1},
    {PS_PLAN_MEMOP, offsetof(ps_plan_memop_table, is_capturing), 1},
    {PS_PLAN_SEGMENT, offsetof(ps_plan_segment_table, is_large), 1},
    {PS_PLAN_SEGMENT, offsetof(ps_plan_segment_table, is_expandable), 1},
    {PS_PLAN_BLOCK, offsetof(ps_plan_block_table, state), PS_BLOCK_PENDING_FREE},
    {PS_PLAN_LOSS, offsetof(ps_plan_loss_table, severity), PS_SEVERITY_ERROR},
};

/* Missing here: memop.buffer, which some operations leave unused (plan_check_memory.c), and the
 * tasks of steps, which may be PS_PLAN_WHOLE (plan_check.c). */
static const row_rule row_rules[] = {
    {PS_PLAN_LANE, offsetof(ps_plan_lane_table, device), PS_PLAN_DEVICE, true},
    {PS_PLAN_TASK, offsetof(ps_plan_task_table, lane), PS_PLAN_LANE, false},
    {PS_PLAN_DEP, offsetof(ps_plan_dep_table, task), PS_PLAN_TASK, false},
    {PS_PLAN_DEP, offsetof(ps_plan_dep_table, before), PS_PLAN_TASK, false},
    {PS_PLAN_TRANSFER, offsetof(ps_plan_transfer_table, task), PS_PLAN_TASK, false},
    {PS_PLAN_TRANSFER, offsetof(ps_plan_transfer_table, link), PS_PLAN_LINK, false},
    {PS_PLAN_BUFFER, offsetof(ps_plan_buffer_table, device), PS_PLAN_DEVICE, false},
    {PS_PLAN_MEMOP, offsetof(ps_plan_memop_table, device), PS_PLAN_DEVICE, false},
    {PS_PLAN_MEMOP, offsetof(ps_plan_memop_table, task), PS_PLAN_TASK, false},
    {PS_PLAN_SEGMENT, offsetof(ps_plan_segment_table, device), PS_PLAN_DEVICE, false},
    {PS_PLAN_BLOCK, offsetof(ps_plan_block_table, device), PS_PLAN_DEVICE, false},
    {PS_PLAN_BLOCK, offsetof(ps_plan_block_table, buffer), PS_PLAN_BUFFER, true},
};

static const time_rule time_rules[] = {
    {PS_PLAN_TASK, offsetof(ps_plan_task_table, gap_ns)},
    {PS_PLAN_TASK, offsetof(ps_plan_task_table, dur_ns)},
    {PS_PLAN_DEP, offsetof(ps_plan_dep_table, lag_ns)},
    {PS_PLAN_STEP, offsetof(ps_plan_step_table, recorded_ns)},
};

static const ps_column_spec *column_at(ps_plan_table_id table, size_t offset)
{
    const ps_column_spec *column = ps_plan_specs()[table].columns;
    while (column->offset != offset) {
        column++;
    }
    return column;
}

static ps_code check_values(const ps_plan *plan, const value_rule *rule, ps_error *err)
{
    const ps_column_spec *column = column_at(rule->table, rule->offset);
    const ps_table_head *table = ps_plan_table_const(plan, rule->table);
    for (size_t row = 0; row < table->count; row++) {
        const uint64_t value = ps_table_get(column, table, row);
        if (value > rule->max) {
            return ps_fail(err, PS_CHECK_FAILED, "%s %zu: %s is %llu, the largest is %llu",
                           ps_plan_specs()[rule->table].name, row, column->name,
                           (unsigned long long)value, (unsigned long long)rule->max);
        }
    }
    return PS_OK;
}

static ps_code check_rows(const ps_plan *plan, const row_rule *rule, ps_error *err)
{
    const ps_column_spec *column = column_at(rule->table, rule->offset);
    const ps_table_head *table = ps_plan_table_const(plan, rule->table);
    const uint64_t end =
        ps_plan_table_const(plan, rule->target)->count + (rule->is_optional ? 1u : 0u);
    for (size_t row = 0; row < table->count; row++) {
        const uint64_t value = ps_table_get(column, table, row);
        if (value >= end) {
            return ps_fail(err, PS_CHECK_FAILED, "%s %zu: %s is %llu, must be below %llu",
                           ps_plan_specs()[rule->table].name, row, column->name,
                           (unsigned long long)value, (unsigned long long)end);
        }
    }
    return PS_OK;
}

static ps_code check_times(const ps_plan *plan, const time_rule *rule, ps_error *err)
{
    const ps_column_spec *column = column_at(rule->table, rule->offset);
    const ps_table_head *table = ps_plan_table_const(plan, rule->table);
    const int64_t *value = ps_table_array(column, table);
    for (size_t row = 0; row < table->count; row++) {
        if (value[row] < 0) {
            return ps_fail(err, PS_CHECK_FAILED, "%s %zu: %s is %lld, must be >= 0",
                           ps_plan_specs()[rule->table].name, row, column->name,
                           (long long)value[row]);
        }
    }
    return PS_OK;
}

static ps_code check_strings(const ps_plan *plan, ps_plan_table_id id, ps_error *err)
{
    const ps_table_spec *spec = &ps_plan_specs()[id];
    const ps_table_head *table = ps_plan_table_const(plan, id);
    const uint32_t count = ps_strings_count(plan->strings);
    for (size_t c = 0; c < spec->column_count; c++) {
        const ps_column_spec *column = &spec->columns[c];
        for (size_t row = 0; column->type == PS_COLUMN_STR && row < table->count; row++) {
            const uint64_t text = ps_table_get(column, table, row);
            if (text >= count) {
                return ps_fail(err, PS_CHECK_FAILED, "%s %zu: %s is string %llu of %u", spec->name,
                               row, column->name, (unsigned long long)text, count);
            }
        }
    }
    return PS_OK;
}

ps_code ps_plan_check_columns(const ps_plan *plan, ps_error *err)
{
    for (int i = 0; i < PS_PLAN_TABLE_COUNT; i++) {
        PS_TRY(check_strings(plan, (ps_plan_table_id)i, err));
    }
    for (size_t i = 0; i < sizeof value_rules / sizeof value_rules[0]; i++) {
        PS_TRY(check_values(plan, &value_rules[i], err));
    }
    for (size_t i = 0; i < sizeof row_rules / sizeof row_rules[0]; i++) {
        PS_TRY(check_rows(plan, &row_rules[i], err));
    }
    for (size_t i = 0; i < sizeof time_rules / sizeof time_rules[0]; i++) {
        PS_TRY(check_times(plan, &time_rules[i], err));
    }
    return PS_OK;
}
