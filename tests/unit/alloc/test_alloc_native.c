/* SPDX-License-Identifier: MIT
 *
 * The rules of PyTorch's caching allocator on driver segments, one by one.
 * Each test fails when its rule is replaced by the obvious wrong one.
 */
#include "alloc_support.h"

#define DEFAULT_POOL ((ps_pool_id){0, 0})

static void requests_are_rounded_to_512(void **state)
{
    static const uint64_t cases[][2] = {
        {1, 512},    {511, 512},       {512, 512},
        {513, 1024}, {1025, 1536},     {100000, 100352},
        {MIB, MIB},  {MIB - 511, MIB}, {20 * MIB + 1, 20 * MIB + 512}};
    bench b;
    (void)state;
    bench_open(&b, "native", "", 0, 0);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const ps_alloc_block block = bench_alloc(&b, cases[i][0]);
        if (cases[i][0] < 10 * MIB) {
            assert_int_equal(block.block_bytes, cases[i][1]);
        }
        bench_free(&b, block);
    }
    bench_close(&b);
}

static void the_pool_follows_the_rounded_size(void **state)
{
    static const uint64_t cases[][2] = {{1, 2 * MIB},
                                        {MIB - 511, 2 * MIB},
                                        {MIB, 2 * MIB},
                                        {MIB + 1, 20 * MIB},
                                        {MIB + 512, 20 * MIB},
                                        {3 * MIB / 2, 20 * MIB},
                                        {2 * MIB, 20 * MIB},
                                        {10 * MIB - 512, 20 * MIB},
                                        {10 * MIB - 511, 10 * MIB},
                                        {10 * MIB, 10 * MIB},
                                        {10 * MIB + 1, 12 * MIB},
                                        {11 * MIB, 12 * MIB},
                                        {12 * MIB, 12 * MIB},
                                        {15 * MIB, 16 * MIB},
                                        {20 * MIB + 1, 22 * MIB},
                                        {GIB + 1, GIB + 2 * MIB}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        bench b;
        bench_open(&b, "native", "", 0, 0);
        (void)bench_alloc(&b, cases[i][0]);
        assert_int_equal(bench_count(&b, PS_ALLOC_SEGMENT_ALLOC), 1);
        assert_int_equal(b.event[0].bytes, cases[i][1]);
        assert_int_equal(bench_stats(&b)->reserved_bytes.current, cases[i][1]);
        bench_close(&b);
    }
}

static void the_large_segment_is_a_setting(void **state)
{
    bench b;
    (void)state;
    bench_open(&b, "native", "large_segment_size_mb:40", 0, 0);
    (void)bench_alloc(&b, 2 * MIB);
    assert_int_equal(b.event[0].bytes, 40 * MIB);
    bench_close(&b);
    bench_open(&b, "native", "large_segment_size_mb:4", 0, 0);
    (void)bench_alloc(&b, 3 * MIB);
    (void)bench_alloc(&b, 5 * MIB);
    assert_int_equal(b.event[0].bytes, 4 * MIB);
    assert_int_equal(b.event[1].bytes, 6 * MIB); /* it must hold the request */
    bench_close(&b);
}

static void divisions_round_by_class(void **state)
{
    bench b;
    (void)state;
    bench_open(&b, "native", "roundup_power2_divisions:4", 0, 0);
    assert_int_equal(bench_alloc(&b, 1200).block_bytes, 1536); /* 512 * 4 is not exceeded */
    assert_int_equal(bench_alloc(&b, 2048).block_bytes, 2048);
    assert_int_equal(bench_alloc(&b, 2049).block_bytes, 2560); /* 2048 + 1/4 of it */
    assert_int_equal(bench_alloc(&b, 8192).block_bytes, 8192); /* a power of two stays */
    assert_int_equal(bench_alloc(&b, 9000).block_bytes, 10240);
    assert_int_equal(bench_alloc(&b, 5 * MIB + 1).block_bytes, 6 * MIB);
    bench_close(&b);
    bench_open(&b, "native", "roundup_power2_divisions:[4:2,8:1,>:1]", 0, 0);
    assert_int_equal(bench_alloc(&b, 5 * MIB).block_bytes, 6 * MIB);
    assert_int_equal(bench_alloc(&b, 9 * MIB + 1).block_bytes, 9 * MIB + 512);
    bench_close(&b);
    /* A step below 512 cannot happen, and the classes end at 32 GiB. */
    bench_open(&b, "native", "roundup_power2_divisions:[32768:8]", 0, 0);
    assert_int_equal(bench_alloc(&b, 33 * GIB).block_bytes, 36 * GIB);
    bench_close(&b);
}

