/* SPDX-License-Identifier: MIT
 *
 * What every buffer was for.
 *
 *   born                 and                                     is
 *   before the steps     never freed                             parameter; optimizer state when
 *                                                                the optimizer's own code made it
 *   in a forward         freed in the same forward               temporary
 *                        alive when its step's backward began    activation, saved for it
 *                        freed long after its block              activation
 *                        copied from the host                    input
 *   in a backward        freed in the same backward              temporary
 *                        alive behind it, of a parameter's size  gradient
 *   in an optimizer      freed in the same optimizer step        temporary
 *                        alive behind it                         optimizer state, or what the
 *                                                                buffer was that it replaces
 *   by a product         never freed, of a size seen at most     workspace
 *                        twice (forward's and backward's thread)
 *   in the first step    never freed, one in forward and one in  workspace
 *                        backward, no other of that size
 *
 * What goes behind the last step goes because the program ends: it counts as never freed.
 *
 * Nothing before the steps is recorded when a profiler starts late; then
 * sizes of parameters are those of what lives through the whole recording.
 */
#include <string.h>

#include "base/idmap.h"
#include "base/memory.h"
#include "workload/recover/recover_parts.h"

typedef struct role_stage {
    ps_recovery *recovery;
    ps_idmap parameter_sizes; /* bytes -> how many */
    size_t parameter_count;
    ps_ns setup_end_ns;   /* what is born before and stays is of the model */
    ps_ns last_end_ns;    /* of the steps: what dies later does so because the program ends */
    ps_idmap size_counts; /* bytes -> how many buffers */
    size_t overridden;
} role_stage;

static ps_ns time_of(const role_stage *self, uint32_t row)
{
    return row == PS_STRUCTURE_NONE ? PS_TIME_NEVER : self->recovery->trace->memory.time_ns[row];
}

static bool is_never_freed(const role_stage *self, const ps_structure_buffer *buffer)
{
    return time_of(self, buffer->death_row) >= self->last_end_ns;
}

static void decide(ps_structure_buffer *buffer, ps_role role, ps_permille confidence)
{
    buffer->role = role;
    buffer->confidence = confidence;
}

static void locate(const role_stage *self, ps_structure_buffer *buffer)
{
    const ps_structure *out = self->recovery->out;
    if (buffer->birth_row != PS_STRUCTURE_NONE) {
        const ps_ns at = time_of(self, buffer->birth_row);
        buffer->birth_step = ps_structure_step_at(out, at);
        buffer->birth = buffer->birth_step == PS_STRUCTURE_NONE ? PS_PHASE_UNKNOWN
                                                                : ps_structure_phase_at(out, at);
    }
    if (buffer->death_row != PS_STRUCTURE_NONE) {
        const ps_ns at = time_of(self, buffer->death_row);
        buffer->death_step = ps_structure_step_at(out, at);
        buffer->death = ps_structure_phase_at(out, at);
    }
}

/* "aten::empty", "zeros_like, model.py:3 __init__", or nobody known: what building a model asks. */
static bool is_building(const char *label)
{
    static const char *const words[] = {"empty",   "zeros", "ones", "full",  "rand",    "normal",
                                        "uniform", "to",    "copy", "clone", "_to_copy"};
    const char *bare = strncmp(label, "aten::", 6) == 0 ? label + 6 : label;
    if (bare[0] == '\0') {
        return true;
    }
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strncmp(bare, words[i], strlen(words[i])) == 0) {
            return true;
        }
    }
    return false;
}

/* The first request of a device that building a model does not make. */
static ps_ns first_computation(const ps_recovery *recovery)
{
    const ps_plan *plan = recovery->plan;
    for (size_t b = 0; b < recovery->out->buffer_count; b++) {
        const uint32_t row = recovery->out->buffer[b].birth_row;
        if (row != PS_STRUCTURE_NONE &&
            !is_building(ps_strings_text(plan->strings, plan->buffer.label[b]))) {
            return recovery->trace->memory.time_ns[row];
        }
    }
    return PS_TIME_NEVER;
}

