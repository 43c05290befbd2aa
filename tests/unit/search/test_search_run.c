/* SPDX-License-Identifier: MIT
 *
 * Searches over costs that are written by hand: what is fastest, what stands
 * on the front, what loses, and that ties are always broken the same way.
 */
#include "support/test.h"
#include "unit/search/search_nomem.h"

#include <stdio.h>
#include <string.h>

#define LIMIT 1000u
#define HOST 300u /* memory of a node */

/* What a method costs: peak = fixed + each * micro-batch, step = sync + time * tokens. */
typedef struct cost {
    uint64_t fixed, each;
    ps_ns sync, time;
    bool is_refused;
    uint64_t host_each;    /* of host memory, a sequence */
    uint64_t more_in_full; /* bytes that the quick answer does not see */
} cost;

typedef struct scene {
    const cost *cost; /* per scheme, from 1 */
    unsigned full;    /* how often one was evaluated in full */
} scene;

static ps_code evaluate(void *context, const ps_search_point *point, bool in_full,
                        ps_search_outcome *out, ps_error *err)
{
    scene *self = context;
    const cost *of = &self->cost[point->method.scheme];
    const uint64_t sequences =
        (uint64_t)(point->micro_batch * point->accumulate * point->method.replicas);
    (void)err;
    self->full += in_full;
    *out = (ps_search_outcome){
        .peak_bytes = of->fixed +
                      of->each * (uint64_t)point->micro_batch / (point->method.recomputes ? 4 : 1) +
                      (in_full ? of->more_in_full : 0),
        .live_bytes = LIMIT + 1, /* tensors alone take what there is: no cache to empty */
        .limit_bytes = LIMIT,
        .capacity_bytes = LIMIT,
        .step_ns = of->sync + of->time * (ps_ns)sequences * (point->method.recomputes ? 4 : 3),
        .tokens = sequences,
        .host_bytes = of->host_each * (uint64_t)point->micro_batch,
        .host_capacity_bytes = of->host_each > 0 ? HOST : 0,
    };
    out->verdict = of->is_refused                                         ? PS_SEARCH_REFUSED
                   : out->peak_bytes > LIMIT || ps_search_lacks_host(out) ? PS_SEARCH_TOO_LARGE
                                                                          : PS_SEARCH_FITS;
    (void)snprintf(out->why, sizeof out->why, "because");
    return PS_OK;
}

static ps_search_method method(int scheme, bool recomputes)
{
    return (ps_search_method){.kind = PS_SEARCH_SCHEME,
                              .scheme = (ps_parallel_scheme)scheme,
                              .recomputes = recomputes,
                              .tensor = 1,
                              .pipeline = 1,
                              .replicas = 2};
}

static void search(scene *self, const ps_search_method *methods, size_t count,
                   ps_search_result *out)
{
    ps_error err = {0};
    const ps_search what = {.method = methods,
                            .method_count = count,
                            .rule = {.most = 64},
                            .evaluate = evaluate,
                            .context = self};
    assert_ok(&err, ps_search_run(&what, out, &err));
}

static void the_fastest_family_comes_first(void **state)
{
    static const cost costs[] = {{0},
                                 {.fixed = 100, .each = 100, .sync = 900, .time = 10},
                                 {.fixed = 100, .each = 50, .sync = 900, .time = 10},
                                 {.fixed = 5000, .each = 1, .time = 1},
                                 {.is_refused = true}};
    const ps_search_method methods[] = {method(1, false), method(2, false), method(3, false),
                                        method(4, false)};
    scene self = {.cost = costs};
    ps_search_result result;
    (void)state;
    search(&self, methods, 4, &result);
    assert_int_equal(result.family_count, 4);
    assert_int_equal(result.fitting_count, 2);
    assert_int_equal(result.family[0].trial.point.method.scheme, 2);
    assert_int_equal(result.family[0].trial.point.micro_batch, 18); /* (1000 - 100) / 50 */
    assert_int_equal(result.family[1].trial.point.micro_batch, 9);
    assert_int_equal(result.family[2].trial.outcome.verdict, PS_SEARCH_TOO_LARGE);
    assert_int_equal(result.family[2].trial.outcome.peak_bytes, 5001);
    assert_int_equal(result.family[3].trial.outcome.verdict, PS_SEARCH_REFUSED);
    assert_string_equal(result.family[3].trial.outcome.why, "because");
    assert_int_equal(self.full, 2);
    ps_search_result_fini(&result);
}

/* Host memory may be what decides the largest micro-batch, and that none fits. */
static void memory_of_the_host_counts(void **state)
{
    static const cost costs[] = {
        {0},
        {.fixed = 100, .each = 10, .sync = 900, .time = 10, .host_each = 40},
        {.fixed = 100, .each = 50, .sync = 900, .time = 10, .host_each = 1},
        {.fixed = 100, .each = 1, .time = 1, .host_each = 301}};
    const ps_search_method methods[] = {method(1, false), method(2, false), method(3, false)};
    scene self = {.cost = costs};
    ps_search_result result;
    (void)state;
    search(&self, methods, 3, &result);
    assert_int_equal(result.fitting_count, 2);
    assert_int_equal(result.family[0].trial.point.method.scheme, 2);
    assert_int_equal(result.family[0].trial.point.micro_batch, 18); /* (1000 - 100) / 50 */
    assert_int_equal(result.family[1].trial.point.micro_batch, 7);  /* 300 / 40, of 64 otherwise */
    assert_int_equal(result.family[2].trial.outcome.verdict, PS_SEARCH_TOO_LARGE);
    assert_true(ps_search_lacks_host(&result.family[2].trial.outcome));
    ps_search_result_fini(&result);
}

