/* SPDX-License-Identifier: MIT
 *
 * Which row an event becomes:
 *
 *   ph X, cat      cpu_op, Operator                range, operator (annotation by some names)
 *                  user_annotation                 range, annotation
 *                  gpu_user_annotation             range, gpu-annotation (pid device, tid stream)
 *                  python_function, overhead       range
 *                  cuda_profiler_range             range, profiler
 *                  cuda_runtime, cuda_driver       call
 *                  kernel, gpu_memcpy, gpu_memset  kernel (+ collective), memcpy, memset
 *                  cuda_sync                       sync
 *                  Trace                           counted: profiler-tracks
 *   ph i           [memory], [OutOfMemory]         memory
 *                  Iteration Start, Record Window  counted: profiler-tracks
 *   ph M           thread_name, process_name       thread
 *   ph s t f       arrows                          counted: flow-arrows
 *   others                                         counted: unknown-categories
 *
 * An X without name, time or duration is counted as malformed.
 */
#include "import/kineto_map.h"

#include <string.h>

#include "base/memory.h"
#include "import/json_text.h"

void ps_kineto_map_init(ps_kineto_map *self, ps_trace_builder *out)
{
    *self = (ps_kineto_map){.out = out};
    ps_kineto_words_init(&self->words);
    ps_idmap_init(&self->named);
}

void ps_kineto_map_fini(ps_kineto_map *self)
{
    ps_idmap_fini(&self->named);
    ps_free(self->scratch);
}

/* ---- rows and text ---- */

ps_trace *ps_kineto_map_chunk(ps_kineto_map *self)
{
    return ps_trace_builder_chunk(self->out);
}

ps_code ps_kineto_map_row(ps_kineto_map *self, ps_trace_table_id table, size_t *row, ps_error *err)
{
    return ps_trace_add(ps_trace_builder_chunk(self->out), table, row, err);
}

ps_code ps_kineto_map_scratch(ps_kineto_map *self, size_t bytes, char **out, ps_error *err)
{
    PS_TRY(ps_grow((void **)&self->scratch, &self->scratch_capacity, bytes, SIZE_MAX / 2, 1, err));
    *out = self->scratch;
    return PS_OK;
}

ps_code ps_kineto_map_intern(ps_kineto_map *self, const char *text, size_t bytes, ps_str *out,
                             ps_error *err)
{
    if (bytes > PS_STRING_MAX_BYTES) {
        self->loss[PS_KINETO_LOSS_TEXT] += bytes - PS_STRING_MAX_BYTES;
        bytes = PS_STRING_MAX_BYTES;
        while (bytes > 0 && ((unsigned char)text[bytes] & 0xc0) == 0x80) {
            bytes--; /* not in the middle of a character */
        }
    }
    return ps_strings_put(ps_trace_builder_chunk(self->out)->strings, text, bytes, out, err);
}

ps_code ps_kineto_map_string(ps_kineto_map *self, const ps_json_field *field, ps_str *out,
                             ps_error *err)
{
    if (field == NULL) {
        *out = 0;
        return PS_OK;
    }
    if (field->kind != PS_JSON_STRING || field->text_bytes == 0 ||
        memchr(field->text, '\\', field->text_bytes) == NULL) {
        return ps_kineto_map_intern(self, field->text, field->text_bytes, out, err);
    }
    char *plain = NULL;
    PS_TRY(ps_kineto_map_scratch(self, field->text_bytes, &plain, err));
    const size_t bytes =
        ps_json_unescape(field->text, field->text_bytes, plain, &self->loss[PS_KINETO_LOSS_TEXT]);
    return ps_kineto_map_intern(self, plain, bytes, out, err);
}

/* ---- processes and threads ---- */

/* The number in "4093687616", "stream 7", "GPU 0": digits at the end behind letters and spaces only. */
static bool number_inside(const ps_json_field *field, uint64_t *out)
{
    size_t at = 0;
    while (at < field->text_bytes) {
        const char c = field->text[at];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == ' ')) {
            break;
        }
        at++;
    }
    return ps_json_whole(field->text + at, field->text_bytes - at, out);
}

