/* SPDX-License-Identifier: MIT
 *
 * The rules of expandable segments: pages, the greedy best fit, where a
 * request starts, and how refusals and releases leave the range.
 */
#include "alloc_support.h"

#define BASE ((uint64_t)0x200000000000)

static void open_at_base(bench *b, const char *conf, uint64_t limit, uint64_t device_memory)
{
    bench_open(b, "expandable", conf, limit, device_memory);
    b->next_addr = BASE;
    b->addr_step = 64 * GIB;
}

static void pages_are_2_and_20_mib(void **state)
{
    bench b;
    (void)state;
    open_at_base(&b, "", 0, 8 * GIB);
    const ps_alloc_block small = bench_alloc(&b, 512);
    const ps_alloc_block large = bench_alloc(&b, MIB + 1);
    bench_expect(&b, 0, PS_ALLOC_SEGMENT_MAP, small.addr, 2 * MIB);
    bench_expect(&b, 1, PS_ALLOC_SEGMENT_MAP, large.addr, 20 * MIB);
    (void)bench_alloc(&b, 50 * MIB); /* 20 MiB less 1 MiB + 512 is there: 40 MiB of pages more */
    bench_expect(&b, 2, PS_ALLOC_SEGMENT_MAP, large.addr + 20 * MIB, 40 * MIB);
    assert_int_equal(bench_stats(&b)->reserved_bytes.current, 62 * MIB);
    assert_int_equal(bench_stats(&b)->segment_count.current, 0);
    bench_close(&b);
    open_at_base(&b, "large_segment_size_mb:32", 0, 8 * GIB);
    (void)bench_alloc(&b, 2 * MIB);
    assert_int_equal(b.event[0].bytes, 32 * MIB);
    bench_close(&b);
}

static void both_pools_split_at_512(void **state)
{
    bench b;
    (void)state;
    open_at_base(&b, "", 0, 8 * GIB);
    const ps_alloc_block first = bench_alloc(&b, 20 * MIB - 512);
    assert_int_equal(first.block_bytes, 20 * MIB - 512);
    assert_int_equal(bench_stats(&b)->inactive_split_bytes.current, 0); /* pages are not counted */
    bench_close(&b);
}

static void the_free_tail_grows(void **state)
{
    bench b;
    (void)state;
    open_at_base(&b, "", 0, 8 * GIB);
    const ps_alloc_block first = bench_alloc(&b, 12 * MIB);
    const ps_alloc_block second = bench_alloc(&b, 30 * MIB); /* 8 MiB are left, 22 more needed */
    assert_int_equal(second.addr, first.addr + 12 * MIB);    /* not page aligned */
    assert_int_equal(bench_stats(&b)->reserved_bytes.current, 60 * MIB);
    bench_close(&b);
}

/* used 4 | free 12 | used 4 | free 10 | used 2 | free 8 to the end of the pages. */
static void the_best_fit_prefers_a_bounded_hole(void **state)
{
    bench b;
    (void)state;
    open_at_base(&b, "", 0, 8 * GIB);
    ps_alloc_block block[5];
    static const uint64_t mib[5] = {4, 12, 4, 10, 2};
    for (unsigned i = 0; i < 5; i++) {
        block[i] = bench_alloc(&b, mib[i] * MIB);
    }
    assert_int_equal(bench_stats(&b)->reserved_bytes.current, 40 * MIB);
    bench_free(&b, block[1]);
    bench_free(&b, block[3]);
    /* 8 MiB at the end fit best by size, but could grow; 10 MiB is the next and bounded. */
    assert_int_equal(bench_alloc(&b, 8 * MIB).addr, block[3].addr);
    /* Now 8 at the end, 12: plain order 8, 12; bounded 12 has the least reach. */
    assert_int_equal(bench_alloc(&b, 7 * MIB).addr, block[1].addr);
    bench_close(&b);
}

