/* SPDX-License-Identifier: MIT
 *
 * Writing what was recovered as a workload: facts, then requests and work as the
 * host came to them.
 */
#include "workload/recover/workload.h"

#include "base/memory.h"
#include "workload/recover/workload_parts.h"

typedef ps_writing writing;

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
        return ps__write_tensor(self, b, err);
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
            PS_TRY(ps__write_op(self, &self->launches[next], err));
        }
        if (row < memory->head.count) {
            PS_TRY(pass_steps(self, at, err));
            PS_TRY(add_request(self, row, err));
        }
    }
    return pass_steps(self, PS_TIME_NEVER, err);
}

/* ---- all ---- */

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
    return PS_OK;
}

static ps_code add_losses(writing *self, ps_error *err)
{
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
    PS_TRY(add_losses(self, err));
    PS_TRY(ps__write_blocks(self, err));
    PS_TRY(ps__write_launches(self, err));
    PS_TRY(ps__write_older(self, err));
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
