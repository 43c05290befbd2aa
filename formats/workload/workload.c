/* SPDX-License-Identifier: MIT
 *
 * The workload in memory: table descriptions, rows and facts.
 */
#include "workload/workload.h"

#include <string.h>

#include "base/memory.h"

#define COLUMN_SPEC(id, name, type, coding, doc) \
    {id, #name, PS_COLUMN_##type, PS_CODING_##coding, doc, offsetof(TABLE_TYPE, name)},

#define TABLE_TYPE ps_workload_block_table
static const ps_column_spec block_columns[] = {PS_WORKLOAD_BLOCK_COLUMNS(COLUMN_SPEC)};
#undef TABLE_TYPE
#define TABLE_TYPE ps_workload_tensor_table
static const ps_column_spec tensor_columns[] = {PS_WORKLOAD_TENSOR_COLUMNS(COLUMN_SPEC)};
#undef TABLE_TYPE
#define TABLE_TYPE ps_workload_op_table
static const ps_column_spec op_columns[] = {PS_WORKLOAD_OP_COLUMNS(COLUMN_SPEC)};
#undef TABLE_TYPE
#define TABLE_TYPE ps_workload_event_table
static const ps_column_spec event_columns[] = {PS_WORKLOAD_EVENT_COLUMNS(COLUMN_SPEC)};
#undef TABLE_TYPE
#define TABLE_TYPE ps_workload_step_table
static const ps_column_spec step_columns[] = {PS_WORKLOAD_STEP_COLUMNS(COLUMN_SPEC)};
#undef TABLE_TYPE
#define TABLE_TYPE ps_workload_finding_table
static const ps_column_spec finding_columns[] = {PS_WORKLOAD_FINDING_COLUMNS(COLUMN_SPEC)};
#undef TABLE_TYPE
#define TABLE_TYPE ps_workload_meta_table
static const ps_column_spec meta_columns[] = {PS_WORKLOAD_META_COLUMNS(COLUMN_SPEC)};
#undef TABLE_TYPE
#define TABLE_TYPE ps_workload_loss_table
static const ps_column_spec loss_columns[] = {PS_WORKLOAD_LOSS_COLUMNS(COLUMN_SPEC)};
#undef TABLE_TYPE
#define TABLE_TYPE ps_workload_axis_table
static const ps_column_spec axis_columns[] = {PS_WORKLOAD_AXIS_COLUMNS(COLUMN_SPEC)};
#undef TABLE_TYPE
#define TABLE_TYPE ps_workload_access_table
static const ps_column_spec access_columns[] = {PS_WORKLOAD_ACCESS_COLUMNS(COLUMN_SPEC)};
#undef TABLE_TYPE

#define TABLE_SPEC(sym, id, name, type, columns, doc) \
    {id, #name, doc, name##_columns, sizeof name##_columns / sizeof name##_columns[0]},

static const ps_table_spec table_specs[PS_WORKLOAD_TABLE_COUNT] = {PS_WORKLOAD_TABLES(TABLE_SPEC)};

const ps_table_spec *ps_workload_specs(void)
{
    return table_specs;
}

static const size_t table_offsets[PS_WORKLOAD_TABLE_COUNT] = {
#define TABLE_OFFSET(sym, id, name, type, columns, doc) offsetof(ps_workload, name),
    PS_WORKLOAD_TABLES(TABLE_OFFSET)
#undef TABLE_OFFSET
};

uint64_t ps_element_bytes(ps_element element)
{
    static const uint8_t bytes[PS_ELEMENT_COUNT] = {
        [PS_ELEMENT_F32] = 4,  [PS_ELEMENT_F16] = 2,     [PS_ELEMENT_BF16] = 2,
        [PS_ELEMENT_I64] = 8,  [PS_ELEMENT_BOOL] = 1,    [PS_ELEMENT_I32] = 4,
        [PS_ELEMENT_U8] = 1,   [PS_ELEMENT_I8] = 1,      [PS_ELEMENT_I16] = 2,
        [PS_ELEMENT_F64] = 8,  [PS_ELEMENT_F8_E4M3] = 1, [PS_ELEMENT_F8_E5M2] = 1,
        [PS_ELEMENT_TF32] = 4,
    };
    return element < PS_ELEMENT_COUNT ? bytes[element] : 0;
}

ps_table_head *ps_workload_table(ps_workload *workload, ps_workload_table_id id)
{
    return (ps_table_head *)(void *)((char *)workload + table_offsets[id]);
}

const ps_table_head *ps_workload_table_const(const ps_workload *workload, ps_workload_table_id id)
{
    return (const ps_table_head *)(const void *)((const char *)workload + table_offsets[id]);
}

ps_workload *ps_workload_create(void)
{
    ps_workload *workload = ps_calloc(1, sizeof *workload);
    if (workload == NULL) {
        return NULL;
    }
    workload->strings = ps_strings_create();
    if (workload->strings == NULL) {
        ps_free(workload);
        return NULL;
    }
    return workload;
}

void ps_workload_destroy(ps_workload *workload)
{
    if (workload == NULL) {
        return;
    }
    for (int i = 0; i < PS_WORKLOAD_TABLE_COUNT; i++) {
        ps_table_fini(&table_specs[i], ps_workload_table(workload, (ps_workload_table_id)i));
    }
    ps_strings_destroy(workload->strings);
    ps_free(workload);
}

ps_code ps_workload_add(ps_workload *workload, ps_workload_table_id id, size_t *row, ps_error *err)
{
    return ps_table_add(&table_specs[id], ps_workload_table(workload, id), row, err);
}

ps_code ps_workload_add_event(ps_workload *workload, ps_workload_event kind, uint32_t ref,
                              ps_error *err)
{
    size_t row;
    PS_TRY(ps_workload_add(workload, PS_WORKLOAD_EVENT, &row, err));
    workload->event.kind[row] = (uint8_t)kind;
    workload->event.ref[row] = ref;
    return PS_OK;
}

ps_code ps_workload_add_finding(ps_workload *workload, const char *what, const char *how,
                                uint32_t confidence_permille, const char *detail, ps_error *err)
{
    size_t row;
    ps_str what_id, how_id, detail_id;
    PS_TRY(ps_strings_put_z(workload->strings, what, &what_id, err));
    PS_TRY(ps_strings_put_z(workload->strings, how, &how_id, err));
    PS_TRY(ps_strings_put_z(workload->strings, detail, &detail_id, err));
    PS_TRY(ps_workload_add(workload, PS_WORKLOAD_FINDING, &row, err));
    workload->finding.what[row] = what_id;
    workload->finding.how[row] = how_id;
    workload->finding.confidence_permille[row] = confidence_permille;
    workload->finding.detail[row] = detail_id;
    return PS_OK;
}

static bool find_meta(const ps_workload *workload, const char *key, size_t *row)
{
    for (size_t i = 0; i < workload->meta.head.count; i++) {
        if (strcmp(ps_strings_text(workload->strings, workload->meta.key[i]), key) == 0) {
            *row = i;
            return true;
        }
    }
    return false;
}

ps_code ps_workload_set_meta(ps_workload *workload, const char *key, const char *value,
                             ps_error *err)
{
    size_t row;
    ps_str key_id, value_id;
    PS_TRY(ps_strings_put_z(workload->strings, key, &key_id, err));
    PS_TRY(ps_strings_put_z(workload->strings, value, &value_id, err));
    if (!find_meta(workload, key, &row)) {
        PS_TRY(ps_workload_add(workload, PS_WORKLOAD_META, &row, err));
    }
    workload->meta.key[row] = key_id;
    workload->meta.value[row] = value_id;
    return PS_OK;
}

const char *ps_workload_meta(const ps_workload *workload, const char *key)
{
    size_t row;
    return find_meta(workload, key, &row)
               ? ps_strings_text(workload->strings, workload->meta.value[row])
               : NULL;
}