static void the_greedy_walk_stops_at_the_first_worse_one(void **state)
{
    bench b;
    ps_alloc_block block[6];
    static const uint64_t mib[6] = {6, 4, 10, 4, 8, 28};
    (void)state;
    open_at_base(&b, "", 0, 8 * GIB);
    for (unsigned i = 0; i < 6; i++) {
        block[i] = bench_alloc(&b, mib[i] * MIB); /* 60 MiB, no rest */
    }
    bench_free(&b, block[0]);
    bench_free(&b, block[2]);
    bench_free(&b, block[4]);
    /* Free: 6, 8, 10 MiB, all bounded: the plain best fit stays. */
    assert_int_equal(bench_alloc(&b, 5 * MIB).addr, block[0].addr);
    assert_int_equal(bench_alloc(&b, 7 * MIB).addr, block[4].addr);
    bench_close(&b);
}

static void an_equal_reach_is_no_reason_to_walk_on(void **state)
{
    bench b;
    (void)state;
    /* Nine pages: used 100 | free 28 | used 24 | free 8 | unmapped 20 (all MiB). */
    open_at_base(&b, "", 0, 160 * MIB);
    (void)bench_alloc(&b, 100 * MIB);
    const ps_alloc_block bounded = bench_alloc(&b, 28 * MIB);
    const ps_alloc_block last = bench_alloc(&b, 24 * MIB);
    bench_free(&b, bounded);
    assert_int_equal(bench_alloc(&b, 7 * MIB).addr, last.addr + 24 * MIB);
    bench_close(&b);
}

/* A range with a hole: used 20 | unmapped 20 | used 20 (all MiB), and the tail. */
static void make_hole(bench *b, ps_alloc_block *low, ps_alloc_block *high)
{
    *low = bench_alloc(b, 20 * MIB);
    const ps_alloc_block gap = bench_alloc(b, 20 * MIB);
    *high = bench_alloc(b, 20 * MIB);
    bench_free(b, gap);
    b->event_count = 0;
    bench_release(b);
    bench_expect(b, 0, PS_ALLOC_SEGMENT_UNMAP, gap.addr, 20 * MIB);
    assert_int_equal(b->event_count, 1);
    b->event_count = 0;
}

static void the_lowest_suitable_hole_is_filled(void **state)
{
    bench b;
    ps_alloc_block low, high;
    (void)state;
    open_at_base(&b, "", 0, 8 * GIB);
    make_hole(&b, &low, &high);
    assert_int_equal(bench_alloc(&b, 2 * MIB).addr, low.addr + 20 * MIB);
    bench_close(&b);
    open_at_base(&b, "", 0, 8 * GIB);
    make_hole(&b, &low, &high);
    assert_int_equal(bench_alloc(&b, 21 * MIB).addr, high.addr + 20 * MIB); /* too large for it */
    bench_close(&b);
}

static void a_request_may_start_at_the_free_block_before_a_hole(void **state)
{
    bench b;
    (void)state;
    open_at_base(&b, "", 0, 8 * GIB);
    const ps_alloc_block low = bench_alloc(&b, 15 * MIB);
    const ps_alloc_block gap = bench_alloc(&b, 25 * MIB); /* pages up to 40 MiB */
    const ps_alloc_block high = bench_alloc(&b, 20 * MIB);
    bench_free(&b, gap);
    bench_release(&b); /* the page 20 .. 40 goes, 15 .. 20 stays free */
    b.event_count = 0;
    const ps_alloc_block block = bench_alloc(&b, 22 * MIB);
    assert_int_equal(block.addr, low.addr + 15 * MIB);
    bench_expect(&b, 0, PS_ALLOC_SEGMENT_MAP, low.addr + 20 * MIB, 20 * MIB);
    assert_int_equal(b.event_count, 1);
    bench_free(&b, high);
    bench_close(&b);
}

