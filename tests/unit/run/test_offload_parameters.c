/* SPDX-License-Identifier: MIT
 *
 * Parameters of recorded jobs lie in the host: blocks and their parameters are
 * found, the changed plan is proved, memory goes by what moves, and the step
 * takes what copies or kernels take, whichever are longer. Jobs are those of
 * layer_job.h.
 */
#include "host_network.h"
#include "layer_job.h"
#include "offload_job.h"

#include <string.h>

#include "base/memory.h"
#include "lower/lower.h"
#include "policy/whatif.h"

/* ---- closed forms ---- */

static void copies_take_longer_than_kernels(void **state)
{
    ps_error err = {0};
    (void)state;
    job j = loaded(layer_job_trace(&layer_job_forward));
    assert_ok(&err, change(&j, &err));
    assert_proved(j.changed);
    /* one upload behind the other; the last block's kernel shows */
    assert_int_equal(ran_ns(j.changed, "gemm", LAYERS - 1),
                     LAYERS * block_ns(&j) + layer_job_forward.kernel_ns);
    assert_int_equal(copied_bytes(j.changed, PS_COPY_HTOD), LAYERS * LAYER_BYTES);
    assert_int_equal(copied_bytes(j.changed, PS_COPY_DTOH), 0);
    fini(&j);
}

static void kernels_take_longer_than_copies(void **state)
{
    ps_error err = {0};
    layer_job of = layer_job_forward;
    (void)state;
    of.kernel_ns = 20000000;
    job j = loaded(layer_job_trace(&of));
    assert_ok(&err, change(&j, &err));
    /* of the uploads only the first one shows */
    assert_int_equal(ran_ns(j.changed, "gemm", LAYERS - 1),
                     block_ns(&j) + (ps_ns)LAYERS * of.kernel_ns);
    fini(&j);
}

static void nothing_ahead_is_nothing_hidden(void **state)
{
    ps_error err = {0};
    layer_job of = layer_job_forward;
    (void)state;
    of.kernel_ns = 20000000;
    job j = loaded(layer_job_trace(&of));
    assert_ok(&err, change_as(&j, (ps_offload){.parameters = true}, &err));
    assert_proved(j.changed);
    assert_int_equal(ran_ns(j.changed, "gemm", LAYERS - 1),
                     (ps_ns)LAYERS * (block_ns(&j) + of.kernel_ns));
    fini(&j);
}

/* F0 F1 F2 F3 B3 B2 B1 B0: the last block stays, others come twice; all go back when written. */
static void trained_parameters_go_back_when_the_optimizer_has_written_them(void **state)
{
    ps_error err = {0};
    layer_job of = layer_job_forward;
    (void)state;
    of.trains = true;
    of.steps = 2;
    job j = loaded(layer_job_trace(&of));
    assert_ok(&err, change(&j, &err));
    assert_proved(j.changed);
    const ps_ns backward_ns = (LAYERS - 1) * block_ns(&j) + of.kernel_ns;
    const ps_ns adam_ns = LAYERS * block_ns(&j) + of.kernel_ns + backward_ns + of.kernel_ns;
    assert_int_equal(ran_ns(j.changed, "adam", 0), adam_ns);
    assert_int_equal(ran_ns(j.changed, "last", 0), adam_ns + LAYERS * block_ns(&j) + 1000);
    assert_int_equal(copied_bytes(j.changed, PS_COPY_HTOD), 2 * (2 * LAYERS - 1) * LAYER_BYTES);
    assert_int_equal(copied_bytes(j.changed, PS_COPY_DTOH), 2 * LAYERS * LAYER_BYTES);
    fini(&j);
}

static void frozen_parameters_never_go_back(void **state)
{
    ps_error err = {0};
    layer_job of = layer_job_forward;
    (void)state;
    of.trains = of.has_adapters = true;
    of.steps = 2;
    job j = loaded(layer_job_trace(&of));
    assert_ok(&err, change(&j, &err));
    assert_proved(j.changed);
    /* adapters stay, as what is trained beside frozen weights does */
    assert_int_equal(copied_bytes(j.changed, PS_COPY_HTOD), 2 * (2 * LAYERS - 1) * LAYER_BYTES);
    assert_int_equal(copied_bytes(j.changed, PS_COPY_DTOH), 0);
    fini(&j);
}

