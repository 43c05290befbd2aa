/* SPDX-License-Identifier: MIT
 *
 * What every tensor of a job was for, what a person may say about it, and the
 * workload that is made of it.
 */
#include "job.h"

#include <string.h>

#include "base/memory.h"
#include "lower/lower.h"
#include "run/run.h"
#include "workload/recover/overrides.h"
#include "workload/recover/workload.h"

static const job_marks annotated = {.steps = true, .phases = true};

static void roles_follow_from_lifetimes(void **state)
{
    (void)state;
    recovered job = recover_trace(job_trace(annotated), NULL);
    /* sizes of parameters: themselves, gradients of every step, two states each */
    assert_int_equal(count_role(&job, PARAMETER_BYTES, PS_ROLE_PARAMETER), JOB_LAYERS);
    assert_int_equal(count_role(&job, PARAMETER_BYTES, PS_ROLE_GRADIENT), JOB_LAYERS * JOB_STEPS);
    assert_int_equal(count_role(&job, PARAMETER_BYTES, PS_ROLE_OPTIMIZER_STATE), 2 * JOB_LAYERS);
    for (unsigned i = 0; i < JOB_LAYERS; i++) {
        assert_int_equal(count_role(&job, ACTIVATION_BYTES + i * 512, PS_ROLE_ACTIVATION),
                         JOB_STEPS);
    }
    assert_int_equal(count_role(&job, SCRATCH_BYTES, PS_ROLE_TEMPORARY),
                     count_size(&job, SCRATCH_BYTES));
    assert_int_equal(count_role(&job, BACKWARD_SCRATCH_BYTES, PS_ROLE_TEMPORARY),
                     JOB_LAYERS * JOB_STEPS);
    assert_int_equal(count_role(&job, INPUT_BYTES, PS_ROLE_INPUT), JOB_STEPS);
    recovered_end(&job);
}

static void saved_tensors_are_those_alive_behind_the_forward(void **state)
{
    (void)state;
    recovered job = recover_trace(job_trace(annotated), NULL);
    for (size_t b = 0; b < job.found.buffer_count; b++) {
        assert_int_equal(job.found.buffer[b].is_saved,
                         job.plan->buffer.bytes[b] >= ACTIVATION_BYTES);
    }
    recovered_end(&job);
}

static void frames_tell_roles_without_marks(void **state)
{
    (void)state;
    recovered job = recover_trace(job_trace((job_marks){.stacks = true}), NULL);
    assert_int_equal(count_role(&job, PARAMETER_BYTES, PS_ROLE_PARAMETER), JOB_LAYERS);
    assert_int_equal(count_role(&job, PARAMETER_BYTES, PS_ROLE_GRADIENT), JOB_LAYERS * JOB_STEPS);
    assert_int_equal(count_role(&job, PARAMETER_BYTES, PS_ROLE_OPTIMIZER_STATE), 2 * JOB_LAYERS);
    recovered_end(&job);
}

/* An optimizer that makes new tensors: every step replaces parameters and states. */
static void replaced_tensors_keep_their_role(void **state)
{
    (void)state;
    const char *init = "at::_ops::empty::call; model.py:3 __init__";
    const char *zeros = "at::_ops::zeros_like::call; optim/own.py:5 __init__";
    const char *step = "at::_ops::add::call; optim/own.py:9 step";
    const char *forward = "at::_ops::mm::call; model.py:8 forward";
    ps_trace *trace = trace_new();
    ps_error err = {0};
    put_fact(trace, PS_META_MEMORY_SIZES, "requested");
    ps_ns at = 0;
    uint64_t address = 0x7f0000000000u, parameter = 0, moment = 0;
    const struct {
        const char *stack;
        uint64_t *kept;
    } births[] = {{init, &parameter}, {zeros, &moment},   {forward, NULL},
                  {step, &moment},    {step, &parameter}, {forward, NULL},
                  {step, &moment},    {step, &parameter}, {forward, NULL}};
    for (size_t i = 0; i < sizeof births / sizeof births[0]; i++) {
        const size_t row = put_alloc(trace, at += 100, births[i].kept == NULL ? 512 : MIB, address);
        assert_ok(&err, ps_strings_put_z(trace->strings, births[i].stack, &trace->memory.stack[row],
                                         &err));
        if (births[i].kept != NULL && *births[i].kept != 0) {
            (void)put_free(trace, at += 100, MIB, *births[i].kept);
        }
        if (births[i].kept != NULL) {
            *births[i].kept = address;
        } else {
            (void)put_free(trace, at += 100, 512, address);
        }
        address += 64 * MIB;
    }
    recovered job = recover_trace(trace, NULL);
    assert_int_equal(count_role(&job, MIB, PS_ROLE_PARAMETER), 3);
    assert_int_equal(count_role(&job, MIB, PS_ROLE_OPTIMIZER_STATE), 3);
    recovered_end(&job);
}

