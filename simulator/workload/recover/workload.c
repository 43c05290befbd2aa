/* SPDX-License-Identifier: MIT
 *
 * Writing what was recovered as a workload.
 */
#include "workload/recover/workload.h"

#include <stdlib.h>
#include <string.h>

#include "base/idmap.h"
#include "base/memory.h"
#include "cost/kernel_class.h"
#include "workload/recover/recover_parts.h"

/* One piece of device work, to be put among the requests by the time of its launch. */
typedef struct launch {
    ps_ns at;
    ps_trace_table_id table; /* kernel, memcpy or memset */
    uint32_t row;
} launch;

typedef struct writing {
    const ps_trace *trace;
    const ps_plan *plan;
    const ps_structure *structure;
    uint32_t device, ordinal;
    ps_workload *out;
    ps_idmap call_of_correlation;
    ps_idmap block_of_name; /* string of the structure -> row of the workload */
    uint32_t *tensor_of;    /* per buffer: row + 1 */
    uint32_t *event_of_row; /* per memory row: buffer it begins or ends + 1 */
    launch *launches;
    size_t launch_count, next_step;
} writing;

/* ---- blocks ---- */

/* Runs of one block in several steps, and its backward, are one block of the model. */
static ps_str name_of_block(const ps_structure *structure, const ps_structure_block *block)
{
    return block->pair != 0 ? structure->block[block->pair - 1].name : block->name;
}

static ps_code add_blocks(writing *self, ps_error *err)
{
    const ps_structure *structure = self->structure;
    for (size_t i = 0; i < structure->block_count; i++) {
        const ps_structure_block *block = &structure->block[i];
        size_t row;
        if ((block->phase == PS_PHASE_BACKWARD && block->pair == 0) ||
            ps_idmap_get(&self->block_of_name, name_of_block(structure, block)) != PS_IDMAP_NONE) {
            continue;
        }
        PS_TRY(ps_workload_add(self->out, PS_WORKLOAD_BLOCK, &row, err));
        PS_TRY(ps_strings_put_z(self->out->strings,
                                ps_strings_text(structure->strings, block->name),
                                &self->out->block.name[row], err));
        PS_TRY(ps_strings_put_z(self->out->strings,
                                ps_strings_text(structure->strings, block->kind),
                                &self->out->block.kind[row], err));
        PS_TRY(ps_idmap_put(&self->block_of_name, name_of_block(structure, block), (uint32_t)row,
                            err));
    }
    return PS_OK;
}