/* Three sweeps that change all layers, and a forward pass between: 5 times all come, 3 times all go
 * back, one upload behind the other and the copies back beside them. */
static void what_changes_in_place_goes_back(void **state)
{
    ps_error err = {0};
    layer_job of = layer_job_forward;
    (void)state;
    of.perturbs = true;
    job j = loaded(layer_job_trace(&of));
    assert_ok(&err, change(&j, &err));
    assert_proved(j.changed);
    assert_int_equal(copied_bytes(j.changed, PS_COPY_HTOD), 5 * LAYERS * LAYER_BYTES);
    assert_int_equal(copied_bytes(j.changed, PS_COPY_DTOH), 3 * LAYERS * LAYER_BYTES);
    assert_int_equal(ran_ns(j.changed, "add", 3 * LAYERS - 1),
                     5 * LAYERS * block_ns(&j) + of.kernel_ns);
    assert_int_equal(needless_wait(j.changed), NO_ROW);
    assert_recorded_tasks(j.recorded, j.changed);
    fini(&j);
    of.steps = 3;
    job k = loaded(layer_job_trace(&of));
    assert_ok(&err, change(&k, &err));
    assert_proved(k.changed);
    assert_int_equal(needless_wait(k.changed), NO_ROW);
    assert_int_equal(copied_bytes(k.changed, PS_COPY_HTOD), 3 * 5 * LAYERS * LAYER_BYTES);
    fini(&k);
}

/* ---- weights that blocks share ---- */

/* The weight of the first layer comes for it and for the last one, forward and backward: three times,
 * as it stays between the last layer's passes; it goes back once. */
static void shared_weights_are_one(void **state)
{
    ps_error err = {0};
    layer_job of = layer_job_forward;
    uint64_t host, none;
    (void)state;
    of.trains = of.shares = true;
    of.steps = 2;
    job j = loaded(layer_job_trace(&of));
    assert_ok(&err, change(&j, &err));
    assert_proved(j.changed);
    assert_recorded_tasks(j.recorded, j.changed);
    assert_int_equal(needless_wait(j.changed), NO_ROW);
    assert_int_equal(copied_bytes(j.changed, PS_COPY_HTOD), 2 * (2 * LAYERS - 1) * LAYER_BYTES);
    assert_int_equal(copied_bytes(j.changed, PS_COPY_DTOH),
                     2 * (LAYERS * LAYER_BYTES - WEIGHT_BYTES));
    /* at the end of the step all are there, each once */
    assert_int_equal(peak_live_bytes(j.changed, &host), peak_live_bytes(j.recorded, &none));
    assert_int_equal(host, (LAYERS - 1) * (uint64_t)4194304 + LAYERS * (uint64_t)4096);
    assert_non_null(strstr(ps_plan_meta(j.changed, PS_PLAN_META_OFFLOAD_PARAMETERS),
                           "of them 1 that several blocks share, 12016000 bytes"));
    fini(&j);
}

static void shared_weights_are_updated_once(void **state)
{
    ps_error err = {0};
    layer_job of = layer_job_forward;
    (void)state;
    of.trains = of.shares = true;
    job j = loaded(layer_job_trace(&of));
    assert_ok(
        &err,
        change_as(&j, (ps_offload){.parameters = true, .optimizer = true, .prefetch = 1}, &err));
    assert_proved(j.changed);
    assert_int_equal(copied_bytes(j.changed, PS_COPY_HTOD), (2 * LAYERS - 1) * LAYER_BYTES);
    assert_int_equal(copied_bytes(j.changed, PS_COPY_DTOH), LAYERS * LAYER_BYTES - WEIGHT_BYTES);
    fini(&j);
}

