/* SPDX-License-Identifier: MIT
 *
 * Which sizes a search tries: what moves more begins where what moves less
 * ends, what is outdone speaks for no family, and caches are emptied only
 * where nothing else fits.
 */
#include "support/test.h"
#include "unit/search/search_nomem.h"

#include <stdio.h>

#define LIMIT 1000u
#define HOST 500u
#define MOST 16

/* Of a placement: live bytes = fixed + each * micro-batch; cached bytes lie beside them when memory
 * is endless; a step takes `update` and one unit a sequence. */
typedef struct cost {
    uint64_t fixed, each, cached, host;
    uint64_t cached_in_full; /* that the quick answer does not see */
    ps_ns update;
} cost;

typedef struct scene {
    const cost *cost;                                       /* per placement */
    bool was_tried[PS_SEARCH_PLACEMENT_COUNT][2][MOST + 1]; /* by placement, emptied, micro-batch */
} scene;

static ps_code evaluate(void *context, const ps_search_point *point, bool in_full,
                        ps_search_outcome *out, ps_error *err)
{
    scene *self = context;
    const cost *of = &self->cost[point->method.placement];
    const uint64_t batch = (uint64_t)point->micro_batch;
    const uint64_t live = of->fixed + of->each * batch;
    (void)err;
    assert_true(batch <= MOST);
    self->was_tried[point->method.placement][point->empties_caches][batch] = true;
    *out = (ps_search_outcome){
        .live_bytes = live,
        .peak_bytes =
            live + (point->empties_caches ? 0 : of->cached + (in_full ? of->cached_in_full : 0)),
        .limit_bytes = LIMIT,
        .capacity_bytes = LIMIT,
        .step_ns = of->update + 100 * (ps_ns)batch,
        .tokens = batch,
        .host_bytes = of->host,
        .host_capacity_bytes = of->host > 0 ? HOST : 0,
    };
    out->verdict =
        out->peak_bytes > LIMIT || ps_search_lacks_host(out) ? PS_SEARCH_TOO_LARGE : PS_SEARCH_FITS;
    (void)snprintf(out->why, sizeof out->why, "because");
    return PS_OK;
}

static ps_search_method placed(ps_search_placement placement)
{
    return (ps_search_method){.kind = PS_SEARCH_SCHEME,
                              .scheme = PS_PARALLEL_ZERO3,
                              .placement = placement,
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
                            .rule = {.most = MOST},
                            .evaluate = evaluate,
                            .context = self};
    assert_ok(&err, ps_search_run(&what, out, &err));
}

static bool was_tried_below(const scene *self, ps_search_placement placement, size_t size)
{
    for (size_t i = 2; i < size; i++) {
        if (self->was_tried[placement][0][i]) {
            return true;
        }
    }
    return false;
}

/* 4 sequences fit on the GPU and 12 with the optimizer elsewhere: of those 5 to 12 are looked at,
 * and 1 for the front. */
static void the_host_is_for_what_does_not_fit_without(void **state)
{
    static const cost costs[PS_SEARCH_PLACEMENT_COUNT] = {
        [PS_SEARCH_ON_GPU] = {.fixed = 600, .each = 100, .update = 1000},
        [PS_SEARCH_OPTIMIZER_ON_HOST] = {.fixed = 400, .each = 50, .host = 300, .update = 1500}};
    const ps_search_method methods[] = {placed(PS_SEARCH_ON_GPU),
                                        placed(PS_SEARCH_OPTIMIZER_ON_HOST)};
    scene self = {.cost = costs};
    ps_search_result result;
    (void)state;
    search(&self, methods, 2, &result);
    assert_int_equal(result.fitting_count, 2);
    assert_int_equal(result.family[0].trial.point.method.placement, PS_SEARCH_OPTIMIZER_ON_HOST);
    assert_int_equal(result.family[0].trial.point.micro_batch, 12);
    assert_int_equal(result.family[1].trial.point.micro_batch, 4);
    assert_true(self.was_tried[PS_SEARCH_OPTIMIZER_ON_HOST][0][1]);
    assert_false(was_tried_below(&self, PS_SEARCH_OPTIMIZER_ON_HOST, 5));
    assert_int_equal(result.front[0].point.micro_batch, 1);
    assert_int_equal(result.front[0].point.method.placement, PS_SEARCH_OPTIMIZER_ON_HOST);
    ps_search_result_fini(&result);
}