/* Where phases are told, the first step ends it; else the first free, or the first computation. */
static ps_ns end_of_setup(const ps_recovery *recovery)
{
    const ps_memory_table *memory = &recovery->trace->memory;
    const ps_structure *out = recovery->out;
    const ps_ns start = out->step_count > 0 ? out->step[0].start_ns : PS_TIME_NEVER;
    if (recovery->has_phase_evidence) {
        return start;
    }
    const ps_ns computes = first_computation(recovery);
    for (size_t row = 0; row < memory->head.count && memory->time_ns[row] < computes; row++) {
        if (memory->device_kind[row] != PS_DEVICE_HOST &&
            (memory->action[row] == PS_ACTION_FREE ||
             memory->action[row] == PS_ACTION_FREE_REQUESTED)) {
            return memory->time_ns[row];
        }
    }
    return computes == PS_TIME_NEVER ? start : computes;
}

/* A recording that ends within a step sees no program end. */
static ps_ns end_of_steps(const ps_structure *out)
{
    return out->step_count > 0 ? out->step[out->step_count - 1].end_ns : PS_TIME_NEVER;
}

static bool is_of_setup(const role_stage *self, const ps_structure_buffer *buffer)
{
    return buffer->birth_row == PS_STRUCTURE_NONE ||
           time_of(self, buffer->birth_row) < self->setup_end_ns;
}

/* Without marks of phases the model is built in what counts as the first forward: what outlives a
 * step that is not the last is no activation. With marks only what is never freed is of the model:
 * variables such as the loss live until the next step assigns them. */
static bool outlives_first_step(const role_stage *self, const ps_structure_buffer *buffer)
{
    const ps_structure *out = self->recovery->out;
    const bool outlives =
        self->recovery->has_phase_evidence ? is_never_freed(self, buffer) : buffer->death_step != 0;
    return buffer->birth_step == 0 && buffer->birth == PS_PHASE_FORWARD && out->step_count > 1 &&
           (buffer->death_row == PS_STRUCTURE_NONE || outlives);
}

/* What was there from the beginning and is never freed. */
static ps_code decide_setup(role_stage *self, ps_error *err)
{
    ps_structure *out = self->recovery->out;
    for (size_t b = 0; b < out->buffer_count; b++) {
        ps_structure_buffer *buffer = &out->buffer[b];
        if (!is_of_setup(self, buffer)) {
            continue;
        }
        const ps_str stack = buffer->birth_row == PS_STRUCTURE_NONE
                                 ? 0
                                 : self->recovery->trace->memory.stack[buffer->birth_row];
        const char *frames = ps__recover_text(self->recovery, stack);
        const bool is_known = stack != 0 && ps__recover_is_setup_stack(frames);
        if (buffer->death_row != PS_STRUCTURE_NONE &&
            time_of(self, buffer->death_row) < self->setup_end_ns) {
            decide(buffer, PS_ROLE_TEMPORARY, 700);
            continue;
        }
        if (!is_never_freed(self, buffer) && !is_known) {
            continue; /* it dies in a step: gradients, inputs and activations of an earlier one */
        }
        if (stack != 0 && strstr(frames, "optim") != NULL) {
            decide(buffer, PS_ROLE_OPTIMIZER_STATE, 850);
            continue;
        }
        decide(buffer, PS_ROLE_PARAMETER, is_known ? 900 : stack == 0 ? 600 : 500);
        const uint64_t bytes = self->recovery->plan->buffer.bytes[b];
        PS_TRY(ps_idmap_put(&self->parameter_sizes, bytes, 1, err));
        self->parameter_count++;
    }
    return PS_OK;
}

static bool is_product(const char *label);
static const char *label_of(const role_stage *self, size_t b);

/* A library's own memory: taken by the first product of a thread, kept for all others. */
static bool is_of_product(const role_stage *self, size_t b)
{
    return is_never_freed(self, &self->recovery->out->buffer[b]) && is_product(label_of(self, b)) &&
           ps_idmap_get(&self->size_counts, self->recovery->plan->buffer.bytes[b]) <= 2;
}

static bool is_of_first_step(const role_stage *self, size_t b, ps_phase birth)
{
    const ps_structure_buffer *buffer = &self->recovery->out->buffer[b];
    return buffer->birth_step == 0 && buffer->birth == birth && is_never_freed(self, buffer);
}

static bool is_in_first_step(const role_stage *self, size_t b)
{
    return is_of_first_step(self, b, PS_PHASE_FORWARD) ||
           is_of_first_step(self, b, PS_PHASE_BACKWARD);
}