static uint64_t hash_text(const char *text, size_t bytes)
{
    uint64_t hash =
        0xcbf29ce484222325u; /* FNV-1a: part of what a trace looks like, so never change it */
    for (size_t i = 0; i < bytes; i++) {
        hash = (hash ^ (unsigned char)text[i]) * 0x100000001b3u;
    }
    return hash;
}

/* Numeric id of a member; *is_name when only a hash of its text could be given. */
static uint64_t id_of(const ps_json_field *field, bool *is_name)
{
    uint64_t whole = 0;
    int64_t value = 0;
    *is_name = false;
    if (field == NULL || (field->kind != PS_JSON_NUMBER && field->kind != PS_JSON_STRING)) {
        return 0;
    }
    if (number_inside(field, &whole)) {
        return whole;
    }
    if (ps_json_decimal(field->text, field->text_bytes, 0, &value)) {
        return (uint64_t)value;
    }
    *is_name = true;
    return hash_text(field->text, field->text_bytes);
}

uint32_t ps_kineto_map_pid(const ps_kineto_event *event)
{
    bool is_name = false;
    const uint64_t id = id_of(event->field[PS_KINETO_PID], &is_name);
    return is_name ? (uint32_t)(id ^ (id >> 32)) : (uint32_t)id;
}

ps_code ps_kineto_map_tid(ps_kineto_map *self, const ps_kineto_event *event, uint64_t *out,
                          ps_error *err)
{
    bool is_name = false;
    *out = id_of(event->field[PS_KINETO_TID], &is_name);
    if (!is_name || ps_idmap_get(&self->named, *out) != PS_IDMAP_NONE) {
        return PS_OK;
    }
    size_t row = 0;
    ps_str name = 0;
    PS_TRY(ps_idmap_put(&self->named, *out, 1, err));
    PS_TRY(ps_kineto_map_string(self, event->field[PS_KINETO_TID], &name, err));
    PS_TRY(ps_kineto_map_row(self, PS_TABLE_THREAD, &row, err));
    ps_thread_table *thread = &ps_kineto_map_chunk(self)->thread;
    thread->pid[row] = ps_kineto_map_pid(event);
    thread->tid[row] = *out;
    thread->name[row] = name;
    return PS_OK;
}

uint32_t ps_kineto_map_device(ps_kineto_map *self, const ps_kineto_event *event)
{
    const uint32_t device =
        (uint32_t)ps_kineto_event_u64(event, PS_KINETO_DEVICE, ps_kineto_map_pid(event));
    if (device < PS_KINETO_MAX_DEVICES) {
        self->device_seen[device / 64] |= (uint64_t)1 << (device % 64);
    }
    return device;
}

uint64_t ps_kineto_map_stream(const ps_kineto_event *event)
{
    bool is_name = false;
    return ps_kineto_event_u64(event, PS_KINETO_STREAM,
                               id_of(event->field[PS_KINETO_TID], &is_name));
}

/* ---- dispatch ---- */

void ps_kineto_map_malformed(ps_kineto_map *self, const ps_kineto_event *event)
{
    if (self->loss[PS_KINETO_LOSS_MALFORMED]++ == 0) {
        self->first_malformed = event->offset;
    }
}

