/* SPDX-License-Identifier: MIT
 *
 * Which sizes of which methods are tried.
 */
#include "search/trials.h"

#include <stdio.h>

#include "base/memory.h"
#include "search/order.h"

static ps_code keep(ps_search_trials *self, const ps_search_trial *trial, ps_error *err)
{
    PS_TRY(ps_grow((void **)&self->trial, &self->capacity, self->count + 1, PS_SEARCH_MAX_TRIALS,
                   sizeof *self->trial, err));
    self->trial[self->count++] = *trial;
    return PS_OK;
}

/* A GPU whose allocator empties its cache takes what there is: how much is missing is not told. */
static ps_search_need need_of(const ps_search_trial *trial)
{
    const ps_search_outcome *outcome = &trial->outcome;
    const bool is_possible = outcome->verdict != PS_SEARCH_REFUSED;
    if (ps_search_lacks_host(outcome)) {
        return (ps_search_need){.is_possible = is_possible,
                                .needed_bytes = outcome->host_bytes,
                                .limit_bytes = outcome->host_capacity_bytes};
    }
    const bool fits = outcome->verdict == PS_SEARCH_FITS;
    const uint64_t limit = outcome->limit_bytes;
    return (ps_search_need){.is_possible = is_possible,
                            .needed_bytes = !trial->point.empties_caches ? outcome->peak_bytes
                                            : fits                       ? outcome->live_bytes
                                                                         : limit + 1,
                            .limit_bytes = limit};
}

static ps_code try_size(void *context, size_t i, ps_search_need *out, ps_error *err)
{
    ps_search_trials *self = context;
    const ps_search *what = self->what;
    ps_search_trial trial = {0};
    trial.point.method = *self->method;
    trial.point.micro_batch = ps_search_size_at(self->sizes, i);
    trial.point.accumulate =
        ps_search_accumulation(&what->rule, self->method, trial.point.micro_batch);
    trial.point.empties_caches = self->empties_caches;
    trial.is_outdone = i < self->least;
    PS_TRY(what->evaluate(what->context, &trial.point, false, &trial.outcome, err));
    *out = need_of(&trial);
    return keep(self, &trial, err);
}

static ps_code keep_refusal(ps_search_trials *self, const ps_error *why, ps_error *err)
{
    ps_search_trial trial = {.point = {.method = *self->method, .micro_batch = 1, .accumulate = 1},
                             .outcome = {.verdict = PS_SEARCH_REFUSED}};
    (void)snprintf(trial.outcome.why, sizeof trial.outcome.why, "%.300s", why->message);
    return keep(self, &trial, err);
}

/* ---- bounds ---- */

/* What recomputes or moves more costs time: it is of use for sizes that do not fit without. */
static size_t least_size(const ps_search_trials *self)
{
    const ps_search *what = self->what;
    size_t least = self->extent[self->method - what->method].fitting;
    for (size_t i = 0; i < what->method_count; i++) {
        if (self->extent[i].fitting > least &&
            ps_search_is_faster(&what->method[i], self->method)) {
            least = self->extent[i].fitting;
        }
    }
    return least;
}

static size_t size_count(const ps_search_trials *self)
{
    const ps_search *what = self->what;
    size_t count = self->sizes->count;
    for (size_t i = 0; i < what->method_count; i++) {
        if (self->extent[i].most < count && ps_search_is_smaller(&what->method[i], self->method)) {
            count = self->extent[i].most;
        }
    }
    return count;
}

static bool divides_parameters(const ps_search_method *method)
{
    ps_parallel parallel = ps_parallel_default();
    parallel.scheme = method->scheme;
    parallel.ranks = 2;
    return ps_parallel_shards(&parallel);
}

/* The plainest of a family is asked for its smallest size all the same, where it needs least: that
 * shows how little memory would do. With states on the host that is where parameters are divided. */
static bool shows_least(const ps_search_trials *self)
{
    const ps_search *what = self->what;
    const ps_search_method *of = self->method;
    for (size_t i = 0; i < what->method_count && !of->recomputes; i++) {
        ps_search_method other = what->method[i];
        other.recomputes = false;
        if (what->method[i].recomputes && ps_search_is_method(&other, of)) {
            return false;
        }
    }
    const bool is_least = of->placement == PS_SEARCH_ON_GPU || divides_parameters(of) ||
                          of->kind == PS_SEARCH_SINGLE || self->least == 0;
    return ps_search_placement_member(of->placement) == NULL && !of->streams_activations &&
           is_least;
}

/* ---- a method ---- */

static const ps_search_outcome *last_outcome(const ps_search_trials *self)
{
    return &self->trial[self->count - 1].outcome;
}

/* True when a size tried since `from` had room on the GPUs, and none on a host. */
static bool has_lacked_host(const ps_search_trials *self, size_t from)
{
    for (size_t i = from; i < self->count; i++) {
        const ps_search_outcome *outcome = &self->trial[i].outcome;
        if (ps_search_lacks_host(outcome) && outcome->peak_bytes <= outcome->limit_bytes) {
            return true;
        }
    }
    return false;
}