static void each_hole_is_one_entry(void **state)
{
    bench b;
    ps_alloc_block block[5];
    (void)state;
    open_at_base(&b, "", 0, 8 * GIB);
    /* used | page | 512 bytes of nothing | ...: two holes with a free piece between them. */
    block[0] = bench_alloc(&b, 20 * MIB);
    block[1] = bench_alloc(&b, 20 * MIB);
    block[2] = bench_alloc(&b, 20 * MIB);
    block[3] = bench_alloc(&b, 20 * MIB);
    bench_free(&b, block[1]);
    bench_free(&b, block[3]);
    bench_release(&b);
    bench_free(&b, block[2]); /* free and mapped between two unmapped ones */
    b.event_count = 0;
    block[4] = bench_alloc(&b, 60 * MIB);
    assert_int_equal(block[4].addr, block[1].addr);
    bench_expect(&b, 0, PS_ALLOC_SEGMENT_MAP, block[1].addr, 20 * MIB);
    bench_expect(&b, 1, PS_ALLOC_SEGMENT_MAP, block[3].addr, 20 * MIB);
    assert_int_equal(b.event_count, 2);
    bench_close(&b);
}

static void holes_mapped_before_a_refusal_stay(void **state)
{
    bench b;
    ps_alloc_block block[4];
    (void)state;
    open_at_base(&b, "", 80 * MIB, 8 * GIB);
    for (unsigned i = 0; i < 4; i++) {
        block[i] = bench_alloc(&b, 20 * MIB);
    }
    bench_free(&b, block[1]);
    bench_release(&b);
    bench_free(&b, block[2]); /* used, hole, free, used, tail */
    bench_free(&b, block[3]);
    b.event_count = 0;
    /*
     * Needs the hole (20), the free 40 and 40 of the tail: the tail is refused, then
     * all is released.
     */
    (void)bench_refuse(&b, 100 * MIB);
    bench_expect(&b, 0, PS_ALLOC_SEGMENT_MAP, block[1].addr, 20 * MIB);
    bench_expect(&b, 1, PS_ALLOC_SEGMENT_UNMAP, block[1].addr, 60 * MIB);
    assert_int_equal(b.event_count, 2);
    assert_int_equal(bench_stats(&b)->reserved_bytes.current, 20 * MIB);
    assert_int_equal(bench_stats(&b)->retry_count, 1);
    (void)bench_alloc(&b, 60 * MIB);
    bench_close(&b);
}

static void the_range_ends(void **state)
{
    bench b;
    (void)state;
    /* 9/8 of 160 MiB is 180 MiB: nine pages. */
    open_at_base(&b, "", 0, 160 * MIB);
    const ps_alloc_block first = bench_alloc(&b, 100 * MIB);
    const ps_alloc_block second = bench_alloc(&b, 100 * MIB);
    assert_int_equal(first.addr, BASE);
    assert_int_equal(second.addr, BASE + 64 * GIB); /* a second range */
    (void)bench_refuse(&b, 181 * MIB);
    bench_close(&b);
}

static void an_empty_range_is_dropped(void **state)
{
    bench b;
    (void)state;
    open_at_base(&b, "", 0, 8 * GIB);
    bench_free(&b, bench_alloc(&b, 20 * MIB));
    bench_release(&b);
    assert_int_equal(bench_stats(&b)->reserved_bytes.current, 0);
    assert_int_equal(bench_alloc(&b, 20 * MIB).addr, BASE + 64 * GIB);
    bench_close(&b);
}

static void releases_keep_partly_used_pages(void **state)
{
    bench b;
    ps_alloc_block block[3];
    (void)state;
    open_at_base(&b, "", 0, 8 * GIB);
    block[0] = bench_alloc(&b, 5 * MIB);
    block[1] = bench_alloc(&b, 50 * MIB);
    block[2] = bench_alloc(&b, 5 * MIB);
    bench_free(&b, block[1]);
    b.event_count = 0;
    bench_release(&b);
    assert_int_equal(b.event_count, 1);
    bench_expect(&b, 0, PS_ALLOC_SEGMENT_UNMAP, block[0].addr + 20 * MIB, 20 * MIB);
    assert_int_equal(bench_stats(&b)->reserved_bytes.current, 40 * MIB);
    assert_int_equal(bench_alloc(&b, 15 * MIB).addr, block[0].addr + 40 * MIB);
    bench_close(&b);
}

