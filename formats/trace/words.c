/* SPDX-License-Identifier: MIT
 *
 * Words of the trace's enumerations, in the order of their values.
 */
#include "trace/words.h"

#include <string.h>

#include "trace/trace.h"

static const char *const range_categories[] = {
    [PS_RANGE_OTHER] = "other",
    [PS_RANGE_OPERATOR] = "operator",
    [PS_RANGE_ANNOTATION] = "annotation",
    [PS_RANGE_PYTHON] = "python",
    [PS_RANGE_GPU_ANNOTATION] = "gpu-annotation",
    [PS_RANGE_OVERHEAD] = "overhead",
    [PS_RANGE_PROFILER] = "profiler",
};

static const char *const call_apis[] = {
    [PS_API_RUNTIME] = "runtime",
    [PS_API_DRIVER] = "driver",
};

static const char *const copy_kinds[] = {
    [PS_COPY_UNKNOWN] = "unknown", [PS_COPY_HTOD] = "htod", [PS_COPY_DTOH] = "dtoh",
    [PS_COPY_DTOD] = "dtod",       [PS_COPY_PTOP] = "ptop", [PS_COPY_HTOH] = "htoh",
};

static const char *const memory_kinds[] = {
    [PS_MEMORY_UNKNOWN] = "unknown", [PS_MEMORY_PAGEABLE] = "pageable",
    [PS_MEMORY_PINNED] = "pinned",   [PS_MEMORY_DEVICE] = "device",
    [PS_MEMORY_ARRAY] = "array",     [PS_MEMORY_MANAGED] = "managed",
    [PS_MEMORY_STORAGE] = "storage",
};

static const char *const sync_kinds[] = {
    [PS_SYNC_UNKNOWN] = "unknown",         [PS_SYNC_EVENT] = "event",
    [PS_SYNC_STREAM_WAIT] = "stream-wait", [PS_SYNC_STREAM] = "stream",
    [PS_SYNC_DEVICE] = "device",
};

static const char *const memory_actions[] = {
    [PS_ACTION_ALLOC] = "alloc",
    [PS_ACTION_FREE] = "free",
    [PS_ACTION_FREE_REQUESTED] = "free-requested",
    [PS_ACTION_FREE_COMPLETED] = "free-completed",
    [PS_ACTION_SEGMENT_ALLOC] = "segment-alloc",
    [PS_ACTION_SEGMENT_FREE] = "segment-free",
    [PS_ACTION_SEGMENT_MAP] = "segment-map",
    [PS_ACTION_SEGMENT_UNMAP] = "segment-unmap",
    [PS_ACTION_OOM] = "oom",
    [PS_ACTION_SNAPSHOT] = "snapshot",
};

static const char *const driver_actions[] = {
    [PS_DRIVER_ALLOC] = "alloc",     [PS_DRIVER_FREE] = "free", [PS_DRIVER_CREATE] = "create",
    [PS_DRIVER_RELEASE] = "release", [PS_DRIVER_MAP] = "map",   [PS_DRIVER_UNMAP] = "unmap",
};

static const char *const device_kinds[] = {
    [PS_DEVICE_HOST] = "host",
    [PS_DEVICE_CUDA] = "cuda",
    [PS_DEVICE_HIP] = "hip",
    [PS_DEVICE_OTHER] = "other",
};

static const char *const block_states[] = {
    [PS_BLOCK_INACTIVE] = "inactive",
    [PS_BLOCK_ALLOCATED] = "allocated",
    [PS_BLOCK_PENDING_FREE] = "pending-free",
};

static const char *const severities[] = {
    [PS_SEVERITY_INFO] = "info",
    [PS_SEVERITY_LOSS] = "loss",
    [PS_SEVERITY_ERROR] = "error",
};

#define LIST(type, words)                               \
    {                                                   \
        type, words, sizeof(words) / sizeof((words)[0]) \
    }

static const ps_words lists[] = {
    LIST("ps_range_category", range_categories),
    LIST("ps_call_api", call_apis),
    LIST("ps_copy_kind", copy_kinds),
    LIST("ps_memory_kind", memory_kinds),
    LIST("ps_sync_kind", sync_kinds),
    LIST("ps_memory_action", memory_actions),
    LIST("ps_device_kind", device_kinds),
    LIST("ps_block_state", block_states),
    LIST("ps_severity", severities),
    LIST("ps_driver_action", driver_actions),
};

const ps_words *ps_words_find(const ps_words *all, size_t count, const ps_column_spec *column)
{
    const size_t bytes = strspn(column->doc, "abcdefghijklmnopqrstuvwxyz_");
    for (size_t i = 0; i < count; i++) {
        if (strlen(all[i].type) == bytes && memcmp(all[i].type, column->doc, bytes) == 0) {
            return &all[i];
        }
    }
    return NULL;
}

const ps_words *ps_trace_words(const ps_column_spec *column)
{
    return ps_words_find(lists, sizeof lists / sizeof lists[0], column);
}

const char *ps_loss_meaning(const char *name)
{
    static const struct {
        const char *name, *meaning;
    } known[] = {
#define X(loss_name, severity, meaning) {loss_name, meaning},
#include "trace/losses.def"
#undef X
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (strcmp(known[i].name, name) == 0) {
            return known[i].meaning;
        }
    }
    return NULL;
}