/* Row + 1 of the block that runs at a moment; 0 none. */
static uint32_t block_at(const writing *self, ps_ns at)
{
    const ps_structure *structure = self->structure;
    size_t low = 0, high = structure->block_count;
    while (low < high) {
        const size_t mid = low + (high - low) / 2;
        if (structure->block[mid].start_ns <= at) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    if (low == 0 || at >= structure->block[low - 1].end_ns) {
        return 0;
    }
    const uint32_t row =
        ps_idmap_get(&self->block_of_name, name_of_block(structure, &structure->block[low - 1]));
    return row == PS_IDMAP_NONE ? 0 : row + 1;
}

/* ---- tensors ---- */

static bool is_of_model(ps_role role)
{
    return role == PS_ROLE_PARAMETER || role == PS_ROLE_GRADIENT || role == PS_ROLE_OPTIMIZER_STATE;
}

static ps_code add_tensor(writing *self, uint32_t b, ps_error *err)
{
    const ps_structure_buffer *buffer = &self->structure->buffer[b];
    ps_workload_tensor_table *tensor = &self->out->tensor;
    size_t row;
    PS_TRY(ps_workload_add(self->out, PS_WORKLOAD_TENSOR, &row, err));
    tensor->bytes[row] = self->plan->buffer.bytes[b];
    tensor->role[row] = (uint8_t)buffer->role;
    tensor->is_saved[row] = buffer->is_saved;
    tensor->scaling[row] = is_of_model(buffer->role) ? PS_SCALING_FIXED : PS_SCALING_UNKNOWN;
    if (buffer->birth_row != PS_STRUCTURE_NONE) {
        tensor->block[row] = block_at(self, self->trace->memory.time_ns[buffer->birth_row]);
    }
    self->tensor_of[b] = (uint32_t)row + 1;
    PS_TRY(ps_strings_put_z(self->out->strings,
                            ps_strings_text(self->plan->strings, self->plan->buffer.label[b]),
                            &tensor->label[row], err));
    return ps_workload_add_event(self->out, PS_WORKLOAD_EVENT_ALLOC, (uint32_t)row, err);
}

/* What the recording counts and never names; one tensor stands for all of it. */
static ps_code add_unnamed(writing *self, ps_error *err)
{
    const uint64_t bytes = self->plan->device.base_live_bytes[self->device];
    size_t row;
    if (bytes == 0) {
        return PS_OK;
    }
    PS_TRY(ps_workload_add(self->out, PS_WORKLOAD_TENSOR, &row, err));
    self->out->tensor.bytes[row] = bytes;
    self->out->tensor.role[row] = PS_ROLE_PARAMETER;
    self->out->tensor.scaling[row] = PS_SCALING_FIXED;
    return ps_workload_add_event(self->out, PS_WORKLOAD_EVENT_ALLOC, (uint32_t)row, err);
}

static ps_code add_older(writing *self, ps_error *err)
{
    PS_TRY(add_unnamed(self, err));
    for (uint32_t b = 0; b < self->structure->buffer_count; b++) {
        const ps_structure_buffer *buffer = &self->structure->buffer[b];
        if (self->plan->buffer.device[b] != self->device) {
            continue;
        }
        if (buffer->birth_row == PS_STRUCTURE_NONE) {
            PS_TRY(add_tensor(self, b, err));
        } else if (self->trace->memory.action[buffer->birth_row] == PS_ACTION_ALLOC) {
            self->event_of_row[buffer->birth_row] = b + 1;
        }
        if (buffer->death_row != PS_STRUCTURE_NONE) {
            self->event_of_row[buffer->death_row] = b + 1;
        }
    }
    return PS_OK;
}

/* ---- ops ---- */

static ps_ns launched_at(const writing *self, uint64_t correlation, ps_ns start)
{
    const uint32_t call =
        correlation == 0 ? PS_IDMAP_NONE : ps_idmap_get(&self->call_of_correlation, correlation);
    return call == PS_IDMAP_NONE ? start : self->trace->call.start_ns[call];
}

/* By launch; of equal ones by table and row. */
static int by_launch(const void *a, const void *b)
{
    const launch *x = a, *y = b;
    if (x->at != y->at) {
        return x->at < y->at ? -1 : 1;
    }
    if (x->table != y->table) {
        return x->table < y->table ? -1 : 1;
    }
    return (x->row > y->row) - (x->row < y->row);
}

static void add_launch(writing *self, ps_trace_table_id table, size_t row, uint64_t correlation,
                       ps_ns start)
{
    self->launches[self->launch_count++] =
        (launch){.at = launched_at(self, correlation, start), .table = table, .row = (uint32_t)row};
}

static ps_code list_launches(writing *self, ps_error *err)
{
    const ps_trace *trace = self->trace;
    for (size_t i = 0; i < trace->call.head.count; i++) {
        if (trace->call.correlation[i] != 0) {
            PS_TRY(ps_idmap_put(&self->call_of_correlation, trace->call.correlation[i], (uint32_t)i,
                                err));
        }
    }
    for (size_t i = 0; i < trace->kernel.head.count; i++) {
        if (trace->kernel.device[i] == self->ordinal) {
            add_launch(self, PS_TABLE_KERNEL, i, trace->kernel.correlation[i],
                       trace->kernel.start_ns[i]);
        }
    }
    for (size_t i = 0; i < trace->memcpy.head.count; i++) {
        if (trace->memcpy.device[i] == self->ordinal) {
            add_launch(self, PS_TABLE_MEMCPY, i, trace->memcpy.correlation[i],
                       trace->memcpy.start_ns[i]);
        }
    }
    for (size_t i = 0; i < trace->memset.head.count; i++) {
        if (trace->memset.device[i] == self->ordinal) {
            add_launch(self, PS_TABLE_MEMSET, i, trace->memset.correlation[i],
                       trace->memset.start_ns[i]);
        }
    }
    if (self->launch_count > 0) {
        qsort(self->launches, self->launch_count, sizeof *self->launches, by_launch);
    }
    return PS_OK;
}

static bool has_word(const char *name, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (strstr(name, words[i]) != NULL) {
            return true;
        }
    }
    return false;
}

