/* SPDX-License-Identifier: MIT
 *
 * A recorded one-GPU job under DistributedDataParallel: which gradients go
 * into which bucket, when each is exchanged, and what waits for it.
 *
 * The job of most tests was recorded under the framework on one GPU: each
 * gradient is a kernel of 10 us and a copy into its bucket of 1 us, and at the
 * end all are copied back, 1 us each. Its optimizer is one kernel.
 */
#include "hardware.h"
#include "make_trace.h"

#include "job/bus_network.h"
#include "lower/lower.h"
#include "policy/ddp_buckets.h"

#define COPY_IN "torch::distributed::reducer::mul_out"
#define COPY_BACK "torch.distributed.ddp.reducer::copy_bucket_to_grad"
#define ACCUMULATE "torch::autograd::AccumulateGrad"
#define KERNEL_NS 10000
#define COPY_NS 1000
#define MAX_GRADIENTS 16u

/* ---- buckets ---- */

static size_t fill(const uint64_t *bytes, size_t count, ps_ddp_limits limits, ps_ddp_bucket *bucket,
                   size_t *bucket_of)
{
    ps_gradient gradient[MAX_GRADIENTS] = {{0}};
    assert_true(count <= MAX_GRADIENTS);
    for (size_t i = 0; i < count; i++) {
        gradient[i].bytes = bytes[i];
        gradient[i].element_bytes = 4;
    }
    return ps_ddp_fill(gradient, count, limits, bucket, bucket_of);
}

static void a_bucket_closes_when_it_has_reached_its_size(void **state)
{
    (void)state;
    ps_ddp_bucket bucket[MAX_GRADIENTS];
    size_t bucket_of[MAX_GRADIENTS];
    /* 1 MiB exactly; 25 MiB only with the third, which overshoots; a rest */
    const uint64_t bytes[] = {MIB / 2, MIB / 2, 24 * MIB, MIB - 4, 100 * MIB, 4};
    assert_int_equal(fill(bytes, 6, ps_ddp_limits_rebuilt(), bucket, bucket_of), 3);
    assert_int_equal(bucket[0].bytes, MIB);
    assert_int_equal(bucket[1].bytes, 125 * MIB - 4);
    assert_int_equal(bucket[1].count, 3);
    assert_int_equal(bucket[1].closing, 4);
    assert_int_equal(bucket[2].bytes, 4);
    const size_t expected[] = {0, 0, 1, 1, 1, 2};
    assert_memory_equal(bucket_of, expected, sizeof expected);
}

static void the_first_iteration_has_one_bucket(void **state)
{
    (void)state;
    ps_ddp_bucket bucket[MAX_GRADIENTS];
    size_t bucket_of[MAX_GRADIENTS];
    const uint64_t bytes[] = {MIB, 30 * MIB, MIB};
    assert_int_equal(fill(bytes, 3, ps_ddp_limits_first_iteration(), bucket, bucket_of), 1);
    assert_int_equal(bucket[0].bytes, 32 * MIB);
    assert_int_equal(bucket[0].closing, 2);
}

static void types_have_buckets_of_their_own(void **state)
{
    (void)state;
    ps_ddp_bucket bucket[3];
    size_t bucket_of[3];
    const ps_gradient gradient[] = {
        {.bytes = MIB / 2, .element_bytes = 4},
        {.bytes = MIB, .element_bytes = 2},
        {.bytes = MIB / 2, .element_bytes = 4},
    };
    assert_int_equal(ps_ddp_fill(gradient, 3, ps_ddp_limits_rebuilt(), bucket, bucket_of), 2);
    assert_int_equal(bucket_of[1], 0); /* full before the other */
    assert_int_equal(bucket_of[0], 1);
    assert_int_equal(bucket_of[2], 1);
    assert_int_equal(bucket[1].bytes, MIB);
}

