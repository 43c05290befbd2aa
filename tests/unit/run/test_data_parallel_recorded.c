/* SPDX-License-Identifier: MIT
 *
 * The same network trained on one GPU and on two, as others recorded it: the
 * all-reduces predicted from the one-GPU recordings are those of the
 * recording of two, in number, size and order.
 */
#include "make_trace.h"

#include <string.h>

#include "import/import.h"
#include "job/bus_network.h"
#include "lower/lower.h"
#include "policy/whatif.h"

#define PATH_BYTES 1024u
#define MAX_BUCKETS 64u

static const char *const on_two =
    "facebookresearch+HolisticTraceAnalysis/tests/data/nccl_parser_config/nccl_data.json.gz";
static const char *const on_one[] = {
    /* under the framework, with a world of one rank; and without it, on another GPU */
    "facebookresearch+HolisticTraceAnalysis/tests/data/ns_resolution_trace/"
    "rank-0.Apr_03_18_51_38.1102.pt.trace.json.gz",
    "pytorch+kineto/tb_plugin/samples/resnet50_num_workers_0/"
    "worker0.1623143566756.pt.trace.json.gz",
};

static ps_trace *import_or_skip(const char *file)
{
    ps_error err = {0};
    ps_trace_builder *builder;
    ps_trace *trace = NULL;
    char path[PATH_BYTES];
    const char *shared = ps_test_shared();
    FILE *there = NULL;
    if (shared != NULL) {
        (void)snprintf(path, sizeof path, "%.512s/traces/real/%s", shared, file);
        there = fopen(path, "r");
    }
    if (there == NULL) {
        skip();
        return NULL;
    }
    (void)fclose(there);
    assert_ok(&err, ps_trace_builder_open_memory(&builder, &err));
    assert_ok(&err, ps_import_file(path, NULL, builder, NULL, &err));
    assert_ok(&err, ps_trace_builder_take(builder, &trace, &err));
    return trace;
}

/* Sizes of the all-reduces in order of their launches; returns how many. */
static size_t recorded_all_reduces(uint64_t *bytes)
{
    ps_trace *trace = import_or_skip(on_two);
    size_t count = 0;
    for (size_t i = 0; i < trace->collective.head.count && count < MAX_BUCKETS; i++) {
        if (strcmp(ps_strings_text(trace->strings, trace->collective.kind[i]), "all-reduce") == 0) {
            bytes[count++] = trace->collective.elements_in[i] * sizeof(float);
        }
    }
    ps_trace_destroy(trace);
    return count;
}

static size_t predicted_all_reduces(const char *file, uint64_t *bytes)
{
    ps_error err = {0};
    ps_plan *plan;
    ps_structure structure;
    ps_catalogue *catalogue;
    ps_trace *trace = import_or_skip(file);
    ps_bus bus = {.bytes_per_s = 100000000000};
    const ps_network network = ps_bus_network(&bus);
    assert_ok(&err, ps_lower_trace(trace, &plan, &err));
    assert_ok(&err, ps_structure_recover(trace, plan, NULL, &structure, &err));
    assert_ok(&err, ps_catalogue_create(&catalogue, &err));
    const ps_data_parallel change = {
        .ranks = 2, .network = &network, .trace = trace, .structure = &structure};
    assert_ok(&err, ps_whatif_apply(plan, catalogue, &(ps_whatif){.data_parallel = &change}, &err));
    assert_ok(&err, ps_plan_check(plan, &err));
    size_t count = 0;
    for (size_t i = 0; i < plan->task.head.count && count < MAX_BUCKETS; i++) {
        if (plan->task.kind[i] == PS_TASK_EXCHANGE) {
            bytes[count++] = plan->task.bytes[i];
        }
    }
    ps_result result = run_plan(plan); /* and it does not lock up */
    ps_result_fini(&result);
    ps_catalogue_destroy(catalogue);
    ps_structure_fini(&structure);
    ps_plan_destroy(plan);
    ps_trace_destroy(trace);
    return count;
}

static void buckets_are_those_of_the_recording_of_two(void **state)
{
    (void)state;
    uint64_t recorded[MAX_BUCKETS], predicted[MAX_BUCKETS];
    const size_t count = recorded_all_reduces(recorded);
    const size_t a_step = 5;
    assert_int_equal(count, 3 * a_step);
    for (size_t file = 0; file < sizeof on_one / sizeof on_one[0]; file++) {
        const size_t made = predicted_all_reduces(on_one[file], predicted);
        assert_true(made >= a_step && made % a_step == 0);
        for (size_t i = 0; i < made; i++) {
            assert_int_equal(predicted[i], recorded[i % a_step]);
        }
    }
    assert_memory_equal(recorded, &recorded[a_step], a_step * sizeof *recorded);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(buckets_are_those_of_the_recording_of_two),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
