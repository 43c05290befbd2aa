/* SPDX-License-Identifier: MIT
 *
 * Records of host calls and of the device work they caused.
 */
#include "decode_parts.h"

#include <stdio.h>

#include "chosen_calls.h"
#include "cupti_records.h"

ps_code ps_decode_call(ps_decoder *self, ps_trace *chunk, const unsigned char *record,
                       ps_call_api api, ps_error *err)
{
    size_t row;
    ps_str name;
    ps_ns start_ns, dur_ns;
    const uint32_t id = ps_record_u32(record, 4);
    if (!ps_is_chosen_call(api, id)) {
        return PS_OK;
    }
    if (!ps_decode_span(self, record, 8, 16, &start_ns, &dur_ns)) {
        return ps_decode_missing_time(chunk, err);
    }
    const char *text = self->name_of(self->context, api, id);
    PS_TRY(ps_decode_name(self, chunk, text, &name, err));
    PS_TRY(ps_trace_add(chunk, PS_TABLE_CALL, &row, err));
    ps_call_table *call = &chunk->call;
    call->start_ns[row] = start_ns;
    call->dur_ns[row] = dur_ns;
    call->pid[row] = ps_record_u32(record, 24);
    call->tid[row] = ps_record_u32(record, 28);
    call->api[row] = (uint8_t)api;
    call->name[row] = name;
    call->correlation[row] = ps_record_u32(record, 32);
    call->op_id[row] = ps_decode_op_id(self, call->correlation[row]);
    return PS_OK;
}

/* ---- kernels ---- */

/* The numbers of a launch: grid, block, registers, shared bytes. */
#define LAUNCH_NUMBERS 8

static void launch_numbers(const unsigned char *record, uint32_t numbers[LAUNCH_NUMBERS])
{
    for (unsigned i = 0; i < 3; i++) {
        numbers[i] = ps_record_u32(record, 52 + 4 * i);
        numbers[3 + i] = ps_record_u32(record, 64 + 4 * i);
    }
    numbers[6] = (uint32_t)record[6] | (uint32_t)record[7] << 8;
    numbers[7] = ps_record_u32(record, 76) + ps_record_u32(record, 80);
}

/* Interns "gx,gy,gz|bx,by,bz|registers|shared bytes", made only when the numbers are new. */
static ps_code launch_text(ps_decoder *self, ps_trace *chunk, const unsigned char *record,
                           ps_str *id, ps_error *err)
{
    uint32_t n[LAUNCH_NUMBERS];
    char text[128];
    uint64_t key = 0xcbf29ce484222325u;
    launch_numbers(record, n);
    for (int i = 0; i < LAUNCH_NUMBERS; i++) {
        key = (key ^ n[i]) * 0x9e3779b97f4a7c15u;
        key ^= key >> 32;
    }
    key |= (uint64_t)1 << 63; /* never the address of a name */
    if (ps_text_cache_get(&self->texts, key, id)) {
        return PS_OK;
    }
    const int bytes = snprintf(text, sizeof text, "%u,%u,%u|%u,%u,%u|%u|%u", n[0], n[1], n[2], n[3],
                               n[4], n[5], n[6], n[7]);
    PS_TRY(ps_strings_put(chunk->strings, text, (size_t)bytes, id, err));
    ps_text_cache_put(&self->texts, key, *id);
    return PS_OK;
}

ps_code ps_decode_kernel(ps_decoder *self, ps_trace *chunk, const unsigned char *record,
                         size_t bytes, ps_error *err)
{
    size_t row;
    ps_str name, launch;
    ps_ns start_ns, dur_ns;
    if (!ps_decode_span(self, record, 16, 24, &start_ns, &dur_ns)) {
        return ps_decode_missing_time(chunk, err);
    }
    PS_TRY(ps_decode_name(self, chunk, ps_record_text(record, 104), &name, err));
    PS_TRY(launch_text(self, chunk, record, &launch, err));
    ps_decode_context(self, ps_record_u32(record, 44), ps_record_u32(record, 40));
    PS_TRY(ps_trace_add(chunk, PS_TABLE_KERNEL, &row, err));
    ps_kernel_table *kernel = &chunk->kernel;
    kernel->start_ns[row] = start_ns;
    kernel->dur_ns[row] = dur_ns;
    kernel->device[row] = ps_record_u32(record, 40);
    kernel->stream[row] = ps_record_u32(record, 48);
    kernel->name[row] = name;
    kernel->correlation[row] = ps_record_u32(record, 92);
    kernel->op_id[row] = ps_decode_op_id(self, kernel->correlation[row]);
    kernel->launch[row] = launch;
    kernel->graph_node[row] = bytes >= 152 ? ps_record_u64(record, 144) : 0;
    return PS_OK;
}

/* ---- copies and fills ---- */

static uint8_t copy_kind(uint8_t kind)
{
    switch (kind) {
    case 1: /* host to device, to array */
    case 3:
        return PS_COPY_HTOD;
    case 2: /* device to host, array to host */
    case 4:
        return PS_COPY_DTOH;
    case 5: /* within the device, arrays or not */
    case 6:
    case 7:
    case 8:
        return PS_COPY_DTOD;
    case 9:
        return PS_COPY_HTOH;
    case 10:
        return PS_COPY_PTOP;
    default:
        return PS_COPY_UNKNOWN;
    }
}

