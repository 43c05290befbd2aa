/* SPDX-License-Identifier: MIT
 *
 * Parameters of recorded jobs lie in the host: what was recorded stays as it
 * was, the changed plan is proved, and every wait it adds is needed.
 */
#include "layer_job.h"
#include "offload_job.h"

#include "import/import.h"
#include "trace/file.h"

/* ---- recordings ---- */

static void recordings_of_models(void **state)
{
    static const char *const names[] = {
        "bert-fp32-sdpa-adamw",    "gemma2-bf16-sdpa-adamw",          "gpt2-amp-sdpa-adamw",
        "gpt2-fp32-sdpa-adamw",    "gpt2-fp32-sdpa-adamw-long",       "gpt_neo-fp32-eager-adamw",
        "opt-fp32-sdpa-adamw",     "gpt_neox-fp32-sdpa-adamw",        "llama-bf16-sdpa-adamw",
        "mixtral-bf16-sdpa-adamw", "llama-bf16-sdpa-adamw-lora",      "qwen3-bf16-sdpa-adamw",
        "llama-fp32-eager-sgd",    "llama-fp32-sdpa-adamw-checkpoint"};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        ps_error err = {0};
        uint64_t host, none;
        job j = committed(names[i]);
        assert_ok(&err, change(&j, &err));
        assert_proved(j.changed);
        assert_recorded_tasks(j.recorded, j.changed);
        assert_recorded_requests(j.recorded, j.changed);
        assert_int_equal(needless_wait(j.changed), NO_ROW);
        assert_true(peak_live_bytes(j.changed, &host) <= peak_live_bytes(j.recorded, &none));
        assert_true(host > 0);
        fini(&j);
    }
}

/* Sizes of the model itself: two layers of 240 wide, 632 inside, 6 heads and 2 of keys. */
static void parameters_of_a_recording_are_those_of_its_model(void **state)
{
    ps_error err = {0};
    const uint64_t layer = 2 * (2 * 240 * 240 + 2 * 240 * 80 + 3 * 240 * 632 + 2 * 240);
    (void)state;
    job full = committed("llama-bf16-sdpa-adamw"), lora = committed("llama-bf16-sdpa-adamw-lora");
    assert_ok(&err, change(&full, &err));
    assert_ok(&err, change(&lora, &err));
    assert_int_equal(copied_bytes(full.changed, PS_COPY_HTOD), 2 * 3 * layer);
    assert_int_equal(copied_bytes(full.changed, PS_COPY_DTOH), 2 * 2 * layer);
    assert_int_equal(copied_bytes(lora.changed, PS_COPY_HTOD), 2 * 3 * layer);
    assert_int_equal(copied_bytes(lora.changed, PS_COPY_DTOH), 0);
    fini(&full);
    fini(&lora);
}

static void made_jobs_keep_what_was_recorded(void **state)
{
    ps_error err = {0};
    layer_job of = layer_job_forward;
    (void)state;
    of.trains = true;
    of.steps = 2;
    job j = loaded(layer_job_trace(&of));
    assert_ok(&err, change(&j, &err));
    assert_recorded_tasks(j.recorded, j.changed);
    assert_recorded_requests(j.recorded, j.changed);
    assert_int_equal(needless_wait(j.changed), NO_ROW);
    fini(&j);
}

static void both_kinds_go_together(void **state)
{
    ps_error err = {0};
    uint64_t host, alone;
    (void)state;
    job j = committed("gpt2-fp32-sdpa-adamw-long"), k = committed("gpt2-fp32-sdpa-adamw-long");
    assert_ok(&err, change(&j, &err));
    assert_ok(
        &err,
        change_as(&k, (ps_offload){.parameters = true, .activations = true, .prefetch = 1}, &err));
    assert_proved(k.changed);
    assert_recorded_tasks(k.recorded, k.changed);
    assert_true(peak_live_bytes(k.changed, &host) < peak_live_bytes(j.changed, &alone));
    assert_true(host > alone);
    fini(&j);
    fini(&k);
}

/* The host's optimizer writes what lies in the host: nothing goes back to the device behind it but
 * with its block, and of the device only gradients leave. */
