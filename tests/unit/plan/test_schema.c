/* SPDX-License-Identifier: MIT
 *
 * The normative schemas and the program's own lists of tables and columns say
 * the same: numbers and names by protobuf-c's descriptors, types and meaning
 * by the comments of the .proto files, values of enumerated columns by the C
 * constants.
 */
#include "support/test.h"

#include <ctype.h>
#include <string.h>

#include "plan.pb-c.h"
#include "plan/plan.h"
#include "trace.pb-c.h"
#include "trace/trace.h"
#include "workload.pb-c.h"
#include "workload/workload.h"

typedef struct schema {
    const char *file;   /* under formats/proto */
    const char *prefix; /* of enum values */
    const ps_table_spec *specs;
    size_t table_count;
    const ProtobufCEnumDescriptor *tables;
    const ProtobufCEnumDescriptor *const *columns; /* in the order of specs */
    size_t column_enum_count;
} schema;

static const ProtobufCEnumDescriptor *const trace_columns[] = {
    &peakstep__trace_range_column__descriptor,
    &peakstep__trace_call_column__descriptor,
    &peakstep__trace_kernel_column__descriptor,
    &peakstep__trace_memcpy_column__descriptor,
    &peakstep__trace_memset_column__descriptor,
    &peakstep__trace_collective_column__descriptor,
    &peakstep__trace_sync_column__descriptor,
    &peakstep__trace_memory_column__descriptor,
    &peakstep__trace_segment_column__descriptor,
    &peakstep__trace_block_column__descriptor,
    &peakstep__trace_device_column__descriptor,
    &peakstep__trace_thread_column__descriptor,
    &peakstep__trace_meta_column__descriptor,
    &peakstep__trace_loss_column__descriptor,
    &peakstep__trace_driver_memory_column__descriptor,
};

static const ProtobufCEnumDescriptor *const plan_columns[] = {
    &peakstep__plan_device_column__descriptor,  &peakstep__plan_lane_column__descriptor,
    &peakstep__plan_task_column__descriptor,    &peakstep__plan_dep_column__descriptor,
    &peakstep__plan_link_column__descriptor,    &peakstep__plan_transfer_column__descriptor,
    &peakstep__plan_buffer_column__descriptor,  &peakstep__plan_memop_column__descriptor,
    &peakstep__plan_segment_column__descriptor, &peakstep__plan_block_column__descriptor,
    &peakstep__plan_step_column__descriptor,    &peakstep__plan_meta_column__descriptor,
    &peakstep__plan_loss_column__descriptor,    &peakstep__plan_node_column__descriptor,
    &peakstep__plan_access_column__descriptor,  &peakstep__plan_hold_column__descriptor,
};