static void private_pools_take_driver_segments(void **state)
{
    bench b;
    (void)state;
    open_at_base(&b, "", 0, 8 * GIB);
    const ps_alloc_block block = bench_alloc_on(&b, 12 * MIB - 512, 0, (ps_pool_id){1, 0});
    bench_expect(&b, 0, PS_ALLOC_SEGMENT_ALLOC, block.addr, 12 * MIB);
    assert_int_equal(block.block_bytes, 12 * MIB - 512); /* yet split at 512 bytes */
    bench_close(&b);
}

static void private_pools_map_pages_in_newer_versions(void **state)
{
    bench b;
    ps_error err = {0};
    (void)state;
    bench_open(&b, "expandable", "", 0, 8 * GIB);
    bench_close(&b);
    b.config.private_pools_expand = true;
    b.config.choose_address = NULL;
    assert_ok(&err, ps_allocator_create("expandable", &b.config, &b.model, &err));
    const ps_alloc_block block = bench_alloc_on(&b, 12 * MIB, 0, (ps_pool_id){1, 0});
    bench_expect(&b, 0, PS_ALLOC_SEGMENT_MAP, block.addr, 20 * MIB);
    bench_close(&b);
}

static void the_process_fraction_counts_whole_segments(void **state)
{
    bench b;
    (void)state;
    open_at_base(&b, "per_process_memory_fraction:0.5", 0, 80 * MIB);
    (void)bench_alloc(&b, 15 * MIB);
    (void)bench_refuse(&b, 25 * MIB); /* 20 MiB of pages would do, 26 MiB are asked for */
    (void)bench_alloc(&b, 9 * MIB);
    bench_close(&b);
}

static void seeded_runs_share_their_range(void **state)
{
    const ps_alloc_block_info low = {.addr = BASE + 20 * MIB,
                                     .bytes = 20 * MIB,
                                     .requested_bytes = 20 * MIB,
                                     .state = PS_ALLOC_BLOCK_ALLOCATED};
    const ps_alloc_block_info high = {.addr = BASE + 60 * MIB,
                                      .bytes = 20 * MIB,
                                      .requested_bytes = 20 * MIB,
                                      .state = PS_ALLOC_BLOCK_ALLOCATED};
    ps_alloc_seed seed = {
        .segment = {.addr = low.addr, .bytes = 20 * MIB, .is_large = true, .is_expandable = true},
        .block = &low,
        .block_count = 1,
        .range_addr = BASE};
    bench b;
    ps_error err = {0};
    (void)state;
    open_at_base(&b, "", 0, 8 * GIB);
    assert_ok(&err, ps_allocator_seed(b.model, &seed, &err));
    seed.segment.addr = high.addr;
    seed.block = &high;
    assert_ok(&err, ps_allocator_seed(b.model, &seed, &err));
    assert_int_equal(bench_alloc(&b, 20 * MIB).addr, BASE);
    assert_int_equal(bench_alloc(&b, 20 * MIB).addr, BASE + 40 * MIB);
    assert_int_equal(bench_alloc(&b, 20 * MIB).addr, BASE + 80 * MIB);
    assert_int_equal(bench_stats(&b)->reserved_bytes.current, 100 * MIB);
    bench_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pages_are_2_and_20_mib),
        cmocka_unit_test(both_pools_split_at_512),
        cmocka_unit_test(the_free_tail_grows),
        cmocka_unit_test(the_best_fit_prefers_a_bounded_hole),
        cmocka_unit_test(the_greedy_walk_stops_at_the_first_worse_one),
        cmocka_unit_test(an_equal_reach_is_no_reason_to_walk_on),
        cmocka_unit_test(the_lowest_suitable_hole_is_filled),
        cmocka_unit_test(a_request_may_start_at_the_free_block_before_a_hole),
        cmocka_unit_test(each_hole_is_one_entry),
        cmocka_unit_test(holes_mapped_before_a_refusal_stay),
        cmocka_unit_test(the_range_ends),
        cmocka_unit_test(an_empty_range_is_dropped),
        cmocka_unit_test(releases_keep_partly_used_pages),
        cmocka_unit_test(private_pools_take_driver_segments),
        cmocka_unit_test(private_pools_map_pages_in_newer_versions),
        cmocka_unit_test(the_process_fraction_counts_whole_segments),
        cmocka_unit_test(seeded_runs_share_their_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