/* Three free blocks of one segment each, at falling addresses: 16, 14 and 12 MiB. */
static void three_free(bench *b)
{
    ps_alloc_block block[3];
    b->next_addr = 0x700000000000;
    b->addr_step = (uint64_t)0 - 64 * MIB;
    for (unsigned i = 0; i < 3; i++) {
        block[i] = bench_alloc(b, (16 - 2 * i) * MIB);
    }
    for (unsigned i = 0; i < 3; i++) {
        bench_free(b, block[i]);
    }
}

static void the_smallest_fitting_block_is_taken(void **state)
{
    bench b;
    (void)state;
    bench_open(&b, "native", "", 0, 0);
    three_free(&b);
    assert_int_equal(bench_alloc(&b, 13 * MIB).addr, 0x700000000000 - 64 * MIB);
    assert_int_equal(bench_alloc(&b, 13 * MIB).addr, 0x700000000000);
    assert_int_equal(bench_alloc(&b, 11 * MIB).addr, 0x700000000000 - 128 * MIB);
    bench_close(&b);
}

static void ties_go_to_the_lowest_address(void **state)
{
    bench b;
    ps_alloc_block block[3];
    (void)state;
    for (unsigned last = 0; last < 3; last++) { /* whatever is freed last */
        bench_open(&b, "native", "", 0, 0);
        b.next_addr = 0x700000000000;
        b.addr_step = (uint64_t)0 - 64 * MIB;
        for (unsigned i = 0; i < 3; i++) {
            block[i] = bench_alloc(&b, 12 * MIB);
        }
        for (unsigned i = 0; i < 3; i++) {
            bench_free(&b, block[(last + 1 + i) % 3]);
        }
        assert_int_equal(bench_alloc(&b, 12 * MIB).addr, block[2].addr);
        assert_int_equal(bench_alloc(&b, 12 * MIB).addr, block[1].addr);
        assert_int_equal(bench_alloc(&b, 12 * MIB).addr, block[0].addr);
        bench_close(&b);
    }
}

static void streams_share_nothing(void **state)
{
    bench b;
    (void)state;
    bench_open(&b, "native", "", 0, 0);
    const ps_alloc_block mine = bench_alloc_on(&b, 12 * MIB, 7, DEFAULT_POOL);
    bench_free(&b, mine);
    const ps_alloc_block other = bench_alloc_on(&b, 12 * MIB, 8, DEFAULT_POOL);
    assert_int_not_equal(other.addr, mine.addr);
    assert_int_not_equal(bench_alloc_on(&b, 12 * MIB, 6, DEFAULT_POOL).addr, mine.addr);
    assert_int_equal(bench_alloc_on(&b, 12 * MIB, 7, DEFAULT_POOL).addr, mine.addr);
    bench_close(&b);
}

static void small_blocks_split_at_512(void **state)
{
    bench b;
    (void)state;
    bench_open(&b, "native", "", 0, 0);
    const ps_alloc_block first = bench_alloc(&b, MIB);
    const ps_alloc_block second = bench_alloc(&b, MIB - 512);
    assert_int_equal(second.addr, first.addr + MIB); /* the low end is handed out */
    assert_int_equal(second.block_bytes, MIB - 512);
    assert_int_equal(bench_alloc(&b, 512).addr, first.addr + 2 * MIB - 512);
    assert_int_equal(bench_count(&b, PS_ALLOC_SEGMENT_ALLOC), 1);
    bench_close(&b);
}

static void large_blocks_split_above_one_mib(void **state)
{
    bench b;
    (void)state;
    bench_open(&b, "native", "", 0, 0);
    bench_free(&b, bench_alloc(&b, 12 * MIB));
    const ps_alloc_block exact = bench_alloc(&b, 11 * MIB);
    assert_int_equal(exact.block_bytes, 12 * MIB); /* a rest of 1 MiB is given along */
    assert_int_equal(bench_stats(&b)->allocated_bytes.current, 12 * MIB);
    assert_int_equal(bench_stats(&b)->requested_bytes.current, 11 * MIB);
    bench_free(&b, exact);
    assert_int_equal(bench_alloc(&b, 11 * MIB - 512).block_bytes, 11 * MIB - 512);
    assert_int_equal(bench_stats(&b)->inactive_split_bytes.current, MIB + 512);
    assert_int_equal(bench_stats(&b)->inactive_split_count.current, 1);
    bench_close(&b);
}

