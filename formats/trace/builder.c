/* SPDX-License-Identifier: MIT
 *
 * Trace builder: one chunk in memory, the rest on disk.
 *
 * Rows are sorted by start inside a chunk (deltas stay small); allocator
 * events keep their recording order, which is their meaning. Facts and loss
 * counters are few and wait for the last chunk.
 */
#include "trace/builder.h"

#include <string.h>

#include "base/container.h"
#include "base/memory.h"
#include "trace/file.h"

struct ps_trace_builder {
    ps_container_writer *writer; /* NULL: in memory */
    ps_trace *chunk;
    ps_trace *last; /* meta and loss rows only */
};

static ps_code open_builder(ps_trace_builder **out, ps_error *err)
{
    ps_trace_builder *self = ps_calloc(1, sizeof *self);
    if (self == NULL) {
        return ps_fail_nomem(err);
    }
    self->chunk = ps_trace_create();
    self->last = ps_trace_create();
    if (self->chunk == NULL || self->last == NULL) {
        ps_trace_builder_abandon(self);
        return ps_fail_nomem(err);
    }
    *out = self;
    return PS_OK;
}

ps_code ps_trace_builder_open(const char *path, ps_trace_builder **out, ps_error *err)
{
    ps_trace_builder *self = NULL;
    PS_TRY(open_builder(&self, err));
    const ps_code code = ps_container_create(path, PS_ARTEFACT_TRACE, &self->writer, err);
    if (code != PS_OK) {
        ps_trace_builder_abandon(self);
        return code;
    }
    *out = self;
    return PS_OK;
}

ps_code ps_trace_builder_open_memory(ps_trace_builder **out, ps_error *err)
{
    return open_builder(out, err);
}

ps_trace *ps_trace_builder_chunk(ps_trace_builder *self)
{
    return self->chunk;
}

static ps_code flush(ps_trace_builder *self, ps_error *err)
{
    PS_TRY(ps_trace_sort(self->chunk, err));
    PS_TRY(ps_trace_write_chunk(self->writer, self->chunk, err));
    for (int i = 0; i < PS_TRACE_TABLE_COUNT; i++) {
        ps_table_clear(ps_trace_table(self->chunk, (ps_trace_table_id)i));
    }
    ps_strings_clear(self->chunk->strings);
    return PS_OK;
}

ps_code ps_trace_builder_step(ps_trace_builder *self, ps_error *err)
{
    if (self->writer == NULL || (ps_trace_event_count(self->chunk) < PS_TRACE_CHUNK_ROWS &&
                                 self->chunk->block.head.count < PS_TRACE_CHUNK_ROWS &&
                                 self->chunk->segment.head.count < PS_TRACE_CHUNK_ROWS &&
                                 self->chunk->driver_memory.head.count < PS_TRACE_CHUNK_ROWS)) {
        return PS_OK;
    }
    return flush(self, err);
}

ps_code ps_trace_builder_meta(ps_trace_builder *self, const char *key, const char *value,
                              ps_error *err)
{
    return ps_trace_set_meta(self->last, key, value, err);
}

ps_code ps_trace_builder_loss(ps_trace_builder *self, const char *name, uint64_t count,
                              ps_error *err)
{
    return ps_trace_add_loss(self->last, name, count, err);
}

static ps_code add_last_rows(ps_trace_builder *self, ps_error *err)
{
    const ps_trace *last = self->last;
    for (size_t i = 0; i < last->meta.head.count; i++) {
        PS_TRY(ps_trace_set_meta(self->chunk, ps_strings_text(last->strings, last->meta.key[i]),
                                 ps_strings_text(last->strings, last->meta.value[i]), err));
    }
    for (size_t i = 0; i < last->loss.head.count; i++) {
        PS_TRY(ps_trace_add_loss(self->chunk, ps_strings_text(last->strings, last->loss.name[i]),
                                 last->loss.count[i], err));
    }
    return PS_OK;
}

ps_code ps_trace_builder_finish(ps_trace_builder *self, ps_error *err)
{
    ps_code code = add_last_rows(self, err);
    if (code == PS_OK) {
        code = flush(self, err);
    }
    if (code == PS_OK) {
        ps_container_writer *writer = self->writer;
        self->writer = NULL;
        code = ps_container_finish(writer, err);
    }
    ps_trace_builder_abandon(self);
    return code;
}

ps_code ps_trace_builder_take(ps_trace_builder *self, ps_trace **out, ps_error *err)
{
    ps_code code = add_last_rows(self, err);
    if (code == PS_OK) {
        code = ps_trace_sort(self->chunk, err);
    }
    if (code == PS_OK) {
        *out = self->chunk;
        self->chunk = NULL;
    }
    ps_trace_builder_abandon(self);
    return code;
}

void ps_trace_builder_abandon(ps_trace_builder *self)
{
    if (self == NULL) {
        return;
    }
    ps_container_abandon(self->writer);
    ps_trace_destroy(self->chunk);
    ps_trace_destroy(self->last);
    ps_free(self);
}