static void nothing_is_lost_whatever_the_sizes(void **state)
{
    (void)state;
    uint64_t random = 88172645463325252u;
    for (int round = 0; round < 200; round++) {
        ps_ddp_bucket bucket[MAX_GRADIENTS];
        size_t bucket_of[MAX_GRADIENTS], of_bucket[MAX_GRADIENTS] = {0};
        uint64_t bytes[MAX_GRADIENTS], sent = 0, held = 0;
        const size_t count = 1 + next_random(&random) % MAX_GRADIENTS;
        for (size_t i = 0; i < count; i++) {
            held += bytes[i] = 4 * (1 + next_random(&random) % (8 * MIB));
        }
        const size_t buckets = fill(bytes, count, ps_ddp_limits_rebuilt(), bucket, bucket_of);
        for (size_t i = 0; i < count; i++) {
            assert_true(bucket_of[i] < buckets);
            assert_true(i == 0 || bucket_of[i] >= bucket_of[i - 1]);
            of_bucket[bucket_of[i]]++;
        }
        for (size_t i = 0; i < buckets; i++) {
            assert_int_equal(of_bucket[i], bucket[i].count);
            assert_true(i + 1 == buckets || bucket[i].bytes >= (i == 0 ? MIB : 25 * MIB));
            sent += bucket[i].bytes;
        }
        assert_int_equal(sent, held);
    }
}

/* ---- jobs ---- */

typedef struct job {
    ps_trace *trace;
    uint64_t correlation;
    ps_ns host, device; /* where each has come to */
} job;

static void launch(job *j, const char *name, ps_ns dur)
{
    const ps_ns begin = j->device > j->host + 100 ? j->device : j->host + 100;
    j->correlation++;
    put_launch(j->trace, (span){j->host, j->host + 100}, stream_7, (span){begin, begin + dur}, name,
               j->correlation);
    j->host += 200;
    j->device = begin + dur;
}

static void copy(job *j, uint64_t bytes)
{
    j->correlation++;
    put_call(j->trace, MAIN_THREAD, (span){j->host, j->host + 100}, "cudaMemcpyAsync",
             j->correlation);
    put_copy(j->trace, stream_7, (span){j->device, j->device + COPY_NS},
             (cargo){PS_COPY_DTOD, PS_MEMORY_DEVICE, bytes}, j->correlation);
    j->host += 200;
    j->device += COPY_NS;
}

static void operator_of(job *j, ps_ns begin, const char *name)
{
    put_range(j->trace, MAIN_THREAD, (span){begin, j->host}, PS_RANGE_OPERATOR, name);
    j->host += 20;
}

/* A forward pass of one kernel, a backward pass, and a step, over and over. */
static job bucketed_job(const uint64_t *bytes, size_t count, unsigned steps)
{
    job j = {.trace = trace_new()};
    put_device(j.trace, 0, "Oldcard", 0);
    for (unsigned step = 0; step < steps; step++) {
        const ps_ns begin = j.host;
        launch(&j, "forward", KERNEL_NS);
        for (size_t i = 0; i < count; i++) {
            launch(&j, "backward", KERNEL_NS);
            put_range(j.trace, MAIN_THREAD, (span){j.host, j.host + 10}, PS_RANGE_OPERATOR,
                      ACCUMULATE);
            j.host += 20;
            const ps_ns in = j.host;
            launch(&j, "copy in", COPY_NS);
            operator_of(&j, in, COPY_IN);
        }
        for (size_t i = 0; i < count; i++) {
            const ps_ns back = j.host;
            copy(&j, bytes[i]);
            operator_of(&j, back, COPY_BACK);
        }
        launch(&j, "optimizer", KERNEL_NS);
        put_step(j.trace, (span){begin, j.host}, step);
        j.host += 50;
    }
    return j;
}

/* Without the framework: shapes tell the sizes. */
static job plain_job(size_t count, unsigned steps)
{
    job j = {.trace = trace_new()};
    put_device(j.trace, 0, "V100-SXM2-32", 0);
    for (unsigned step = 0; step < steps; step++) {
        const ps_ns begin = j.host;
        launch(&j, "forward", KERNEL_NS);
        for (size_t i = 0; i < count; i++) {
            ps_error err = {0};
            launch(&j, "backward", KERNEL_NS);
            put_range(j.trace, MAIN_THREAD, (span){j.host, j.host + 10}, PS_RANGE_OPERATOR,
                      ACCUMULATE);
            assert_ok(&err, ps_strings_put_z(j.trace->strings, "[[1048576,4]];[\"float\"]",
                                             &j.trace->range.shapes[j.trace->range.head.count - 1],
                                             &err));
            j.host += 20;
        }
        launch(&j, "optimizer", KERNEL_NS);
        put_step(j.trace, (span){begin, j.host}, step);
        j.host += 50;
    }
    return j;
}