static ps_code map_span(ps_kineto_map *self, const ps_kineto_event *event, ps_error *err)
{
    const ps_json_field *text = event->field[PS_KINETO_CATEGORY];
    const ps_kineto_category category =
        text == NULL ? PS_KINETO_NO_CATEGORY : ps_kineto_words_category(&self->words, text);
    if (event->field[PS_KINETO_NAME] == NULL || event->field[PS_KINETO_TS] == NULL ||
        event->field[PS_KINETO_DUR] == NULL) {
        ps_kineto_map_malformed(self, event);
        return PS_OK;
    }
    switch (category) {
    case PS_KINETO_IS_OPERATOR:
        return ps_kineto_map_range(self, event, PS_RANGE_OPERATOR, err);
    case PS_KINETO_IS_ANNOTATION:
        return ps_kineto_map_range(self, event, PS_RANGE_ANNOTATION, err);
    case PS_KINETO_IS_GPU_ANNOTATION:
        return ps_kineto_map_range(self, event, PS_RANGE_GPU_ANNOTATION, err);
    case PS_KINETO_IS_PYTHON:
        return ps_kineto_map_range(self, event, PS_RANGE_PYTHON, err);
    case PS_KINETO_IS_OVERHEAD:
        return ps_kineto_map_range(self, event, PS_RANGE_OVERHEAD, err);
    case PS_KINETO_IS_PROFILER:
        return ps_kineto_map_range(self, event, PS_RANGE_PROFILER, err);
    case PS_KINETO_IS_RUNTIME:
        return ps_kineto_map_call(self, event, PS_API_RUNTIME, err);
    case PS_KINETO_IS_DRIVER:
        return ps_kineto_map_call(self, event, PS_API_DRIVER, err);
    case PS_KINETO_IS_KERNEL:
        return ps_kineto_map_kernel(self, event, err);
    case PS_KINETO_IS_MEMCPY:
        return ps_kineto_map_memcpy(self, event, err);
    case PS_KINETO_IS_MEMSET:
        return ps_kineto_map_memset(self, event, err);
    case PS_KINETO_IS_SYNC:
        return ps_kineto_map_sync(self, event, err);
    case PS_KINETO_IS_TRACK:
        self->loss[PS_KINETO_LOSS_TRACKS]++;
        return PS_OK;
    case PS_KINETO_NO_CATEGORY:
    case PS_KINETO_CATEGORY_COUNT:
        break;
    }
    self->loss[PS_KINETO_LOSS_UNKNOWN]++;
    return PS_OK;
}

static ps_code map_instant(ps_kineto_map *self, const ps_kineto_event *event, ps_error *err)
{
    const bool is_oom = ps_kineto_event_is(event, PS_KINETO_NAME, "[OutOfMemory]");
    if (is_oom || ps_kineto_event_is(event, PS_KINETO_NAME, "[memory]")) {
        return ps_kineto_map_memory(self, event, is_oom, err);
    }
    const bool is_track = ps_kineto_event_begins(event, PS_KINETO_NAME, "Iteration Start") ||
                          ps_kineto_event_is(event, PS_KINETO_NAME, "Record Window End");
    self->loss[is_track ? PS_KINETO_LOSS_TRACKS : PS_KINETO_LOSS_UNKNOWN]++;
    return PS_OK;
}

static ps_code map_phase(ps_kineto_map *self, const ps_kineto_event *event, char phase,
                         ps_error *err)
{
    switch (phase) {
    case 'X':
        return map_span(self, event, err);
    case 'i':
    case 'I':
        return map_instant(self, event, err);
    case 'M':
        return ps_kineto_map_names(self, event, err);
    case 's':
    case 't':
    case 'f':
        self->loss[PS_KINETO_LOSS_ARROWS]++;
        return PS_OK;
    default:
        self->loss[PS_KINETO_LOSS_UNKNOWN]++;
        return PS_OK;
    }
}

ps_code ps_kineto_map_event(ps_kineto_map *self, const ps_kineto_event *event, ps_error *err)
{
    const ps_json_field *phase = event->field[PS_KINETO_PHASE];
    const ps_json_field *args = event->field[PS_KINETO_ARGS];
    if (args != NULL && args->kind != PS_JSON_WORD) {
        return ps_kineto_event_refuse(event, args, "must be an object", err);
    }
    if (phase == NULL || phase->kind != PS_JSON_STRING || phase->text_bytes != 1) {
        ps_kineto_map_malformed(self, event);
        return PS_OK;
    }
    PS_TRY(map_phase(self, event, phase->text[0], err));
    return ps_trace_builder_step(self->out, err);
}
