/* SPDX-License-Identifier: MIT
 *
 * The allocator's history.
 *
 * Parts follow one another; only the last one's segments are the state at the
 * end. A free whose completion stands at the beginning of the next part is one
 * event, as it would be in one piece.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/idmap.h"
#include "base/memory.h"
#include "import/import.h"
#include "join_parts.h"
#include "trace/builder.h"
#include "trace/rows.h"

static ps_code import_part(const char *path, ps_trace **out, ps_error *err)
{
    ps_trace_builder *builder;
    PS_TRY(ps_trace_builder_open_memory(&builder, err));
    const ps_code code = ps_import_file(path, NULL, builder, NULL, err);
    if (code != PS_OK) {
        ps_trace_builder_abandon(builder);
        return code;
    }
    return ps_trace_builder_take(builder, out, err);
}

/* A free requested at the end of one part and completed at the beginning of the next. */
static size_t fuse(ps_trace *trace, const ps_trace *part)
{
    ps_memory_table *memory = &trace->memory;
    const size_t last = memory->head.count - 1;
    if (memory->head.count > 0 && part->memory.head.count > 0 &&
        memory->action[last] == PS_ACTION_FREE_REQUESTED &&
        part->memory.action[0] == PS_ACTION_FREE_COMPLETED &&
        memory->addr[last] == part->memory.addr[0] &&
        memory->device[last] == part->memory.device[0]) {
        memory->action[last] = PS_ACTION_FREE;
        return 1;
    }
    return 0;
}

static ps_code append_part(ps_trace *trace, const ps_trace *part, ps_error *err)
{
    const size_t skipped = fuse(trace, part), first = trace->memory.head.count;
    PS_TRY(ps_trace_copy_rows(trace, PS_TABLE_MEMORY, part, skipped,
                              part->memory.head.count - skipped, err));
    const ps_ns base_ns = ps_join_fact(trace, PS_META_BASE_TIME, 0);
    const ps_ns part_base_ns = ps_join_fact(part, PS_META_BASE_TIME, 0);
    for (size_t i = first; i < trace->memory.head.count; i++) {
        trace->memory.time_ns[i] += part_base_ns - base_ns;
    }
    ps_table_clear(&trace->segment.head);
    ps_table_clear(&trace->block.head);
    PS_TRY(ps_trace_copy_rows(trace, PS_TABLE_SEGMENT, part, 0, part->segment.head.count, err));
    PS_TRY(ps_trace_copy_rows(trace, PS_TABLE_BLOCK, part, 0, part->block.head.count, err));
    for (size_t i = 0; i < part->loss.head.count; i++) {
        PS_TRY(ps_trace_add_loss(trace, ps_strings_text(part->strings, part->loss.name[i]),
                                 part->loss.count[i], err));
    }
    const char *conf = ps_trace_meta(part, PS_META_ALLOCATOR_CONF);
    return conf == NULL ? PS_OK : ps_trace_set_meta(trace, PS_META_ALLOCATOR_CONF, conf, err);
}

/* A part that cannot be read, say because the disk was full, is a loss; the others still count. */
static ps_code add_part(ps_trace *trace, const char *path, ps_error *err)
{
    ps_trace *part;
    const ps_code code = import_part(path, &part, err);
    if (code == PS_NOMEM) {
        return code;
    }
    if (code != PS_OK) {
        return ps_trace_add_loss(trace, "damaged-parts", 1, err);
    }
    const ps_code appended = append_part(trace, part, err);
    ps_trace_destroy(part);
    return appended;
}

/* ---- programs without an allocator of their own ---- */

static ps_code add_driver_event(ps_trace *trace, size_t from, ps_error *err)
{
    size_t row;
    PS_TRY(ps_trace_add(trace, PS_TABLE_MEMORY, &row, err));
    const ps_driver_memory_table *driver = &trace->driver_memory;
    ps_memory_table *memory = &trace->memory;
    memory->time_ns[row] = driver->time_ns[from];
    memory->action[row] =
        driver->action[from] == PS_DRIVER_ALLOC ? PS_ACTION_ALLOC : PS_ACTION_FREE;
    memory->device_kind[row] = PS_DEVICE_CUDA;
    memory->device[row] = driver->device[from];
    memory->bytes[row] = driver->bytes[from];
    memory->addr[row] = driver->addr[from];
    return PS_OK;
}

/* Their cudaMalloc is their allocator. */
static ps_code use_driver_events(ps_trace *trace, ps_error *err)
{
    const ps_driver_memory_table *driver = &trace->driver_memory;
    for (size_t i = 0; i < driver->head.count; i++) {
        const bool is_whole =
            driver->action[i] == PS_DRIVER_ALLOC || driver->action[i] == PS_DRIVER_FREE;
        if (is_whole && driver->kind[i] == PS_MEMORY_DEVICE) {
            PS_TRY(add_driver_event(trace, i, err));
        }
    }
    return ps_trace_set_meta(trace, PS_META_MEMORY_SOURCE, "driver", err);
}

/* ---- frees of what was allocated before the history was on ---- */

static ps_code count_older_frees(ps_trace *trace, ps_error *err)
{
    const ps_memory_table *memory = &trace->memory;
    uint64_t older = 0;
    ps_idmap live;
    ps_idmap_init(&live);
    ps_code code = PS_OK;
    for (size_t i = 0; i < memory->head.count && code == PS_OK; i++) {
        const uint64_t key = memory->addr[i] ^ (uint64_t)memory->device[i] << 56;
        if (memory->action[i] == PS_ACTION_ALLOC) {
            code = ps_idmap_put(&live, key, (uint32_t)i, err);
        } else if (memory->action[i] == PS_ACTION_FREE ||
                   memory->action[i] == PS_ACTION_FREE_REQUESTED) {
            older += ps_idmap_take(&live, key) == PS_IDMAP_NONE;
        }
    }
    ps_idmap_fini(&live);
    return code == PS_OK ? ps_trace_add_loss(trace, "frees-of-older-blocks", older, err) : code;
}

ps_code ps_join_history(ps_trace *trace, const char *folder, pid_t pid, ps_error *err)
{
    bool has_parts = false;
    for (unsigned sequence = 0;; sequence++) {
        char path[PS_JOIN_PATH_BYTES];
        (void)snprintf(path, sizeof path, "%s/%ld.history.%06u.pickle", folder, (long)pid,
                       sequence);
        if (access(path, R_OK) != 0) {
            break;
        }
        PS_TRY(add_part(trace, path, err));
        has_parts = true;
    }
    PS_TRY(ps_trace_set_meta(trace, PS_META_MEMORY_SIZES, "requested", err));
    PS_TRY(has_parts ? ps_trace_set_meta(trace, PS_META_MEMORY_SOURCE, "allocator", err)
                     : use_driver_events(trace, err));
    return count_older_frees(trace, err);
}