/* Everything that a test looks at; ended by made_end. */
typedef struct made {
    job from;
    ps_structure structure;
    play play;
} made;

static ps_code try_ranks(made *self, uint32_t ranks, const char *gpu, ps_error *err)
{
    ps_bus bus = {.bytes_per_s = 1000000000, .latency_ns = 5000};
    const ps_network network = ps_bus_network(&bus);
    const ps_data_parallel change = {.ranks = ranks,
                                     .network = &network,
                                     .trace = self->from.trace,
                                     .structure = &self->structure};
    ps_catalogue *catalogue;
    assert_ok(err, ps_catalogue_create(&catalogue, err));
    assert_ok(err, ps_catalogue_read_memory(catalogue, "hardware.csv", hardware_csv,
                                            strlen(hardware_csv), err));
    const ps_code code = ps_whatif_apply(self->play.plan, catalogue,
                                         &(ps_whatif){.data_parallel = &change, .gpu = gpu}, err);
    ps_catalogue_destroy(catalogue);
    return code;
}

static made make(job from)
{
    ps_error err = {0};
    made self = {.from = from};
    assert_ok(&err, ps_lower_trace(from.trace, &self.play.plan, &err));
    assert_ok(&err, ps_structure_recover(from.trace, self.play.plan, NULL, &self.structure, &err));
    return self;
}

/* Simulates what has become of the plan. */
static void simulate(made *self)
{
    const size_t count = self->play.plan->task.head.count;
    self->play.start = calloc(count, sizeof *self->play.start);
    self->play.end = calloc(count, sizeof *self->play.end);
    assert_true(self->play.start != NULL && self->play.end != NULL);
    play_again(&self->play);
}

static made on_ranks(job from, uint32_t ranks)
{
    ps_error err = {0};
    made self = make(from);
    assert_ok(&err, try_ranks(&self, ranks, NULL, &err));
    assert_ok(&err, ps_plan_check(self.play.plan, &err));
    simulate(&self);
    return self;
}

static void made_end(made *self)
{
    play_end(&self->play);
    ps_structure_fini(&self->structure);
    ps_trace_destroy(self->from.trace);
}

static uint32_t nth_of_kind(const ps_plan *plan, ps_task_kind kind, unsigned nth)
{
    for (uint32_t i = 0; i < plan->task.head.count; i++) {
        if (plan->task.kind[i] == (uint8_t)kind && nth-- == 0) {
            return i;
        }
    }
    fail_msg("no such task");
    return 0;
}

static size_t count_kind(const ps_plan *plan, ps_task_kind kind)
{
    size_t count = 0;
    for (size_t i = 0; i < plan->task.head.count; i++) {
        count += plan->task.kind[i] == (uint8_t)kind;
    }
    return count;
}

/* Buckets of 1 MiB, 26 MiB and a rest; at 1 GB/s between two ranks a byte takes a nanosecond. */
static const uint64_t four_gradients[] = {MIB, 25 * MIB, 4 * MIB, 4 * MIB};