/* CUpti_ActivityMemoryKind has the values of ps_memory_kind, and static device and managed memory behind them. */
static uint8_t memory_kind(uint32_t kind)
{
    if (kind == 6) {
        return PS_MEMORY_DEVICE;
    }
    if (kind == 7) {
        return PS_MEMORY_MANAGED;
    }
    return kind <= PS_MEMORY_MANAGED ? (uint8_t)kind : PS_MEMORY_UNKNOWN;
}

static ps_code decode_copy(ps_decoder *self, ps_trace *chunk, const unsigned char *record,
                           uint64_t correlation, uint32_t peer, ps_error *err)
{
    size_t row;
    ps_ns start_ns, dur_ns;
    if (!ps_decode_span(self, record, 16, 24, &start_ns, &dur_ns)) {
        return ps_decode_missing_time(chunk, err);
    }
    ps_decode_context(self, ps_record_u32(record, 36), ps_record_u32(record, 32));
    PS_TRY(ps_trace_add(chunk, PS_TABLE_MEMCPY, &row, err));
    ps_memcpy_table *copy = &chunk->memcpy;
    copy->start_ns[row] = start_ns;
    copy->dur_ns[row] = dur_ns;
    copy->device[row] = ps_record_u32(record, 32);
    copy->stream[row] = ps_record_u32(record, 40);
    copy->correlation[row] = correlation;
    copy->op_id[row] = ps_decode_op_id(self, correlation);
    copy->bytes[row] = ps_record_u64(record, 8);
    copy->kind[row] = copy_kind(record[4]);
    copy->src[row] = memory_kind(record[5]);
    copy->dst[row] = memory_kind(record[6]);
    copy->peer[row] = peer;
    return PS_OK;
}

ps_code ps_decode_memcpy(ps_decoder *self, ps_trace *chunk, const unsigned char *record,
                         ps_error *err)
{
    return decode_copy(self, chunk, record, ps_record_u32(record, 44), 0, err);
}

ps_code ps_decode_peer_copy(ps_decoder *self, ps_trace *chunk, const unsigned char *record,
                            ps_error *err)
{
    const uint32_t device = ps_record_u32(record, 32), source = ps_record_u32(record, 44);
    const uint32_t other = source == device ? ps_record_u32(record, 52) : source;
    return decode_copy(self, chunk, record, ps_record_u32(record, 60), other + 1, err);
}

ps_code ps_decode_memset(ps_decoder *self, ps_trace *chunk, const unsigned char *record,
                         ps_error *err)
{
    size_t row;
    ps_ns start_ns, dur_ns;
    if (!ps_decode_span(self, record, 16, 24, &start_ns, &dur_ns)) {
        return ps_decode_missing_time(chunk, err);
    }
    ps_decode_context(self, ps_record_u32(record, 36), ps_record_u32(record, 32));
    PS_TRY(ps_trace_add(chunk, PS_TABLE_MEMSET, &row, err));
    ps_memset_table *fill = &chunk->memset;
    fill->start_ns[row] = start_ns;
    fill->dur_ns[row] = dur_ns;
    fill->device[row] = ps_record_u32(record, 32);
    fill->stream[row] = ps_record_u32(record, 40);
    fill->correlation[row] = ps_record_u32(record, 44);
    fill->op_id[row] = ps_decode_op_id(self, fill->correlation[row]);
    fill->bytes[row] = ps_record_u64(record, 8);
    return PS_OK;
}

/* ---- memory of the driver ---- */

ps_code ps_decode_driver_memory(ps_decoder *self, ps_trace *chunk, const unsigned char *record,
                                ps_error *err)
{
    size_t row;
    const uint64_t time = ps_record_u64(record, 32);
    const uint32_t operation = ps_record_u32(record, 4);
    if (operation != PS_CUPTI_MEMORY_ALLOCATION && operation != PS_CUPTI_MEMORY_RELEASE) {
        return ps_trace_add_loss(chunk, "malformed-events", 1, err);
    }
    if (time == 0 || time > INT64_MAX) {
        return ps_decode_missing_time(chunk, err);
    }
    const bool is_ordered = record[72] != 0; /* cudaMallocAsync */
    ps_decode_context(self, ps_record_u32(record, 56), ps_record_u32(record, 52));
    PS_TRY(ps_trace_add(chunk, PS_TABLE_DRIVER_MEMORY, &row, err));
    ps_driver_memory_table *memory = &chunk->driver_memory;
    memory->time_ns[row] = (ps_ns)time - self->base_ns;
    memory->action[row] =
        operation == PS_CUPTI_MEMORY_ALLOCATION ? PS_DRIVER_ALLOC : PS_DRIVER_FREE;
    memory->kind[row] = memory_kind(ps_record_u32(record, 8));
    memory->device[row] = ps_record_u32(record, 52);
    memory->bytes[row] = ps_record_u64(record, 24);
    memory->addr[row] = ps_record_u64(record, 16);
    memory->stream[row] = is_ordered ? ps_record_u32(record, 60) : UINT64_MAX;
    memory->correlation[row] = ps_record_u32(record, 12);
    memory->pool[row] = is_ordered ? ps_record_u64(record, 88) : 0;
    return PS_OK;
}