static ps_op_kind kind_of_kernel(const char *name)
{
    static const char *const collectives[] = {"ncclKernel", "ncclDevKernel", "rcclGeneric"};
    static const char *const attention[] = {"flash", "fmha",     "attention",
                                            "sdpa",  "attn_fwd", "attn_bwd"};
    if (has_word(name, collectives, sizeof collectives / sizeof collectives[0])) {
        return PS_OP_COLLECTIVE;
    }
    if (has_word(name, attention, sizeof attention / sizeof attention[0])) {
        return PS_OP_ATTENTION;
    }
    return ps_kernel_classify(name).bound == PS_BOUND_ARITHMETIC ? PS_OP_MATMUL : PS_OP_MEMORY;
}

static ps_code describe_op(writing *self, const launch *from, size_t row, ps_error *err)
{
    const ps_trace *trace = self->trace;
    ps_workload_op_table *op = &self->out->op;
    const char *name = from->table == PS_TABLE_MEMCPY ? "copy" : "fill";
    if (from->table == PS_TABLE_KERNEL) {
        name = ps_strings_text(trace->strings, trace->kernel.name[from->row]);
        op->kind[row] = (uint8_t)kind_of_kernel(name);
        op->dur_ns[row] = trace->kernel.dur_ns[from->row];
    } else if (from->table == PS_TABLE_MEMCPY) {
        op->kind[row] = PS_OP_COPY;
        op->moved_bytes[row] = trace->memcpy.bytes[from->row];
        op->dur_ns[row] = trace->memcpy.dur_ns[from->row];
    } else {
        op->kind[row] = PS_OP_MEMORY;
        op->moved_bytes[row] = trace->memset.bytes[from->row];
        op->dur_ns[row] = trace->memset.dur_ns[from->row];
    }
    return ps_strings_put_z(self->out->strings, name, &op->name[row], err);
}

static ps_code add_op(writing *self, const launch *from, ps_error *err)
{
    ps_workload_op_table *op = &self->out->op;
    size_t row;
    PS_TRY(ps_workload_add(self->out, PS_WORKLOAD_OP, &row, err));
    PS_TRY(describe_op(self, from, row, err));
    op->phase[row] = (uint8_t)ps_structure_phase_at(self->structure, from->at);
    op->block[row] = block_at(self, from->at);
    op->launches[row] = 1;
    op->basis[row] = PS_BASIS_MEASURED;
    return ps_workload_add_event(self->out, PS_WORKLOAD_EVENT_OP, (uint32_t)row, err);
}

/* ---- events ---- */

/* Closes and opens steps up to a moment. */
static ps_code pass_steps(writing *self, ps_ns at, ps_error *err)
{
    const ps_structure *structure = self->structure;
    const uint32_t now = (uint32_t)self->out->event.head.count;
    ps_workload_step_table *step = &self->out->step;
    while (true) {
        const size_t open = step->head.count;
        if (self->next_step < open && structure->step[self->next_step].end_ns <= at) {
            step->end_event[self->next_step++] = now;
        } else if (self->next_step == open && open < structure->step_count &&
                   structure->step[open].start_ns <= at) {
            size_t row;
            PS_TRY(ps_workload_add(self->out, PS_WORKLOAD_STEP, &row, err));
            step->begin_event[row] = step->end_event[row] = now;
            step->is_first[row] = row == 0;
            PS_TRY(ps_strings_put_z(self->out->strings,
                                    ps_strings_text(structure->strings, structure->step[row].name),
                                    &step->name[row], err));
        } else {
            return PS_OK;
        }
    }
}

static ps_code add_request(writing *self, uint32_t row, ps_error *err)
{
    const uint32_t b = self->event_of_row[row] - 1;
    if (self->structure->buffer[b].birth_row == row) {
        return add_tensor(self, b, err);
    }
    return self->tensor_of[b] == 0 ? PS_OK
                                   : ps_workload_add_event(self->out, PS_WORKLOAD_EVENT_FREE,
                                                           self->tensor_of[b] - 1, err);
}