/* The same without a name: the threads of forward and backward have taken one each. */
static bool is_one_of_two(const role_stage *self, size_t b)
{
    const ps_structure *out = self->recovery->out;
    const uint64_t bytes = self->recovery->plan->buffer.bytes[b];
    if (!self->recovery->has_phase_evidence || out->step_count < 2 || !is_in_first_step(self, b) ||
        ps_idmap_get(&self->size_counts, bytes) != 2) {
        return false;
    }
    const ps_phase other =
        out->buffer[b].birth == PS_PHASE_FORWARD ? PS_PHASE_BACKWARD : PS_PHASE_FORWARD;
    for (size_t i = 0; i < out->buffer_count; i++) {
        if (self->recovery->plan->buffer.bytes[i] == bytes && is_of_first_step(self, i, other)) {
            return true;
        }
    }
    return false;
}

static bool is_workspace(const role_stage *self, size_t b)
{
    return is_of_product(self, b) || is_one_of_two(self, b);
}

static ps_code decide_built(role_stage *self, ps_error *err)
{
    ps_structure *out = self->recovery->out;
    for (size_t b = 0; b < out->buffer_count; b++) {
        ps_structure_buffer *buffer = &out->buffer[b];
        if (buffer->role == PS_ROLE_UNKNOWN && outlives_first_step(self, buffer) &&
            !is_product(label_of(self, b)) && !is_one_of_two(self, b)) {
            decide(buffer, PS_ROLE_PARAMETER, 600);
            PS_TRY(ps_idmap_put(&self->parameter_sizes, self->recovery->plan->buffer.bytes[b], 1,
                                err));
            self->parameter_count++;
        }
    }
    return PS_OK;
}

static bool has_parameter_size(const role_stage *self, size_t b)
{
    return ps_idmap_get(&self->parameter_sizes, self->recovery->plan->buffer.bytes[b]) !=
           PS_IDMAP_NONE;
}

static const char *label_of(const role_stage *self, size_t b)
{
    const ps_plan *plan = self->recovery->plan;
    return ps_strings_text(plan->strings, plan->buffer.label[b]);
}

static const char *stack_of(const role_stage *self, const ps_structure_buffer *buffer)
{
    return ps__recover_text(self->recovery, self->recovery->trace->memory.stack[buffer->birth_row]);
}

/* A matrix product's operator, as profilers and stacks name it. */
static bool is_product(const char *label)
{
    static const char *const words[] = {"mm",     "addmm", "bmm",   "baddbmm", "linear", "matmul",
                                        "einsum", "conv",  "Addmm", "Mm",      "Bmm"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        const char *hit = strstr(label, words[i]);
        if (hit != NULL && (hit == label || hit[-1] == ':' || hit[-1] == ' ')) {
            return true;
        }
    }
    return false;
}