static ps_code try_sizes(ps_search_trials *self, size_t first, size_t count, ps_error *err)
{
    ps_search_extent *extent = &self->extent[self->method - self->what->method];
    const size_t from = self->count;
    size_t largest = SIZE_MAX;
    PS_TRY(ps_search_largest(count, first, self->least, try_size, self, &largest, err));
    if (largest == SIZE_MAX && count > 1 && self->count > from &&
        last_outcome(self)->verdict == PS_SEARCH_REFUSED) {
        /* perhaps for what accumulates: the largest size does so least */
        ps_search_need need;
        PS_TRY(try_size(self, count - 1, &need, err));
    }
    extent->fitting = largest == SIZE_MAX ? extent->fitting : largest + 1;
    extent->most = has_lacked_host(self, from) ? SIZE_MAX
                   : largest == SIZE_MAX       ? first
                                               : largest + 1;
    return PS_OK;
}

/* What faster methods have come to fit since the method was first tried need not be held against it. */
static void note_outdone(ps_search_trials *self, size_t count)
{
    for (size_t i = 0; i < self->count; i++) {
        ps_search_trial *trial = &self->trial[i];
        const bool is_smaller =
            self->least >= count ||
            trial->point.micro_batch < ps_search_size_at(self->sizes, self->least);
        if (is_smaller && ps_search_is_method(&trial->point.method, self->method)) {
            trial->is_outdone = trial->outcome.verdict != PS_SEARCH_FITS || trial->is_outdone;
        }
    }
}

static ps_code try_method(ps_search_trials *self, ps_error *err)
{
    ps_search_sizes sizes;
    ps_error why = {0};
    ps_code code = ps_search_sizes_of(&self->what->rule, self->method, &sizes, &why);
    if (code == PS_USAGE) {
        return keep_refusal(self, &why, err);
    }
    if (code != PS_OK) {
        return ps_fail_nomem(err);
    }
    self->sizes = &sizes;
    self->least = least_size(self);
    const size_t count = size_count(self);
    if (self->empties_caches) {
        note_outdone(self, count);
    }
    if (shows_least(self) && !self->empties_caches) {
        code = try_sizes(self, 0, count > 0 ? count : 1, err);
    } else if (self->least < count) {
        code = try_sizes(self, self->least, count, err);
    }
    ps_search_sizes_fini(&sizes);
    return code;
}

/* ---- again ---- */

static bool has_fitting(const ps_search_trials *self, const ps_search_method *of)
{
    for (size_t i = 0; i < self->count; i++) {
        if (self->trial[i].outcome.verdict == PS_SEARCH_FITS &&
            ps_search_is_family(&self->trial[i].point.method, of)) {
            return true;
        }
    }
    return false;
}

/* True when something fits that keeps nothing on a host. */
static bool fits_on_gpus(const ps_search_trials *self)
{
    for (size_t i = 0; i < self->count; i++) {
        const ps_search_trial *trial = &self->trial[i];
        if (trial->outcome.verdict == PS_SEARCH_FITS && trial->outcome.host_bytes == 0) {
            return true;
        }
    }
    return false;
}

/* True when GPUs could hold what is live of one more size than fits, and hosts do. */
static bool could_fit(const ps_search_trials *self, const ps_search_method *method)
{
    bool could = false;
    for (size_t i = 0; i < self->count; i++) {
        const ps_search_outcome *outcome = &self->trial[i].outcome;
        could =
            could || (ps_search_is_method(&self->trial[i].point.method, method) &&
                      outcome->verdict == PS_SEARCH_TOO_LARGE && !ps_search_lacks_host(outcome) &&
                      outcome->live_bytes <= outcome->limit_bytes);
    }
    return could;
}

/* Decided for all methods before any is tried: one that fits would else speak for its family. */
static ps_code try_again(ps_search_trials *self, ps_error *err)
{
    const ps_search *what = self->what;
    const bool has_answer = fits_on_gpus(self);
    bool *is_chosen = ps_calloc(what->method_count + 1, sizeof *is_chosen);
    ps_code code = is_chosen == NULL ? ps_fail_nomem(err) : PS_OK;
    for (size_t i = 0; i < what->method_count && code == PS_OK; i++) {
        const ps_search_method *of = &what->method[i];
        const bool is_wanted =
            !has_fitting(self, of) || (of->placement != PS_SEARCH_ON_GPU && !has_answer);
        is_chosen[i] = is_wanted && could_fit(self, of);
        self->extent[i].most = SIZE_MAX;
    }
    self->empties_caches = true;
    for (size_t i = 0; i < what->method_count && code == PS_OK; i++) {
        self->method = &what->method[i];
        /* copies of activations hold blocks, too: they are a last resort */
        const bool is_last = self->method->streams_activations && has_fitting(self, self->method);
        code = is_chosen[i] && !is_last ? try_method(self, err) : PS_OK;
    }
    ps_free(is_chosen);
    return code;
}

/* ---- all ---- */

ps_code ps__search_try_all(ps_search_trials *self, ps_error *err)
{
    const ps_search *what = self->what;
    self->extent = ps_calloc(what->method_count + 1, sizeof *self->extent);
    if (self->extent == NULL) {
        return ps_fail_nomem(err);
    }
    for (size_t i = 0; i < what->method_count; i++) {
        self->extent[i].most = SIZE_MAX;
    }
    for (size_t i = 0; i < what->method_count; i++) {
        if (what->progress != NULL) {
            what->progress(what->context, i, what->method_count);
        }
        self->method = &what->method[i];
        PS_TRY(try_method(self, err));
    }
    return try_again(self, err);
}

void ps__search_trials_fini(ps_search_trials *self)
{
    ps_free(self->trial);
    ps_free(self->extent);
    *self = (ps_search_trials){0};
}
