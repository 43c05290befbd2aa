/* SPDX-License-Identifier: MIT
 *
 * Micro-batches: which there are, and that the largest which fits is found,
 * with few questions, whatever the need grows like.
 */
#include "support/test.h"

#include "search/batches.h"

/* A need that rises from size to size, and what was asked of it. */
typedef struct need_of {
    uint64_t (*bytes)(size_t i);
    uint64_t limit;
    size_t refused_from;
    unsigned asked;
} need_of;

static ps_code ask(void *context, size_t i, ps_search_need *out, ps_error *err)
{
    need_of *self = context;
    (void)err;
    self->asked++;
    *out = (ps_search_need){.is_possible = i < self->refused_from,
                            .needed_bytes = self->bytes(i),
                            .limit_bytes = self->limit};
    return PS_OK;
}

static uint64_t line(size_t i)
{
    return 1000 + 10 * (uint64_t)i;
}

static uint64_t square(size_t i)
{
    return 1000 + (uint64_t)i * i;
}

/* An allocator's segments: the same for a while, then a jump. */
static uint64_t stairs(size_t i)
{
    return 1000 + 300 * ((uint64_t)i / 7);
}

static uint64_t flat(size_t i)
{
    (void)i;
    return 1000;
}

static size_t find(need_of *self, size_t count, size_t skip)
{
    ps_error err = {0};
    size_t best = 0;
    assert_ok(&err, ps_search_largest(count, 0, skip, ask, self, &best, &err));
    return best;
}

static size_t by_hand(const need_of *self, size_t count)
{
    size_t best = SIZE_MAX;
    for (size_t i = 0; i < count && i < self->refused_from && self->bytes(i) <= self->limit; i++) {
        best = i;
    }
    return best;
}

static void the_largest_is_found(void **state)
{
    static uint64_t (*const needs[])(size_t) = {line, square, stairs, flat};
    (void)state;
    for (size_t n = 0; n < sizeof needs / sizeof needs[0]; n++) {
        for (uint64_t limit = 980; limit < 4000; limit += 17) {
            for (size_t count = 1; count < 200; count += 13) {
                need_of self = {.bytes = needs[n], .limit = limit, .refused_from = SIZE_MAX};
                const size_t best = find(&self, count, 0);
                assert_true(best == by_hand(&self, count));
                assert_true(self.asked <= 20);
            }
        }
    }
}

static void a_line_needs_few_questions(void **state)
{
    need_of self = {.bytes = line, .limit = 5321, .refused_from = SIZE_MAX};
    (void)state;
    assert_int_equal(find(&self, 512, 0), 432);
    assert_true(self.asked <= 12); /* 10 of them double the size */
}

static void what_is_refused_does_not_fit(void **state)
{
    need_of self = {.bytes = line, .limit = UINT64_MAX, .refused_from = 37};
    need_of never = {.bytes = line, .limit = UINT64_MAX, .refused_from = 0};
    (void)state;
    assert_int_equal(find(&self, 512, 0), 36);
    assert_true(find(&never, 512, 0) == SIZE_MAX);
    assert_int_equal(never.asked, 1);
}

static void sizes_of_no_interest_are_skipped(void **state)
{
    need_of self = {.bytes = line, .limit = 5321, .refused_from = SIZE_MAX};
    need_of all = self;
    (void)state;
    assert_int_equal(find(&self, 512, 300), 432);
    assert_int_equal(find(&all, 512, 512), 0); /* but for the first */
    assert_int_equal(all.asked, 1);
}

static void a_failure_ends_it(void **state)
{
    ps_error err = {0};
    ps_search_sizes sizes;
    const ps_search_batch_rule rule = {.global_batch = 12, .most = 512};
    const ps_search_method method = {.replicas = 8, .tensor = 1, .pipeline = 1};
    (void)state;
    assert_int_equal(ps_search_sizes_of(&rule, &method, &sizes, &err), PS_USAGE);
    assert_true(sizes.listed == NULL && sizes.count == 0);
}

static void a_global_batch_lists_divisors(void **state)
{
    static const int64_t expected[] = {1, 2, 3, 4, 6, 12};
    ps_error err = {0};
    ps_search_sizes sizes;
    const ps_search_batch_rule rule = {.global_batch = 48, .most = 512};
    const ps_search_method method = {.replicas = 4, .tensor = 1, .pipeline = 1};
    (void)state;
    assert_ok(&err, ps_search_sizes_of(&rule, &method, &sizes, &err));
    assert_int_equal(sizes.count, 6);
    for (size_t i = 0; i < 6; i++) {
        assert_int_equal(ps_search_size_at(&sizes, i), expected[i]);
        assert_int_equal(ps_search_accumulation(&rule, &method, expected[i]), 12 / expected[i]);
    }
    ps_search_sizes_fini(&sizes);
}

static void least_tokens_are_accumulated(void **state)
{
    const ps_search_batch_rule least = {.min_sequences = 100, .most = 512};
    const ps_search_batch_rule any = {.most = 512};
    const ps_search_method data = {.replicas = 8, .tensor = 1, .pipeline = 1};
    const ps_search_method pipeline = {.replicas = 2, .tensor = 1, .pipeline = 4};
    (void)state;
    assert_int_equal(ps_search_accumulation(&least, &data, 1), 13);
    assert_int_equal(ps_search_accumulation(&least, &data, 16), 1);
    assert_int_equal(ps_search_accumulation(&any, &data, 2), 1);
    assert_int_equal(ps_search_accumulation(&any, &pipeline, 2), 16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_largest_is_found),
        cmocka_unit_test(a_line_needs_few_questions),
        cmocka_unit_test(what_is_refused_does_not_fit),
        cmocka_unit_test(sizes_of_no_interest_are_skipped),
        cmocka_unit_test(a_failure_ends_it),
        cmocka_unit_test(a_global_batch_lists_divisors),
        cmocka_unit_test(least_tokens_are_accumulated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
