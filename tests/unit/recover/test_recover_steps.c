/* SPDX-License-Identifier: MIT
 *
 * Steps, phases and blocks of a job, by each kind of evidence.
 */
#include "job.h"

#include <string.h>

#include "workload/recover/recover_parts.h"

static void assert_found(const recovered *self, const char *what, const char *how,
                         ps_permille confidence)
{
    for (size_t i = 0; i < self->found.finding_count; i++) {
        const ps_finding *finding = &self->found.finding[i];
        if (strcmp(finding->what, what) == 0 && strcmp(finding->how, how) == 0) {
            assert_int_equal(finding->confidence, confidence);
            return;
        }
    }
    fail_msg("no finding \"%s\" by \"%s\"", what, how);
}

static void steps_come_from_the_profilers_marks(void **state)
{
    (void)state;
    recovered job = recover_trace(job_trace((job_marks){.steps = true, .phases = true}), NULL);
    assert_int_equal(job.found.step_count, JOB_STEPS);
    assert_string_equal(ps_strings_text(job.found.strings, job.found.step[1].name),
                        "ProfilerStep#1");
    assert_found(&job, "steps", "annotations of the profiler", 950);
    recovered_end(&job);
}

static void own_marks_are_certain(void **state)
{
    (void)state;
    ps_trace *trace = job_trace((job_marks){.steps = true});
    put_fact(trace, PS_META_SOURCE, "tracer");
    recovered job = recover_trace(trace, NULL);
    assert_found(&job, "steps", "marks of the recorder", 1000);
    recovered_end(&job);
}

static void steps_end_with_the_optimizer(void **state)
{
    (void)state;
    recovered job = recover_trace(job_trace((job_marks){.optimizer = true}), NULL);
    assert_int_equal(job.found.step_count, JOB_STEPS);
    assert_found(&job, "steps", "ends of optimizer steps", 850);
    recovered_end(&job);
}

static void steps_are_the_period_of_the_allocations(void **state)
{
    (void)state;
    /* the first step differs by the state it makes; the later two are equal */
    recovered job = recover_trace(job_trace((job_marks){.no_optimizer = true}), NULL);
    assert_found(&job, "steps", "period of the allocations", 600);
    assert_int_equal(job.found.step_count, JOB_STEPS);
    recovered_end(&job);
}

static void a_recording_that_tells_nothing_is_one_step(void **state)
{
    (void)state;
    ps_trace *trace = trace_new();
    put_fact(trace, PS_META_MEMORY_SIZES, "requested");
    (void)put_alloc(trace, 0, MIB, 0x1000000u);
    (void)put_alloc(trace, 100, 2 * MIB, 0x2000000u);
    recovered job = recover_trace(trace, NULL);
    assert_int_equal(job.found.step_count, 1);
    assert_found(&job, "steps", "nothing tells them", 200);
    recovered_end(&job);
}

/* Every way of telling phases gives the same phases. */
static void assert_phases(recovered *job)
{
    size_t forward = 0, backward = 0, optimizer = 0;
    for (size_t b = 0; b < job->found.buffer_count; b++) {
        const ps_structure_buffer *buffer = &job->found.buffer[b];
        const uint64_t bytes = job->plan->buffer.bytes[b];
        if (bytes >= ACTIVATION_BYTES) {
            assert_int_equal(buffer->birth, PS_PHASE_FORWARD);
            assert_int_equal(buffer->death, PS_PHASE_BACKWARD);
            forward++;
        } else if (bytes == BACKWARD_SCRATCH_BYTES) {
            assert_int_equal(buffer->birth, PS_PHASE_BACKWARD);
            backward++;
        } else if (bytes == SCRATCH_BYTES && buffer->birth == PS_PHASE_OPTIMIZER) {
            optimizer++;
        }
    }
    assert_int_equal(forward, JOB_STEPS * JOB_LAYERS);
    assert_int_equal(backward, JOB_STEPS * JOB_LAYERS);
    assert_int_equal(optimizer, JOB_STEPS * JOB_LAYERS);
}

static void phases_come_from_annotations(void **state)
{
    (void)state;
    recovered job = recover_trace(job_trace((job_marks){.steps = true, .phases = true}), NULL);
    assert_phases(&job);
    assert_found(&job, "phases", "annotations and operators", 950);
    recovered_end(&job);
}

