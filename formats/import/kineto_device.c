/* SPDX-License-Identifier: MIT
 *
 * Device side of a Kineto file:
 *
 *   device, else pid          device          stream, else tid   stream
 *   correlation, External id  correlation, op_id
 *   grid, block, registers per thread, shared memory   kernel.launch
 *   graph node id             kernel.graph_node
 *   bytes                     memcpy.bytes, memset.bytes (0: older AMD builds leave it out)
 *   name                      memcpy.kind, src, dst: "Memcpy HtoD (Pinned -> Device)",
 *                             "CopyHostToDevice"; else args.kind
 *   fromDevice, toDevice      memcpy.peer
 */
#include <string.h>

#include "import/json_text.h"
#include "import/kineto_map.h"

/* ---- kernels ---- */

/* Appends "56,1,1" for "[56, 1, 1]", and a number as it is. */
static size_t put_numbers(const ps_json_field *field, char *out)
{
    size_t bytes = 0;
    for (size_t i = 0; field != NULL && i < field->text_bytes; i++) {
        const char c = field->text[i];
        if (!ps_json_is_space(c) && c != '[' && c != ']') {
            out[bytes++] = c;
        }
    }
    return bytes;
}

static ps_code intern_launch(ps_kineto_map *self, const ps_kineto_event *event, ps_str *out,
                             ps_error *err)
{
    static const ps_kineto_key parts[] = {PS_KINETO_GRID, PS_KINETO_BLOCK, PS_KINETO_REGISTERS,
                                          PS_KINETO_SHARED};
    enum { PART_COUNT = sizeof parts / sizeof parts[0] };
    *out = 0;
    if (event->field[PS_KINETO_GRID] == NULL && event->field[PS_KINETO_BLOCK] == NULL) {
        return PS_OK;
    }
    size_t most = PART_COUNT;
    for (size_t i = 0; i < PART_COUNT; i++) {
        most += event->field[parts[i]] == NULL ? 0 : event->field[parts[i]]->text_bytes;
    }
    char *text = NULL;
    size_t bytes = 0;
    PS_TRY(ps_kineto_map_scratch(self, most, &text, err));
    for (size_t i = 0; i < PART_COUNT; i++) {
        if (i > 0) {
            text[bytes++] = '|';
        }
        bytes += put_numbers(event->field[parts[i]], text + bytes);
    }
    return ps_kineto_map_intern(self, text, bytes, out, err);
}

ps_code ps_kineto_map_kernel(ps_kineto_map *self, const ps_kineto_event *event, ps_error *err)
{
    ps_ns start = 0, duration = 0;
    ps_str name = 0, launch = 0;
    size_t row = 0;
    PS_TRY(ps_kineto_event_start(event, &start, err));
    PS_TRY(ps_kineto_event_duration(event, &duration, err));
    PS_TRY(ps_kineto_map_string(self, event->field[PS_KINETO_NAME], &name, err));
    PS_TRY(intern_launch(self, event, &launch, err));
    PS_TRY(ps_kineto_map_row(self, PS_TABLE_KERNEL, &row, err));
    ps_kernel_table *kernel = &ps_kineto_map_chunk(self)->kernel;
    kernel->start_ns[row] = start;
    kernel->dur_ns[row] = duration;
    kernel->device[row] = ps_kineto_map_device(self, event);
    kernel->stream[row] = ps_kineto_map_stream(event);
    kernel->name[row] = name;
    kernel->correlation[row] = ps_kineto_event_u64(event, PS_KINETO_CORRELATION, 0);
    kernel->op_id[row] = ps_kineto_event_u64(event, PS_KINETO_OP_ID, 0);
    kernel->launch[row] = launch;
    kernel->graph_node[row] = ps_kineto_event_u64(event, PS_KINETO_GRAPH_NODE, 0);
    self->device_rows++;
    return ps_kineto_map_collective(self, event, row, err);
}

/* ---- copies ---- */

/* A word in a name or kind and what it says. */
typedef struct copy_word {
    const char *text;
    uint8_t meaning;
} copy_word;

static const copy_word copy_kinds[] = {
    {"HtoD", PS_COPY_HTOD},         {"DtoH", PS_COPY_DTOH},
    {"DtoD", PS_COPY_DTOD},         {"PtoP", PS_COPY_PTOP},
    {"HtoH", PS_COPY_HTOH},         {"HostToDevice", PS_COPY_HTOD},
    {"DeviceToHost", PS_COPY_DTOH}, {"DeviceToDevice", PS_COPY_DTOD},
    {"PeerToPeer", PS_COPY_PTOP},   {"HostToHost", PS_COPY_HTOH},
};

static const copy_word memory_kinds[] = {
    {"Pageable", PS_MEMORY_PAGEABLE}, {"Pinned", PS_MEMORY_PINNED},   {"Device", PS_MEMORY_DEVICE},
    {"Array", PS_MEMORY_ARRAY},       {"Managed", PS_MEMORY_MANAGED},
};

static bool text_contains(const char *text, size_t bytes, const char *word)
{
    const size_t wanted = strlen(word);
    for (size_t i = 0; i + wanted <= bytes; i++) {
        if (memcmp(text + i, word, wanted) == 0) {
            return true;
        }
    }
    return false;
}