static void a_product_that_allocates_once_has_a_workspace(void **state)
{
    (void)state;
    ps_trace *trace = trace_new();
    ps_error err = {0};
    put_fact(trace, PS_META_MEMORY_SIZES, "requested");
    uint64_t address = 0x7f0000000000u;
    for (unsigned i = 0; i < 2; i++) {
        const ps_ns start = i * 10000;
        put_step(trace, (span){start, start + 9999}, i);
        put_range(trace, MAIN_THREAD, (span){start + 10, start + 500}, PS_RANGE_ANNOTATION,
                  "forward");
        put_range(trace, MAIN_THREAD, (span){start + 100, start + 400}, PS_RANGE_OPERATOR,
                  "aten::mm");
        put_range(trace, MAIN_THREAD, (span){start + 600, start + 900}, PS_RANGE_ANNOTATION,
                  "backward");
        if (i == 0) {
            (void)put_alloc(trace, start + 200, 8519680, address);
        }
        (void)put_alloc(trace, start + 300, MIB, address + 64 * MIB);
        (void)put_free(trace, start + 700, MIB, address + 64 * MIB);
    }
    assert_ok(&err, ps_trace_sort(trace, &err));
    recovered job = recover_trace(trace, NULL);
    assert_int_equal(count_role(&job, 8519680, PS_ROLE_WORKSPACE), 1);
    assert_int_equal(count_role(&job, MIB, PS_ROLE_ACTIVATION), 2);
    recovered_end(&job);
}

/* Frames tell forwards and would tell a backward; everything is dropped at the end. */
static void a_forward_alone_has_activations_too(void **state)
{
    (void)state;
    const char *forward = "at::_ops::mm::call; model.py:8 forward";
    ps_trace *trace = trace_new();
    ps_error err = {0};
    put_fact(trace, PS_META_MEMORY_SIZES, "requested");
    uint64_t kept[4], address = 0x7f0000000000u;
    ps_ns at = 0;
    for (unsigned layer = 0; layer < 4; layer++) {
        for (unsigned i = 0; i < 4; i++, address += 64 * MIB) {
            char stack[64];
            (void)snprintf(stack, sizeof stack, "at::_ops::op%u::call; model.py:8 forward", i);
            const size_t row = put_alloc(trace, at += 100, i == 0 ? 2 * MIB : MIB, address);
            assert_ok(&err,
                      ps_strings_put_z(trace->strings, stack, &trace->memory.stack[row], &err));
            if (i == 0) {
                kept[layer] = address;
            } else {
                (void)put_free(trace, at += 100, MIB, address);
            }
        }
    }
    const size_t last = put_alloc(trace, at += 100, 4 * KIB, address);
    assert_ok(&err, ps_strings_put_z(trace->strings, forward, &trace->memory.stack[last], &err));
    for (unsigned layer = 0; layer < 4; layer++) {
        (void)put_free(trace, at += 2000, 2 * MIB, kept[layer]);
    }
    recovered job = recover_trace(trace, NULL);
    assert_int_equal(job.found.block_count, 4);
    for (size_t i = 0; i < job.found.phase_count; i++) {
        assert_int_not_equal(job.found.phase[i].phase, PS_PHASE_BACKWARD);
    }
    assert_int_equal(count_role(&job, 2 * MIB, PS_ROLE_ACTIVATION), 4);
    assert_int_equal(count_role(&job, MIB, PS_ROLE_TEMPORARY), 12);
    recovered_end(&job);
}