static void with_the_optimizer_on_the_host(void **state)
{
    ps_error err = {0};
    uint64_t host, none;
    layer_job of = layer_job_forward;
    const ps_offload what = {.parameters = true, .optimizer = true, .prefetch = 1};
    (void)state;
    of.trains = true;
    of.steps = 3;
    job j = loaded(layer_job_trace(&of));
    assert_ok(&err, change_as(&j, what, &err));
    assert_proved(j.changed);
    assert_int_equal(copied_bytes(j.changed, PS_COPY_HTOD),
                     of.steps * (2 * LAYERS - 1) * LAYER_BYTES);
    assert_int_equal(copied_bytes(j.changed, PS_COPY_DTOH), of.steps * LAYERS * LAYER_BYTES);
    /* gone are parameters and two states; gradients are from before, too, and stay */
    assert_int_equal(peak_live_bytes(j.changed, &host), peak_live_bytes(j.recorded, &none) -
                                                            3 * LAYERS * LAYER_BYTES +
                                                            2 * LAYER_BYTES);
    fini(&j);
    job k = committed("gpt2-fp32-sdpa-adamw-long");
    assert_ok(&err, change_as(&k, what, &err));
    assert_proved(k.changed);
    assert_true(peak_live_bytes(k.changed, &host) < peak_live_bytes(k.recorded, &none));
    fini(&k);
}

/* What autograd's thread does between two calls of the program's own is as if that one did it. */
static void backward_may_have_a_thread(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        ps_error err = {0};
        uint64_t host, as_much;
        layer_job of = layer_job_forward;
        const ps_offload what = {
            .parameters = true, .optimizer = i % 2 == 1, .prefetch = (uint32_t)i / 2};
        of.trains = true;
        of.steps = 3;
        job j = loaded(layer_job_trace(&of));
        of.has_threads = true;
        job k = loaded(layer_job_trace(&of));
        assert_ok(&err, change_as(&j, what, &err));
        assert_ok(&err, change_as(&k, what, &err));
        assert_proved(k.changed);
        assert_int_equal(copied_bytes(j.changed, PS_COPY_HTOD),
                         copied_bytes(k.changed, PS_COPY_HTOD));
        assert_int_equal(ran_ns(j.changed, "last", 2), ran_ns(k.changed, "last", 2));
        assert_int_equal(peak_live_bytes(j.changed, &host), peak_live_bytes(k.changed, &as_much));
        assert_int_equal(host, as_much);
        fini(&j);
        fini(&k);
    }
}

/* A recording whose layers are ranges, and whose backward passes only repeat, as `peakstep record` of
 * a job on a GPU has it: ranges are put where the pieces of the recording without them begin. */
static void layers_with_ranges_and_backward_without(void **state)
{
    ps_error err = {0};
    ps_trace *trace;
    (void)state;
    job bare = committed("gpt2-fp32-sdpa-adamw-long");
    assert_ok(&err, ps_trace_read(MODELS "gpt2-fp32-sdpa-adamw-long.pstrace", &trace, NULL, &err));
    for (size_t i = 0; i < bare.structure.block_count; i++) {
        const ps_structure_block *of = &bare.structure.block[i];
        char name[64];
        (void)snprintf(name, sizeof name, "transformer.h.%zu (GPT2Block)", i % 2);
        if (of->phase == PS_PHASE_FORWARD) {
            put_range(trace, MAIN_THREAD,
                      (span){of->start_ns - TRACE_ORIGIN_NS, of->end_ns - TRACE_ORIGIN_NS},
                      PS_RANGE_ANNOTATION, name);
        }
    }
    job named = loaded(trace);
    assert_int_equal(named.structure.block_count, bare.structure.block_count);
    for (size_t i = 0; i < named.structure.block_count; i++) {
        assert_int_equal(named.structure.block[i].phase, bare.structure.block[i].phase);
        assert_int_equal(named.structure.block[i].pair, bare.structure.block[i].pair);
    }
    assert_ok(&err, change(&bare, &err));
    assert_ok(&err, change(&named, &err));
    assert_proved(named.changed);
    assert_int_equal(copied_bytes(named.changed, PS_COPY_HTOD),
                     copied_bytes(bare.changed, PS_COPY_HTOD));
    assert_int_equal(copied_bytes(named.changed, PS_COPY_DTOH),
                     copied_bytes(bare.changed, PS_COPY_DTOH));
    fini(&bare);
    fini(&named);
}

