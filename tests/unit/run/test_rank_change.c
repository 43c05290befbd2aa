/* SPDX-License-Identifier: MIT
 *
 * A recorded job of two ranks with another number of them, on a bus where an
 * all-reduce among n takes 2 (n - 1) / n of its bytes over the bandwidth: 1
 * among two ranks, 1.5 among four.
 */
#include "hardware.h"
#include "make_trace.h"

#include "job/bus_network.h"
#include "lower/lower.h"
#include "trace/file.h"

#define COMM_STREAM 22u
#define FRAMEWORK "DistributedDataParallel.forward"

static ps_str text(ps_trace *trace, const char *value)
{
    ps_error err = {0};
    ps_str id;
    assert_ok(&err, ps_strings_put_z(trace->strings, value, &id, &err));
    return id;
}

static void put_part(ps_trace *trace, uint32_t device, span at, const char *kind, const char *group)
{
    const uint64_t correlation = trace->call.head.count + 1;
    put_call(trace, MAIN_THREAD + device, (span){at.start - 900, at.start - 100},
             "cudaLaunchKernel", correlation);
    put_collective(trace, (place){device, COMM_STREAM}, at, correlation);
    const size_t row = trace->collective.head.count - 1;
    trace->collective.kind[row] = text(trace, kind);
    trace->collective.group[row] = text(trace, group);
    trace->collective.dtype[row] = text(trace, "BFloat16");
    trace->collective.elements_in[row] = trace->collective.elements_out[row] = 5000;
    trace->collective.group_size[row] = 2;
    trace->collective.ranks[row] = text(trace, "[0, 1]");
}

/* Rank 0 waits for 20 us in the first; the second begins at once. */
static ps_trace *both_ranks(const char *kind)
{
    ps_trace *trace = trace_new();
    put_call(trace, 9, (span){0, 10}, "cudaGetDevice", 0);
    put_part(trace, 0, (span){10000, 40000}, kind, "dp");
    put_part(trace, 1, (span){30000, 40000}, kind, "dp");
    put_part(trace, 0, (span){50000, 60000}, kind, "dp");
    put_part(trace, 1, (span){50000, 60000}, kind, "dp");
    return trace;
}

static ps_trace *rank_0(const char *kind)
{
    ps_trace *trace = trace_new();
    put_call(trace, 9, (span){0, 10}, "cudaGetDevice", 0);
    put_part(trace, 0, (span){10000, 40000}, kind, "dp");
    put_part(trace, 0, (span){50000, 60000}, kind, "dp");
    return trace;
}

static ps_code try_ranks(ps_trace *trace, uint32_t ranks, const char *group, play *out,
                         ps_error *err)
{
    ps_error ignored = {0};
    ps_bus bus = {.bytes_per_s = 1000000000};
    const ps_network network = ps_bus_network(&bus);
    const ps_rank_change change = {.ranks = ranks,
                                   .recorded = &network,
                                   .wanted = &network,
                                   .trace = trace,
                                   .group = &group,
                                   .group_count = group != NULL};
    assert_ok(&ignored, ps_trace_sort(trace, &ignored));
    assert_ok(&ignored, ps_lower_trace(trace, &out->plan, &ignored));
    const ps_code code = try_change(out->plan, &(ps_whatif){.rank_change = &change}, err);
    const size_t count = out->plan->task.head.count;
    out->start = calloc(count, sizeof *out->start);
    out->end = calloc(count, sizeof *out->end);
    assert_true(out->start != NULL && out->end != NULL);
    if (code == PS_OK) {
        assert_ok(&ignored, ps_plan_check(out->plan, &ignored));
        play_again(out);
    }
    ps_trace_destroy(trace);
    return code;
}

static play on_ranks(ps_trace *trace, uint32_t ranks)
{
    ps_error err = {0};
    play p;
    assert_ok(&err, try_ranks(trace, ranks, "dp", &p, &err));
    return p;
}

