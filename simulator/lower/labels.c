/* SPDX-License-Identifier: MIT
 *
 * Names for buffers: who allocated this?
 *
 * Snapshots say it with stack frames. Kineto traces say it with time: the
 * operators open on the allocating thread at that moment, of which the
 * outermost names the program's intent (aten::linear rather than aten::empty);
 * outside any operator the innermost annotation (Optimizer.step).
 */
#include <stdio.h>
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

/* One frame of a recorded stack: "at::_ops::mm::call" or "model.py:259 forward". */
typedef struct frame {
    const char *text;
    int bytes;
} frame;

static bool next_frame(const char **at, frame *out)
{
    while (**at == ' ' || **at == ';') {
        (*at)++;
    }
    out->text = *at;
    out->bytes = (int)strcspn(*at, ";");
    *at += out->bytes;
    return out->bytes > 0;
}

static bool frame_has(const frame *f, const char *part)
{
    const char *hit = strstr(f->text, part);
    return hit != NULL && hit + strlen(part) <= f->text + f->bytes;
}

/* "at::_ops::mm::call" -> "mm", "torch::autograd::generated::MmBackward0::apply" -> "MmBackward0". */
static frame bare_name(frame f)
{
    static const char *const ends[] = {"::call", "::redispatch", "::apply"};
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        const int end = (int)strlen(ends[i]);
        if (f.bytes > end && strncmp(f.text + f.bytes - end, ends[i], (size_t)end) == 0) {
            f.bytes -= end;
            break;
        }
    }
    for (int i = f.bytes; i > 1; i--) {
        if (f.text[i - 1] == ':' && f.text[i - 2] == ':') {
            return (frame){f.text + i, f.bytes - i};
        }
    }
    return f;
}

static frame without_folders(frame f)
{
    for (int i = f.bytes; i > 0; i--) {
        if (f.text[i - 1] == '/' || f.text[i - 1] == '\\') {
            return (frame){f.text + i, f.bytes - i};
        }
    }
    return f;
}

/* What a stack says in a few words: the outermost operator or backward node, and the innermost
 * Python frame of the user's own code (of any code where there is none). */
static void describe_stack(const char *stack, char *out, size_t bytes)
{
    frame f, op = {"", 0}, python = {"", 0};
    bool is_own = false;
    while (next_frame(&stack, &f)) {
        if (frame_has(&f, ".py:")) {
            const bool own = strncmp(f.text, "torch/", 6) != 0;
            if (python.bytes == 0 || (own && !is_own)) {
                python = f;
                is_own = own;
            }
        } else if (!frame_has(&f, "Engine::evaluate_function")) {
            op = f;
        }
    }
    op = bare_name(op);
    python = without_folders(python);
    (void)snprintf(out, bytes, "%.*s%s%.*s", op.bytes, op.text,
                   op.bytes > 0 && python.bytes > 0 ? ", " : "", python.bytes, python.text);
}

static ps_code label_by_stack(ps_memory_stage *stage, ps_str stack, ps_str *out, ps_error *err)
{
    char text[256];
    describe_stack(ps_strings_text(stage->lowering->trace->strings, stack), text, sizeof text);
    return ps_strings_put_z(stage->lowering->plan->strings, text, out, err);
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
