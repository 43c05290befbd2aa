/* SPDX-License-Identifier: MIT
 *
 * Host side of a Kineto file:
 *
 *   name              range.name, call.name (without "_v3020")
 *   External id       op_id
 *   Sequence number   range.sequence - 1
 *   Input Dims/type   range.shapes: both lists without spaces, "dims;types"
 *   correlation       call.correlation, sync.correlation
 *   cuda_sync_kind, wait_on_*   sync
 *   M thread_name     thread; M process_name: the row PS_KINETO_WHOLE_PROCESS
 *
 * Before 2021 annotations were recorded as operators; those PyTorch makes
 * itself are told by their names.
 */
#include <string.h>

#include "import/json_text.h"
#include "import/kineto_map.h"

/* ---- ranges ---- */

static bool is_annotation_name(const ps_kineto_event *event)
{
    static const char *const beginnings[] = {"ProfilerStep#", "Optimizer.step#",
                                             "Optimizer.zero_grad#", "enumerate(DataLoader)#"};
    for (size_t i = 0; i < sizeof beginnings / sizeof beginnings[0]; i++) {
        if (ps_kineto_event_begins(event, PS_KINETO_NAME, beginnings[i])) {
            return true;
        }
    }
    return false;
}

/* "dims;types" with the spaces taken out; empty when not recorded or longer than a string may be. */
static ps_code intern_shapes(ps_kineto_map *self, const ps_kineto_event *event, ps_str *out,
                             ps_error *err)
{
    const ps_json_field *dims = event->field[PS_KINETO_DIMS];
    const ps_json_field *types = event->field[PS_KINETO_TYPES];
    *out = 0;
    if (dims == NULL) {
        return PS_OK;
    }
    const size_t most = dims->text_bytes + 1 + (types == NULL ? 0 : types->text_bytes);
    char *text = NULL;
    PS_TRY(ps_kineto_map_scratch(self, most, &text, err));
    size_t bytes = ps_json_compact(dims->text, dims->text_bytes, text);
    if (types != NULL) {
        text[bytes++] = ';';
        bytes += ps_json_compact(types->text, types->text_bytes, text + bytes);
    }
    return bytes > PS_STRING_MAX_BYTES ? PS_OK : ps_kineto_map_intern(self, text, bytes, out, err);
}

ps_code ps_kineto_map_range(ps_kineto_map *self, const ps_kineto_event *event,
                            ps_range_category category, ps_error *err)
{
    ps_ns start = 0, duration = 0;
    uint64_t tid = 0;
    ps_str name = 0, shapes = 0;
    size_t row = 0;
    PS_TRY(ps_kineto_event_start(event, &start, err));
    PS_TRY(ps_kineto_event_duration(event, &duration, err));
    PS_TRY(ps_kineto_map_tid(self, event, &tid, err));
    PS_TRY(ps_kineto_map_string(self, event->field[PS_KINETO_NAME], &name, err));
    PS_TRY(intern_shapes(self, event, &shapes, err));
    PS_TRY(ps_kineto_map_row(self, PS_TABLE_RANGE, &row, err));
    if (category == PS_RANGE_OPERATOR && is_annotation_name(event)) {
        category = PS_RANGE_ANNOTATION;
    }
    ps_range_table *range = &ps_kineto_map_chunk(self)->range;
    range->start_ns[row] = start;
    range->dur_ns[row] = duration;
    range->pid[row] = ps_kineto_map_pid(event);
    range->tid[row] = tid;
    range->category[row] = (uint8_t)category;
    range->name[row] = name;
    range->op_id[row] = ps_kineto_event_u64(event, PS_KINETO_OP_ID, 0);
    range->sequence[row] = ps_kineto_event_i64(event, PS_KINETO_SEQUENCE, -1) + 1;
    range->shapes[row] = shapes;
    return PS_OK;
}

/* ---- calls ---- */

/* [bytes] of a function's name without the version suffix "_v3020". */
static size_t name_bytes(const ps_json_field *name)
{
    size_t at = name->text_bytes;
    while (at > 0 && name->text[at - 1] >= '0' && name->text[at - 1] <= '9') {
        at--;
    }
    const bool has_version =
        at < name->text_bytes && at > 2 && name->text[at - 1] == 'v' && name->text[at - 2] == '_';
    return has_version ? at - 2 : name->text_bytes;
}