static bool beats(const ps_search_outcome *a, const ps_search_outcome *b)
{
    const bool is_smaller = a->peak_bytes < b->peak_bytes;
    const bool is_faster = a->tokens * (uint64_t)b->step_ns > b->tokens * (uint64_t)a->step_ns;
    const bool is_not_larger = a->peak_bytes <= b->peak_bytes;
    const bool is_not_slower = a->tokens * (uint64_t)b->step_ns >= b->tokens * (uint64_t)a->step_ns;
    return (is_smaller && is_not_slower) || (is_faster && is_not_larger);
}

static void nothing_beats_the_front(void **state)
{
    static const cost costs[] = {{0},
                                 {.fixed = 100, .each = 100, .sync = 900, .time = 10},
                                 {.fixed = 300, .each = 50, .sync = 100, .time = 12},
                                 {.fixed = 50, .each = 10, .sync = 9000, .time = 11}};
    const ps_search_method methods[] = {method(1, false), method(1, true),  method(2, false),
                                        method(2, true),  method(3, false), method(3, true)};
    scene self = {.cost = costs};
    ps_search_result result;
    (void)state;
    search(&self, methods, 6, &result);
    assert_true(result.front_count > 3);
    for (size_t i = 0; i < result.front_count; i++) {
        for (size_t k = 0; k < result.front_count; k++) {
            assert_false(beats(&result.front[i].outcome, &result.front[k].outcome));
        }
        assert_true(i == 0 ||
                    result.front[i - 1].outcome.peak_bytes < result.front[i].outcome.peak_bytes);
    }
    /* the ends are the smallest that fits and the fastest of all */
    assert_int_equal(result.front[result.front_count - 1].outcome.step_ns,
                     result.family[0].trial.outcome.step_ns);
    ps_search_result_fini(&result);
}

static void ties_are_broken_by_memory_and_name(void **state)
{
    static const cost costs[] = {{0},
                                 {.fixed = 100, .each = 900, .time = 10},
                                 {.fixed = 50, .each = 900, .time = 10},
                                 {.fixed = 100, .each = 900, .time = 10}};
    const ps_search_method one[] = {method(1, false), method(2, false), method(3, false)};
    const ps_search_method other[] = {method(3, false), method(2, false), method(1, false)};
    char a[PS_SEARCH_NAME_BYTES], b[PS_SEARCH_NAME_BYTES];
    scene self = {.cost = costs};
    ps_search_result x, y;
    (void)state;
    search(&self, one, 3, &x);
    search(&self, other, 3, &y);
    assert_int_equal(x.family[0].trial.point.method.scheme, 2);
    for (size_t i = 0; i < 3; i++) {
        ps_search_method_name(&x.family[i].trial.point.method, a);
        ps_search_method_name(&y.family[i].trial.point.method, b);
        assert_string_equal(a, b);
    }
    ps_search_method_name(&x.family[1].trial.point.method, a);
    ps_search_method_name(&x.family[2].trial.point.method, b);
    assert_true(strcmp(a, b) < 0);
    ps_search_result_fini(&x);
    ps_search_result_fini(&y);
}

/* The quick answer says 18 sequences fit; in full 16 do, and that is what is reported. */
static void what_does_not_fit_in_full_is_not_the_answer(void **state)
{
    static const cost costs[] = {
        {0}, {.fixed = 100, .each = 50, .sync = 900, .time = 10, .more_in_full = 20}};
    const ps_search_method methods[] = {method(1, false)};
    scene self = {.cost = costs};
    ps_search_result result;
    (void)state;
    search(&self, methods, 1, &result);
    assert_int_equal(result.fitting_count, 1);
    assert_int_equal(result.family[0].trial.point.micro_batch, 16);
    assert_true(result.family[0].trial.is_full);
    ps_search_result_fini(&result);
}

/* 9 fit without recomputation and 36 with it: sizes between are of interest, and the first. */
static void recomputation_is_for_what_does_not_fit_without(void **state)
{
    static const cost costs[] = {{0}, {.fixed = 100, .each = 100, .sync = 90000, .time = 10}};
    const ps_search_method methods[] = {method(1, false), method(1, true)};
    scene self = {.cost = costs};
    ps_search_result result;
    (void)state;
    search(&self, methods, 2, &result);
    assert_int_equal(result.family_count, 1);
    assert_true(result.family[0].trial.point.method.recomputes);
    assert_int_equal(result.family[0].trial.point.micro_batch, 36);
    for (size_t i = 0; i < result.front_count; i++) {
        const ps_search_point *point = &result.front[i].point;
        assert_true(!point->method.recomputes || point->micro_batch == 1 || point->micro_batch > 9);
    }
    ps_search_result_fini(&result);
}

/* Each allocation fails in turn: one sentence, and nothing is left behind. */
static void it_fails_cleanly_without_memory(void **state)
{
    static const cost costs[] = {{0}, {.fixed = 100, .each = 100, .sync = 900, .time = 10}};
    const ps_search_method methods[] = {method(1, false), method(1, true)};
    scene self = {.cost = costs};
    const ps_search what = {.method = methods,
                            .method_count = 2,
                            .rule = {.global_batch = 64, .most = 64},
                            .evaluate = evaluate,
                            .context = &self};
    (void)state;
    assert_fails_cleanly(&what);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_fastest_family_comes_first),
        cmocka_unit_test(memory_of_the_host_counts),
        cmocka_unit_test(nothing_beats_the_front),
        cmocka_unit_test(ties_are_broken_by_memory_and_name),
        cmocka_unit_test(what_does_not_fit_in_full_is_not_the_answer),
        cmocka_unit_test(recomputation_is_for_what_does_not_fit_without),
        cmocka_unit_test(it_fails_cleanly_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
