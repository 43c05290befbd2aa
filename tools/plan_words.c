/* SPDX-License-Identifier: MIT
 *
 * Words of the plan's enumerations, in the order of their values.
 */
#include "plan_words.h"

#include "plan/plan.h"

static const char *const lane_kinds[] = {
    [PS_LANE_HOST] = "host",
    [PS_LANE_STREAM] = "stream",
    [PS_LANE_GROUP] = "group",
};

static const char *const task_kinds[PS_TASK_KIND_COUNT] = {
    [PS_TASK_HOST] = "host",         [PS_TASK_WAIT] = "wait",
    [PS_TASK_KERNEL] = "kernel",     [PS_TASK_MEMCPY] = "memcpy",
    [PS_TASK_MEMSET] = "memset",     [PS_TASK_COLLECTIVE] = "collective",
    [PS_TASK_EXCHANGE] = "exchange", [PS_TASK_CPU] = "cpu",
};

static const char *const bases[PS_BASIS_COUNT] = {
    [PS_BASIS_MEASURED] = "measured",
    [PS_BASIS_SCALED] = "scaled",
    [PS_BASIS_ANALYTIC] = "analytic",
    [PS_BASIS_GUESSED] = "guessed",
};

static const char *const dep_kinds[] = {
    [PS_DEP_START_AFTER_END] = "start-after-end",
    [PS_DEP_START_AFTER_START] = "start-after-start",
    [PS_DEP_END_AFTER_END] = "end-after-end",
    [PS_DEP_END_AFTER_START] = "end-after-start",
};

static const char *const dep_origins[] = {
    [PS_DEP_RECORDED] = "recorded",
    [PS_DEP_RULE] = "rule",
    [PS_DEP_INFERRED] = "inferred",
};

static const char *const phases[] = {
    [PS_PHASE_UNKNOWN] = "unknown",
    [PS_PHASE_FORWARD] = "forward",
    [PS_PHASE_BACKWARD] = "backward",
    [PS_PHASE_OPTIMIZER] = "optimizer",
};

static const char *const roles[PS_ROLE_COUNT] = {
    [PS_ROLE_UNKNOWN] = "unknown",       [PS_ROLE_PARAMETER] = "parameter",
    [PS_ROLE_GRADIENT] = "gradient",     [PS_ROLE_OPTIMIZER_STATE] = "optimizer-state",
    [PS_ROLE_ACTIVATION] = "activation", [PS_ROLE_TEMPORARY] = "temporary",
    [PS_ROLE_INPUT] = "input",           [PS_ROLE_WORKSPACE] = "workspace",
    [PS_ROLE_BEFORE] = "before",
};

static const char *const growths[PS_GROWTH_COUNT] = {
    [PS_GROWTH_UNKNOWN] = "",
    [PS_GROWTH_FIXED] = "fixed",
    [PS_GROWTH_BATCH] = "batch",
    [PS_GROWTH_SEQUENCE] = "sequence",
    [PS_GROWTH_BATCH_SEQUENCE] = "batch-sequence",
    [PS_GROWTH_BATCH_SEQUENCE_SQUARED] = "batch-sequence-squared",
    [PS_GROWTH_SEQUENCE_SQUARED] = "sequence-squared",
    [PS_GROWTH_UNDECIDED] = "undecided",
};

static const char *const memops[] = {
    [PS_MEMOP_ALLOC] = "alloc",
    [PS_MEMOP_FREE] = "free",
    [PS_MEMOP_FREE_REQUEST] = "free-request",
    [PS_MEMOP_FREE_COMPLETE] = "free-complete",
    [PS_MEMOP_RELEASE_CACHE] = "release-cache",
    [PS_MEMOP_PLACE] = "place",
    [PS_MEMOP_OOM] = "oom",
};

#define LIST(type, words)                               \
    {                                                   \
        type, words, sizeof(words) / sizeof((words)[0]) \
    }

const ps_words *ps_plan_words(const ps_column_spec *column)
{
    static const ps_words lists[] = {
        LIST("ps_lane_kind", lane_kinds),
        LIST("ps_task_kind", task_kinds),
        LIST("ps_basis", bases),
        LIST("ps_dep_kind", dep_kinds),
        LIST("ps_dep_origin", dep_origins),
        LIST("ps_phase", phases),
        LIST("ps_role", roles),
        LIST("ps_growth", growths),
        LIST("ps_memop", memops),
    };
    const ps_words *words = ps_words_find(lists, sizeof lists / sizeof lists[0], column);
    return words != NULL ? words : ps_trace_words(column);
}