/* The first step takes a block in forward and one in backward, and the program's end drops all. */
static void what_goes_at_the_end_was_never_freed(void **state)
{
    (void)state;
    ps_trace *trace = trace_new();
    ps_error err = {0};
    put_fact(trace, PS_META_MEMORY_SIZES, "requested");
    const uint64_t weight = 0x7f0000000000u, ours = weight + 64 * MIB, theirs = ours + 64 * MIB;
    const uint64_t kept = theirs + 64 * MIB;
    (void)put_alloc(trace, 10, 3 * MIB, weight);
    for (unsigned i = 0; i < 2; i++) {
        const ps_ns start = 10000 + i * 10000;
        put_step(trace, (span){start, start + 9999}, i);
        put_range(trace, MAIN_THREAD, (span){start + 10, start + 500}, PS_RANGE_ANNOTATION,
                  "forward");
        put_range(trace, MAIN_THREAD, (span){start + 600, start + 900}, PS_RANGE_ANNOTATION,
                  "backward");
        if (i == 0) {
            (void)put_alloc(trace, start + 100, 8 * MIB, ours);
            (void)put_alloc(trace, start + 700, 8 * MIB, theirs);
        }
        (void)put_alloc(trace, start + 300, MIB, kept);
        (void)put_free(trace, start + 800, MIB, kept);
    }
    const struct {
        uint64_t address, bytes;
    } last[] = {{weight, 3 * MIB}, {ours, 8 * MIB}, {theirs, 8 * MIB}};
    for (size_t i = 0; i < sizeof last / sizeof last[0]; i++) {
        (void)put_free(trace, 40000 + (ps_ns)i, last[i].bytes, last[i].address);
    }
    assert_ok(&err, ps_trace_sort(trace, &err));
    recovered job = recover_trace(trace, NULL);
    assert_int_equal(count_role(&job, 3 * MIB, PS_ROLE_PARAMETER), 1);
    assert_int_equal(count_role(&job, 8 * MIB, PS_ROLE_WORKSPACE), 2);
    assert_int_equal(count_role(&job, MIB, PS_ROLE_ACTIVATION), 2);
    recovered_end(&job);
}

static void bytes_by_role_sum_to_the_peak(void **state)
{
    (void)state;
    recovered job = recover_trace(job_trace(annotated), NULL);
    const ps_role_bytes peak = ps_structure_peak(&job.found, job.trace, job.plan, 0);
    uint64_t sum = 0;
    for (int role = 0; role < PS_ROLE_COUNT; role++) {
        sum += peak.bytes[role];
    }
    assert_int_equal(sum, peak.total_bytes);
    assert_int_equal(peak.bytes[PS_ROLE_PARAMETER], JOB_LAYERS * PARAMETER_BYTES);
    assert_true(peak.bytes[PS_ROLE_ACTIVATION] >= 3 * ACTIVATION_BYTES);
    recovered_end(&job);
}

static void roles_in_a_plan_change_no_figure(void **state)
{
    (void)state;
    recovered job = recover_trace(job_trace(annotated), NULL);
    ps_result before = run_plan(job.plan);
    ps_structure_label_plan(&job.found, 500, job.plan);
    ps_result after = run_plan(job.plan);
    assert_int_equal(before.device[0].peak_allocated_bytes, after.device[0].peak_allocated_bytes);
    assert_int_equal(before.device[0].peak_reserved_bytes, after.device[0].peak_reserved_bytes);
    assert_int_equal(before.makespan_ns, after.makespan_ns);
    assert_int_equal(after.device[0].allocated_check.compared,
                     after.device[0].allocated_check.equal);
    bool has_parameters = false;
    for (size_t i = 0; i < after.device[0].group_count; i++) {
        has_parameters =
            has_parameters || (after.device[0].group[i].role == PS_ROLE_PARAMETER &&
                               after.device[0].group[i].bytes == JOB_LAYERS * PARAMETER_BYTES);
    }
    assert_true(has_parameters);
    ps_result_fini(&before);
    ps_result_fini(&after);
    recovered_end(&job);
}

/* ---- overrides ---- */

static ps_overrides read_overrides(const char *text)
{
    ps_error err = {0};
    ps_overrides out;
    assert_ok(&err, ps_overrides_read("s.csv", text, strlen(text), &out, &err));
    return out;
}

static void a_structure_file_overrides_roles(void **state)
{
    (void)state;
    ps_overrides overrides = read_overrides("what,selector,value\n"
                                            "# scratch of an extension\n"
                                            "role,size=768KiB,workspace\n"
                                            "role,size=655360,input\n");
    recovered job = recover_trace(job_trace(annotated), &overrides);
    assert_int_equal(count_role(&job, SCRATCH_BYTES, PS_ROLE_WORKSPACE),
                     count_size(&job, SCRATCH_BYTES));
    assert_int_equal(count_role(&job, BACKWARD_SCRATCH_BYTES, PS_ROLE_INPUT),
                     JOB_LAYERS * JOB_STEPS);
    recovered_end(&job);
    ps_overrides_fini(&overrides);
}

