/* SPDX-License-Identifier: MIT
 *
 * The memory snapshot importer given any bytes. A trace that comes of it must
 * be sound: known actions and states, devices listed, blocks that tile their
 * segments.
 */
#include "fuzz.h"
#include "import/importer.h"

extern const ps_importer_ops ps_importer_snapshot;

static int has_device(const ps_trace *trace, uint32_t device)
{
    for (size_t i = 0; i < trace->device.head.count; i++) {
        if (trace->device.device[i] == device) {
            return 1;
        }
    }
    return 0;
}

static void check_events(const ps_trace *trace)
{
    const ps_memory_table *memory = &trace->memory;
    for (size_t i = 0; i < memory->head.count; i++) {
        fuzz_require(memory->action[i] <= PS_ACTION_SNAPSHOT);
        fuzz_require(memory->stack[i] < ps_strings_count(trace->strings));
        fuzz_require(memory->time_ns[i] >= 0);
        fuzz_require(has_device(trace, memory->device[i]));
    }
    for (size_t i = 0; i < trace->range.head.count; i++) {
        fuzz_require(trace->range.dur_ns[i] >= 0);
    }
}

static void check_blocks(const ps_trace *trace)
{
    const ps_segment_table *segment = &trace->segment;
    const ps_block_table *block = &trace->block;
    size_t next = 0;
    for (size_t i = 0; i < segment->head.count; i++) {
        uint64_t offset = 0;
        while (offset < segment->bytes[i]) {
            fuzz_require(next < block->head.count);
            fuzz_require(block->device[next] == segment->device[i]);
            fuzz_require(block->addr[next] == segment->addr[i] + offset);
            fuzz_require(block->bytes[next] > 0 && block->state[next] <= PS_BLOCK_PENDING_FREE);
            offset += block->bytes[next];
            next++;
        }
        fuzz_require(offset == segment->bytes[i]);
        fuzz_require(has_device(trace, segment->device[i]));
    }
    fuzz_require(next == block->head.count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ps_error err = {0};
    ps_source *source;
    ps_trace_builder *builder;
    const int confidence = ps_importer_snapshot.probe(data, size);
    fuzz_require(confidence >= 0 && confidence <= 100);
    if (ps_source_open_memory(data, size, &source, &err) != PS_OK) {
        return 0;
    }
    fuzz_require(ps_trace_builder_open_memory(&builder, &err) == PS_OK);
    if (ps_importer_snapshot.import(source, builder, &err) == PS_OK) {
        ps_trace *trace;
        fuzz_require(ps_trace_builder_take(builder, &trace, &err) == PS_OK);
        check_events(trace);
        check_blocks(trace);
        fuzz_require(ps_trace_meta(trace, PS_META_CLOCK) != NULL);
        ps_trace_destroy(trace);
    } else {
        fuzz_require(err.message[0] != '\0');
        ps_trace_builder_abandon(builder);
    }
    ps_source_close(source);
    return 0;
}
