/* SPDX-License-Identifier: MIT
 *
 * Allocator events of a Kineto file, "[memory]" and "[OutOfMemory]":
 *
 *   Device Type   device_kind: 0 host, 1 CUDA, 6 HIP      Device Id  device (-1 for the host)
 *   Bytes         > 0 alloc, < 0 free; the size of the block, not what was asked for
 *   Addr          addr (before 2022 not recorded)
 *   Total Allocated, Total Reserved   total_allocated - 1, total_reserved - 1
 *
 * Rows stay in file order, which is nearly, not always, program order; times
 * settle the rest. The host allocator has no totals and writes 0.
 */
#include "import/kineto_map.h"

/* Numbers of c10::DeviceType. */
enum { C10_CPU = 0, C10_CUDA = 1, C10_HIP = 6 };

static ps_device_kind device_kind(int64_t type)
{
    switch (type) {
    case C10_CPU:
        return PS_DEVICE_HOST;
    case C10_CUDA:
        return PS_DEVICE_CUDA;
    case C10_HIP:
        return PS_DEVICE_HIP;
    default:
        return PS_DEVICE_OTHER;
    }
}

/* A recorded total + 1; 0 when it is not known. */
static uint64_t total_of(const ps_kineto_event *event, ps_kineto_key key, ps_device_kind kind)
{
    const uint64_t total = ps_kineto_event_u64(event, key, UINT64_MAX);
    return total == UINT64_MAX || (kind == PS_DEVICE_HOST && total == 0) ? 0 : total + 1;
}

ps_code ps_kineto_map_memory(ps_kineto_map *self, const ps_kineto_event *event, bool is_oom,
                             ps_error *err)
{
    ps_ns time = 0;
    uint64_t tid = 0;
    size_t row = 0;
    if (event->field[PS_KINETO_TS] == NULL || event->field[PS_KINETO_BYTES] == NULL) {
        ps_kineto_map_malformed(self, event);
        return PS_OK;
    }
    PS_TRY(ps_kineto_event_start(event, &time, err));
    PS_TRY(ps_kineto_map_tid(self, event, &tid, err));
    const int64_t bytes = ps_kineto_event_i64(event, PS_KINETO_BYTES, INT64_MIN);
    if (bytes == INT64_MIN) {
        return ps_kineto_event_refuse(event, event->field[PS_KINETO_BYTES],
                                      "must be a number of bytes", err);
    }
    const bool is_alloc = bytes >= 0;
    const ps_device_kind kind = device_kind(ps_kineto_event_i64(event, PS_KINETO_DEVICE_TYPE, 0));
    const uint32_t device =
        kind == PS_DEVICE_HOST ? 0 : (uint32_t)ps_kineto_event_u64(event, PS_KINETO_DEVICE_ID, 0);
    const uint64_t addr = ps_kineto_event_u64(event, PS_KINETO_ADDR, 0);
    PS_TRY(ps_kineto_map_row(self, PS_TABLE_MEMORY, &row, err));
    ps_memory_table *memory = &ps_kineto_map_chunk(self)->memory;
    memory->time_ns[row] = time;
    memory->action[row] = (uint8_t)(is_oom     ? PS_ACTION_OOM
                                    : is_alloc ? PS_ACTION_ALLOC
                                               : PS_ACTION_FREE);
    memory->device_kind[row] = (uint8_t)kind;
    memory->device[row] = device;
    memory->bytes[row] = is_alloc ? (uint64_t)bytes : (uint64_t)-bytes;
    memory->addr[row] = addr;
    memory->tid[row] = tid;
    memory->op_id[row] = ps_kineto_event_u64(event, PS_KINETO_OP_ID, 0);
    memory->total_allocated[row] = total_of(event, PS_KINETO_TOTAL_ALLOCATED, kind);
    memory->total_reserved[row] = total_of(event, PS_KINETO_TOTAL_RESERVED, kind);
    self->memory_rows++;
    self->is_hip = self->is_hip || kind == PS_DEVICE_HIP;
    return PS_OK;
}