static void phases_come_from_frames(void **state)
{
    (void)state;
    recovered job = recover_trace(job_trace((job_marks){.stacks = true}), NULL);
    assert_phases(&job);
    assert_found(&job, "phases", "stack frames", 850);
    recovered_end(&job);
}

static void phases_come_from_the_rise_and_fall_of_memory(void **state)
{
    (void)state;
    recovered job = recover_trace(job_trace((job_marks){.optimizer = true}), NULL);
    assert_found(&job, "phases", "rise and fall of memory", 400);
    size_t late = 0;
    for (size_t b = 0; b < job.found.buffer_count; b++) {
        late += job.plan->buffer.bytes[b] >= ACTIVATION_BYTES &&
                job.found.buffer[b].birth == PS_PHASE_FORWARD &&
                job.found.buffer[b].death == PS_PHASE_BACKWARD;
    }
    assert_int_equal(late, JOB_STEPS * JOB_LAYERS);
    recovered_end(&job);
}

static void what_is_only_kept_has_no_backward(void **state)
{
    (void)state;
    recovered job = recover_trace(job_trace((job_marks){.steps = true, .no_backward = true}), NULL);
    assert_found(&job, "phases", "nothing ends the forward", 300);
    for (size_t i = 0; i < job.found.phase_count; i++) {
        assert_int_not_equal(job.found.phase[i].phase, PS_PHASE_BACKWARD);
    }
    recovered_end(&job);
}

static void blocks_are_modules(void **state)
{
    (void)state;
    recovered job =
        recover_trace(job_trace((job_marks){.steps = true, .phases = true, .modules = true}), NULL);
    assert_int_equal(job.found.block_count, JOB_STEPS * JOB_LAYERS);
    assert_string_equal(ps_strings_text(job.found.strings, job.found.block[1].name),
                        "layers.1 (Layer)");
    assert_string_equal(ps_strings_text(job.found.strings, job.found.block[1].kind), "Layer");
    assert_found(&job, "blocks", "module ranges", 950);
    assert_int_equal(job.found.block[1].saved_count, 1);
    assert_int_equal(job.found.block[1].saved_bytes, ACTIVATION_BYTES + 512);
    recovered_end(&job);
}

static void blocks_are_what_repeats(void **state)
{
    (void)state;
    ps_trace *trace = trace_new();
    put_fact(trace, PS_META_MEMORY_SIZES, "requested");
    put_step(trace, (span){0, 100000}, 1);
    uint64_t address = 0x7f0000000000u;
    ps_ns at = 100;
    (void)put_alloc(trace, at, 99 * KIB, address);
    for (unsigned layer = 0; layer < 4; layer++) {
        for (unsigned i = 1; i <= 5; i++) {
            (void)put_alloc(trace, at += 100, i * 64 * KIB, address += 64 * MIB);
        }
    }
    (void)put_alloc(trace, at + 100, 77 * KIB, address + 64 * MIB);
    recovered job = recover_trace(trace, NULL);
    assert_int_equal(job.found.block_count, 4);
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(job.found.block[i].start_ns, TRACE_ORIGIN_NS + 200 + i * 500);
    }
    assert_found(&job, "blocks", "repeated sizes of allocations", 600);
    recovered_end(&job);
}

/* Backward blocks of a trace whose forward and backward each repeat three times. */
static ps_trace *mirrored_trace(bool has_sequences)
{
    ps_trace *trace = trace_new();
    ps_error err = {0};
    put_fact(trace, PS_META_MEMORY_SIZES, "requested");
    put_step(trace, (span){0, 90000}, 1);
    put_range(trace, MAIN_THREAD, (span){50, 40000}, PS_RANGE_ANNOTATION, "forward");
    put_range(trace, MAIN_THREAD, (span){40001, 80000}, PS_RANGE_ANNOTATION, "backward");
    uint64_t address = 0x7f0000000000u;
    for (unsigned pass = 0; pass < 2; pass++) {
        for (unsigned layer = 0; layer < 3; layer++) {
            const ps_ns start = 1000 + pass * 41000 + layer * 1000;
            /* the backward goes through the layers in the order 1, 0, 2: only numbers tell */
            static const int64_t order[] = {1, 0, 2};
            put_range(trace, MAIN_THREAD, (span){start, start + 900}, PS_RANGE_OPERATOR, "op");
            if (has_sequences) {
                trace->range.sequence[trace->range.head.count - 1] =
                    10 + (pass == 0 ? (int64_t)layer : order[layer]);
            }
            for (unsigned i = 1; i <= 4; i++) {
                (void)put_alloc(trace, start + i * 100, (i + pass * 8) * 64 * KIB,
                                address += 64 * MIB);
            }
        }
    }
    assert_ok(&err, ps_trace_sort(trace, &err));
    return trace;
}

