/* SPDX-License-Identifier: MIT
 *
 * A training job in miniature.
 */
#include "job.h"

#include <string.h>

#include "lower/lower.h"
#include "trace/file.h"
#include "workload/recover/overrides.h"

/* The clock and the heap of the job. */
typedef struct job {
    ps_trace *trace;
    job_marks marks;
    ps_ns now;
    uint64_t next_address;
    int64_t sequence;
} job;

static ps_ns tick(job *self)
{
    return self->now += 100;
}

static void set_stack(job *self, size_t row, const char *stack)
{
    ps_error err = {0};
    if (self->marks.stacks && stack != NULL) {
        assert_ok(&err, ps_strings_put_z(self->trace->strings, stack,
                                         &self->trace->memory.stack[row], &err));
    }
}

static uint64_t take(job *self, uint64_t bytes, const char *stack)
{
    const uint64_t address = self->next_address;
    self->next_address += 64 * MIB;
    set_stack(self, put_alloc(self->trace, tick(self), bytes, address), stack);
    return address;
}

static void drop(job *self, uint64_t bytes, uint64_t address)
{
    (void)put_free(self->trace, tick(self), bytes, address);
}

static void mark(job *self, bool is_wanted, ps_ns start, ps_range_category category,
                 const char *name)
{
    if (is_wanted) {
        put_range(self->trace, MAIN_THREAD, (span){start, tick(self)}, category, name);
    }
}

static void mark_sequence(job *self, ps_ns start, int64_t sequence)
{
    if (self->marks.sequences) {
        put_range(self->trace, MAIN_THREAD, (span){start + 10, start + 20}, PS_RANGE_OPERATOR,
                  "aten::linear");
        self->trace->range.sequence[self->trace->range.head.count - 1] = sequence;
    }
}

static void run_layer(job *self, unsigned layer, uint64_t *activation)
{
    char name[32];
    const ps_ns start = tick(self);
    const uint64_t scratch = take(self, SCRATCH_BYTES, "at::_ops::mm::call; model.py:7 forward");
    activation[layer] =
        take(self, ACTIVATION_BYTES + layer * 512, "at::_ops::relu::call; model.py:8 forward");
    drop(self, SCRATCH_BYTES, scratch);
    (void)snprintf(name, sizeof name, "layers.%u (Layer)", layer);
    mark_sequence(self, start, (int64_t)layer + 1 + self->sequence);
    mark(self, self->marks.modules, start, PS_RANGE_PYTHON, name);
}

static void undo_layer(job *self, unsigned layer, const uint64_t *activation, uint64_t *gradient)
{
    const char *engine = "at::_ops::mm::call; torch::autograd::generated::MmBackward0::apply; "
                         "torch::autograd::Engine::evaluate_function";
    const ps_ns start = tick(self);
    const uint64_t scratch = take(self, BACKWARD_SCRATCH_BYTES, engine);
    gradient[layer] = take(self, PARAMETER_BYTES,
                           "at::_ops::empty::call; torch::autograd::AccumulateGrad::apply; "
                           "torch::autograd::Engine::evaluate_function");
    drop(self, BACKWARD_SCRATCH_BYTES, scratch);
    drop(self, ACTIVATION_BYTES + layer * 512, activation[layer]);
    mark_sequence(self, start, (int64_t)layer + 1 + self->sequence);
}

static void run_optimizer(job *self, bool is_first, const uint64_t *gradient)
{
    const char *stack = "at::_ops::mul::call; torch/optim/sgd.py:9 step";
    for (unsigned i = 0; i < JOB_LAYERS; i++) {
        const uint64_t scratch = take(self, SCRATCH_BYTES, stack);
        if (is_first) {
            (void)take(self, PARAMETER_BYTES, stack);
            (void)take(self, PARAMETER_BYTES, stack);
        }
        drop(self, SCRATCH_BYTES, scratch);
    }
    for (unsigned i = 0; i < JOB_LAYERS; i++) {
        drop(self, PARAMETER_BYTES, gradient[i]);
    }
}