static void a_structure_file_names_steps_phases_and_blocks(void **state)
{
    (void)state;
    ps_trace *trace = trace_new();
    ps_error err = {0};
    put_fact(trace, PS_META_MEMORY_SIZES, "requested");
    for (unsigned i = 0; i < 3; i++) {
        put_range(trace, MAIN_THREAD, (span){i * 1000, i * 1000 + 900}, PS_RANGE_ANNOTATION,
                  "train_it");
        put_range(trace, MAIN_THREAD, (span){i * 1000 + 100, i * 1000 + 300}, PS_RANGE_ANNOTATION,
                  "my layer 1");
        put_range(trace, MAIN_THREAD, (span){i * 1000 + 500, i * 1000 + 700}, PS_RANGE_ANNOTATION,
                  "reverse pass");
        (void)put_alloc(trace, i * 1000 + 200, MIB, 0x7f0000000000u + i * 64 * MIB);
        (void)put_free(trace, i * 1000 + 600, MIB, 0x7f0000000000u + i * 64 * MIB);
    }
    assert_ok(&err, ps_trace_sort(trace, &err));
    ps_overrides overrides = read_overrides("step,range=train_*,\n"
                                            "phase,range=reverse pass,backward\n"
                                            "phase,time=2.65us..2.9us,optimizer\n"
                                            "block,range=*layer*,\n");
    recovered job = recover_trace(trace, &overrides);
    assert_int_equal(job.found.step_count, 3);
    assert_int_equal(job.found.block_count, 3);
    assert_int_equal(ps_structure_phase_at(&job.found, TRACE_ORIGIN_NS + 600), PS_PHASE_BACKWARD);
    assert_int_equal(ps_structure_phase_at(&job.found, TRACE_ORIGIN_NS + 1200), PS_PHASE_FORWARD);
    assert_int_equal(ps_structure_phase_at(&job.found, TRACE_ORIGIN_NS + 2700), PS_PHASE_OPTIMIZER);
    assert_int_equal(count_role(&job, MIB, PS_ROLE_ACTIVATION), 3);
    recovered_end(&job);
    ps_overrides_fini(&overrides);
}

static void a_structure_file_that_names_nothing_is_refused(void **state)
{
    (void)state;
    ps_error err = {0};
    ps_overrides overrides = read_overrides("step,range=nowhere,\n");
    ps_trace *trace = job_trace(annotated);
    ps_plan *plan = NULL;
    ps_structure found;
    assert_ok(&err, ps_lower_trace(trace, &plan, &err));
    assert_int_equal(ps_structure_recover(trace, plan, &overrides, &found, &err), PS_USAGE);
    assert_non_null(strstr(err.message, "nowhere"));
    ps_plan_destroy(plan);
    ps_trace_destroy(trace);
    ps_overrides_fini(&overrides);
}

static void bad_structure_files_say_line_and_reason(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"role,size=1\n", "s.csv, line 1: a row has three fields"},
        {"roles,size=1,input\n", "s.csv, line 1: a row says step, phase, block, role or scaling"},
        {"\nrole,bytes=1,input\n", "s.csv, line 2: a selector is range="},
        {"role,size=many,input\n", "s.csv, line 1: not a size: \"many\""},
        {"role,size=1,cache\n", "s.csv, line 1: not a role: \"cache\""},
        {"role,time=1ms..2ms,input\n", "such a row cannot be selected by"},
        {"phase,time=2ms..1ms,forward\n", "not a time such as 1.2ms..3.4ms"},
        {"phase,time=2,forward\n", "not a time such as 1.2ms..3.4ms"},
        {"phase,range=x,sideways\n", "not a phase: \"sideways\""},
        {"scaling,size=512,cubic\n", "not a scaling: \"cubic\""},
        {"step,range=x,y\n", "a step or block takes no value"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ps_error err = {0};
        ps_overrides out;
        char text[512];
        assert_int_equal(
            ps_overrides_read("s.csv", cases[i].text, strlen(cases[i].text), &out, &err),
            PS_BAD_INPUT);
        ps_error_format(&err, text, sizeof text);
        if (strstr(text, cases[i].message) == NULL) {
            fail_msg("case %zu: %s", i, text);
        }
    }
}