static void full_buckets_are_exchanged_beside_the_backward_pass(void **state)
{
    (void)state;
    made m = on_ranks(bucketed_job(four_gradients, 4, 1), 2);
    const ps_plan *plan = m.play.plan;
    const uint64_t sizes[] = {MIB, 25 * MIB, 8 * MIB};
    const ps_ns *start = m.play.start, *end = m.play.end;
    assert_int_equal(count_kind(plan, PS_TASK_EXCHANGE), 3);
    for (unsigned i = 0; i < 3; i++) {
        const uint32_t exchange = nth_of_kind(plan, PS_TASK_EXCHANGE, i);
        const uint32_t part = nth_of_kind(plan, PS_TASK_COLLECTIVE, i);
        assert_int_equal(plan->task.bytes[exchange], sizes[i]);
        assert_int_equal(plan->task.bytes[part], sizes[i]); /* as much sent as received */
        assert_int_equal(end[exchange] - start[exchange], (ps_ns)sizes[i] + 5000);
        assert_int_equal(start[exchange], start[part]);
        assert_int_equal(end[part], end[exchange]);
        const uint32_t copy_in = task_named(plan, "copy in", i == 2 ? 3 : i);
        assert_true(start[part] >= end[copy_in]);
        if (i > 0) { /* one after another */
            assert_true(start[part] >= end[nth_of_kind(plan, PS_TASK_COLLECTIVE, i - 1)]);
        }
    }
    /* the first runs while the backward pass goes on; copies back wait, each for its own bucket */
    assert_true(start[nth_of_kind(plan, PS_TASK_COLLECTIVE, 0)] <
                start[task_named(plan, "backward", 3)]);
    const unsigned bucket_of_copy[] = {0, 1, 2, 2};
    for (unsigned i = 0; i < 4; i++) {
        const uint32_t back = task_named(plan, "copy", i);
        assert_true(start[back] >= end[nth_of_kind(plan, PS_TASK_COLLECTIVE, bucket_of_copy[i])]);
    }
    assert_true(start[task_named(plan, "copy", 0)] < end[nth_of_kind(plan, PS_TASK_COLLECTIVE, 1)]);
    assert_true(start[task_named(plan, "optimizer", 0)] >=
                end[nth_of_kind(plan, PS_TASK_COLLECTIVE, 2)]);
    assert_int_equal(plan->device.stands_for[0], 2);
    assert_string_equal(ps_plan_meta(plan, PS_PLAN_META_BUCKETS), "1048576 26214400 8388608");
    made_end(&m);
}

/* Step after step, with a host that launches for the communicator too. */
static void every_step_is_exchanged(void **state)
{
    (void)state;
    made m = on_ranks(bucketed_job(four_gradients, 4, 3), 4);
    assert_int_equal(count_kind(m.play.plan, PS_TASK_EXCHANGE), 9);
    const uint32_t exchange = nth_of_kind(m.play.plan, PS_TASK_EXCHANGE, 0);
    /* 2 (n - 1) / n */
    assert_int_equal(m.play.plan->task.dur_ns[exchange], 5000 + (ps_ns)(MIB * 3 / 2));
    made_end(&m);
}

static void one_rank_changes_nothing(void **state)
{
    (void)state;
    ps_error err = {0};
    made m = make(bucketed_job(four_gradients, 4, 2));
    made same = make(bucketed_job(four_gradients, 4, 2));
    assert_ok(&err, try_ranks(&m, 1, NULL, &err));
    assert_ok(&err, try_ranks(&same, 0, NULL, &err));
    char *with = json_of(m.play.plan), *without = json_of(same.play.plan);
    assert_string_equal(with, without);
    assert_int_equal(m.play.plan->task.head.count, same.play.plan->task.head.count);
    free(with);
    free(without);
    made_end(&m);
    made_end(&same);
}

static void a_plain_job_gets_the_copies_too(void **state)
{
    (void)state;
    made m = on_ranks(plain_job(3, 2), 2);
    const ps_plan *plan = m.play.plan;
    assert_int_equal(count_kind(plan, PS_TASK_EXCHANGE), 4); /* 16 MiB, 32 MiB; two steps */
    const uint32_t in = task_named(plan, "copy into bucket", 0);
    const uint32_t back = task_named(plan, "copy out of bucket", 0);
    assert_int_equal(plan->task.dur_ns[in], plan->task.dur_ns[back]);
    assert_true(plan->task.dur_ns[in] > 0);
    for (unsigned i = 0; i < 6; i++) { /* in their places on the stream */
        const uint32_t of = task_named(plan, "copy into bucket", i);
        assert_true(m.play.start[of] >= m.play.end[task_named(plan, "backward", i)]);
        assert_true(i % 3 == 2 ||
                    m.play.end[of] <= m.play.start[task_named(plan, "backward", i + 1)]);
        assert_true(m.play.end[task_named(plan, "copy out of bucket", i)] <=
                    m.play.start[task_named(plan, "optimizer", i / 3)]);
    }
    assert_true(m.play.start[back] >= m.play.end[nth_of_kind(plan, PS_TASK_COLLECTIVE, 0)]);
    made_end(&m);
}

