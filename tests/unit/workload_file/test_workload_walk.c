/* SPDX-License-Identifier: MIT
 *
 * Memory and work over ranges of events, against figures counted by hand and
 * against a sum made anew at every event.
 */
#include "unit/workload_file/make_workload.h"

#include <string.h>

#include "workload/walk.h"

static void peaks_are_those_counted_by_hand(void **state)
{
    (void)state;
    ps_workload *workload = workload_new();
    const uint32_t weight = workload_tensor(workload, 100, PS_ROLE_PARAMETER);
    const uint32_t early = workload_tensor(workload, 50, PS_ROLE_ACTIVATION);
    const uint32_t late = workload_tensor(workload, 30, PS_ROLE_GRADIENT);
    const uint32_t same = workload_tensor(workload, 50, PS_ROLE_TEMPORARY);
    (void)workload_event(workload, PS_WORKLOAD_EVENT_ALLOC, weight); /* 0: 100 */
    (void)workload_event(workload, PS_WORKLOAD_EVENT_ALLOC, early);  /* 1: 150 */
    (void)workload_event(workload, PS_WORKLOAD_EVENT_FREE, early);   /* 2: 100 */
    (void)workload_event(workload, PS_WORKLOAD_EVENT_ALLOC, same);   /* 3: 150 again */
    (void)workload_event(workload, PS_WORKLOAD_EVENT_FREE, same);    /* 4: 100 */
    (void)workload_event(workload, PS_WORKLOAD_EVENT_ALLOC, late);   /* 5: 130 */
    (void)workload_event(workload, PS_WORKLOAD_EVENT_FREE, weight);  /* 6: 30 */
    ps_workload_walk walk;
    ps_workload_walk_init(&walk, workload);
    ps_live_peak peak = ps_workload_walk_to(&walk, 5);
    assert_int_equal(peak.live.total_bytes, 150);
    assert_int_equal(peak.event, 1); /* the first of two equal moments */
    assert_int_equal(peak.live.role_bytes[PS_ROLE_PARAMETER], 100);
    assert_int_equal(peak.live.role_bytes[PS_ROLE_ACTIVATION], 50);
    assert_int_equal(peak.live.role_bytes[PS_ROLE_TEMPORARY], 0);
    peak = ps_workload_walk_to(&walk, 5); /* nothing on the way: what is live */
    assert_int_equal(peak.live.total_bytes, 100);
    assert_int_equal(peak.event, 5);
    peak = ps_workload_walk_to(&walk, 7);
    assert_int_equal(peak.live.total_bytes, 130);
    assert_int_equal(peak.event, 5);
    assert_int_equal(walk.live.total_bytes, 30);
    assert_int_equal(walk.live.role_bytes[PS_ROLE_GRADIENT], 30);
    ps_workload_destroy(workload);
}

/* Live bytes behind an event, by going through all events again. */
static uint64_t live_behind(const ps_workload *workload, size_t event)
{
    uint64_t sum = 0;
    for (size_t i = 0; i <= event; i++) {
        const uint32_t ref = workload->event.ref[i];
        if (workload->event.kind[i] == PS_WORKLOAD_EVENT_ALLOC) {
            sum += workload->tensor.bytes[ref];
        } else if (workload->event.kind[i] == PS_WORKLOAD_EVENT_FREE) {
            sum -= workload->tensor.bytes[ref];
        }
    }
    return sum;
}

static void peaks_are_the_largest_sums(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        ps_workload *workload = workload_random_new(500, seed);
        ps_workload_walk walk;
        ps_workload_walk_init(&walk, workload);
        uint32_t begin = 0;
        print_message("seed %llu\n", (unsigned long long)seed);
        for (uint32_t end = 37; end <= 500; end += 37) {
            uint64_t largest = begin == 0 ? 0 : live_behind(workload, begin - 1);
            for (uint32_t i = begin; i < end; i++) {
                const uint64_t live = live_behind(workload, i);
                largest = live > largest ? live : largest;
            }
            const ps_live_peak peak = ps_workload_walk_to(&walk, end);
            uint64_t roles = 0;
            for (size_t role = 0; role < PS_ROLE_COUNT; role++) {
                roles += peak.live.role_bytes[role];
            }
            assert_true(peak.live.total_bytes == largest);
            assert_true(roles == largest);
            begin = end;
        }
        ps_workload_destroy(workload);
    }
}

static void work_is_summed_by_phase_and_kind(void **state)
{
    (void)state;
    ps_work_sum sums[PS_WORKLOAD_PHASE_COUNT][PS_OP_KIND_COUNT];
    ps_workload *workload = workload_new();
    const uint32_t product = workload_op(workload, PS_OP_MATMUL, PS_PHASE_FORWARD);
    const uint32_t huge = workload_op(workload, PS_OP_COPY, PS_PHASE_OPTIMIZER);
    workload->op.moved_bytes[product] = 8;
    workload->op.dur_ns[product] = 5;
    workload->op.launches[product] = 2;
    workload->op.flop[huge] = UINT64_MAX - 1;
    (void)workload_event(workload, PS_WORKLOAD_EVENT_OP, huge);
    (void)workload_event(workload, PS_WORKLOAD_EVENT_OP, product);
    (void)workload_event(workload, PS_WORKLOAD_EVENT_OP, product);
    (void)workload_event(workload, PS_WORKLOAD_EVENT_OP, huge);
    memset(sums, 0xff, sizeof sums);
    ps_workload_work(workload, 1, 4, sums);
    const ps_work_sum *forward = &sums[PS_PHASE_FORWARD][PS_OP_MATMUL];
    assert_int_equal(forward->count, 2);
    assert_int_equal(forward->flop, 480);
    assert_int_equal(forward->moved_bytes, 16);
    assert_int_equal(forward->launches, 4);
    assert_int_equal(forward->dur_ns, 10);
    assert_int_equal(sums[PS_PHASE_OPTIMIZER][PS_OP_COPY].count, 1);
    assert_int_equal(sums[PS_PHASE_FORWARD][PS_OP_COPY].count, 0);
    ps_workload_work(workload, 0, 4, sums);
    assert_true(sums[PS_PHASE_OPTIMIZER][PS_OP_COPY].flop == UINT64_MAX); /* not wrapped round */
    ps_workload_destroy(workload);
}

static void elements_have_their_sizes(void **state)
{
    (void)state;
    assert_int_equal(ps_element_bytes(PS_ELEMENT_F32), 4);
    assert_int_equal(ps_element_bytes(PS_ELEMENT_BF16), 2);
    assert_int_equal(ps_element_bytes(PS_ELEMENT_BOOL), 1);
    assert_int_equal(ps_element_bytes(PS_ELEMENT_UNKNOWN), 0);
    for (int element = 1; element < PS_ELEMENT_COUNT; element++) {
        assert_true(ps_element_bytes((ps_element)element) > 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(peaks_are_those_counted_by_hand),
        cmocka_unit_test(peaks_are_the_largest_sums),
        cmocka_unit_test(work_is_summed_by_phase_and_kind),
        cmocka_unit_test(elements_have_their_sizes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