static void backward_blocks_pair_in_reverse(void **state)
{
    (void)state;
    recovered job = recover_trace(mirrored_trace(false), NULL);
    assert_int_equal(job.found.block_count, 6);
    assert_int_equal(job.found.block[3].pair, 3);
    assert_int_equal(job.found.block[4].pair, 2);
    assert_int_equal(job.found.block[5].pair, 1);
    assert_found(&job, "backward of blocks", "reverse order", 600);
    recovered_end(&job);
}

static void backward_blocks_pair_by_sequence_numbers(void **state)
{
    (void)state;
    recovered job = recover_trace(mirrored_trace(true), NULL);
    assert_int_equal(job.found.block[3].pair, 2);
    assert_int_equal(job.found.block[4].pair, 1);
    assert_int_equal(job.found.block[5].pair, 3);
    assert_found(&job, "backward of blocks", "sequence numbers of autograd", 950);
    recovered_end(&job);
}

static void the_longest_repeat_wins(void **state)
{
    (void)state;
    const uint64_t key[] = {9, 1, 2, 3, 1, 2, 3, 1, 2, 3, 8, 5, 6, 7, 5, 6, 7, 4};
    const ps_repeat repeat = ps__longest_repeat(key, sizeof key / sizeof key[0], 2, 8);
    assert_int_equal(repeat.start, 1);
    assert_int_equal(repeat.period, 3);
    assert_int_equal(repeat.count, 3);
    const uint64_t none[] = {1, 2, 3, 4, 5, 6};
    assert_int_equal(ps__longest_repeat(none, 6, 2, 3).count, 0);
    assert_int_equal(ps__longest_repeat(none, 0, 2, 3).count, 0);
}

static void the_period_of_steps_is_not_that_of_layers(void **state)
{
    (void)state;
    ps_error err = {0};
    ps_code code;
    uint64_t key[3 * 20];
    /* a step: twice the same eight keys (layers), then four others */
    for (size_t i = 0; i < 60; i++) {
        const size_t at = i % 20;
        key[i] = at < 16 ? at % 8 : 100 + at;
    }
    assert_int_equal(ps__tail_period(key, 60, &err, &code), 20);
    assert_int_equal(code, PS_OK);
    for (size_t i = 0; i < 60; i++) {
        key[i] = i;
    }
    assert_int_equal(ps__tail_period(key, 60, &err, &code), 0);
    assert_int_equal(ps__tail_period(key, 0, &err, &code), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps_come_from_the_profilers_marks),
        cmocka_unit_test(own_marks_are_certain),
        cmocka_unit_test(steps_end_with_the_optimizer),
        cmocka_unit_test(steps_are_the_period_of_the_allocations),
        cmocka_unit_test(a_recording_that_tells_nothing_is_one_step),
        cmocka_unit_test(phases_come_from_annotations),
        cmocka_unit_test(phases_come_from_frames),
        cmocka_unit_test(phases_come_from_the_rise_and_fall_of_memory),
        cmocka_unit_test(what_is_only_kept_has_no_backward),
        cmocka_unit_test(blocks_are_modules),
        cmocka_unit_test(blocks_are_what_repeats),
        cmocka_unit_test(backward_blocks_pair_in_reverse),
        cmocka_unit_test(backward_blocks_pair_by_sequence_numbers),
        cmocka_unit_test(the_longest_repeat_wins),
        cmocka_unit_test(the_period_of_steps_is_not_that_of_layers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