/* A copy from the host of that size under way or begun soon after the allocation. */
static bool is_copied_from_host(const role_stage *self, const ps_structure_buffer *buffer)
{
    const ps_trace *trace = self->recovery->trace;
    const ps_ns born = time_of(self, buffer->birth_row);
    const uint64_t bytes = trace->memory.bytes[buffer->birth_row];
    /* the copy is the next thing the program does with it; a millisecond covers a busy stream */
    const ps_ns horizon = born + 1000000;
    size_t low = 0, high = trace->memcpy.head.count;
    while (low < high) {
        const size_t mid = low + (high - low) / 2;
        if (trace->memcpy.start_ns[mid] < born) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    for (size_t i = low; i < trace->memcpy.head.count && trace->memcpy.start_ns[i] < horizon; i++) {
        if (trace->memcpy.kind[i] == PS_COPY_HTOD && trace->memcpy.bytes[i] > 0 &&
            trace->memcpy.bytes[i] <= bytes && bytes - trace->memcpy.bytes[i] < 512) {
            return true;
        }
    }
    return false;
}

/* Forward block of a moment + 1: blocks of a step ascend and do not overlap. */
static uint32_t forward_block_at(const ps_structure *out, ps_ns at)
{
    size_t low = 0, high = out->block_count;
    while (low < high) {
        const size_t mid = low + (high - low) / 2;
        if (out->block[mid].start_ns <= at) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    if (low == 0 || at >= out->block[low - 1].end_ns ||
        out->block[low - 1].phase != PS_PHASE_FORWARD) {
        return 0;
    }
    return (uint32_t)low;
}

/* Outlives the block it was born in by more than the block's own length: kept for a backward that
 * the recording does not hold, not passed on to the next block. */
static bool outlives_block(const role_stage *self, const ps_structure_buffer *buffer)
{
    const ps_structure *out = self->recovery->out;
    const uint32_t block = forward_block_at(out, time_of(self, buffer->birth_row));
    if (block == 0) {
        return false;
    }
    const ps_structure_block *of = &out->block[block - 1];
    return time_of(self, buffer->death_row) - of->end_ns > of->end_ns - of->start_ns;
}

static bool dies_in_same(const ps_structure_buffer *buffer)
{
    return buffer->death_row != PS_STRUCTURE_NONE && buffer->death_step == buffer->birth_step &&
           buffer->death == buffer->birth;
}

static void decide_forward(const role_stage *self, size_t b, ps_structure_buffer *buffer)
{
    const bool is_late = self->recovery->has_phase_evidence;
    if (is_copied_from_host(self, buffer)) {
        decide(buffer, PS_ROLE_INPUT, 800);
    } else if (is_workspace(self, b) && buffer->birth_step != PS_STRUCTURE_NONE &&
               buffer->birth_step + 1 < self->recovery->out->step_count) {
        decide(buffer, PS_ROLE_WORKSPACE, 800);
    } else if (dies_in_same(buffer) && outlives_block(self, buffer)) {
        decide(buffer, PS_ROLE_ACTIVATION, 500);
    } else if (dies_in_same(buffer)) {
        decide(buffer, PS_ROLE_TEMPORARY, is_late ? 850 : 500);
    } else {
        decide(buffer, PS_ROLE_ACTIVATION, is_late ? 850 : 500);
        buffer->is_saved = buffer->death != PS_PHASE_FORWARD;
    }
}

static void decide_backward(const role_stage *self, size_t b, ps_structure_buffer *buffer)
{
    const char *stack = stack_of(self, buffer);
    if (dies_in_same(buffer)) {
        decide(buffer, PS_ROLE_TEMPORARY, 850);
    } else if (strstr(stack, "AccumulateGrad") != NULL) {
        decide(buffer, PS_ROLE_GRADIENT, 950);
    } else if (has_parameter_size(self, b)) {
        decide(buffer, PS_ROLE_GRADIENT, 850);
    } else if (is_workspace(self, b)) {
        decide(buffer, PS_ROLE_WORKSPACE, 700);
    } else {
        decide(buffer, PS_ROLE_GRADIENT, self->parameter_count == 0 ? 600 : 400);
    }
}

static void decide_optimizer(const role_stage *self, size_t b, ps_structure_buffer *buffer)
{
    if (dies_in_same(buffer)) {
        decide(buffer, PS_ROLE_TEMPORARY, 850);
    } else if (is_never_freed(self, buffer)) {
        decide(buffer, PS_ROLE_OPTIMIZER_STATE, has_parameter_size(self, b) ? 900 : 700);
    } else {
        /* replaced by the next step: state or parameters that are not changed in place */
        decide(buffer, PS_ROLE_OPTIMIZER_STATE, has_parameter_size(self, b) ? 600 : 400);
    }
}

/* What was there before the recording and dies in a step is left over from the step before. */
static void decide_older(const role_stage *self, size_t b, ps_structure_buffer *buffer)
{
    if (buffer->death == PS_PHASE_OPTIMIZER || has_parameter_size(self, b)) {
        decide(buffer, PS_ROLE_GRADIENT, 400);
    } else if (buffer->death == PS_PHASE_BACKWARD) {
        decide(buffer, PS_ROLE_ACTIVATION, 500);
    } else {
        decide(buffer, PS_ROLE_UNKNOWN, 0);
    }
}

static void decide_one(const role_stage *self, size_t b)
{
    ps_structure_buffer *buffer = &self->recovery->out->buffer[b];
    if (buffer->role != PS_ROLE_UNKNOWN) {
        return;
    }
    if (buffer->birth_row == PS_STRUCTURE_NONE) {
        decide_older(self, b, buffer);
        return;
    }
    if (self->recovery->trace->memory.action[buffer->birth_row] == PS_ACTION_OOM) {
        return;
    }
    switch (buffer->birth) {
    case PS_PHASE_FORWARD:
        decide_forward(self, b, buffer);
        break;
    case PS_PHASE_BACKWARD:
        decide_backward(self, b, buffer);
        break;
    case PS_PHASE_OPTIMIZER:
        decide_optimizer(self, b, buffer);
        break;
    case PS_PHASE_UNKNOWN:
        if (is_copied_from_host(self, buffer)) { /* the first batch comes before the first step */
            decide(buffer, PS_ROLE_INPUT, 600);
        } else if (buffer->death_row != PS_STRUCTURE_NONE) {
            decide(buffer, PS_ROLE_TEMPORARY, 300);
        }
        break;
    }
}

/*
 * An optimizer that does not work in place makes the new tensor and drops the
 * old one at once. The old one's role passes on to the youngest of its size
 * that is alive.
 */
typedef struct succession {
    role_stage *stage;
    ps_idmap youngest; /* bytes -> buffer born last in this optimizer step and still alive */
    uint32_t *older;   /* per buffer: the one that was youngest before it, or NONE */
    uint32_t *of_row;  /* per row: buffer it begins or ends + 1 */
    bool *is_over;     /* per buffer: dead, or its role is decided */
} succession;

static ps_code note_birth(succession *self, uint32_t b, ps_error *err)
{
    const uint64_t bytes = self->stage->recovery->plan->buffer.bytes[b];
    if (self->stage->recovery->out->buffer[b].birth != PS_PHASE_OPTIMIZER) {
        return PS_OK;
    }
    self->older[b] = ps_idmap_get(&self->youngest, bytes);
    return ps_idmap_put(&self->youngest, bytes, b, err);
}

static uint32_t youngest_alive(const succession *self, uint32_t b)
{
    uint32_t next = ps_idmap_get(&self->youngest, self->stage->recovery->plan->buffer.bytes[b]);
    while (next != PS_IDMAP_NONE && self->is_over[next]) {
        next = self->older[next];
    }
    return next;
}

static ps_code note_death(succession *self, uint32_t b, ps_error *err)
{
    ps_structure_buffer *buffer = self->stage->recovery->out->buffer;
    const uint64_t bytes = self->stage->recovery->plan->buffer.bytes[b];
    self->is_over[b] = true;
    const bool is_older =
        buffer[b].role == PS_ROLE_UNKNOWN && buffer[b].birth_row == PS_STRUCTURE_NONE;
    if (buffer[b].death != PS_PHASE_OPTIMIZER ||
        (buffer[b].role != PS_ROLE_PARAMETER && buffer[b].role != PS_ROLE_OPTIMIZER_STATE &&
         !is_older)) {
        return PS_OK;
    }
    const uint32_t next = youngest_alive(self, b);
    if (next == PS_IDMAP_NONE || buffer[next].birth_step != buffer[b].death_step) {
        return PS_OK;
    }
    if (is_older) {
        decide(&buffer[b], PS_ROLE_OPTIMIZER_STATE, 500); /* or a parameter: both are replaced */
        return PS_OK;
    }
    decide(&buffer[next], buffer[b].role, 850);
    const uint32_t rest = self->older[next];
    if (rest == PS_IDMAP_NONE) {
        (void)ps_idmap_take(&self->youngest, bytes);
        return PS_OK;
    }
    return ps_idmap_put(&self->youngest, bytes, rest, err);
}

static ps_code follow_rows(succession *self, ps_error *err)
{
    const ps_structure *out = self->stage->recovery->out;
    const size_t rows = self->stage->recovery->trace->memory.head.count;
    for (uint32_t b = 0; b < out->buffer_count; b++) {
        self->older[b] = PS_IDMAP_NONE;
        if (out->buffer[b].birth_row != PS_STRUCTURE_NONE) {
            self->of_row[out->buffer[b].birth_row] = b + 1;
        }
        if (out->buffer[b].death_row != PS_STRUCTURE_NONE) {
            self->of_row[out->buffer[b].death_row] = b + 1;
        }
    }
    for (uint32_t row = 0; row < rows; row++) {
        if (self->of_row[row] != 0) {
            const uint32_t b = self->of_row[row] - 1;
            PS_TRY(out->buffer[b].birth_row == row ? note_birth(self, b, err)
                                                   : note_death(self, b, err));
        }
    }
    return PS_OK;
}

static ps_code follow_successors(role_stage *stage, ps_error *err)
{
    const size_t buffers = stage->recovery->out->buffer_count;
    const size_t rows = stage->recovery->trace->memory.head.count;
    succession self = {
        .stage = stage,
        .older = ps_calloc(buffers + 1, sizeof *self.older),
        .of_row = ps_calloc(rows + 1, sizeof *self.of_row),
        .is_over = ps_calloc(buffers + 1, sizeof *self.is_over),
    };
    const bool is_made = self.older != NULL && self.of_row != NULL && self.is_over != NULL;
    const ps_code code = is_made ? follow_rows(&self, err) : ps_fail_nomem(err);
    ps_idmap_fini(&self.youngest);
    ps_free(self.older);
    ps_free(self.of_row);
    ps_free(self.is_over);
    return code;
}

static void override_roles(role_stage *self)
{
    const ps_overrides *overrides = self->recovery->overrides;
    ps_structure *out = self->recovery->out;
    for (size_t i = 0; i < overrides->count; i++) {
        const ps_override *row = &overrides->row[i];
        for (size_t b = 0; row->what == PS_OVERRIDE_ROLE && b < out->buffer_count; b++) {
            const bool is_meant = row->by == PS_OVERRIDE_BY_SIZE
                                      ? self->recovery->plan->buffer.bytes[b] == row->bytes
                                  : row->by == PS_OVERRIDE_BY_LABEL
                                      ? ps_pattern_matches(row->pattern, label_of(self, b))
                                      : out->buffer[b].birth == row->phase &&
                                            out->buffer[b].birth_row != PS_STRUCTURE_NONE;
            if (is_meant) {
                decide(&out->buffer[b], row->role, 1000);
                self->overridden++;
            }
        }
    }
}

/* ---- saved tensors by block ---- */

static void sum_saved(role_stage *self, uint64_t *bytes, size_t *count)
{
    ps_structure *out = self->recovery->out;
    for (size_t b = 0; b < out->buffer_count; b++) {
        ps_structure_buffer *buffer = &out->buffer[b];
        if (buffer->birth_row == PS_STRUCTURE_NONE) {
            continue;
        }
        buffer->block = forward_block_at(out, time_of(self, buffer->birth_row));
        if (buffer->is_saved) {
            *bytes += self->recovery->plan->buffer.bytes[b];
            (*count)++;
        }
        if (buffer->is_saved && buffer->block != 0) {
            out->block[buffer->block - 1].saved_bytes += self->recovery->plan->buffer.bytes[b];
            out->block[buffer->block - 1].saved_count++;
        }
    }
}

static ps_code report(role_stage *self, ps_error *err)
{
    ps_recovery *recovery = self->recovery;
    const ps_structure *out = recovery->out;
    uint64_t weighted = 0, bytes = 0, known = 0;
    for (size_t b = 0; b < out->buffer_count; b++) {
        const uint64_t size = recovery->plan->buffer.bytes[b] / 512 + 1;
        weighted += size * out->buffer[b].confidence;
        bytes += size;
        known += out->buffer[b].role != PS_ROLE_UNKNOWN;
    }
    if (self->overridden > 0) {
        PS_TRY(ps__recover_find(recovery, "roles", "structure file", 1000, err, "%zu buffers",
                                self->overridden));
    }
    if (out->buffer_count > 0) {
        PS_TRY(ps__recover_find(recovery, "roles", "lifetimes, phases, sizes and operators",
                                (ps_permille)(weighted / bytes), err,
                                "%llu of %zu buffers; confidence is the mean over bytes",
                                (unsigned long long)known, out->buffer_count));
    }
    uint64_t saved = 0;
    size_t count = 0;
    sum_saved(self, &saved, &count);
    return count == 0 ? PS_OK
                      : ps__recover_find(recovery, "saved for backward",
                                         "born in forward, alive behind it",
                                         recovery->has_phase_evidence ? 850 : 400, err,
                                         "%zu tensors, %llu bytes over all steps", count,
                                         (unsigned long long)saved);
}

static ps_code decide_all(role_stage *self, ps_error *err)
{
    ps_structure *out = self->recovery->out;
    for (size_t b = 0; b < out->buffer_count; b++) {
        const uint64_t bytes = self->recovery->plan->buffer.bytes[b];
        const uint32_t count = ps_idmap_get(&self->size_counts, bytes);
        locate(self, &out->buffer[b]);
        PS_TRY(
            ps_idmap_put(&self->size_counts, bytes, count == PS_IDMAP_NONE ? 1 : count + 1, err));
    }
    PS_TRY(decide_setup(self, err));
    PS_TRY(decide_built(self, err));
    PS_TRY(follow_successors(self, err));
    for (size_t b = 0; b < out->buffer_count; b++) {
        decide_one(self, b);
    }
    override_roles(self);
    return report(self, err);
}

ps_code ps__recover_roles(ps_recovery *recovery, ps_error *err)
{
    role_stage self = {.recovery = recovery,
                       .setup_end_ns = end_of_setup(recovery),
                       .last_end_ns = end_of_steps(recovery->out)};
    const ps_code code = decide_all(&self, err);
    ps_idmap_fini(&self.parameter_sizes);
    ps_idmap_fini(&self.size_counts);
    return code;
}