/* ---- real recordings ---- */

static bool import(const char *name, job *out)
{
    ps_error err = {0};
    char path[1024];
    ps_trace_builder *builder;
    ps_trace *trace;
    const char *shared = ps_test_shared();
    (void)snprintf(path, sizeof path, "%.512s/traces/real/%s", shared == NULL ? "" : shared, name);
    FILE *there = shared == NULL ? NULL : fopen(path, "r");
    if (there == NULL) {
        return false;
    }
    (void)fclose(there);
    assert_ok(&err, ps_trace_builder_open_memory(&builder, &err));
    assert_ok(&err, ps_import_file(path, NULL, builder, NULL, &err));
    assert_ok(&err, ps_trace_builder_take(builder, &trace, &err));
    *out = loaded(trace);
    return true;
}

/* Recordings of others that have shapes, blocks and memory: bytes of their blocks' parameters, as
 * the published models have them where they are published ones. */
static void real_recordings(void **state)
{
#define TRACELENS "AMD-AGI+TraceLens/tests/traces/"
    static const struct {
        const char *name;
        uint64_t bytes, up, down;
    } rows[] = {
        {TRACELENS "h100/Qwen_Qwen1.5-0.5B-Chat__1016005.json.gz", 616710144, 616710144, 0},
        {TRACELENS "mi300/Qwen_Qwen1.5-0.5B-Chat__1016005.json.gz", 616710144, 616710144, 0},
        {TRACELENS "h100/gaunernst_bert-small-uncased__1016001.json.gz", 25219072, 25219072, 0},
        {TRACELENS "mi300/gaunernst_bert-small-uncased__1016001.json.gz", 25219072, 25219072, 0},
        {TRACELENS "h100/Falconsai_nsfw_image_detection__1016002.json.gz", 170108928, 170108928, 0},
        {TRACELENS "mi300/Falconsai_nsfw_image_detection__1016002.json.gz", 170108928, 170108928,
         0},
        {"sarchlab+triosim/tracer/data/profiler/profiler_vgg13-iter41.json", 532191392, 569811360,
         532191392},
    };
    bool any = false;
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        ps_error err = {0};
        job j;
        uint64_t host, none;
        if (!import(rows[i].name, &j)) {
            continue;
        }
        any = true;
        j.rate = 25000000000;
        assert_ok(&err, change(&j, &err));
        assert_proved(j.changed);
        assert_recorded_tasks(j.recorded, j.changed);
        assert_recorded_requests(j.recorded, j.changed);
        assert_int_equal(copied_bytes(j.changed, PS_COPY_HTOD), rows[i].up);
        assert_int_equal(copied_bytes(j.changed, PS_COPY_DTOH), rows[i].down);
        assert_true(peak_live_bytes(j.changed, &host) <= peak_live_bytes(j.recorded, &none));
        assert_true(host >= rows[i].bytes);
        fini(&j);
    }
    if (!any) {
        skip();
    }
}

/* One whose backward pass is autograd's, and whose scaled gradients are changed behind it. */
static void a_real_recording_with_its_optimizer(void **state)
{
    ps_error err = {0};
    uint64_t host, none;
    job j;
    (void)state;
    if (!import("incredere+gpu-profiling-pytorch-lab/Level2_mixed_precision_profiling/"
                "amp.pt.trace.json",
                &j)) {
        skip();
    }
    assert_ok(
        &err,
        change_as(&j, (ps_offload){.parameters = true, .optimizer = true, .prefetch = 1}, &err));
    assert_proved(j.changed);
    assert_true(peak_live_bytes(j.changed, &host) < peak_live_bytes(j.recorded, &none));
    fini(&j);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recordings_of_models),
        cmocka_unit_test(parameters_of_a_recording_are_those_of_its_model),
        cmocka_unit_test(made_jobs_keep_what_was_recorded),
        cmocka_unit_test(both_kinds_go_together),
        cmocka_unit_test(with_the_optimizer_on_the_host),
        cmocka_unit_test(backward_may_have_a_thread),
        cmocka_unit_test(layers_with_ranges_and_backward_without),
        cmocka_unit_test(real_recordings),
        cmocka_unit_test(a_real_recording_with_its_optimizer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