/* A weight without a gradient whose backward computes none is its block's own. */
static void frozen_weights_are_not_shared(void **state)
{
    ps_error err = {0};
    layer_job of = layer_job_forward;
    (void)state;
    of.trains = of.freezes = true;
    job j = loaded(layer_job_trace(&of));
    assert_ok(&err, change(&j, &err));
    assert_int_equal(copied_bytes(j.changed, PS_COPY_HTOD), (2 * LAYERS - 1) * LAYER_BYTES);
    assert_null(strstr(ps_plan_meta(j.changed, PS_PLAN_META_OFFLOAD_PARAMETERS), "share"));
    fini(&j);
}

/* Any of three weights may be the last layer's: all stay, and vectors alone move. */
static void weights_that_may_be_shared_stay(void **state)
{
    ps_error err = {0};
    layer_job of = layer_job_forward;
    (void)state;
    of.trains = of.shares = of.hides = true;
    job j = loaded(layer_job_trace(&of));
    assert_ok(&err, change(&j, &err));
    assert_proved(j.changed);
    assert_int_equal(copied_bytes(j.changed, PS_COPY_HTOD), (2 * LAYERS - 1) * BIAS_BYTES);
    assert_int_equal(copied_bytes(j.changed, PS_COPY_DTOH), LAYERS * BIAS_BYTES);
    fini(&j);
}

static void shared_weights_stay_with_a_block_that_does(void **state)
{
    ps_error err = {0};
    layer_job of = layer_job_forward;
    (void)state;
    of.trains = of.shares = true;
    job j = loaded(layer_job_trace(&of));
    assert_ok(&err, change_as(&j, (ps_offload){.parameters = true, .keep_last = 1}, &err));
    assert_int_equal(copied_bytes(j.changed, PS_COPY_DTOH),
                     (LAYERS - 1) * LAYER_BYTES - WEIGHT_BYTES);
    fini(&j);
}

/* ---- memory ---- */

static void two_blocks_are_on_the_device(void **state)
{
    ps_error err = {0};
    uint64_t host, none;
    (void)state;
    job j = loaded(layer_job_trace(&layer_job_forward));
    assert_ok(&err, change(&j, &err));
    const uint64_t before = peak_live_bytes(j.recorded, &none);
    assert_int_equal(none, 0);
    assert_int_equal(peak_live_bytes(j.changed, &host),
                     before - LAYERS * LAYER_BYTES + 2 * LAYER_BYTES);
    assert_int_equal(host, LAYERS * ((uint64_t)4194304 + 4096)); /* powers of two */
    fini(&j);
}

static void blocks_that_are_kept_stay(void **state)
{
    ps_error err = {0};
    uint64_t host;
    (void)state;
    job j = loaded(layer_job_trace(&layer_job_forward));
    assert_ok(&err, change_as(&j, (ps_offload){.parameters = true, .keep_first = 1, .keep_last = 2},
                              &err));
    assert_int_equal(copied_bytes(j.changed, PS_COPY_HTOD), LAYER_BYTES);
    const uint64_t before = peak_live_bytes(j.recorded, &host);
    assert_int_equal(peak_live_bytes(j.changed, &host), before - LAYER_BYTES + LAYER_BYTES);
    fini(&j);
}

/* ---- refusals ---- */

static void assert_refused(job *self, const char *why)
{
    ps_error err = {0};
    assert_int_equal(change(self, &err), PS_USAGE);
    if (strstr(err.message, why) == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", err.message, why);
    }
    fini(self);
}

