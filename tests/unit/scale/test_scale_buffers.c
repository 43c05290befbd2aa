/* SPDX-License-Identifier: MIT
 *
 * A run of one batch and sequence, scaled to another, asks for the bytes that
 * a run of the other asks for.
 */
#include "model.h"

#include <stdlib.h>

#include "base/memory.h"
#include "workload/recover/overrides.h"

/* The runs the tests go between. In the last ones batch, sequence and widths are the same numbers.
 * A sequence as long as a head is wide (16) stays ambiguous and is no part of this. */
static const struct {
    uint64_t batch, sequence;
} runs[] = {{16, 66}, {3, 50}, {10, 100}, {64, 37}, {128, 128}, {128, 32}, {8, 512}};

#define RUNS (sizeof runs / sizeof runs[0])

static void assert_sizes(const model *scaled, const model *wanted)
{
    assert_int_equal(scaled->plan->buffer.head.count, wanted->plan->buffer.head.count);
    for (size_t b = 0; b < scaled->plan->buffer.head.count; b++) {
        if (scaled->plan->buffer.bytes[b] != wanted->plan->buffer.bytes[b]) {
            fail_msg("buffer %zu (%s): %llu bytes, wanted %llu", b,
                     ps_strings_text(scaled->plan->strings, scaled->plan->buffer.label[b]),
                     (unsigned long long)scaled->plan->buffer.bytes[b],
                     (unsigned long long)wanted->plan->buffer.bytes[b]);
        }
    }
}

static void go_between(size_t from, size_t to, bool has_shapes, bool has_blocks, bool has_frames)
{
    model a = model_open(model_trace((recording){.batch = runs[from].batch,
                                                 .sequence = runs[from].sequence,
                                                 .has_shapes = has_shapes,
                                                 .has_blocks = has_blocks,
                                                 .has_frames = has_frames}));
    model b = model_open(model_trace(
        (recording){.batch = runs[to].batch, .sequence = runs[to].sequence, .has_shapes = true}));
    const ps_whatif_scale scale = model_scale(
        &a, (target){runs[to].batch, runs[to].sequence, runs[from].batch, runs[from].sequence});
    apply_change(a.plan, &(ps_whatif){.scale = &scale});
    if (from != to) {
        assert_sizes(&a, &b);
    }
    model_close(&a);
    model_close(&b);
}

static void shapes_give_the_sizes_of_any_other_run(void **state)
{
    (void)state;
    for (size_t from = 0; from < RUNS; from++) {
        for (size_t to = 0; to < RUNS; to++) {
            go_between(from, to, true, false, false);
        }
    }
}

static void shapes_see_through_blocks(void **state)
{
    (void)state;
    for (size_t from = 0; from < RUNS; from++) {
        model a = model_open(model_trace((recording){.batch = runs[from].batch,
                                                     .sequence = runs[from].sequence,
                                                     .has_shapes = true,
                                                     .has_blocks = true}));
        model b =
            model_open(model_trace((recording){.batch = 24, .sequence = 96, .has_shapes = true}));
        const ps_whatif_scale scale =
            model_scale(&a, (target){24, 96, runs[from].batch, runs[from].sequence});
        apply_change(a.plan, &(ps_whatif){.scale = &scale});
        for (size_t i = 0; i < a.plan->buffer.head.count; i++) {
            const uint64_t wanted = b.plan->buffer.bytes[i];
            if (a.plan->buffer.growth[i] == PS_GROWTH_FIXED) {
                assert_true(a.plan->buffer.bytes[i] >= wanted); /* a block as recorded */
            } else {
                assert_int_equal(a.plan->buffer.bytes[i], wanted);
            }
        }
        assert_int_equal(a.plan->device.sizes_are_blocks[0], 0);
        model_close(&a);
        model_close(&b);
    }
}

/* Frames and sizes alone, where the sequence is no power of two that widths are made of. */
static void sizes_alone_tell_where_numbers_differ(void **state)
{
    (void)state;
    model a =
        model_open(model_trace((recording){.batch = 10, .sequence = 100, .has_frames = true}));
    model b =
        model_open(model_trace((recording){.batch = 10, .sequence = 250, .has_frames = true}));
    const ps_whatif_scale scale = model_scale(&a, (target){0, 250, 0, 100});
    apply_change(a.plan, &(ps_whatif){.scale = &scale});
    assert_sizes(&a, &b);
    size_t squared = 0;
    for (size_t i = 0; i < a.plan->buffer.head.count; i++) {
        squared += a.plan->buffer.growth[i] == PS_GROWTH_SEQUENCE_SQUARED;
    }
    assert_int_equal(squared, 2 * LAYERS);
    model_close(&a);
    model_close(&b);
}

static void there_and_back_gives_the_sizes_again(void **state)
{
    (void)state;
    for (size_t from = 0; from < RUNS; from++) {
        /* sizes after one scaling are those of that run: go_between shows it; so back it goes */
        go_between(from, (from + 1) % RUNS, true, false, false);
        go_between((from + 1) % RUNS, from, true, false, false);
    }
}

static void the_same_run_stays_as_it_is(void **state)
{
    (void)state;
    const recording same = {.batch = 16, .sequence = 66, .has_shapes = true, .has_blocks = true};
    model a = model_open(model_trace(same));
    model b = model_open(model_trace(same));
    const ps_whatif_scale scale = model_scale(&a, (target){16, 66, 16, 66});
    apply_change(a.plan, &(ps_whatif){.scale = &scale});
    apply_change(b.plan, &(ps_whatif){0});
    char *x = json_of(a.plan), *y = json_of(b.plan);
    assert_string_equal(x, y);
    free(x);
    free(y);
    model_close(&a);
    model_close(&b);
}

