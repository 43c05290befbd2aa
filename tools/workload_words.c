/* SPDX-License-Identifier: MIT
 *
 * Words of the workload's enumerations, in the order of their values.
 */
#include "workload_words.h"

#include "plan_words.h"
#include "workload/workload.h"

static const char *const elements[PS_ELEMENT_COUNT] = {
    [PS_ELEMENT_UNKNOWN] = "unknown", [PS_ELEMENT_F32] = "f32",   [PS_ELEMENT_F16] = "f16",
    [PS_ELEMENT_BF16] = "bf16",       [PS_ELEMENT_I64] = "i64",   [PS_ELEMENT_BOOL] = "bool",
    [PS_ELEMENT_I32] = "i32",         [PS_ELEMENT_U8] = "u8",     [PS_ELEMENT_I8] = "i8",
    [PS_ELEMENT_I16] = "i16",         [PS_ELEMENT_F64] = "f64",   [PS_ELEMENT_F8_E4M3] = "f8-e4m3",
    [PS_ELEMENT_F8_E5M2] = "f8-e5m2", [PS_ELEMENT_TF32] = "tf32",
};

static const char *const scalings[PS_SCALING_COUNT] = {
    [PS_SCALING_UNKNOWN] = "unknown",
    [PS_SCALING_FIXED] = "fixed",
    [PS_SCALING_BATCH] = "batch",
    [PS_SCALING_SEQUENCE] = "sequence",
    [PS_SCALING_BATCH_SEQUENCE] = "batch-sequence",
    [PS_SCALING_BATCH_SEQUENCE_SQUARED] = "batch-sequence-squared",
};

static const char *const op_kinds[PS_OP_KIND_COUNT] = {
    [PS_OP_MEMORY] = "memory",
    [PS_OP_MATMUL] = "matmul",
    [PS_OP_ATTENTION] = "attention",
    [PS_OP_COPY] = "copy",
    [PS_OP_COLLECTIVE] = "collective",
    [PS_OP_HOST] = "host",
    [PS_OP_JOIN] = "join",
    [PS_OP_CPU] = "cpu",
    [PS_OP_READ] = "read",
    [PS_OP_WRITE] = "write",
    [PS_OP_MARK] = "mark",
};

static const char *const collectives[PS_COLLECTIVE_OP_COUNT] = {
    [PS_COLLECTIVE_NONE] = "none",
    [PS_COLLECTIVE_ALL_REDUCE] = "all-reduce",
    [PS_COLLECTIVE_REDUCE_SCATTER] = "reduce-scatter",
    [PS_COLLECTIVE_ALL_GATHER] = "all-gather",
    [PS_COLLECTIVE_BROADCAST] = "broadcast",
    [PS_COLLECTIVE_REDUCE] = "reduce",
    [PS_COLLECTIVE_ALL_TO_ALL] = "all-to-all",
    [PS_COLLECTIVE_SEND] = "send",
    [PS_COLLECTIVE_RECV] = "recv",
};

static const char *const layouts[PS_OPERANDS_COUNT] = {
    [PS_OPERANDS_UNKNOWN] = "unknown", [PS_OPERANDS_TN] = "tn",           [PS_OPERANDS_NN] = "nn",
    [PS_OPERANDS_NT] = "nt",           [PS_OPERANDS_NT_WIDE] = "nt-wide",
};

static const char *const accesses[PS_ACCESS_COUNT] = {
    [PS_ACCESS_CONTIGUOUS] = "contiguous",
    [PS_ACCESS_STRIDED] = "strided",
    [PS_ACCESS_ROWS] = "rows",
    [PS_ACCESS_REDUCTION] = "reduction",
};

static const char *const lanes[PS_WORKLOAD_LANE_COUNT] = {
    [PS_WORKLOAD_MAIN] = "main",           [PS_WORKLOAD_UPLOAD] = "upload",
    [PS_WORKLOAD_OFFLOAD] = "offload",     [PS_WORKLOAD_COMPUTE] = "compute",
    [PS_WORKLOAD_GROUP] = "group-0",       [PS_WORKLOAD_GROUP + 1] = "group-1",
    [PS_WORKLOAD_GROUP + 2] = "group-2",   [PS_WORKLOAD_GROUP + 3] = "group-3",
    [PS_WORKLOAD_GROUP + 4] = "group-4",   [PS_WORKLOAD_GROUP + 5] = "group-5",
    [PS_WORKLOAD_GROUP + 6] = "group-6",   [PS_WORKLOAD_GROUP + 7] = "group-7",
    [PS_WORKLOAD_WORKER] = "worker-0",     [PS_WORKLOAD_WORKER + 1] = "worker-1",
    [PS_WORKLOAD_STREAM] = "stream-0",     [PS_WORKLOAD_STREAM + 1] = "stream-1",
    [PS_WORKLOAD_STREAM + 2] = "stream-2", [PS_WORKLOAD_STREAM + 3] = "stream-3",
};

static const char *const events[PS_WORKLOAD_EVENT_KIND_COUNT] = {
    [PS_WORKLOAD_EVENT_ALLOC] = "alloc",
    [PS_WORKLOAD_EVENT_FREE] = "free",
    [PS_WORKLOAD_EVENT_OP] = "op",
};

#define LIST(type, words)                               \
    {                                                   \
        type, words, sizeof(words) / sizeof((words)[0]) \
    }

const ps_words *ps_workload_words(const ps_column_spec *column)
{
    static const ps_words lists[] = {
        LIST("ps_element", elements),       LIST("ps_scaling", scalings),
        LIST("ps_op_kind", op_kinds),       LIST("ps_workload_lane", lanes),
        LIST("ps_workload_event", events),  LIST("ps_collective_op", collectives),
        LIST("ps_operand_layout", layouts), LIST("ps_access", accesses),
    };
    const ps_words *words = ps_words_find(lists, sizeof lists / sizeof lists[0], column);
    return words != NULL ? words : ps_plan_words(column);
}

const char *ps_workload_word(const char *type, size_t value)
{
    const ps_words *words = ps_workload_words(&(ps_column_spec){.doc = type});
    return words != NULL && value < words->count ? words->word[value] : "unknown";
}