/* Requests in their own order, work among them by the time of its launch. */
static ps_code add_events(writing *self, ps_error *err)
{
    const ps_memory_table *memory = &self->trace->memory;
    size_t next = 0;
    for (uint32_t row = 0; row <= memory->head.count; row++) {
        const ps_ns at = row < memory->head.count ? memory->time_ns[row] : PS_TIME_NEVER;
        if (row < memory->head.count && self->event_of_row[row] == 0) {
            continue;
        }
        for (; next < self->launch_count && self->launches[next].at < at; next++) {
            PS_TRY(pass_steps(self, self->launches[next].at, err));
            PS_TRY(add_op(self, &self->launches[next], err));
        }
        if (row < memory->head.count) {
            PS_TRY(pass_steps(self, at, err));
            PS_TRY(add_request(self, row, err));
        }
    }
    return pass_steps(self, PS_TIME_NEVER, err);
}

static ps_code add_facts(writing *self, ps_error *err)
{
    const ps_structure *structure = self->structure;
    const char *title = ps_trace_meta(self->trace, PS_META_TITLE);
    PS_TRY(ps_workload_set_meta(self->out, PS_WORKLOAD_META_SOURCE, "trace", err));
    PS_TRY(ps_workload_set_meta(
        self->out, PS_META_MEMORY_SIZES,
        self->plan->device.sizes_are_blocks[self->device] != 0 ? "block" : "requested", err));
    if (title != NULL) {
        PS_TRY(ps_workload_set_meta(self->out, PS_META_TITLE, title, err));
    }
    for (size_t i = 0; i < structure->finding_count; i++) {
        const ps_finding *finding = &structure->finding[i];
        PS_TRY(ps_workload_add_finding(self->out, finding->what, finding->how, finding->confidence,
                                       ps_strings_text(structure->strings, finding->detail), err));
    }
    for (size_t i = 0; i < self->trace->loss.head.count; i++) {
        size_t row;
        PS_TRY(ps_workload_add(self->out, PS_WORKLOAD_LOSS, &row, err));
        self->out->loss.severity[row] = self->trace->loss.severity[i];
        self->out->loss.count[row] = self->trace->loss.count[i];
        PS_TRY(ps_strings_put_z(self->out->strings,
                                ps_strings_text(self->trace->strings, self->trace->loss.name[i]),
                                &self->out->loss.name[row], err));
    }
    return PS_OK;
}

static ps_code write_all(writing *self, ps_error *err)
{
    const ps_trace *trace = self->trace;
    const size_t work =
        trace->kernel.head.count + trace->memcpy.head.count + trace->memset.head.count;
    self->tensor_of = ps_calloc(self->structure->buffer_count + 1, sizeof *self->tensor_of);
    self->event_of_row = ps_calloc(trace->memory.head.count + 1, sizeof *self->event_of_row);
    self->launches = ps_calloc(work + 1, sizeof *self->launches);
    if (self->out == NULL || self->tensor_of == NULL || self->event_of_row == NULL ||
        self->launches == NULL) {
        return ps_fail_nomem(err);
    }
    PS_TRY(add_facts(self, err));
    PS_TRY(add_blocks(self, err));
    PS_TRY(list_launches(self, err));
    PS_TRY(add_older(self, err));
    PS_TRY(add_events(self, err));
    return ps_workload_check(self->out, err);
}

ps_code ps_recover(const ps_trace *trace, const ps_plan *plan, const ps_structure *structure,
                   uint32_t device, ps_workload **out, ps_error *err)
{
    if (device >= plan->device.head.count) {
        return ps_fail(err, PS_BAD_INPUT, "the trace has no device number %u", device);
    }
    writing self = {.trace = trace,
                    .plan = plan,
                    .structure = structure,
                    .device = device,
                    .ordinal = plan->device.ordinal[device],
                    .out = ps_workload_create()};
    const ps_code code = write_all(&self, err);
    ps_idmap_fini(&self.call_of_correlation);
    ps_idmap_fini(&self.block_of_name);
    ps_free(self.tensor_of);
    ps_free(self.event_of_row);
    ps_free(self.launches);
    if (code != PS_OK) {
        ps_workload_destroy(self.out);
        return code;
    }
    *out = self.out;
    return PS_OK;
}
