/* SPDX-License-Identifier: MIT
 *
 * Why a request failed: true shortage or fragmentation, and what would fit.
 */
#include "alloc_support.h"

/* The size that is said to fit does, and one step more does not. */
static void check_would_fit(bench *b, uint64_t would_fit)
{
    const ps_alloc_request larger = {.bytes = would_fit + 1};
    const ps_alloc_request request = {.bytes = would_fit};
    ps_alloc_block block;
    assert_int_equal(ps_allocator_probe(b->model, &larger), PS_ALLOC_REFUSED);
    assert_int_equal(ps_allocator_alloc(b->model, &request, &block, NULL, NULL), PS_OK);
}

static void a_true_shortage(void **state)
{
    bench b;
    (void)state;
    bench_open(&b, "native", "", 100 * MIB, 0);
    (void)bench_alloc(&b, 80 * MIB);
    bench_free(&b, bench_alloc(&b, 12 * MIB));
    const ps_alloc_shortage why = bench_refuse(&b, 30 * MIB - 100);
    assert_int_equal(why.requested_bytes, 30 * MIB - 100);
    assert_int_equal(why.rounded_bytes, 30 * MIB);
    assert_int_equal(why.segment_bytes, 30 * MIB);
    assert_int_equal(why.limit_bytes, 100 * MIB);
    assert_int_equal(why.reserved_bytes, 80 * MIB); /* the cached segment was released */
    assert_int_equal(why.allocated_bytes, 80 * MIB);
    assert_int_equal(why.cached_bytes, 0);
    assert_int_equal(why.largest_free_bytes, 0);
    assert_int_equal(why.missing_bytes, 10 * MIB);
    assert_int_equal(why.unusable_bytes, 0);
    assert_int_equal(why.would_fit_bytes, 20 * MIB);
    check_would_fit(&b, why.would_fit_bytes);
    bench_close(&b);
}

static void fragmentation(void **state)
{
    bench b;
    ps_alloc_block block[8];
    (void)state;
    bench_open(&b, "native", "", 40 * MIB, 0);
    for (unsigned i = 0; i < 8; i++) {
        block[i] = bench_alloc(&b, 5 * MIB);
    }
    for (unsigned i = 0; i < 8; i += 2) {
        bench_free(&b, block[i]);
    }
    const ps_alloc_shortage why = bench_refuse(&b, 10 * MIB);
    assert_int_equal(why.missing_bytes, 0);
    assert_int_equal(why.cached_bytes, 20 * MIB);
    assert_int_equal(why.unusable_bytes, 20 * MIB);
    assert_int_equal(why.largest_free_bytes, 5 * MIB);
    assert_int_equal(why.would_fit_bytes, 5 * MIB);
    check_would_fit(&b, why.would_fit_bytes);
    bench_close(&b);
}

static void other_streams_do_not_help(void **state)
{
    bench b;
    (void)state;
    bench_open(&b, "native", "", 40 * MIB, 0);
    const ps_alloc_block pin = bench_alloc_on(&b, 2 * MIB, 9, (ps_pool_id){0, 0});
    (void)bench_alloc(&b, 15 * MIB);
    const ps_alloc_shortage why = bench_refuse(&b, 12 * MIB);
    assert_int_equal(why.cached_bytes, 18 * MIB);
    assert_int_equal(why.largest_free_bytes, 0);
    assert_int_equal(why.missing_bytes, 0);
    assert_int_equal(why.would_fit_bytes, MIB); /* 4 MiB are left: a small segment */
    check_would_fit(&b, why.would_fit_bytes);
    bench_free(&b, pin);
    bench_close(&b);
}

static void nothing_fits(void **state)
{
    bench b;
    (void)state;
    bench_open(&b, "native", "", MIB, 0);
    const ps_alloc_shortage why = bench_refuse(&b, 1);
    assert_int_equal(why.segment_bytes, 2 * MIB);
    assert_int_equal(why.would_fit_bytes, 0);
    bench_close(&b);
}

static void coarse_rounding_is_respected(void **state)
{
    bench b;
    (void)state;
    bench_open(&b, "native", "roundup_power2_divisions:2", 50 * MIB, 0);
    const ps_alloc_shortage why = bench_refuse(&b, 50 * MIB); /* rounds to 64 MiB */
    assert_int_equal(why.rounded_bytes, 64 * MIB);
    assert_int_equal(why.would_fit_bytes, 48 * MIB);
    check_would_fit(&b, why.would_fit_bytes);
    bench_close(&b);
}

static void what_a_refusal_released_counts_as_room(void **state)
{
    bench b;
    ps_alloc_block block;
    (void)state;
    bench_open(&b, "native", "max_split_size_mb:32", 100 * MIB, 0);
    bench_free(&b, bench_alloc(&b, 90 * MIB));
    /* Oversize blocks go even under a capture, and stay gone though they were not enough. */
    const ps_alloc_request request = {.bytes = 101 * MIB, .is_capturing = true};
    ps_alloc_shortage why;
    assert_int_equal(ps_allocator_alloc(b.model, &request, &block, &why, NULL), PS_DEVICE_FULL);
    assert_int_equal(why.would_fit_bytes, 100 * MIB);
    bench_close(&b);
}

static void expandable_counts_pages(void **state)
{
    bench b;
    (void)state;
    bench_open(&b, "expandable", "", 100 * MIB, 100 * MIB);
    const ps_alloc_block low = bench_alloc(&b, 30 * MIB); /* 40 MiB of pages */
    const ps_alloc_shortage why = bench_refuse(&b, 75 * MIB);
    assert_int_equal(why.segment_bytes, 80 * MIB); /* 10 MiB are there */
    assert_int_equal(why.missing_bytes, 5 * MIB);
    assert_int_equal(why.would_fit_bytes, 70 * MIB);
    check_would_fit(&b, why.would_fit_bytes);
    bench_free(&b, low);
    bench_close(&b);
}

static void the_message_names_the_numbers(void **state)
{
    bench b;
    ps_error err = {0};
    ps_alloc_block block;
    const ps_alloc_request request = {.bytes = 3 * MIB};
    (void)state;
    bench_open(&b, "native", "", MIB, 0);
    assert_int_equal(ps_allocator_alloc(b.model, &request, &block, NULL, &err), PS_DEVICE_FULL);
    assert_string_equal(err.message, "3145728 bytes do not fit: 0 reserved, 0 of them in use");
    bench_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_true_shortage),
        cmocka_unit_test(fragmentation),
        cmocka_unit_test(other_streams_do_not_help),
        cmocka_unit_test(nothing_fits),
        cmocka_unit_test(coarse_rounding_is_respected),
        cmocka_unit_test(what_a_refusal_released_counts_as_room),
        cmocka_unit_test(expandable_counts_pages),
        cmocka_unit_test(the_message_names_the_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