static void what_is_missing_is_named(void **state)
{
    layer_job of = layer_job_forward;
    (void)state;
    of.shapes = NULL;
    job no_shapes = loaded(layer_job_trace(&of));
    assert_refused(&no_shapes, "nothing says how large the parameters of blocks are");

    of = layer_job_forward;
    of.has_modules = false;
    job no_blocks = loaded(layer_job_trace(&of));
    assert_refused(&no_blocks, "no unit of the recording repeats");

    of = layer_job_forward;
    of.resident_bytes = MIB;
    job no_room = loaded(layer_job_trace(&of));
    assert_refused(&no_room, "resident before the recording");

    of = layer_job_forward;
    of.perturbs = of.changes_more = true;
    job no_sweep = loaded(layer_job_trace(&of));
    assert_refused(&no_sweep, "a sweep over them is not complete");

    of.changes_more = false;
    of.trains = true; /* backward and an optimizer of its own: changes beside it are of gradients */
    ps_error err = {0};
    job both = loaded(layer_job_trace(&of));
    assert_ok(&err, change(&both, &err));
    assert_int_equal(copied_bytes(both.changed, PS_COPY_DTOH), LAYERS * LAYER_BYTES);
    fini(&both);

    job plan_alone = loaded(layer_job_trace(&layer_job_forward));
    ps_trace_destroy(plan_alone.trace);
    plan_alone.trace = NULL;
    assert_refused(&plan_alone, "needs the recording");

    job all_kept = loaded(layer_job_trace(&layer_job_forward));
    assert_int_equal(
        change_as(&all_kept, (ps_offload){.parameters = true, .keep_first = LAYERS}, &err),
        PS_USAGE);
    assert_non_null(strstr(err.message, "kept on the device"));
    fini(&all_kept);
}

/* Each range in turn is of something else, or carries another sequence number: what is left is
 * refused, or gives a plan that is proved. */
static void spoilt_recordings(void **state)
{
    layer_job of = layer_job_forward;
    size_t refused = 0, rows = 1;
    (void)state;
    of.trains = true;
    of.steps = 2;
    for (size_t i = 0; i < 2 * rows; i++) {
        ps_error err = {0};
        ps_trace *trace = layer_job_trace(&of);
        rows = trace->range.head.count;
        if (i < rows) {
            assert_ok(&err,
                      ps_strings_put_z(trace->strings, "aten::relu", &trace->range.name[i], &err));
        } else {
            trace->range.sequence[i - rows] = (int64_t)(i % 9);
        }
        job j = loaded(trace);
        const ps_code code = change(&j, &err);
        if (code == PS_OK) {
            assert_proved(j.changed);
            assert_recorded_tasks(j.recorded, j.changed);
        } else {
            assert_true(code == PS_USAGE || code == PS_BAD_INPUT);
            assert_true(err.message[0] != '\0');
            refused++;
        }
        fini(&j);
    }
    assert_true(refused > 0 && refused < 2 * rows);
}

static void run_out_of_memory(bool shares)
{
    layer_job of = layer_job_forward;
    of.trains = true;
    of.shares = shares;
    job j = loaded(layer_job_trace(&of));
    const ps_network network = host_network(&j.rate);
    const ps_offload offload = {.parameters = true,
                                .prefetch = 1,
                                .network = &network,
                                .trace = j.trace,
                                .structure = &j.structure};
    assert_memory_may_run_out(j.trace, j.catalogue, &offload, 7);
    fini(&j);
}

static void test_memory_that_runs_out(void **state)
{
    (void)state;
    run_out_of_memory(false);
    run_out_of_memory(true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(copies_take_longer_than_kernels),
        cmocka_unit_test(kernels_take_longer_than_copies),
        cmocka_unit_test(nothing_ahead_is_nothing_hidden),
        cmocka_unit_test(trained_parameters_go_back_when_the_optimizer_has_written_them),
        cmocka_unit_test(frozen_parameters_never_go_back),
        cmocka_unit_test(what_changes_in_place_goes_back),
        cmocka_unit_test(shared_weights_are_one),
        cmocka_unit_test(shared_weights_are_updated_once),
        cmocka_unit_test(frozen_weights_are_not_shared),
        cmocka_unit_test(weights_that_may_be_shared_stay),
        cmocka_unit_test(shared_weights_stay_with_a_block_that_does),
        cmocka_unit_test(two_blocks_are_on_the_device),
        cmocka_unit_test(blocks_that_are_kept_stay),
        cmocka_unit_test(what_is_missing_is_named),
        cmocka_unit_test(spoilt_recordings),
        cmocka_unit_test(test_memory_that_runs_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
