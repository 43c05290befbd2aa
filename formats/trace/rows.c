/* SPDX-License-Identifier: MIT
 *
 * Copying rows between traces.
 */
#include "trace/rows.h"

#include "base/memory.h"
#include "trace/builder.h"

/* Rows copied before the builder is asked whether its chunk is full. */
#define BATCH_ROWS ((size_t)8192)

/* Ids of one trace's texts in another; 0 also means: not asked yet. */
typedef struct text_map {
    const ps_strings *from;
    ps_strings *into;
    ps_str *id;
} text_map;

static ps_code translate(text_map *self, ps_str text, ps_str *out, ps_error *err)
{
    *out = 0;
    if (text == 0 || text >= ps_strings_count(self->from)) {
        return PS_OK;
    }
    if (self->id[text] == 0) {
        PS_TRY(ps_strings_put(self->into, ps_strings_text(self->from, text),
                              ps_strings_bytes(self->from, text), &self->id[text], err));
    }
    *out = self->id[text];
    return PS_OK;
}

static ps_code copy_row(const ps_table_spec *spec, ps_table_head *into, size_t row,
                        const ps_table_head *from, size_t source, text_map *texts, ps_error *err)
{
    for (size_t c = 0; c < spec->column_count; c++) {
        const ps_column_spec *column = &spec->columns[c];
        uint64_t value = ps_table_get(column, from, source);
        if (column->type == PS_COLUMN_STR) {
            ps_str text;
            PS_TRY(translate(texts, (ps_str)value, &text, err));
            value = text;
        }
        ps_table_set(column, into, row, value);
    }
    return PS_OK;
}

static ps_code copy_rows(ps_trace *into, ps_trace_table_id id, const ps_trace *from, size_t first,
                         size_t count, text_map *texts, ps_error *err)
{
    const ps_table_spec *spec = &ps_trace_specs()[id];
    for (size_t i = 0; i < count; i++) {
        size_t row;
        PS_TRY(ps_trace_add(into, id, &row, err));
        PS_TRY(copy_row(spec, ps_trace_table(into, id), row, ps_trace_table_const(from, id),
                        first + i, texts, err));
    }
    return PS_OK;
}

ps_code ps_trace_copy_rows(ps_trace *into, ps_trace_table_id id, const ps_trace *from, size_t first,
                           size_t count, ps_error *err)
{
    text_map texts = {.from = from->strings, .into = into->strings};
    texts.id = ps_calloc(ps_strings_count(from->strings), sizeof *texts.id);
    if (texts.id == NULL) {
        return ps_fail_nomem(err);
    }
    const ps_code code = copy_rows(into, id, from, first, count, &texts, err);
    ps_free(texts.id);
    return code;
}

void ps_trace_keep_first_devices(ps_trace *trace, size_t first)
{
    ps_device_table *device = &trace->device;
    const ps_table_spec *spec = &ps_trace_specs()[PS_TABLE_DEVICE];
    size_t kept = first;
    for (size_t i = first; i < device->head.count; i++) {
        bool is_known = false;
        for (size_t k = first; k < kept; k++) {
            is_known = is_known || device->device[k] == device->device[i];
        }
        for (size_t c = 0; !is_known && c < spec->column_count; c++) {
            ps_table_set(&spec->columns[c], &device->head, kept,
                         ps_table_get(&spec->columns[c], &device->head, i));
        }
        kept += !is_known;
    }
    device->head.count = kept;
}

static ps_code save_table(ps_trace_builder *out, ps_trace_table_id id, const ps_trace *trace,
                          ps_error *err)
{
    const size_t count = ps_trace_table_const(trace, id)->count;
    for (size_t first = 0; first < count; first += BATCH_ROWS) {
        const size_t batch = count - first < BATCH_ROWS ? count - first : BATCH_ROWS;
        PS_TRY(ps_trace_copy_rows(ps_trace_builder_chunk(out), id, trace, first, batch, err));
        PS_TRY(ps_trace_builder_step(out, err));
    }
    return PS_OK;
}

static ps_code save_tables(ps_trace_builder *out, const ps_trace *trace, ps_error *err)
{
    for (int i = 0; i < PS_TRACE_TABLE_COUNT; i++) {
        const ps_trace_table_id id = (ps_trace_table_id)i;
        if (id != PS_TABLE_META && id != PS_TABLE_LOSS) {
            PS_TRY(save_table(out, id, trace, err));
        }
    }
    for (size_t i = 0; i < trace->meta.head.count; i++) {
        PS_TRY(ps_trace_builder_meta(out, ps_strings_text(trace->strings, trace->meta.key[i]),
                                     ps_strings_text(trace->strings, trace->meta.value[i]), err));
    }
    for (size_t i = 0; i < trace->loss.head.count; i++) {
        PS_TRY(ps_trace_builder_loss(out, ps_strings_text(trace->strings, trace->loss.name[i]),
                                     trace->loss.count[i], err));
    }
    return PS_OK;
}

ps_code ps_trace_save(const char *path, const ps_trace *trace, ps_error *err)
{
    ps_trace_builder *out;
    PS_TRY(ps_trace_builder_open(path, &out, err));
    const ps_code code = save_tables(out, trace, err);
    if (code != PS_OK) {
        ps_trace_builder_abandon(out);
        return code;
    }
    return ps_trace_builder_finish(out, err);
}