/* Where every size fits on the GPU the host's smallest is on the front, and stands for no family. */
static void what_is_outdone_is_no_family(void **state)
{
    static const cost costs[PS_SEARCH_PLACEMENT_COUNT] = {
        [PS_SEARCH_ON_GPU] = {.fixed = 100, .each = 50, .update = 1000},
        [PS_SEARCH_OPTIMIZER_ON_HOST] = {.fixed = 50, .each = 50, .host = 300, .update = 1500}};
    const ps_search_method methods[] = {placed(PS_SEARCH_ON_GPU),
                                        placed(PS_SEARCH_OPTIMIZER_ON_HOST)};
    scene self = {.cost = costs};
    ps_search_result result;
    (void)state;
    search(&self, methods, 2, &result);
    assert_int_equal(result.family_count, 1);
    assert_int_equal(result.family[0].trial.point.method.placement, PS_SEARCH_ON_GPU);
    assert_int_equal(result.front[0].point.method.placement, PS_SEARCH_OPTIMIZER_ON_HOST);
    assert_true(result.front[0].is_outdone);
    assert_false(was_tried_below(&self, PS_SEARCH_OPTIMIZER_ON_HOST, MOST + 1));
    ps_search_result_fini(&result);
}

/* With all of the optimizer elsewhere 8 fit: with three quarters of it no more can. */
static void what_needs_more_ends_where_less_does(void **state)
{
    static const cost costs[PS_SEARCH_PLACEMENT_COUNT] = {
        [PS_SEARCH_ON_GPU] = {.fixed = 5000, .each = 100},
        [PS_SEARCH_OPTIMIZER_ON_HOST] = {.fixed = 200, .each = 100, .host = 300, .update = 1500},
        [PS_SEARCH_THREE_QUARTERS_ON_HOST] = {.fixed = 400,
                                              .each = 100,
                                              .host = 225,
                                              .update = 900},
        [PS_SEARCH_HALF_ON_HOST] = {.fixed = 2000, .each = 100, .host = 150, .update = 600},
        [PS_SEARCH_QUARTER_ON_HOST] = {.fixed = 4000, .each = 100, .host = 75, .update = 300}};
    const ps_search_method methods[] = {
        placed(PS_SEARCH_ON_GPU), placed(PS_SEARCH_OPTIMIZER_ON_HOST),
        placed(PS_SEARCH_THREE_QUARTERS_ON_HOST), placed(PS_SEARCH_HALF_ON_HOST),
        placed(PS_SEARCH_QUARTER_ON_HOST)};
    scene self = {.cost = costs};
    ps_search_result result;
    (void)state;
    search(&self, methods, 5, &result);
    assert_int_equal(result.fitting_count, 1);
    assert_int_equal(result.family[0].trial.point.method.placement,
                     PS_SEARCH_THREE_QUARTERS_ON_HOST); /* 6 / 1500 before 8 / 2300 */
    assert_int_equal(result.family[0].trial.point.micro_batch, 6);
    for (size_t i = 9; i <= MOST; i++) {
        assert_false(self.was_tried[PS_SEARCH_THREE_QUARTERS_ON_HOST][0][i]);
    }
    assert_true(self.was_tried[PS_SEARCH_HALF_ON_HOST][0][1]);
    assert_false(self.was_tried[PS_SEARCH_QUARTER_ON_HOST][0][1]); /* half of it had no room */
    ps_search_result_fini(&result);
}

/* 300 live bytes and 800 cached ones: nothing fits but by emptying the cache; and where something
 * fits on the GPU, nothing is emptied. */
static void caches_are_emptied_where_nothing_else_fits(void **state)
{
    static const cost costs[PS_SEARCH_PLACEMENT_COUNT] = {
        [PS_SEARCH_ON_GPU] = {.fixed = 5000, .each = 100},
        [PS_SEARCH_OPTIMIZER_ON_HOST] = {
            .fixed = 200, .each = 100, .cached = 800, .host = 300, .update = 1500}};
    static const cost roomy[PS_SEARCH_PLACEMENT_COUNT] = {
        [PS_SEARCH_ON_GPU] = {.fixed = 500, .each = 100},
        [PS_SEARCH_OPTIMIZER_ON_HOST] = {.fixed = 200, .each = 100, .cached = 500, .host = 300}};
    const ps_search_method methods[] = {placed(PS_SEARCH_ON_GPU),
                                        placed(PS_SEARCH_OPTIMIZER_ON_HOST)};
    scene self = {.cost = costs}, other = {.cost = roomy};
    ps_search_result result;
    (void)state;
    search(&self, methods, 2, &result);
    assert_int_equal(result.fitting_count, 1);
    assert_true(result.family[0].trial.point.empties_caches);
    assert_int_equal(result.family[0].trial.point.micro_batch, 8);
    assert_false(self.was_tried[PS_SEARCH_ON_GPU][1][1]); /* its tensors alone are too large */
    assert_int_equal(result.family[1].trial.outcome.verdict, PS_SEARCH_TOO_LARGE);
    ps_search_result_fini(&result);
    search(&other, methods, 2, &result);
    for (size_t i = 0; i <= MOST; i++) {
        assert_false(other.was_tried[PS_SEARCH_OPTIMIZER_ON_HOST][1][i]);
    }
    ps_search_result_fini(&result);
}

