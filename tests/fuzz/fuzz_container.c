/* SPDX-License-Identifier: MIT
 *
 * Bytes of a whole .pstrace, .psplan or .pswork file: headers, chunks, index, trailer.
 *
 * Checksums keep a fuzzer out of everything behind them, so every input is
 * read twice: as it is, and with the checksums of all headers made to hold.
 * Nothing may crash; what a reader accepts must survive being written again.
 */
#include <string.h>

#include "base/container_layout.h"
#include "base/memory.h"
#include "plan/plan.h"
#include "recode.h"
#include "trace/file.h"
#include "workload/walk.h"

/* Makes every checksum hold that stands in a plain header. */
static void repair(uint8_t *bytes, size_t size)
{
    if (size >= PS_HEADER_BYTES) {
        ps_put_u32(bytes + 28, ps_crc32(bytes, 28));
    }
    for (size_t at = 0; at + PS_CHUNK_HEADER_BYTES <= size; at++) {
        if (memcmp(bytes + at, PS_CHUNK_MAGIC, 4) != 0) {
            continue;
        }
        uint8_t *head = bytes + at;
        const size_t left = size - at - PS_CHUNK_HEADER_BYTES;
        const uint64_t stored = ps_get_u64(head + 16);
        if (ps_get_u32(head + 4) == PS_CHUNK_INDEX && stored <= left) {
            ps_put_u64(head + 8, ps_crc32(head + PS_CHUNK_HEADER_BYTES, (size_t)stored));
        }
        ps_put_u32(head + 28, ps_crc32(head, 28));
    }
    if (size >= PS_HEADER_BYTES + PS_TRAILER_BYTES) {
        uint8_t *tail = bytes + size - PS_TRAILER_BYTES;
        ps_put_u32(tail + 12, ps_crc32(tail, 12));
    }
}

static void read_trace(const uint8_t *bytes, size_t size)
{
    ps_error err = {0};
    ps_trace *trace = NULL;
    ps_container_state state;
    const ps_code code = ps_trace_read_memory(bytes, size, &trace, &state, &err);
    if (code != PS_OK) {
        fuzz_require(err.code == code && err.message[0] != '\0');
        return;
    }
    fuzz_require(state.file_bytes == size && state.cut_bytes <= size);
    recode_trace(trace);
    ps_trace_destroy(trace);
}

static void read_plan(const uint8_t *bytes, size_t size)
{
    ps_error err = {0};
    ps_plan *plan = NULL;
    const ps_code code = ps_plan_read_memory(bytes, size, &plan, &err);
    if (code != PS_OK) {
        fuzz_require(err.code == code && err.message[0] != '\0');
        return;
    }
    recode_plan(plan);
    ps_plan_destroy(plan);
}

/* What a checked workload is walked for must hold too: no row is out of range. */
static void read_workload(const uint8_t *bytes, size_t size)
{
    ps_error err = {0};
    ps_workload *workload = NULL;
    const ps_code code = ps_workload_read_memory(bytes, size, &workload, &err);
    if (code != PS_OK) {
        fuzz_require(err.code == code && err.message[0] != '\0');
        return;
    }
    ps_workload_walk walk;
    ps_workload_walk_init(&walk, workload);
    const ps_live_peak peak = ps_workload_walk_to(&walk, (uint32_t)workload->event.head.count);
    fuzz_require(peak.live.total_bytes >= walk.live.total_bytes);
    recode_workload(workload);
    ps_workload_destroy(workload);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    read_trace(data, size);
    read_plan(data, size);
    read_workload(data, size);
    uint8_t *copy = ps_calloc(size, 1);
    fuzz_require(copy != NULL);
    if (size > 0) {
        memcpy(copy, data, size);
    }
    repair(copy, size);
    read_trace(copy, size);
    read_plan(copy, size);
    read_workload(copy, size);
    ps_free(copy);
    return 0;
}