static void run_step(job *self, unsigned number)
{
    uint64_t activation[JOB_LAYERS], gradient[JOB_LAYERS];
    char name[32];
    const ps_ns start = tick(self);
    ps_ns at = start;
    const ps_ns copied = tick(self) + 150;
    const uint64_t input = take(self, INPUT_BYTES, NULL);
    put_copy(self->trace, stream_7, (span){copied, copied + 20},
             (cargo){PS_COPY_HTOD, PS_MEMORY_PAGEABLE, INPUT_BYTES}, 0);
    for (unsigned i = 0; i < JOB_LAYERS; i++) {
        run_layer(self, i, activation);
    }
    mark(self, self->marks.phases, at, PS_RANGE_ANNOTATION, "## forward ##");
    if (!self->marks.no_backward) {
        at = tick(self);
        for (unsigned i = JOB_LAYERS; i > 0; i--) {
            undo_layer(self, i - 1, activation, gradient);
        }
        mark(self, self->marks.phases, at, PS_RANGE_ANNOTATION, "backward");
        at = tick(self);
        if (!self->marks.no_optimizer) {
            run_optimizer(self, number == 0, gradient);
        }
        mark(self, self->marks.phases, at, PS_RANGE_ANNOTATION, "optimizer");
        mark(self, self->marks.optimizer, at, PS_RANGE_ANNOTATION, "Optimizer.step#SGD.step");
    }
    drop(self, INPUT_BYTES, input);
    self->sequence += 100;
    (void)snprintf(name, sizeof name, "ProfilerStep#%u", number);
    mark(self, self->marks.steps, start, PS_RANGE_ANNOTATION, name);
}

ps_trace *job_trace(job_marks marks)
{
    ps_error err = {0};
    job self = {.trace = trace_new(), .marks = marks, .next_address = 0x7f0000000000u};
    put_device(self.trace, 0, "Oldcard", 0);
    put_fact(self.trace, PS_META_MEMORY_SIZES, "requested");
    put_fact(self.trace, PS_META_SOURCE, "kineto");
    for (unsigned i = 0; i < JOB_LAYERS; i++) {
        (void)take(&self, PARAMETER_BYTES, "at::_ops::empty::call; model.py:3 __init__");
    }
    for (unsigned i = 0; i < JOB_STEPS; i++) {
        run_step(&self, i);
    }
    assert_ok(&err, ps_trace_sort(self.trace, &err));
    return self.trace;
}

recovered recover_trace(ps_trace *trace, const struct ps_overrides *overrides)
{
    ps_error err = {0};
    recovered self = {.trace = trace};
    assert_ok(&err, ps_lower_trace(trace, &self.plan, &err));
    assert_ok(&err, ps_structure_recover(trace, self.plan, overrides, &self.found, &err));
    assert_int_equal(self.found.buffer_count, self.plan->buffer.head.count);
    return self;
}

void recovered_end(recovered *self)
{
    ps_structure_fini(&self->found);
    ps_plan_destroy(self->plan);
    ps_trace_destroy(self->trace);
}

size_t count_size(const recovered *self, uint64_t bytes)
{
    size_t count = 0;
    for (size_t b = 0; b < self->found.buffer_count; b++) {
        count += self->plan->buffer.bytes[b] == bytes;
    }
    return count;
}

size_t count_role(const recovered *self, uint64_t bytes, ps_role role)
{
    size_t count = 0;
    for (size_t b = 0; b < self->found.buffer_count; b++) {
        count += self->plan->buffer.bytes[b] == bytes && self->found.buffer[b].role == role;
    }
    return count;
}

ps_permille sure_of(const recovered *self, const char *what, const char **how)
{
    for (size_t i = 0; i < self->found.finding_count; i++) {
        if (strcmp(self->found.finding[i].what, what) == 0) {
            *how = self->found.finding[i].how;
            return self->found.finding[i].confidence;
        }
    }
    *how = "";
    return 0;
}