static uint8_t meaning_in(const char *text, size_t bytes, const copy_word *words, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (text_contains(text, bytes, words[i].text)) {
            return words[i].meaning;
        }
    }
    return 0;
}

static uint8_t copy_kind_in(const ps_json_field *field)
{
    return field == NULL || field->kind != PS_JSON_STRING
               ? (uint8_t)PS_COPY_UNKNOWN
               : meaning_in(field->text, field->text_bytes, copy_kinds,
                            sizeof copy_kinds / sizeof copy_kinds[0]);
}

static uint8_t memory_kind_in(const char *text, size_t bytes)
{
    return meaning_in(text, bytes, memory_kinds, sizeof memory_kinds / sizeof memory_kinds[0]);
}

/* What lies on a side of the copy when only its direction is known. */
static uint8_t side_of(uint8_t kind, bool is_source)
{
    switch (kind) {
    case PS_COPY_HTOD:
        return is_source ? PS_MEMORY_UNKNOWN : PS_MEMORY_DEVICE;
    case PS_COPY_DTOH:
        return is_source ? PS_MEMORY_DEVICE : PS_MEMORY_UNKNOWN;
    case PS_COPY_DTOD:
    case PS_COPY_PTOP:
        return PS_MEMORY_DEVICE;
    default:
        return PS_MEMORY_UNKNOWN;
    }
}

/* Both sides from "(Pinned -> Device)", else from the direction. */
static void find_sides(const ps_json_field *name, uint8_t kind, uint8_t *src, uint8_t *dst)
{
    const char *end = name->text + name->text_bytes;
    const char *open = name->text_bytes == 0 ? NULL : memchr(name->text, '(', name->text_bytes);
    const char *dash = open == NULL ? NULL : memchr(open, '>', (size_t)(end - open));
    *src = side_of(kind, true);
    *dst = side_of(kind, false);
    if (dash != NULL) {
        *src = memory_kind_in(open, (size_t)(dash - open));
        *dst = memory_kind_in(dash, (size_t)(end - dash));
    }
}

/* Other device of a peer copy + 1, 0 when there is none. */
static uint32_t peer_of(const ps_kineto_event *event, uint32_t device)
{
    const uint64_t from = ps_kineto_event_u64(event, PS_KINETO_FROM_DEVICE, device);
    const uint64_t to = ps_kineto_event_u64(event, PS_KINETO_TO_DEVICE, device);
    const uint64_t other = to != device ? to : from;
    return other == device ? 0 : (uint32_t)other + 1;
}

ps_code ps_kineto_map_memcpy(ps_kineto_map *self, const ps_kineto_event *event, ps_error *err)
{
    const ps_json_field *name = event->field[PS_KINETO_NAME];
    ps_ns start = 0, duration = 0;
    size_t row = 0;
    PS_TRY(ps_kineto_event_start(event, &start, err));
    PS_TRY(ps_kineto_event_duration(event, &duration, err));
    PS_TRY(ps_kineto_map_row(self, PS_TABLE_MEMCPY, &row, err));
    ps_memcpy_table *copy = &ps_kineto_map_chunk(self)->memcpy;
    copy->start_ns[row] = start;
    copy->dur_ns[row] = duration;
    copy->device[row] = ps_kineto_map_device(self, event);
    copy->stream[row] = ps_kineto_map_stream(event);
    copy->correlation[row] = ps_kineto_event_u64(event, PS_KINETO_CORRELATION, 0);
    copy->op_id[row] = ps_kineto_event_u64(event, PS_KINETO_OP_ID, 0);
    copy->bytes[row] = ps_kineto_event_u64(event, PS_KINETO_COPIED, 0);
    copy->kind[row] = copy_kind_in(name);
    if (copy->kind[row] == PS_COPY_UNKNOWN) {
        copy->kind[row] = copy_kind_in(event->field[PS_KINETO_COPY_KIND]);
    }
    find_sides(name, copy->kind[row], &copy->src[row], &copy->dst[row]);
    copy->peer[row] = peer_of(event, copy->device[row]);
    self->device_rows++;
    return PS_OK;
}

ps_code ps_kineto_map_memset(ps_kineto_map *self, const ps_kineto_event *event, ps_error *err)
{
    ps_ns start = 0, duration = 0;
    size_t row = 0;
    PS_TRY(ps_kineto_event_start(event, &start, err));
    PS_TRY(ps_kineto_event_duration(event, &duration, err));
    PS_TRY(ps_kineto_map_row(self, PS_TABLE_MEMSET, &row, err));
    ps_memset_table *fill = &ps_kineto_map_chunk(self)->memset;
    fill->start_ns[row] = start;
    fill->dur_ns[row] = duration;
    fill->device[row] = ps_kineto_map_device(self, event);
    fill->stream[row] = ps_kineto_map_stream(event);
    fill->correlation[row] = ps_kineto_event_u64(event, PS_KINETO_CORRELATION, 0);
    fill->op_id[row] = ps_kineto_event_u64(event, PS_KINETO_OP_ID, 0);
    fill->bytes[row] = ps_kineto_event_u64(event, PS_KINETO_COPIED, 0);
    self->device_rows++;
    return PS_OK;
}