/* The quick answer fits and the one in full does not: with its cache emptied it does. */
static void what_fits_by_the_quick_answer_alone_may_empty_caches(void **state)
{
    static const cost costs[PS_SEARCH_PLACEMENT_COUNT] = {
        [PS_SEARCH_ON_GPU] = {.fixed = 500, .each = 400, .cached_in_full = 200}};
    const ps_search_method method = placed(PS_SEARCH_ON_GPU);
    scene self = {.cost = costs};
    ps_search_result result;
    (void)state;
    search(&self, &method, 1, &result);
    assert_int_equal(result.fitting_count, 1);
    assert_true(result.family[0].trial.point.empties_caches);
    assert_int_equal(result.family[0].trial.outcome.peak_bytes, 900);
    ps_search_result_fini(&result);
}

/* Of what does not fit the trial that lacks memory of the host alone stands for the family. */
static void lack_of_the_host_is_told_before_lack_of_a_gpu(void **state)
{
    static const cost costs[PS_SEARCH_PLACEMENT_COUNT] = {
        [PS_SEARCH_OPTIMIZER_ON_HOST] = {.fixed = 800, .each = 10, .host = 600},
        [PS_SEARCH_THREE_QUARTERS_ON_HOST] = {.fixed = 5000, .each = 10, .host = 400}};
    const ps_search_method methods[] = {placed(PS_SEARCH_OPTIMIZER_ON_HOST),
                                        placed(PS_SEARCH_THREE_QUARTERS_ON_HOST)};
    scene self = {.cost = costs};
    ps_search_result result;
    (void)state;
    search(&self, methods, 2, &result);
    assert_int_equal(result.family_count, 1);
    assert_int_equal(result.fitting_count, 0);
    assert_int_equal(result.family[0].trial.point.method.placement, PS_SEARCH_OPTIMIZER_ON_HOST);
    assert_true(ps_search_lacks_host(&result.family[0].trial.outcome));
    assert_true(self.was_tried[PS_SEARCH_THREE_QUARTERS_ON_HOST][0][1]); /* it needs less of it */
    ps_search_result_fini(&result);
}

/* LOMO's step is one micro-batch of any size, where nobody asked for so many sequences. */
static void what_cannot_accumulate_has_steps_of_its_own(void **state)
{
    const ps_search_method lomo = {.kind = PS_SEARCH_SINGLE,
                                   .training = PS_SEARCH_LOMO,
                                   .tensor = 1,
                                   .pipeline = 1,
                                   .replicas = 1};
    ps_search_batch_rule rule = {.global_batch = 12, .is_usual = true, .most = 32};
    ps_search_method plain = lomo;
    ps_search_sizes sizes;
    ps_error err = {0};
    (void)state;
    assert_ok(&err, ps_search_sizes_of(&rule, &lomo, &sizes, &err));
    assert_int_equal(sizes.count, 32);
    ps_search_sizes_fini(&sizes);
    assert_int_equal(ps_search_accumulation(&rule, &lomo, 5), 1);
    plain.training = PS_SEARCH_AS_ASKED;
    assert_int_equal(ps_search_accumulation(&rule, &plain, 3), 4);
    rule.is_usual = false;
    assert_int_equal(ps_search_accumulation(&rule, &lomo, 3), 4);
}

/* Each allocation fails in turn, in both rounds. */
static void it_fails_cleanly_without_memory(void **state)
{
    static const cost costs[PS_SEARCH_PLACEMENT_COUNT] = {
        [PS_SEARCH_OPTIMIZER_ON_HOST] = {.fixed = 200, .each = 100, .cached = 800, .host = 300}};
    const ps_search_method method = placed(PS_SEARCH_OPTIMIZER_ON_HOST);
    scene self = {.cost = costs};
    const ps_search what = {.method = &method,
                            .method_count = 1,
                            .rule = {.most = MOST},
                            .evaluate = evaluate,
                            .context = &self};
    (void)state;
    assert_fails_cleanly(&what);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_host_is_for_what_does_not_fit_without),
        cmocka_unit_test(what_is_outdone_is_no_family),
        cmocka_unit_test(what_needs_more_ends_where_less_does),
        cmocka_unit_test(caches_are_emptied_where_nothing_else_fits),
        cmocka_unit_test(what_fits_by_the_quick_answer_alone_may_empty_caches),
        cmocka_unit_test(lack_of_the_host_is_told_before_lack_of_a_gpu),
        cmocka_unit_test(what_cannot_accumulate_has_steps_of_its_own),
        cmocka_unit_test(it_fails_cleanly_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