static ps_ns length(const play *p, const char *name, unsigned nth)
{
    const uint32_t task = task_named(p->plan, name, nth);
    return p->end[task] - p->start[task];
}

static void a_transfer_follows_the_model_and_waiting_stays(void **state)
{
    (void)state;
    play p = on_ranks(both_ranks("all-reduce"), 4);
    assert_int_equal(length(&p, "all-reduce", 0), 15000);
    assert_int_equal(length(&p, "all-reduce", 1), 15000);
    assert_int_equal(length(&p, "ncclDevKernel_AllReduce", 0), 35000); /* 20 of waiting */
    assert_int_equal(length(&p, "ncclDevKernel_AllReduce", 1), 15000);
    play_end(&p);
}

static void as_many_ranks_change_nothing(void **state)
{
    (void)state;
    play p = on_ranks(both_ranks("all-reduce"), 2);
    assert_int_equal(length(&p, "ncclDevKernel_AllReduce", 0), 30000);
    play_is(&p, task_named(p.plan, "all-reduce", 1), 50000, 60000);
    play_end(&p);
}

static void alone_there_is_no_transfer(void **state)
{
    (void)state;
    play p = on_ranks(both_ranks("all-reduce"), 1);
    assert_int_equal(length(&p, "all-reduce", 0), 0);
    assert_int_equal(length(&p, "ncclDevKernel_AllReduce", 0), 20000);
    play_end(&p);
}

/* Of one rank alone the shorter of two alike tells the transfer: 10 of the 30 us. */
static void of_one_rank_the_shortest_tells_the_transfer(void **state)
{
    (void)state;
    play p = on_ranks(rank_0("all-reduce"), 4);
    assert_int_equal(length(&p, "ncclDevKernel_AllReduce", 0), 35000);
    assert_int_equal(length(&p, "ncclDevKernel_AllReduce", 1), 15000);
    play_end(&p);
}

static void the_framework_tells_which_groups_are_meant(void **state)
{
    (void)state;
    ps_error err = {0};
    play p;
    ps_trace *trace = both_ranks("all-reduce");
    put_range(trace, MAIN_THREAD, (span){100, 9000}, PS_RANGE_ANNOTATION, FRAMEWORK);
    assert_ok(&err, try_ranks(trace, 4, NULL, &p, &err));
    assert_int_equal(length(&p, "all-reduce", 0), 15000);
    play_end(&p);
    assert_ok(&err, try_ranks(both_ranks("all-reduce"), 4, "all", &p, &err));
    assert_int_equal(length(&p, "all-reduce", 0), 15000);
    play_end(&p);
}

static void refused(ps_trace *trace, uint32_t ranks, const char *group, const char *why)
{
    ps_error err = {0};
    play p;
    assert_int_equal(try_ranks(trace, ranks, group, &p, &err), PS_USAGE);
    if (strstr(err.message, why) == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", err.message, why);
    }
    play_end(&p);
}

static void what_is_not_told_is_refused(void **state)
{
    (void)state;
    refused(both_ranks("all-reduce"), 4, NULL, "does not tell which of its groups");
    refused(both_ranks("all-reduce"), 4, "tp", "no collective of a group \"tp\"");
    refused(both_ranks("all-gather"), 4, "dp", "all-gather among data-parallel ranks");
    ps_trace *sizeless = both_ranks("all-reduce");
    sizeless->collective.dtype[0] = 0;
    refused(sizeless, 4, "dp", "does not tell how much");
    ps_trace *larger = both_ranks("all-reduce");
    put_fact(larger, PS_META_WORLD_SIZE, "4");
    refused(larger, 3, "dp", "groups of 2 of 4 ranks cannot become");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_transfer_follows_the_model_and_waiting_stays),
        cmocka_unit_test(as_many_ranks_change_nothing),
        cmocka_unit_test(alone_there_is_no_transfer),
        cmocka_unit_test(of_one_rank_the_shortest_tells_the_transfer),
        cmocka_unit_test(the_framework_tells_which_groups_are_meant),
        cmocka_unit_test(what_is_not_told_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
