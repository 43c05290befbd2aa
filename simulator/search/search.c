/* SPDX-License-Identifier: MIT
 *
 * Families and the front.
 */
#include "search/search.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "search/order.h"
#include "search/trials.h"

/* ---- families ---- */

/* What stands for a family: of trials that nothing outdoes, or of all. SIZE_MAX: there is none. */
static size_t find_best(const ps_search_trials *self, const ps_search_method *of, bool of_all)
{
    size_t best = SIZE_MAX;
    for (size_t i = 0; i < self->count; i++) {
        const ps_search_trial *trial = &self->trial[i];
        if (ps_search_is_family(&trial->point.method, of) && (of_all || !trial->is_outdone) &&
            (best == SIZE_MAX || ps_search_stands_before(trial, &self->trial[best]))) {
            best = i;
        }
    }
    return best;
}

static ps_search_trial *next_best(const ps_search_trials *self, const ps_search_method *of)
{
    const size_t best = find_best(self, of, false);
    const bool fits = best != SIZE_MAX && self->trial[best].outcome.verdict == PS_SEARCH_FITS;
    return &self->trial[fits ? best : find_best(self, of, true)];
}

/* What fits by the quick answer alone may do so in full with an allocator that empties its cache. */
static ps_code try_emptied(const ps_search *what, ps_search_trial *trial, ps_error *err)
{
    ps_search_trial emptied = *trial;
    emptied.point.empties_caches = true;
    if (trial->point.empties_caches || ps_search_lacks_host(&trial->outcome) ||
        trial->outcome.live_bytes > trial->outcome.limit_bytes) {
        return PS_OK;
    }
    PS_TRY(what->evaluate(what->context, &emptied.point, true, &emptied.outcome, err));
    if (emptied.outcome.verdict == PS_SEARCH_FITS) {
        *trial = emptied;
    }
    return PS_OK;
}

/* The fastest that also fits when it is evaluated in full; the next one otherwise. */
static ps_code settle(ps_search_trials *self, size_t first, ps_search_family *out, ps_error *err)
{
    const ps_search *what = self->what;
    const ps_search_method of = self->trial[first].point.method;
    ps_search_trial *best = next_best(self, &of), *last = NULL;
    while (best->outcome.verdict == PS_SEARCH_FITS && !best->is_full) {
        PS_TRY(what->evaluate(what->context, &best->point, true, &best->outcome, err));
        best->is_full = true;
        if (best->outcome.verdict != PS_SEARCH_FITS) {
            last = best;
            best = next_best(self, &of);
        }
    }
    if (best->outcome.verdict != PS_SEARCH_FITS && last != NULL) {
        PS_TRY(try_emptied(what, last, err));
        best = next_best(self, &of);
    }
    out->trial = *best;
    return PS_OK;
}

static bool is_known(const ps_search_result *out, const ps_search_method *method)
{
    for (size_t i = 0; i < out->family_count; i++) {
        if (ps_search_is_family(&out->family[i].trial.point.method, method)) {
            return true;
        }
    }
    return false;
}

/* True when what a family has of its own does not fit, and what fits of it is outdone. */
static bool is_outdone(const ps_search_trials *self, const ps_search_method *of)
{
    const size_t best = find_best(self, of, false);
    if (best != SIZE_MAX && self->trial[best].outcome.verdict == PS_SEARCH_FITS) {
        return false;
    }
    for (size_t i = 0; i < self->count; i++) {
        if (self->trial[i].is_outdone && ps_search_is_family(&self->trial[i].point.method, of)) {
            return true;
        }
    }
    return false;
}

static ps_code settle_all(ps_search_trials *self, ps_search_result *out, ps_error *err)
{
    size_t capacity = 0;
    for (size_t i = 0; i < self->count; i++) {
        const ps_search_method *of = &self->trial[i].point.method;
        if (is_known(out, of) || is_outdone(self, of)) {
            continue;
        }
        PS_TRY(ps_grow((void **)&out->family, &capacity, out->family_count + 1,
                       PS_SEARCH_MAX_TRIALS, sizeof *out->family, err));
        PS_TRY(settle(self, i, &out->family[out->family_count], err));
        out->family_count++;
    }
    return PS_OK;
}

static int by_speed(const void *x, const void *y)
{
    const ps_search_family *a = x, *b = y;
    return ps_search_compare(&a->trial, &b->trial);
}

/* Families that fit come first, by speed; the others keep their order. */
static void order_families(ps_search_result *out, ps_search_family *room)
{
    size_t at = 0;
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < out->family_count; i++) {
            const bool fits = out->family[i].trial.outcome.verdict == PS_SEARCH_FITS;
            if (fits == (pass == 0)) {
                room[at++] = out->family[i];
            }
        }
        out->fitting_count = pass == 0 ? at : out->fitting_count;
    }
    memcpy(out->family, room, out->family_count * sizeof *room);
    if (out->fitting_count > 1) {
        qsort(out->family, out->fitting_count, sizeof *out->family, by_speed);
    }
}

static ps_code find_families(ps_search_trials *self, ps_search_result *out, ps_error *err)
{
    PS_TRY(settle_all(self, out, err));
    ps_search_family *room = ps_calloc(out->family_count + 1, sizeof *room);
    if (room == NULL) {
        return ps_fail_nomem(err);
    }
    order_families(out, room);
    ps_free(room);
    return PS_OK;
}

/* ---- the front ---- */

static ps_code find_front(ps_search_trials *self, ps_search_result *out, ps_error *err)
{
    out->front = ps_calloc(self->count + 1, sizeof *out->front);
    if (out->front == NULL) {
        return ps_fail_nomem(err);
    }
    for (size_t i = 0; i < self->count; i++) {
        if (self->trial[i].outcome.verdict == PS_SEARCH_FITS) {
            out->front[out->front_count++] = self->trial[i];
        }
    }
    if (out->front_count > 1) {
        qsort(out->front, out->front_count, sizeof *out->front, ps__search_by_memory);
    }
    size_t kept = 0;
    for (size_t i = 0; i < out->front_count; i++) {
        const ps_search_trial *trial = &out->front[i];
        if (kept == 0 ||
            ps__search_compare_speed(&trial->outcome, &out->front[kept - 1].outcome) < 0) {
            out->front[kept++] = *trial;
        }
    }
    out->front_count = kept;
    return PS_OK;
}

ps_code ps_search_run(const ps_search *what, ps_search_result *out, ps_error *err)
{
    ps_search_trials self = {.what = what};
    *out = (ps_search_result){0};
    ps_code code = ps__search_try_all(&self, err);
    if (code == PS_OK) {
        code = find_families(&self, out, err);
    }
    if (code == PS_OK) {
        code = find_front(&self, out, err);
    }
    out->trial_count = self.count;
    ps__search_trials_fini(&self);
    if (code != PS_OK) {
        ps_search_result_fini(out);
    }
    return code;
}

void ps_search_result_fini(ps_search_result *self)
{
    ps_free(self->family);
    ps_free(self->front);
    *self = (ps_search_result){0};
}
