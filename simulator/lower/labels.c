/* SPDX-License-Identifier: MIT
 *
 * Names for buffers: who allocated this?
 *
 * Snapshots say it with stack frames. Kineto traces say it with time: the
 * operators open on the allocating thread at that moment, of which the
 * outermost names the program's intent (aten::linear rather than aten::empty);
 * outside any operator the innermost annotation (Optimizer.step).
 */
#include <string.h>

#include "base/memory.h"
#include "lower/memory_stage.h"

#define MAX_THREADS ((size_t)1 << 20)
#define MAX_NESTING ((size_t)1 << 20)

static ps_code thread_slot(ps_memory_stage *stage, uint64_t tid, open_ranges **out, ps_error *err)
{
    uint32_t slot = ps_idmap_get(&stage->thread_of_tid, tid);
    if (slot == PS_NONE) {
        PS_TRY(ps_grow((void **)&stage->threads, &stage->thread_capacity, stage->thread_count + 1,
                       MAX_THREADS, sizeof *stage->threads, err));
        slot = (uint32_t)stage->thread_count;
        PS_TRY(ps_idmap_put(&stage->thread_of_tid, tid, slot, err));
        stage->threads[stage->thread_count++] = (open_ranges){0};
    }
    *out = &stage->threads[slot];
    return PS_OK;
}

static void close_ended(const ps_range_table *range, open_ranges *open, ps_ns now)
{
    while (open->count > 0) {
        const uint32_t top = open->row[open->count - 1];
        if (range->start_ns[top] + range->dur_ns[top] > now) {
            return;
        }
        open->count--;
    }
}

static ps_code open_until(ps_memory_stage *stage, ps_ns now, ps_error *err)
{
    const ps_range_table *range = &stage->lowering->trace->range;
    for (; stage->next_range < range->head.count && range->start_ns[stage->next_range] <= now;
         stage->next_range++) {
        const size_t i = stage->next_range;
        open_ranges *open;
        const char *name = ps_strings_text(stage->lowering->trace->strings, range->name[i]);
        if (range->category[i] != PS_RANGE_OPERATOR &&
            (range->category[i] != PS_RANGE_ANNOTATION || ps__lower_is_step_name(name))) {
            continue;
        }
        PS_TRY(thread_slot(stage, range->tid[i], &open, err));
        close_ended(range, open, range->start_ns[i]);
        PS_TRY(ps_grow((void **)&open->row, &open->capacity, open->count + 1, MAX_NESTING,
                       sizeof *open->row, err));
        open->row[open->count++] = (uint32_t)i;
    }
    return PS_OK;
}

static ps_code label_by_stack(ps_memory_stage *stage, ps_str stack, ps_str *out, ps_error *err)
{
    const char *text = ps_strings_text(stage->lowering->trace->strings, stack);
    return ps_strings_put(stage->lowering->plan->strings, text, strcspn(text, ";"), out, err);
}

ps_code ps__lower_label(ps_memory_stage *stage, size_t row, ps_str *out, ps_error *err)
{
    ps_lowering *self = stage->lowering;
    const ps_memory_table *memory = &self->trace->memory;
    if (memory->stack[row] != 0) {
        return label_by_stack(stage, memory->stack[row], out, err);
    }
    open_ranges *open;
    PS_TRY(open_until(stage, memory->time_ns[row], err));
    PS_TRY(thread_slot(stage, memory->tid[row], &open, err));
    close_ended(&self->trace->range, open, memory->time_ns[row]);
    if (open->count == 0) {
        *out = 0;
        return PS_OK;
    }
    uint32_t named = open->row[open->count - 1];
    for (size_t i = 0; i < open->count; i++) {
        if (self->trace->range.category[open->row[i]] == PS_RANGE_OPERATOR) {
            named = open->row[i];
            break;
        }
    }
    return ps__lower_text(self, self->trace->range.name[named], out, err);
}

void ps__lower_labels_fini(ps_memory_stage *stage)
{
    for (size_t i = 0; i < stage->thread_count; i++) {
        ps_free(stage->threads[i].row);
    }
    ps_free(stage->threads);
    ps_idmap_fini(&stage->thread_of_tid);
}