static void free_neighbours_merge_both_ways(void **state)
{
    static const unsigned orders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
                                          {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    (void)state;
    for (unsigned o = 0; o < 6; o++) {
        bench b;
        ps_alloc_block block[3];
        bench_open(&b, "native", "", 0, 0);
        for (unsigned i = 0; i < 3; i++) {
            block[i] = bench_alloc(&b, 4 * MIB);
        }
        const ps_alloc_block rest = bench_alloc(&b, 8 * MIB); /* 20 MiB in all */
        for (unsigned i = 0; i < 3; i++) {
            bench_free(&b, block[orders[o][i]]);
        }
        assert_int_equal(bench_stats(&b)->inactive_split_count.current, 1);
        assert_int_equal(bench_stats(&b)->inactive_split_bytes.current, 12 * MIB);
        const ps_alloc_block whole = bench_alloc(&b, 12 * MIB);
        assert_int_equal(whole.addr, block[0].addr);
        bench_free(&b, rest);
        bench_free(&b, whole);
        assert_int_equal(bench_stats(&b)->inactive_split_bytes.current, 0);
        assert_int_equal(bench_count(&b, PS_ALLOC_SEGMENT_ALLOC), 1);
        bench_close(&b);
    }
}

static void deferred_frees_stay_out_of_reach(void **state)
{
    bench b;
    ps_error err = {0};
    (void)state;
    bench_open(&b, "native", "", 0, 0);
    const ps_alloc_block first = bench_alloc(&b, 12 * MIB);
    bench_free_later(&b, first);
    assert_int_equal(bench_stats(&b)->allocated_bytes.current, 0);
    assert_int_equal(bench_stats(&b)->active_bytes.current, 12 * MIB);
    assert_int_equal(bench_stats(&b)->requested_bytes.current, 12 * MIB);
    const ps_alloc_block second = bench_alloc(&b, 12 * MIB);
    assert_int_not_equal(second.addr, first.addr);
    assert_ok(&err, ps_allocator_complete(b.model, first.handle, &err));
    assert_int_equal(bench_stats(&b)->active_bytes.current, 12 * MIB);
    assert_int_equal(bench_alloc(&b, 12 * MIB).addr, first.addr);
    assert_int_equal(ps_allocator_complete(b.model, first.handle, NULL), PS_USAGE);
    bench_close(&b);
}

static void dead_handles_are_refused(void **state)
{
    bench b;
    (void)state;
    bench_open(&b, "native", "", 0, 0);
    const ps_alloc_block first = bench_alloc(&b, 512);
    assert_int_equal(ps_allocator_find(b.model, first.addr).generation, first.handle.generation);
    bench_free(&b, first);
    assert_int_equal(ps_allocator_free(b.model, first.handle, false, NULL), PS_USAGE);
    const ps_alloc_block again = bench_alloc(&b, 512);
    assert_int_equal(again.addr, first.addr);
    assert_int_equal(ps_allocator_free(b.model, first.handle, false, NULL), PS_USAGE);
    assert_int_equal(ps_allocator_free(b.model, (ps_alloc_handle){0, 0}, false, NULL), PS_USAGE);
    assert_int_equal(ps_allocator_free(b.model, (ps_alloc_handle){99, 1}, false, NULL), PS_USAGE);
    assert_int_equal(ps_allocator_complete(b.model, again.handle, NULL), PS_USAGE);
    assert_int_equal(ps_allocator_find(b.model, again.addr + 512).generation, 0);
    bench_close(&b);
}

static void bad_requests_are_refused(void **state)
{
    bench b;
    ps_alloc_block block;
    ps_alloc_request request = {.bytes = 0};
    (void)state;
    bench_open(&b, "native", "", 0, 0);
    assert_int_equal(ps_allocator_alloc(b.model, &request, &block, NULL, NULL), PS_USAGE);
    assert_int_equal(ps_allocator_probe(b.model, &request), PS_ALLOC_REFUSED);
    request.bytes = UINT64_MAX;
    assert_int_equal(ps_allocator_alloc(b.model, &request, &block, NULL, NULL), PS_USAGE);
    assert_int_equal(bench_stats(&b)->reserved_bytes.peak, 0);
    bench_close(&b);
}

static void releases_follow_pool_stream_size_address(void **state)
{
    bench b;
    ps_alloc_block block[7];
    (void)state;
    bench_open(&b, "native", "", 0, 0);
    b.next_addr = 0x700000000000;
    b.addr_step = (uint64_t)0 - 64 * MIB;
    block[0] = bench_alloc_on(&b, 512, 0, DEFAULT_POOL);
    block[1] = bench_alloc_on(&b, 12 * MIB, 5, DEFAULT_POOL);
    block[2] = bench_alloc_on(&b, 14 * MIB, 0, DEFAULT_POOL);
    block[3] = bench_alloc_on(&b, 12 * MIB, 0, DEFAULT_POOL);
    block[4] = bench_alloc_on(&b, 12 * MIB, 0, DEFAULT_POOL);
    block[5] = bench_alloc_on(&b, 10 * MIB, 5, DEFAULT_POOL);
    block[6] = bench_alloc_on(&b, 4 * MIB, 5, DEFAULT_POOL); /* stays in use */
    for (unsigned i = 0; i < 6; i++) {
        bench_free(&b, block[i]);
    }
    b.event_count = 0;
    bench_release(&b);
    assert_int_equal(b.event_count, 6);
    bench_expect(&b, 0, PS_ALLOC_SEGMENT_FREE, block[4].addr, 12 * MIB);
    bench_expect(&b, 1, PS_ALLOC_SEGMENT_FREE, block[3].addr, 12 * MIB);
    bench_expect(&b, 2, PS_ALLOC_SEGMENT_FREE, block[2].addr, 14 * MIB);
    bench_expect(&b, 3, PS_ALLOC_SEGMENT_FREE, block[5].addr, 10 * MIB);
    bench_expect(&b, 4, PS_ALLOC_SEGMENT_FREE, block[1].addr, 12 * MIB);
    bench_expect(&b, 5, PS_ALLOC_SEGMENT_FREE, block[0].addr, 2 * MIB); /* the small pool last */
    assert_int_equal(bench_stats(&b)->reserved_bytes.current, 20 * MIB);
    bench_release(&b);
    assert_int_equal(b.event_count, 6);
    bench_close(&b);
}

static void a_refused_request_waits_releases_and_tries_again(void **state)
{
    bench b;
    (void)state;
    bench_open(&b, "native", "", 40 * MIB, 0);
    const ps_alloc_block kept = bench_alloc(&b, 12 * MIB);
    const ps_alloc_block waiting = bench_alloc(&b, 12 * MIB);
    const ps_alloc_block cached = bench_alloc(&b, 512);
    bench_free_later(&b, waiting);
    bench_free(&b, cached);
    b.event_count = 0;
    const ps_alloc_block block = bench_alloc(&b, 20 * MIB);
    assert_int_equal(b.event_count, 4);
    bench_expect(&b, 0, PS_ALLOC_FREE_COMPLETED, waiting.addr, 12 * MIB);
    bench_expect(&b, 1, PS_ALLOC_SEGMENT_FREE, waiting.addr, 12 * MIB);
    bench_expect(&b, 2, PS_ALLOC_SEGMENT_FREE, cached.addr, 2 * MIB);
    bench_expect(&b, 3, PS_ALLOC_SEGMENT_ALLOC, block.addr, 20 * MIB);
    assert_int_equal(bench_stats(&b)->retry_count, 1);
    assert_int_equal(bench_stats(&b)->oom_count, 0);
    assert_int_equal(bench_stats(&b)->reserved_bytes.peak, 32 * MIB);
    bench_free(&b, kept);
    bench_close(&b);
}

static void waited_for_blocks_are_not_searched(void **state)
{
    bench b;
    (void)state;
    bench_open(&b, "native", "", 42 * MIB, 0);
    const ps_alloc_block first = bench_alloc(&b, 4 * MIB);
    const ps_alloc_block waiting = bench_alloc(&b, 9 * MIB); /* the same segment of 20 MiB */
    const ps_alloc_block cached = bench_alloc(&b, 20 * MIB);
    assert_int_equal(waiting.addr, first.addr + 4 * MIB);
    bench_free_later(&b, waiting);
    bench_free(&b, cached);
    (void)bench_alloc(&b, 15 * MIB); /* uses the cached segment, leaves 5 MiB of it */
    b.event_count = 0;
    /* After the wait 16 MiB are free behind the first block, but nobody looks there again. */
    (void)bench_refuse(&b, 8 * MIB);
    bench_expect(&b, 0, PS_ALLOC_FREE_COMPLETED, waiting.addr, 9 * MIB);
    assert_int_equal(b.event_count, 1);
    assert_int_equal(bench_alloc(&b, 8 * MIB).addr, waiting.addr);
    bench_close(&b);
}

static void oversize_blocks_are_kept_whole(void **state)
{
    bench b;
    (void)state;
    bench_open(&b, "native", "max_split_size_mb:32", 0, 0);
    const ps_alloc_block big = bench_alloc(&b, 40 * MIB);
    bench_free(&b, big);
    const ps_alloc_block small = bench_alloc(&b, 12 * MIB);
    assert_int_not_equal(small.addr, big.addr); /* not for a request below the limit */
    const ps_alloc_block close = bench_alloc(&b, 33 * MIB);
    assert_int_equal(close.addr, big.addr);
    assert_int_equal(close.block_bytes, 40 * MIB); /* and never split */
    bench_free(&b, close);
    bench_free(&b, small);
    assert_int_equal(bench_alloc(&b, 32 * MIB).addr, big.addr);
    bench_close(&b);
}

static void oversize_slack_is_bounded(void **state)
{
    bench b;
    (void)state;
    bench_open(&b, "native", "max_split_size_mb:32", 0, 0);
    const ps_alloc_block big = bench_alloc(&b, 60 * MIB);
    bench_free(&b, big);
    assert_int_not_equal(bench_alloc(&b, 40 * MIB).addr, big.addr); /* 20 MiB more is too much */
    assert_int_equal(bench_alloc(&b, 40 * MIB + 512).addr, big.addr);
    bench_close(&b);
}

static void a_refusal_releases_oversize_blocks_first(void **state)
{
    bench b;
    ps_alloc_block block[4];
    (void)state;
    bench_open(&b, "native", "max_split_size_mb:32", 200 * MIB, 0);
    block[0] = bench_alloc(&b, 34 * MIB);
    block[1] = bench_alloc(&b, 80 * MIB);
    block[2] = bench_alloc(&b, 60 * MIB);
    block[3] = bench_alloc(&b, 12 * MIB);
    for (unsigned i = 0; i < 4; i++) {
        bench_free(&b, block[i]);
    }
    b.event_count = 0;
    /* One block of at least the request, the smallest of them. */
    const ps_alloc_block next = bench_alloc(&b, 38 * MIB);
    assert_int_equal(b.event_count, 2);
    bench_expect(&b, 0, PS_ALLOC_SEGMENT_FREE, block[2].addr, 60 * MIB);
    bench_free(&b, next);
    b.event_count = 0;
    /* None is large enough: from the largest down until they are together; 12 MiB stays. */
    (void)bench_alloc(&b, 110 * MIB);
    assert_int_equal(b.event_count, 3);
    bench_expect(&b, 0, PS_ALLOC_SEGMENT_FREE, block[1].addr, 80 * MIB);
    bench_expect(&b, 1, PS_ALLOC_SEGMENT_FREE, next.addr, 38 * MIB);
    assert_int_equal(b.event[2].kind, PS_ALLOC_SEGMENT_ALLOC);
    assert_int_equal(bench_stats(&b)->retry_count, 0);
    bench_close(&b);
}

static void collection_frees_what_is_older_than_the_mean(void **state)
{
    bench b;
    ps_alloc_block block[4];
    (void)state;
    /* Collection starts above 50 MiB reserved: half of the half of 200 MiB. */
    bench_open(&b, "native", "garbage_collection_threshold:0.5,per_process_memory_fraction:0.5", 0,
               200 * MIB);
    for (unsigned i = 0; i < 4; i++) {
        block[i] = bench_alloc(&b, (20 + 2 * i) * MIB);
    }
    assert_int_equal(bench_count(&b, PS_ALLOC_SEGMENT_FREE), 0); /* nothing to collect yet */
    bench_free(&b, block[0]);
    bench_free(&b, block[1]);
    bench_free(&b, bench_alloc(&b, 20 * MIB)); /* the first is young again */
    b.event_count = 0;
    (void)bench_alloc(&b, 15 * MIB + 30 * MIB);
    bench_expect(&b, 0, PS_ALLOC_SEGMENT_FREE, block[1].addr, 22 * MIB);
    bench_close(&b);
}

static void a_collection_pass_does_not_stop_at_the_target(void **state)
{
    bench b;
    ps_alloc_block block[3];
    (void)state;
    bench_open(&b, "native", "garbage_collection_threshold:0.5,per_process_memory_fraction:0.5", 0,
               200 * MIB);
    for (unsigned i = 0; i < 3; i++) {
        block[i] = bench_alloc(&b, (20 + 2 * i) * MIB);
    }
    for (unsigned i = 0; i < 3; i++) {
        bench_free(&b, block[i]);
    }
    b.event_count = 0;
    /* 66 MiB reserved, 50 allowed: the first block would do, but all are of the mean age. */
    (void)bench_alloc(&b, 30 * MIB);
    assert_int_equal(b.event_count, 4);
    for (unsigned i = 0; i < 3; i++) {
        bench_expect(&b, i, PS_ALLOC_SEGMENT_FREE, block[i].addr, (20 + 2 * i) * MIB);
    }
    bench_close(&b);
}

static void collection_needs_a_process_limit(void **state)
{
    bench b;
    (void)state;
    bench_open(&b, "native", "garbage_collection_threshold:0.1", 100 * MIB, 100 * MIB);
    bench_free(&b, bench_alloc(&b, 40 * MIB));
    (void)bench_alloc(&b, 50 * MIB);
    assert_int_equal(bench_count(&b, PS_ALLOC_SEGMENT_FREE), 0);
    bench_close(&b);
}

static void the_process_fraction_limits_like_the_device(void **state)
{
    bench b;
    ps_alloc_config config;
    ps_allocator *model;
    (void)state;
    bench_open(&b, "native", "per_process_memory_fraction:0.25", 0, 400 * MIB);
    const ps_alloc_shortage why = bench_refuse(&b, 101 * MIB);
    assert_int_equal(why.limit_bytes, 100 * MIB);
    (void)bench_alloc(&b, 100 * MIB);
    bench_close(&b);
    ps_alloc_config_init(&config);
    config.settings.process_fraction = 0.5;
    assert_int_equal(ps_allocator_create("native", &config, &model, NULL), PS_USAGE);
}

static void private_pools_live_apart_until_they_die(void **state)
{
    const ps_pool_id graph = {1, 0};
    bench b;
    ps_error err = {0};
    (void)state;
    bench_open(&b, "native", "", 0, 0);
    const ps_alloc_block small = bench_alloc_on(&b, 512, 0, graph);
    const ps_alloc_block large = bench_alloc_on(&b, 12 * MIB, 0, graph);
    bench_free(&b, small);
    bench_free(&b, large);
    assert_int_not_equal(bench_alloc(&b, 12 * MIB).addr, large.addr);
    bench_release(&b);
    assert_int_equal(bench_count(&b, PS_ALLOC_SEGMENT_FREE), 0);
    assert_ok(&err, ps_allocator_set_pool_state(b.model, graph, PS_POOL_DEAD, &err));
    b.event_count = 0;
    bench_release(&b);
    bench_expect(&b, 0, PS_ALLOC_SEGMENT_FREE, small.addr, 2 * MIB); /* here the small ones first */
    bench_expect(&b, 1, PS_ALLOC_SEGMENT_FREE, large.addr, 12 * MIB);
    assert_int_equal(b.event[0].pool.owner, 1);
    assert_int_equal(ps_allocator_set_pool_state(b.model, DEFAULT_POOL, PS_POOL_DEAD, NULL),
                     PS_USAGE);
    assert_ok(&err, ps_allocator_set_pool_state(b.model, (ps_pool_id){9, 9}, PS_POOL_DEAD, &err));
    bench_close(&b);
}

static void dead_pools_go_in_order_of_declaration_and_revive(void **state)
{
    const ps_pool_id first = {1, 0};
    const ps_pool_id second = {2, 0};
    bench b;
    ps_error err = {0};
    (void)state;
    bench_open(&b, "native", "", 0, 0);
    const ps_alloc_block one = bench_alloc_on(&b, 12 * MIB, 0, first);
    const ps_alloc_block two = bench_alloc_on(&b, 12 * MIB, 0, second);
    bench_free(&b, one);
    bench_free(&b, two);
    assert_ok(&err, ps_allocator_set_pool_state(b.model, second, PS_POOL_DEAD, &err));
    assert_ok(&err, ps_allocator_set_pool_state(b.model, first, PS_POOL_DEAD, &err));
    b.event_count = 0;
    bench_free(&b, bench_alloc_on(&b, 12 * MIB, 0, second)); /* lives again */
    bench_release(&b);
    assert_int_equal(b.event_count, 1);
    bench_expect(&b, 0, PS_ALLOC_SEGMENT_FREE, one.addr, 12 * MIB);
    bench_close(&b);
}

static void a_capture_forbids_releases(void **state)
{
    bench b;
    ps_alloc_block block;
    (void)state;
    bench_open(&b, "native", "", 40 * MIB, 0);
    bench_free(&b, bench_alloc(&b, 30 * MIB));
    ps_alloc_request request = {.bytes = 32 * MIB, .is_capturing = true};
    assert_int_equal(ps_allocator_alloc(b.model, &request, &block, NULL, NULL), PS_DEVICE_FULL);
    assert_int_equal(bench_count(&b, PS_ALLOC_SEGMENT_FREE), 0);
    assert_int_equal(bench_stats(&b)->retry_count, 0);
    assert_int_equal(bench_stats(&b)->oom_count, 1);
    request = (ps_alloc_request){.bytes = 32 * MIB, .pool = {3, 0}};
    assert_int_equal(ps_allocator_alloc(b.model, &request, &block, NULL, NULL), PS_DEVICE_FULL);
    request.pool = DEFAULT_POOL;
    assert_int_equal(ps_allocator_alloc(b.model, &request, &block, NULL, NULL), PS_OK);
    assert_int_equal(bench_stats(&b)->retry_count, 1);
    bench_close(&b);
}

static void seeds_are_part_of_the_state(void **state)
{
    const ps_alloc_block_info blocks[] = {{.addr = 0x10000000,
                                           .bytes = MIB,
                                           .requested_bytes = MIB - 9,
                                           .state = PS_ALLOC_BLOCK_ALLOCATED},
                                          {.addr = 0x10100000, .bytes = 512 * KIB},
                                          {.addr = 0x10180000,
                                           .bytes = 512 * KIB,
                                           .requested_bytes = 1,
                                           .state = PS_ALLOC_BLOCK_PENDING}};
    ps_alloc_seed seed = {
        .segment = {.addr = 0x10000000, .bytes = 2 * MIB}, .block = blocks, .block_count = 3};
    bench b;
    ps_error err = {0};
    (void)state;
    bench_open(&b, "native", "", 0, 0);
    assert_ok(&err, ps_allocator_seed(b.model, &seed, &err));
    assert_int_equal(bench_stats(&b)->reserved_bytes.peak, 2 * MIB);
    assert_int_equal(bench_stats(&b)->allocated_bytes.current, MIB);
    assert_int_equal(bench_stats(&b)->active_bytes.current, MIB + 512 * KIB);
    assert_int_equal(bench_stats(&b)->inactive_split_bytes.current, 512 * KIB);
    assert_int_equal(bench_alloc(&b, 1000).addr, 0x10100000);
    assert_ok(&err, ps_allocator_complete(b.model, ps_allocator_find(b.model, 0x10180000), &err));
    assert_int_equal(ps_allocator_seed(b.model, &seed, NULL), PS_USAGE); /* too late */
    bench_close(&b);
    bench_open(&b, "native", "", 0, 0);
    seed.block_count = 2;
    assert_int_equal(ps_allocator_seed(b.model, &seed, NULL), PS_BAD_INPUT);
    seed.segment.addr++;
    assert_int_equal(ps_allocator_seed(b.model, &seed, NULL), PS_BAD_INPUT);
    bench_close(&b);
}

static void invented_addresses_descend(void **state)
{
    bench b;
    (void)state;
    bench_open(&b, "native", "", 0, 0);
    uint64_t last = UINT64_MAX;
    for (unsigned i = 0; i < 20; i++) {
        const ps_alloc_block block = bench_alloc(&b, (32 + i) * MIB + 7);
        assert_true(block.addr < last && block.addr % (2 * MIB) == 0);
        assert_true(i == 0 || block.addr + block.block_bytes <= last);
        last = block.addr;
    }
    bench_close(&b);
}

static void probes_foresee(void **state)
{
    bench b;
    (void)state;
    bench_open(&b, "native", "", 40 * MIB, 0);
    const ps_alloc_request request = {.bytes = 30 * MIB};
    const ps_alloc_request private_request = {.bytes = 30 * MIB, .pool = {4, 4}};
    assert_int_equal(ps_allocator_probe(b.model, &request), PS_ALLOC_GROWS);
    assert_int_equal(ps_allocator_probe(b.model, &private_request), PS_ALLOC_GROWS);
    const ps_alloc_block block = bench_alloc(&b, 30 * MIB);
    assert_int_equal(ps_allocator_probe(b.model, &request), PS_ALLOC_REFUSED);
    assert_int_equal(ps_allocator_probe(b.model, &private_request), PS_ALLOC_REFUSED);
    bench_free(&b, block);
    assert_int_equal(ps_allocator_probe(b.model, &request), PS_ALLOC_FROM_CACHE);
    bench_close(&b);
}

static void exact_counts_live_bytes(void **state)
{
    bench b;
    ps_error err = {0};
    (void)state;
    bench_open(&b, "exact", "", 1000, 0);
    const ps_alloc_block one = bench_alloc(&b, 600);
    const ps_alloc_block two = bench_alloc(&b, 399);
    assert_int_equal(one.block_bytes, 600);
    assert_int_equal(bench_stats(&b)->reserved_bytes.current, 999);
    const ps_alloc_shortage why = bench_refuse(&b, 2);
    assert_int_equal(why.missing_bytes, 1);
    assert_int_equal(why.would_fit_bytes, 1);
    bench_free_later(&b, one);
    assert_int_equal(bench_stats(&b)->reserved_bytes.current, 999);
    assert_int_equal(bench_stats(&b)->allocated_bytes.current, 399);
    assert_ok(&err, ps_allocator_complete(b.model, one.handle, &err));
    assert_int_equal(bench_stats(&b)->reserved_bytes.current, 399);
    bench_free_later(&b, two);
    bench_release(&b);
    assert_int_equal(bench_stats(&b)->reserved_bytes.current, 0);
    assert_int_equal(bench_stats(&b)->reserved_bytes.peak, 999);
    ps_allocator_reset_peaks(b.model);
    assert_int_equal(bench_stats(&b)->reserved_bytes.peak, 0);
    assert_int_equal(ps_allocator_free(b.model, one.handle, false, NULL), PS_USAGE);
    assert_int_equal(ps_allocator_complete(b.model, one.handle, NULL), PS_USAGE);
    bench_close(&b);
}

static void the_registry_is_complete(void **state)
{
    ps_alloc_config config;
    ps_allocator *model;
    unsigned count = 0;
    (void)state;
    for (const ps_allocator_ops *const *ops = ps_allocators(); *ops != NULL; ops++, count++) {
        assert_int_equal((*ops)->abi, PS_ALLOCATOR_ABI);
        assert_non_null((*ops)->summary);
        assert_ptr_equal(ps_allocators_find((*ops)->name), *ops);
        assert_true((*ops)->create && (*ops)->destroy && (*ops)->alloc && (*ops)->free);
        assert_true((*ops)->complete && (*ops)->find && (*ops)->release_cache);
        assert_true((*ops)->set_pool_state && (*ops)->probe && (*ops)->seed && (*ops)->walk);
    }
    assert_int_equal(count, 3);
    ps_alloc_config_init(&config);
    assert_int_equal(ps_allocator_create("best", &config, &model, NULL), PS_NOT_FOUND);
    ps_allocator_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_are_rounded_to_512),
        cmocka_unit_test(the_pool_follows_the_rounded_size),
        cmocka_unit_test(the_large_segment_is_a_setting),
        cmocka_unit_test(divisions_round_by_class),
        cmocka_unit_test(the_smallest_fitting_block_is_taken),
        cmocka_unit_test(ties_go_to_the_lowest_address),
        cmocka_unit_test(streams_share_nothing),
        cmocka_unit_test(small_blocks_split_at_512),
        cmocka_unit_test(large_blocks_split_above_one_mib),
        cmocka_unit_test(free_neighbours_merge_both_ways),
        cmocka_unit_test(deferred_frees_stay_out_of_reach),
        cmocka_unit_test(dead_handles_are_refused),
        cmocka_unit_test(bad_requests_are_refused),
        cmocka_unit_test(releases_follow_pool_stream_size_address),
        cmocka_unit_test(a_refused_request_waits_releases_and_tries_again),
        cmocka_unit_test(waited_for_blocks_are_not_searched),
        cmocka_unit_test(oversize_blocks_are_kept_whole),
        cmocka_unit_test(oversize_slack_is_bounded),
        cmocka_unit_test(a_refusal_releases_oversize_blocks_first),
        cmocka_unit_test(collection_frees_what_is_older_than_the_mean),
        cmocka_unit_test(a_collection_pass_does_not_stop_at_the_target),
        cmocka_unit_test(collection_needs_a_process_limit),
        cmocka_unit_test(the_process_fraction_limits_like_the_device),
        cmocka_unit_test(private_pools_live_apart_until_they_die),
        cmocka_unit_test(dead_pools_go_in_order_of_declaration_and_revive),
        cmocka_unit_test(a_capture_forbids_releases),
        cmocka_unit_test(seeds_are_part_of_the_state),
        cmocka_unit_test(invented_addresses_descend),
        cmocka_unit_test(probes_foresee),
        cmocka_unit_test(exact_counts_live_bytes),
        cmocka_unit_test(the_registry_is_complete),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
