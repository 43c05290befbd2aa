/* SPDX-License-Identifier: MIT
 *
 * The plan in memory: table descriptions and facts.
 */
#include "plan/plan.h"

#include <string.h>

#include "base/memory.h"

#define COLUMN_SPEC(id, name, type, coding, doc) \
    {id, #name, PS_COLUMN_##type, PS_CODING_##coding, doc, offsetof(TABLE_TYPE, name)},

#define TABLE_TYPE ps_plan_device_table
static const ps_column_spec device_columns[] = {PS_PLAN_DEVICE_COLUMNS(COLUMN_SPEC)};
#undef TABLE_TYPE
#define TABLE_TYPE ps_plan_lane_table
static const ps_column_spec lane_columns[] = {PS_PLAN_LANE_COLUMNS(COLUMN_SPEC)};
#undef TABLE_TYPE
#define TABLE_TYPE ps_plan_task_table
static const ps_column_spec task_columns[] = {PS_PLAN_TASK_COLUMNS(COLUMN_SPEC)};
#undef TABLE_TYPE
#define TABLE_TYPE ps_plan_dep_table
static const ps_column_spec dep_columns[] = {PS_PLAN_DEP_COLUMNS(COLUMN_SPEC)};
#undef TABLE_TYPE
#define TABLE_TYPE ps_plan_link_table
static const ps_column_spec link_columns[] = {PS_PLAN_LINK_COLUMNS(COLUMN_SPEC)};
#undef TABLE_TYPE
#define TABLE_TYPE ps_plan_transfer_table
static const ps_column_spec transfer_columns[] = {PS_PLAN_TRANSFER_COLUMNS(COLUMN_SPEC)};
#undef TABLE_TYPE
#define TABLE_TYPE ps_plan_buffer_table
static const ps_column_spec buffer_columns[] = {PS_PLAN_BUFFER_COLUMNS(COLUMN_SPEC)};
#undef TABLE_TYPE
#define TABLE_TYPE ps_plan_memop_table
static const ps_column_spec memop_columns[] = {PS_PLAN_MEMOP_COLUMNS(COLUMN_SPEC)};
#undef TABLE_TYPE
#define TABLE_TYPE ps_plan_segment_table
static const ps_column_spec segment_columns[] = {PS_PLAN_SEGMENT_COLUMNS(COLUMN_SPEC)};
#undef TABLE_TYPE
#define TABLE_TYPE ps_plan_block_table
static const ps_column_spec block_columns[] = {PS_PLAN_BLOCK_COLUMNS(COLUMN_SPEC)};
#undef TABLE_TYPE
#define TABLE_TYPE ps_plan_step_table
static const ps_column_spec step_columns[] = {PS_PLAN_STEP_COLUMNS(COLUMN_SPEC)};
#undef TABLE_TYPE
#define TABLE_TYPE ps_plan_meta_table
static const ps_column_spec meta_columns[] = {PS_PLAN_META_COLUMNS(COLUMN_SPEC)};
#undef TABLE_TYPE
#define TABLE_TYPE ps_plan_loss_table
static const ps_column_spec loss_columns[] = {PS_PLAN_LOSS_COLUMNS(COLUMN_SPEC)};
#undef TABLE_TYPE
#define TABLE_TYPE ps_plan_node_table
static const ps_column_spec node_columns[] = {PS_PLAN_NODE_COLUMNS(COLUMN_SPEC)};
#undef TABLE_TYPE
#define TABLE_TYPE ps_plan_access_table
static const ps_column_spec access_columns[] = {PS_PLAN_ACCESS_COLUMNS(COLUMN_SPEC)};
#undef TABLE_TYPE
#define TABLE_TYPE ps_plan_hold_table
static const ps_column_spec hold_columns[] = {PS_PLAN_HOLD_COLUMNS(COLUMN_SPEC)};
#undef TABLE_TYPE

#define TABLE_SPEC(sym, id, name, type, columns, doc) \
    {id, #name, doc, name##_columns, sizeof name##_columns / sizeof name##_columns[0]},

static const ps_table_spec table_specs[PS_PLAN_TABLE_COUNT] = {PS_PLAN_TABLES(TABLE_SPEC)};

const ps_table_spec *ps_plan_specs(void)
{
    return table_specs;
}

static const size_t table_offsets[PS_PLAN_TABLE_COUNT] = {
#define TABLE_OFFSET(sym, id, name, type, columns, doc) offsetof(ps_plan, name),
    PS_PLAN_TABLES(TABLE_OFFSET)
#undef TABLE_OFFSET
};

ps_table_head *ps_plan_table(ps_plan *plan, ps_plan_table_id id)
{
    return (ps_table_head *)(void *)((char *)plan + table_offsets[id]);
}

const ps_table_head *ps_plan_table_const(const ps_plan *plan, ps_plan_table_id id)
{
    return (const ps_table_head *)(const void *)((const char *)plan + table_offsets[id]);
}

ps_plan *ps_plan_create(void)
{
    ps_plan *plan = ps_calloc(1, sizeof *plan);
    if (plan == NULL) {
        return NULL;
    }
    plan->strings = ps_strings_create();
    if (plan->strings == NULL) {
        ps_free(plan);
        return NULL;
    }
    return plan;
}

void ps_plan_destroy(ps_plan *plan)
{
    if (plan == NULL) {
        return;
    }
    for (int i = 0; i < PS_PLAN_TABLE_COUNT; i++) {
        ps_table_fini(&table_specs[i], ps_plan_table(plan, (ps_plan_table_id)i));
    }
    ps_strings_destroy(plan->strings);
    ps_free(plan);
}

ps_code ps_plan_add(ps_plan *plan, ps_plan_table_id id, size_t *row, ps_error *err)
{
    return ps_table_add(&table_specs[id], ps_plan_table(plan, id), row, err);
}

static bool find_meta(const ps_plan *plan, const char *key, size_t *row)
{
    for (size_t i = 0; i < plan->meta.head.count; i++) {
        if (strcmp(ps_strings_text(plan->strings, plan->meta.key[i]), key) == 0) {
            *row = i;
            return true;
        }
    }
    return false;
}

/* A counting sort: `order` receives the old rows by their new place. */
static void order_by_task(const uint32_t *task, size_t count, size_t *next, size_t task_count,
                          uint32_t *order)
{
    for (size_t i = 0; i < count; i++) {
        next[task[i] + 1]++;
    }
    for (size_t t = 0; t < task_count; t++) {
        next[t + 1] += next[t];
    }
    for (size_t i = 0; i < count; i++) {
        order[next[task[i]]++] = (uint32_t)i;
    }
}

ps_code ps_plan_sort_by_task(ps_plan *plan, ps_plan_table_id id, ps_error *err)
{
    ps_table_head *head = ps_plan_table(plan, id);
    const uint32_t *task = id == PS_PLAN_DEP      ? plan->dep.task
                           : id == PS_PLAN_ACCESS ? plan->access.task
                                                  : plan->transfer.task;
    const size_t tasks = plan->task.head.count;
    size_t *next = ps_calloc(tasks + 1, sizeof *next);
    uint32_t *order = ps_calloc(head->count + 1, sizeof *order);
    ps_code code = PS_OK;
    if (next == NULL || order == NULL) {
        code = ps_fail_nomem(err);
    } else {
        order_by_task(task, head->count, next, tasks, order);
        code = ps_table_permute(&ps_plan_specs()[id], head, order, err);
    }
    ps_free(next);
    ps_free(order);
    return code;
}

bool ps_plan_task_is_of_threads(const ps_plan *plan, size_t task)
{
    return plan->task.kind[task] == PS_TASK_CPU &&
           plan->task.memory_kind[task] != PS_MEMORY_STORAGE;
}

bool ps_plan_memop_is_of_host(const ps_plan *plan, size_t memop)
{
    switch ((ps_memop)plan->memop.op[memop]) {
    case PS_MEMOP_ALLOC:
    case PS_MEMOP_FREE:
    case PS_MEMOP_FREE_REQUEST:
    case PS_MEMOP_FREE_COMPLETE:
    case PS_MEMOP_OOM:
        return ps_memory_is_host(plan->buffer.memory[plan->memop.buffer[memop]]);
    case PS_MEMOP_RELEASE_CACHE:
    case PS_MEMOP_PLACE:
    case PS_MEMOP_PLACE_PAGES:
    case PS_MEMOP_POOL_DEAD:
    case PS_MEMOP_COUNT:
        break;
    }
    return false;
}

ps_code ps_plan_set_meta(ps_plan *plan, const char *key, const char *value, ps_error *err)
{
    size_t row;
    ps_str key_id, value_id;
    PS_TRY(ps_strings_put_z(plan->strings, key, &key_id, err));
    PS_TRY(ps_strings_put_z(plan->strings, value, &value_id, err));
    if (!find_meta(plan, key, &row)) {
        PS_TRY(ps_plan_add(plan, PS_PLAN_META, &row, err));
    }
    plan->meta.key[row] = key_id;
    plan->meta.value[row] = value_id;
    return PS_OK;
}

const char *ps_plan_meta(const ps_plan *plan, const char *key)
{
    size_t row;
    return find_meta(plan, key, &row) ? ps_strings_text(plan->strings, plan->meta.value[row])
                                      : NULL;
}