ps_code ps_kineto_map_call(ps_kineto_map *self, const ps_kineto_event *event, ps_call_api api,
                           ps_error *err)
{
    ps_ns start = 0, duration = 0;
    uint64_t tid = 0;
    ps_str name = 0;
    size_t row = 0;
    PS_TRY(ps_kineto_event_start(event, &start, err));
    PS_TRY(ps_kineto_event_duration(event, &duration, err));
    PS_TRY(ps_kineto_map_tid(self, event, &tid, err));
    ps_json_field function = *event->field[PS_KINETO_NAME];
    function.text_bytes = name_bytes(&function);
    PS_TRY(ps_kineto_map_string(self, &function, &name, err));
    PS_TRY(ps_kineto_map_row(self, PS_TABLE_CALL, &row, err));
    ps_call_table *call = &ps_kineto_map_chunk(self)->call;
    call->start_ns[row] = start;
    call->dur_ns[row] = duration;
    call->pid[row] = ps_kineto_map_pid(event);
    call->tid[row] = tid;
    call->api[row] = (uint8_t)api;
    call->name[row] = name;
    call->correlation[row] = ps_kineto_event_u64(event, PS_KINETO_CORRELATION, 0);
    call->op_id[row] = ps_kineto_event_u64(event, PS_KINETO_OP_ID, 0);
    return PS_OK;
}

/* ---- waits ---- */

static ps_sync_kind sync_kind(const ps_kineto_event *event)
{
    const ps_kineto_key key =
        event->field[PS_KINETO_SYNC_KIND] != NULL ? PS_KINETO_SYNC_KIND : PS_KINETO_NAME;
    if (ps_kineto_event_is(event, key, "Event Sync")) {
        return PS_SYNC_EVENT;
    }
    if (ps_kineto_event_is(event, key, "Stream Wait Event")) {
        return PS_SYNC_STREAM_WAIT;
    }
    if (ps_kineto_event_is(event, key, "Stream Sync")) {
        return PS_SYNC_STREAM;
    }
    return ps_kineto_event_is(event, key, "Context Sync") ? PS_SYNC_DEVICE : PS_SYNC_UNKNOWN;
}

ps_code ps_kineto_map_sync(ps_kineto_map *self, const ps_kineto_event *event, ps_error *err)
{
    ps_ns start = 0, duration = 0;
    size_t row = 0;
    PS_TRY(ps_kineto_event_start(event, &start, err));
    PS_TRY(ps_kineto_event_duration(event, &duration, err));
    PS_TRY(ps_kineto_map_row(self, PS_TABLE_SYNC, &row, err));
    ps_sync_table *sync = &ps_kineto_map_chunk(self)->sync;
    sync->start_ns[row] = start;
    sync->dur_ns[row] = duration;
    sync->device[row] = ps_kineto_map_device(self, event);
    sync->stream[row] = ps_kineto_event_id_or_none(event, PS_KINETO_STREAM);
    sync->correlation[row] = ps_kineto_event_u64(event, PS_KINETO_CORRELATION, 0);
    sync->kind[row] = (uint8_t)sync_kind(event);
    sync->event_id[row] = ps_kineto_event_u64(event, PS_KINETO_WAIT_EVENT, 0);
    sync->record_correlation[row] = ps_kineto_event_u64(event, PS_KINETO_WAIT_RECORD, 0);
    sync->record_stream[row] = ps_kineto_event_id_or_none(event, PS_KINETO_WAIT_STREAM);
    return PS_OK;
}

/* ---- names ---- */

ps_code ps_kineto_map_names(ps_kineto_map *self, const ps_kineto_event *event, ps_error *err)
{
    const bool is_process = ps_kineto_event_is(event, PS_KINETO_NAME, "process_name");
    const ps_json_field *label = event->field[PS_KINETO_LABEL];
    if ((!is_process && !ps_kineto_event_is(event, PS_KINETO_NAME, "thread_name")) ||
        label == NULL || label->kind != PS_JSON_STRING) {
        return PS_OK; /* orders and colours of a viewer */
    }
    ps_json_field trimmed = *label;
    while (trimmed.text_bytes > 0 && trimmed.text[trimmed.text_bytes - 1] == ' ') {
        trimmed.text_bytes--;
    }
    uint64_t tid = PS_KINETO_WHOLE_PROCESS;
    ps_str name = 0;
    size_t row = 0;
    if (!is_process) {
        PS_TRY(ps_kineto_map_tid(self, event, &tid, err));
    }
    PS_TRY(ps_kineto_map_string(self, &trimmed, &name, err));
    PS_TRY(ps_kineto_map_row(self, PS_TABLE_THREAD, &row, err));
    ps_thread_table *thread = &ps_kineto_map_chunk(self)->thread;
    thread->pid[row] = ps_kineto_map_pid(event);
    thread->tid[row] = tid;
    thread->name[row] = name;
    return PS_OK;
}