static void the_embedding_tells_batch_and_sequence(void **state)
{
    (void)state;
    ps_error err = {0};
    uint64_t batch = 0, sequence = 0;
    model a = model_open(model_trace((recording){.batch = 6, .sequence = 40, .has_shapes = true}));
    assert_ok(&err, ps_scale_find_recorded(a.trace, &batch, &sequence, &err));
    assert_int_equal(batch, 6);
    assert_int_equal(sequence, 40);
    put_fact(a.trace, "batch-size", "3");
    assert_ok(&err, ps_scale_find_recorded(a.trace, &batch, &sequence, &err));
    assert_int_equal(batch, 3);
    model_close(&a);
}

static void what_the_trace_does_not_tell_is_asked_for(void **state)
{
    (void)state;
    model a = model_open(model_trace((recording){.batch = 6, .sequence = 40}));
    ps_whatif_scale scale = model_scale(&a, (target){.batch = 12});
    is_refused(a.plan, &(ps_whatif){.scale = &scale}, PS_USAGE, "--recorded-batch");
    scale = model_scale(&a, (target){.sequence = 12});
    is_refused(a.plan, &(ps_whatif){.scale = &scale}, PS_USAGE, "--recorded-seq");
    scale.trace = NULL;
    is_refused(a.plan, &(ps_whatif){.scale = &scale}, PS_USAGE, "needs the trace");
    scale = model_scale(&a, (target){.batch = (uint64_t)1 << 40, .recorded_batch = 1});
    is_refused(a.plan, &(ps_whatif){.scale = &scale}, PS_USAGE, "more than this can count");
    model_close(&a);
}

static void a_person_may_know_better(void **state)
{
    (void)state;
    ps_error err = {0};
    static const char text[] = "scaling,size=131072,batch\nscaling,label=*embedding*,fixed\n";
    ps_overrides overrides;
    assert_ok(&err, ps_overrides_read("s.csv", text, sizeof text - 1, &overrides, &err));
    model a = model_open(model_trace((recording){.batch = 16, .sequence = 66, .has_shapes = true}));
    ps_whatif_scale scale = model_scale(&a, (target){32, 0, 16, 66});
    scale.overrides = &overrides;
    apply_change(a.plan, &(ps_whatif){.scale = &scale});
    size_t casts = 0;
    for (size_t i = 0; i < a.plan->buffer.head.count; i++) {
        const char *label = ps_strings_text(a.plan->strings, a.plan->buffer.label[i]);
        casts += a.plan->buffer.bytes[i] == 262144 &&
                 a.plan->buffer.growth[i] == PS_GROWTH_BATCH; /* the weight's cast, doubled */
        if (strcmp(label, "aten::embedding") == 0) {
            assert_int_equal(a.plan->buffer.bytes[i], 16 * 66 * WIDTH * 4);
        }
    }
    assert_int_equal(casts, LAYERS);
    ps_overrides_fini(&overrides);
    model_close(&a);
}

static void the_result_says_what_was_assumed(void **state)
{
    (void)state;
    model a = model_open(model_trace((recording){.batch = 16, .sequence = 66, .has_shapes = true}));
    const ps_whatif_scale scale = model_scale(&a, (target){32, 132, 0, 0});
    apply_change(a.plan, &(ps_whatif){.scale = &scale});
    ps_result result = run_plan(a.plan);
    const ps_result_device *device = &result.device[0];
    assert_true(device->is_scaled);
    uint64_t bytes = 0;
    for (int growth = 0; growth < PS_GROWTH_COUNT; growth++) {
        bytes += device->growth_bytes[growth];
    }
    assert_int_equal(bytes, device->peak_allocated_bytes);
    assert_int_equal(device->growth_count[PS_GROWTH_BATCH_SEQUENCE_SQUARED], 2 * LAYERS);
    assert_string_equal(ps_plan_meta(a.plan, PS_PLAN_META_BATCH), "16 -> 32");
    assert_string_equal(ps_plan_meta(a.plan, PS_PLAN_META_SEQUENCE), "66 -> 132");
    ps_result_fini(&result);
    model_close(&a);
}

static void running_out_of_memory_is_said(void **state)
{
    (void)state;
    for (unsigned long nth = 1;; nth++) {
        ps_error err = {0};
        assert_true(nth < 100000);
        model a =
            model_open(model_trace((recording){.batch = 4, .sequence = 20, .has_shapes = true}));
        const ps_whatif_scale scale = model_scale(&a, (target){8, 30, 4, 20});
        ps_catalogue *catalogue = ps_catalogue_create_empty();
        assert_non_null(catalogue);
        assert_ok(&err, ps_catalogue_read_memory(catalogue, "hardware.csv", hardware_csv,
                                                 strlen(hardware_csv), &err));
        ps_memory_fail_nth(nth);
        const ps_code code =
            ps_whatif_apply(a.plan, catalogue, &(ps_whatif){.scale = &scale}, &err);
        ps_memory_fail_nth(0);
        ps_catalogue_destroy(catalogue);
        model_close(&a);
        if (code == PS_OK) {
            break;
        }
        assert_int_equal(code, PS_NOMEM);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shapes_give_the_sizes_of_any_other_run),
        cmocka_unit_test(shapes_see_through_blocks),
        cmocka_unit_test(sizes_alone_tell_where_numbers_differ),
        cmocka_unit_test(there_and_back_gives_the_sizes_again),
        cmocka_unit_test(the_same_run_stays_as_it_is),
        cmocka_unit_test(the_embedding_tells_batch_and_sequence),
        cmocka_unit_test(what_the_trace_does_not_tell_is_asked_for),
        cmocka_unit_test(a_person_may_know_better),
        cmocka_unit_test(the_result_says_what_was_assumed),
        cmocka_unit_test(running_out_of_memory_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