/* A memory snapshot has no kernels and names no GPU. */
static void of_memory_alone_buckets_are_told(void **state)
{
    (void)state;
    ps_error err = {0};
    job j = {.trace = trace_new()};
    put_step(j.trace, (span){0, 1000}, 1);
    for (unsigned i = 0; i < 3; i++) {
        (void)put_alloc(j.trace, (ps_ns)i * 100, 16 * MIB, 0x7f0000000000u + i * 16 * MIB);
        put_range(j.trace, MAIN_THREAD, (span){i * 100 + 10, i * 100 + 20}, PS_RANGE_OPERATOR,
                  ACCUMULATE);
        assert_ok(&err,
                  ps_strings_put_z(j.trace->strings, "[[1048576,4]];[\"float\"]",
                                   &j.trace->range.shapes[j.trace->range.head.count - 1], &err));
    }
    made m = on_ranks(j, 2);
    assert_int_equal(count_kind(m.play.plan, PS_TASK_EXCHANGE), 0);
    assert_string_equal(ps_plan_meta(m.play.plan, PS_PLAN_META_BUCKETS), "16777216 33554432");
    ps_result result = run_plan(m.play.plan);
    assert_int_equal(result.device[0].peak_allocated_bytes, 96 * MIB);
    ps_result_fini(&result);
    made_end(&m);
}

static void another_gpu_is_asked_for_at_the_same_time(void **state)
{
    (void)state;
    ps_error err = {0};
    made m = make(bucketed_job(four_gradients, 4, 2));
    assert_ok(&err, try_ranks(&m, 2, "Newcard", &err));
    simulate(&m);
    const ps_plan *plan = m.play.plan;
    assert_true(plan->task.dur_ns[task_named(plan, "backward", 0)] < KERNEL_NS);
    assert_int_equal(plan->task.dur_ns[nth_of_kind(plan, PS_TASK_EXCHANGE, 0)], MIB + 5000);
    made_end(&m);
}

static void what_cannot_be_asked_is_refused(void **state)
{
    (void)state;
    ps_error err = {0};
    made none = make(plain_job(0, 1));
    assert_int_equal(try_ranks(&none, 2, NULL, &err), PS_BAD_INPUT);
    assert_non_null(strstr(err.message, "no gradients"));
    made_end(&none);
    job j = plain_job(2, 1);
    j.trace->range.shapes[0] = 0;
    made unknown = make(j);
    err = (ps_error){0};
    assert_int_equal(try_ranks(&unknown, 2, NULL, &err), PS_BAD_INPUT);
    assert_non_null(strstr(err.message, "sizes of 1 of 2 gradients"));
    made_end(&unknown);
    j = plain_job(2, 1);
    put_collective(j.trace, stream_9, (span){j.host, j.host + 100}, 0);
    made several = make(j);
    err = (ps_error){0};
    assert_int_equal(try_ranks(&several, 2, NULL, &err), PS_USAGE);
    assert_non_null(strstr(err.message, "one rank of several"));
    made_end(&several);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bucket_closes_when_it_has_reached_its_size),
        cmocka_unit_test(the_first_iteration_has_one_bucket),
        cmocka_unit_test(types_have_buckets_of_their_own),
        cmocka_unit_test(nothing_is_lost_whatever_the_sizes),
        cmocka_unit_test(full_buckets_are_exchanged_beside_the_backward_pass),
        cmocka_unit_test(every_step_is_exchanged),
        cmocka_unit_test(one_rank_changes_nothing),
        cmocka_unit_test(a_plain_job_gets_the_copies_too),
        cmocka_unit_test(of_memory_alone_buckets_are_told),
        cmocka_unit_test(another_gpu_is_asked_for_at_the_same_time),
        cmocka_unit_test(what_cannot_be_asked_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