static void stars_stand_for_any_text(void **state)
{
    (void)state;
    assert_true(ps_pattern_matches("a*c", "abbbc"));
    assert_true(ps_pattern_matches("*", ""));
    assert_true(ps_pattern_matches("*Layer*", "model.layers.3 (DecoderLayer)"));
    assert_true(ps_pattern_matches("a*b*c", "axbxbxc"));
    assert_false(ps_pattern_matches("a*c", "abbbd"));
    assert_false(ps_pattern_matches("", "a"));
    assert_false(ps_pattern_matches("ab", "abc"));
}

/* ---- the workload ---- */

static void the_workload_holds_what_was_found(void **state)
{
    (void)state;
    ps_error err = {0};
    recovered job =
        recover_trace(job_trace((job_marks){.steps = true, .phases = true, .modules = true}), NULL);
    ps_workload *workload;
    assert_ok(&err, ps_recover(job.trace, job.plan, &job.found, 0, &workload, &err));
    assert_int_equal(workload->tensor.head.count, job.plan->buffer.head.count);
    assert_int_equal(workload->step.head.count, JOB_STEPS);
    assert_int_equal(workload->step.is_first[0], 1);
    assert_int_equal(workload->step.is_first[1], 0);
    assert_int_equal(workload->block.head.count, JOB_LAYERS);
    assert_int_equal(workload->op.head.count, JOB_STEPS); /* the copies of the inputs */
    assert_int_equal(workload->finding.head.count, job.found.finding_count);
    size_t allocs = 0, frees = 0;
    for (size_t i = 0; i < workload->event.head.count; i++) {
        allocs += workload->event.kind[i] == PS_WORKLOAD_EVENT_ALLOC;
        frees += workload->event.kind[i] == PS_WORKLOAD_EVENT_FREE;
    }
    assert_int_equal(allocs, workload->tensor.head.count);
    assert_int_equal(allocs - frees, 3 * JOB_LAYERS); /* parameters and states stay */
    assert_int_equal(ps_recover(job.trace, job.plan, &job.found, 1, &workload, &err), PS_BAD_INPUT);
    ps_workload_destroy(workload);
    recovered_end(&job);
}

static void running_out_of_memory_is_said(void **state)
{
    (void)state;
    recovered job = recover_trace(
        job_trace((job_marks){.steps = true, .phases = true, .sequences = true}), NULL);
    for (unsigned long nth = 1;; nth++) {
        ps_error err = {0};
        ps_structure found;
        ps_workload *workload = NULL;
        assert_true(nth < 100000);
        ps_memory_fail_nth(nth);
        ps_code code = ps_structure_recover(job.trace, job.plan, NULL, &found, &err);
        if (code == PS_OK) {
            code = ps_recover(job.trace, job.plan, &found, 0, &workload, &err);
            ps_structure_fini(&found);
        }
        ps_memory_fail_nth(0);
        if (code == PS_OK) {
            ps_workload_destroy(workload);
            break;
        }
        assert_int_equal(code, PS_NOMEM);
        assert_null(workload);
    }
    recovered_end(&job);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(roles_follow_from_lifetimes),
        cmocka_unit_test(saved_tensors_are_those_alive_behind_the_forward),
        cmocka_unit_test(frames_tell_roles_without_marks),
        cmocka_unit_test(replaced_tensors_keep_their_role),
        cmocka_unit_test(a_product_that_allocates_once_has_a_workspace),
        cmocka_unit_test(what_goes_at_the_end_was_never_freed),
        cmocka_unit_test(a_forward_alone_has_activations_too),
        cmocka_unit_test(bytes_by_role_sum_to_the_peak),
        cmocka_unit_test(roles_in_a_plan_change_no_figure),
        cmocka_unit_test(a_structure_file_overrides_roles),
        cmocka_unit_test(a_structure_file_names_steps_phases_and_blocks),
        cmocka_unit_test(a_structure_file_that_names_nothing_is_refused),
        cmocka_unit_test(bad_structure_files_say_line_and_reason),
        cmocka_unit_test(stars_stand_for_any_text),
        cmocka_unit_test(the_workload_holds_what_was_found),
        cmocka_unit_test(running_out_of_memory_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