static const ProtobufCEnumDescriptor *const workload_columns[] = {
    &peakstep__workload_block_column__descriptor, &peakstep__workload_tensor_column__descriptor,
    &peakstep__workload_op_column__descriptor,    &peakstep__workload_event_column__descriptor,
    &peakstep__workload_step_column__descriptor,  &peakstep__workload_finding_column__descriptor,
    &peakstep__workload_meta_column__descriptor,  &peakstep__workload_loss_column__descriptor,
    &peakstep__workload_axis_column__descriptor,  &peakstep__workload_access_column__descriptor,
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static schema trace_schema(void)
{
    return (schema){"trace.proto",
                    "TRACE",
                    ps_trace_specs(),
                    PS_TRACE_TABLE_COUNT,
                    &peakstep__trace_table__descriptor,
                    trace_columns,
                    COUNT(trace_columns)};
}

static schema plan_schema(void)
{
    return (schema){"plan.proto",
                    "PLAN",
                    ps_plan_specs(),
                    PS_PLAN_TABLE_COUNT,
                    &peakstep__plan_table__descriptor,
                    plan_columns,
                    COUNT(plan_columns)};
}

static schema workload_schema(void)
{
    return (schema){"workload.proto",
                    "WORKLOAD",
                    ps_workload_specs(),
                    PS_WORKLOAD_TABLE_COUNT,
                    &peakstep__workload_table__descriptor,
                    workload_columns,
                    COUNT(workload_columns)};
}

/* "PREFIX_MIDDLE_NAME" in capitals. */
static void value_name(char *out, size_t bytes, const char *prefix, const char *middle,
                       const char *name)
{
    (void)snprintf(out, bytes, "%s_%s_%s", prefix, middle, name);
    for (char *at = out; *at != '\0'; at++) {
        *at = (char)toupper((unsigned char)*at);
    }
}

static void assert_number(const ProtobufCEnumDescriptor *list, const char *name, uint32_t number)
{
    const ProtobufCEnumValue *value = protobuf_c_enum_descriptor_get_value_by_name(list, name);
    if (value == NULL || value->value != (int)number) {
        fail_msg("%s: expected %s = %u", list->name, name, number);
    }
}

static void compare_numbers(const schema *s)
{
    char name[128];
    assert_int_equal(s->column_enum_count, s->table_count);
    assert_int_equal(s->tables->n_values, s->table_count + 1); /* NONE = 0 */
    for (size_t t = 0; t < s->table_count; t++) {
        const ps_table_spec *spec = &s->specs[t];
        value_name(name, sizeof name, s->prefix, "TABLE", spec->name);
        assert_number(s->tables, name, spec->id);
        assert_int_equal(s->columns[t]->n_values, spec->column_count + 1);
        for (size_t c = 0; c < spec->column_count; c++) {
            value_name(name, sizeof name, s->prefix, spec->name, spec->columns[c].name);
            assert_number(s->columns[t], name, spec->columns[c].id);
        }
    }
}

static char *load_text(const char *file)
{
    char path[1024];
    (void)snprintf(path, sizeof path, "%s/formats/proto/%s", PS_TEST_SOURCE_DIR, file);
    FILE *stream = fopen(path, "rb");
    assert_non_null(stream);
    char *text = calloc(1, (size_t)1 << 20);
    assert_non_null(text);
    const size_t got = fread(text, 1, ((size_t)1 << 20) - 1, stream);
    (void)fclose(stream);
    assert_true(got > 0);
    return text;
}

static const char *type_word(ps_column_type type)
{
    static const char *const words[] = {"u8", "u32", "u64", "i64", "str"};
    return words[type];
}

/* Types are not in the descriptors; the comment behind a column is part of the schema. */
static void compare_comments(const schema *s)
{
    char *text = load_text(s->file);
    for (size_t t = 0; t < s->table_count; t++) {
        for (size_t c = 0; c < s->specs[t].column_count; c++) {
            const ps_column_spec *column = &s->specs[t].columns[c];
            char name[128], line[512];
            value_name(name, sizeof name, s->prefix, s->specs[t].name, column->name);
            (void)snprintf(line, sizeof line, "  %s = %u; // %s: %s\n", name, column->id,
                           type_word(column->type), column->doc);
            if (strstr(text, line) == NULL) {
                fail_msg("%s lacks the line:\n%s", s->file, line);
            }
        }
    }
    free(text);
}

static void trace_schema_is_the_programs(void **state)
{
    (void)state;
    const schema s = trace_schema();
    compare_numbers(&s);
    compare_comments(&s);
}

static void plan_schema_is_the_programs(void **state)
{
    (void)state;
    const schema s = plan_schema();
    compare_numbers(&s);
    compare_comments(&s);
}

static void workload_schema_is_the_programs(void **state)
{
    (void)state;
    const schema s = workload_schema();
    compare_numbers(&s);
    compare_comments(&s);
}

/* Largest value of an enum in C and in the schema, and a value in between where order could slip. */
static void enumerated_values_are_the_programs(void **state)
{
    (void)state;
    static const struct {
        const ProtobufCEnumDescriptor *list;
        const char *name;
        uint32_t number;
        uint32_t count; /* values there are */
    } values[] = {
        {&peakstep__range_category__descriptor, "RANGE_CATEGORY_PYTHON", PS_RANGE_PYTHON, 7},
        {&peakstep__range_category__descriptor, "RANGE_CATEGORY_PROFILER", PS_RANGE_PROFILER, 7},
        {&peakstep__call_api__descriptor, "CALL_API_DRIVER", PS_API_DRIVER, 2},
        {&peakstep__copy_kind__descriptor, "COPY_KIND_HTOD", PS_COPY_HTOD, 6},
        {&peakstep__copy_kind__descriptor, "COPY_KIND_DTOH", PS_COPY_DTOH, 6},
        {&peakstep__copy_kind__descriptor, "COPY_KIND_DTOD", PS_COPY_DTOD, 6},
        {&peakstep__copy_kind__descriptor, "COPY_KIND_PTOP", PS_COPY_PTOP, 6},
        {&peakstep__copy_kind__descriptor, "COPY_KIND_HTOH", PS_COPY_HTOH, 6},
        {&peakstep__memory_kind__descriptor, "MEMORY_KIND_PINNED", PS_MEMORY_PINNED, 7},
        {&peakstep__memory_kind__descriptor, "MEMORY_KIND_STORAGE", PS_MEMORY_STORAGE, 7},
        {&peakstep__sync_kind__descriptor, "SYNC_KIND_STREAM_WAIT", PS_SYNC_STREAM_WAIT, 5},
        {&peakstep__sync_kind__descriptor, "SYNC_KIND_DEVICE", PS_SYNC_DEVICE, 5},
        {&peakstep__memory_action__descriptor, "MEMORY_ACTION_FREE_COMPLETED",
         PS_ACTION_FREE_COMPLETED, 10},
        {&peakstep__memory_action__descriptor, "MEMORY_ACTION_SEGMENT_UNMAP",
         PS_ACTION_SEGMENT_UNMAP, 10},
        {&peakstep__memory_action__descriptor, "MEMORY_ACTION_SNAPSHOT", PS_ACTION_SNAPSHOT, 10},
        {&peakstep__driver_action__descriptor, "DRIVER_ACTION_RELEASE", PS_DRIVER_RELEASE, 6},
        {&peakstep__driver_action__descriptor, "DRIVER_ACTION_UNMAP", PS_DRIVER_UNMAP, 6},
        {&peakstep__device_kind__descriptor, "DEVICE_KIND_CUDA", PS_DEVICE_CUDA, 4},
        {&peakstep__device_kind__descriptor, "DEVICE_KIND_OTHER", PS_DEVICE_OTHER, 4},
        {&peakstep__block_state__descriptor, "BLOCK_STATE_ALLOCATED", PS_BLOCK_ALLOCATED, 3},
        {&peakstep__block_state__descriptor, "BLOCK_STATE_PENDING_FREE", PS_BLOCK_PENDING_FREE, 3},
        {&peakstep__severity__descriptor, "SEVERITY_LOSS", PS_SEVERITY_LOSS, 3},
        {&peakstep__severity__descriptor, "SEVERITY_ERROR", PS_SEVERITY_ERROR, 3},
        {&peakstep__lane_kind__descriptor, "LANE_KIND_STREAM", PS_LANE_STREAM, PS_LANE_KIND_COUNT},
        {&peakstep__task_kind__descriptor, "TASK_KIND_WAIT", PS_TASK_WAIT, PS_TASK_KIND_COUNT},
        {&peakstep__task_kind__descriptor, "TASK_KIND_KERNEL", PS_TASK_KERNEL, PS_TASK_KIND_COUNT},
        {&peakstep__task_kind__descriptor, "TASK_KIND_COLLECTIVE", PS_TASK_COLLECTIVE,
         PS_TASK_KIND_COUNT},
        {&peakstep__basis__descriptor, "BASIS_SCALED", PS_BASIS_SCALED, PS_BASIS_COUNT},
        {&peakstep__basis__descriptor, "BASIS_GUESSED", PS_BASIS_GUESSED, PS_BASIS_COUNT},
        {&peakstep__dep_kind__descriptor, "DEP_KIND_START_AFTER_START", PS_DEP_START_AFTER_START,
         4},
        {&peakstep__dep_kind__descriptor, "DEP_KIND_END_AFTER_END", PS_DEP_END_AFTER_END, 4},
        {&peakstep__dep_kind__descriptor, "DEP_KIND_END_AFTER_START", PS_DEP_END_AFTER_START, 4},
        {&peakstep__dep_origin__descriptor, "DEP_ORIGIN_RULE", PS_DEP_RULE, 3},
        {&peakstep__dep_origin__descriptor, "DEP_ORIGIN_INFERRED", PS_DEP_INFERRED, 3},
        {&peakstep__phase__descriptor, "PHASE_BACKWARD", PS_PHASE_BACKWARD, 4},
        {&peakstep__phase__descriptor, "PHASE_OPTIMIZER", PS_PHASE_OPTIMIZER, 4},
        {&peakstep__role__descriptor, "ROLE_OPTIMIZER_STATE", PS_ROLE_OPTIMIZER_STATE,
         PS_ROLE_COUNT},
        {&peakstep__role__descriptor, "ROLE_BEFORE", PS_ROLE_BEFORE, PS_ROLE_COUNT},
        {&peakstep__growth__descriptor, "GROWTH_SEQUENCE_SQUARED", PS_GROWTH_SEQUENCE_SQUARED,
         PS_GROWTH_COUNT},
        {&peakstep__growth__descriptor, "GROWTH_UNDECIDED", PS_GROWTH_UNDECIDED, PS_GROWTH_COUNT},
        {&peakstep__memop__descriptor, "MEMOP_FREE_COMPLETE", PS_MEMOP_FREE_COMPLETE,
         PS_MEMOP_COUNT},
        {&peakstep__memop__descriptor, "MEMOP_RELEASE_CACHE", PS_MEMOP_RELEASE_CACHE,
         PS_MEMOP_COUNT},
        {&peakstep__memop__descriptor, "MEMOP_PLACE_PAGES", PS_MEMOP_PLACE_PAGES, PS_MEMOP_COUNT},
        {&peakstep__memop__descriptor, "MEMOP_OOM", PS_MEMOP_OOM, PS_MEMOP_COUNT},
        {&peakstep__memop__descriptor, "MEMOP_POOL_DEAD", PS_MEMOP_POOL_DEAD, PS_MEMOP_COUNT},
        {&peakstep__element__descriptor, "ELEMENT_BF16", PS_ELEMENT_BF16, PS_ELEMENT_COUNT},
        {&peakstep__element__descriptor, "ELEMENT_U8", PS_ELEMENT_U8, PS_ELEMENT_COUNT},
        {&peakstep__element__descriptor, "ELEMENT_F8_E4M3", PS_ELEMENT_F8_E4M3, PS_ELEMENT_COUNT},
        {&peakstep__element__descriptor, "ELEMENT_TF32", PS_ELEMENT_TF32, PS_ELEMENT_COUNT},
        {&peakstep__scaling__descriptor, "SCALING_BATCH_SEQUENCE", PS_SCALING_BATCH_SEQUENCE,
         PS_SCALING_COUNT},
        {&peakstep__scaling__descriptor, "SCALING_BATCH_SEQUENCE_SQUARED",
         PS_SCALING_BATCH_SEQUENCE_SQUARED, PS_SCALING_COUNT},
        {&peakstep__op_kind__descriptor, "OP_KIND_ATTENTION", PS_OP_ATTENTION, PS_OP_KIND_COUNT},
        {&peakstep__op_kind__descriptor, "OP_KIND_HOST", PS_OP_HOST, PS_OP_KIND_COUNT},
        {&peakstep__op_kind__descriptor, "OP_KIND_JOIN", PS_OP_JOIN, PS_OP_KIND_COUNT},
        {&peakstep__op_kind__descriptor, "OP_KIND_CPU", PS_OP_CPU, PS_OP_KIND_COUNT},
        {&peakstep__op_kind__descriptor, "OP_KIND_MARK", PS_OP_MARK, PS_OP_KIND_COUNT},
        {&peakstep__task_kind__descriptor, "TASK_KIND_CPU", PS_TASK_CPU, PS_TASK_KIND_COUNT},
        {&peakstep__workload_lane__descriptor, "WORKLOAD_LANE_WORKER", PS_WORKLOAD_WORKER,
         PS_WORKLOAD_LANE_COUNT},
        {&peakstep__workload_lane__descriptor, "WORKLOAD_LANE_STREAM", PS_WORKLOAD_STREAM,
         PS_WORKLOAD_LANE_COUNT},
        {&peakstep__collective_op__descriptor, "COLLECTIVE_ALL_TO_ALL", PS_COLLECTIVE_ALL_TO_ALL,
         PS_COLLECTIVE_OP_COUNT},
        {&peakstep__operand_layout__descriptor, "OPERANDS_NT_WIDE", PS_OPERANDS_NT_WIDE,
         PS_OPERANDS_COUNT},
        {&peakstep__access__descriptor, "ACCESS_REDUCTION", PS_ACCESS_REDUCTION, PS_ACCESS_COUNT},
        {&peakstep__workload_lane__descriptor, "WORKLOAD_LANE_OFFLOAD", PS_WORKLOAD_OFFLOAD,
         PS_WORKLOAD_LANE_COUNT},
        {&peakstep__workload_event__descriptor, "WORKLOAD_EVENT_FREE", PS_WORKLOAD_EVENT_FREE,
         PS_WORKLOAD_EVENT_KIND_COUNT},
        {&peakstep__workload_event__descriptor, "WORKLOAD_EVENT_OP", PS_WORKLOAD_EVENT_OP,
         PS_WORKLOAD_EVENT_KIND_COUNT},
        {&peakstep__workload_event__descriptor, "WORKLOAD_EVENT_RELEASE_CACHE",
         PS_WORKLOAD_EVENT_RELEASE_CACHE, PS_WORKLOAD_EVENT_KIND_COUNT},
    };
    for (size_t i = 0; i < COUNT(values); i++) {
        assert_number(values[i].list, values[i].name, values[i].number);
        assert_int_equal(values[i].list->n_values, values[i].count);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(trace_schema_is_the_programs),
        cmocka_unit_test(plan_schema_is_the_programs),
        cmocka_unit_test(workload_schema_is_the_programs),
        cmocka_unit_test(enumerated_values_are_the_programs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
