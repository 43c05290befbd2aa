/* SPDX-License-Identifier: MIT
 *
 * Trials, families and the front.
 */
#include "search/search.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

#define MAX_TRIALS ((size_t)1 << 20)
#define NS_PER_S 1000000000u

typedef struct searching {
    const ps_search *what;
    ps_search_trial *trial;
    size_t count, capacity;
    const ps_search_method *method; /* whose sizes are tried */
    const ps_search_sizes *sizes;
    const ps_search_method *plain; /* tried last without recomputation; NULL: none */
    size_t plain_count;            /* of its sizes fit */
} searching;

/* ---- order ---- */

uint64_t ps_search_tokens_per_s(const ps_search_outcome *self)
{
    return self->step_ns <= 0 ? 0 : ps_mul_div_u64(self->tokens, NS_PER_S, (uint64_t)self->step_ns);
}

bool ps_search_lacks_host(const ps_search_outcome *self)
{
    return self->host_capacity_bytes > 0 && self->host_bytes > self->host_capacity_bytes;
}

/* -1, 0, 1: is a faster, equal, slower: by tokens * time of the other, exactly. */
static int compare_speed(const ps_search_outcome *a, const ps_search_outcome *b)
{
    const ps_u128 x = (ps_u128)a->tokens * (uint64_t)b->step_ns;
    const ps_u128 y = (ps_u128)b->tokens * (uint64_t)a->step_ns;
    return x == y ? 0 : x > y ? -1 : 1;
}

static int compare_identity(const ps_search_trial *a, const ps_search_trial *b)
{
    char x[PS_SEARCH_NAME_BYTES], y[PS_SEARCH_NAME_BYTES];
    ps_search_method_name(&a->point.method, x);
    ps_search_method_name(&b->point.method, y);
    const int by_name = strcmp(x, y);
    if (by_name != 0) {
        return by_name;
    }
    if (a->point.method.recomputes != b->point.method.recomputes) {
        return a->point.method.recomputes ? 1 : -1;
    }
    return a->point.micro_batch == b->point.micro_batch  ? 0
           : a->point.micro_batch < b->point.micro_batch ? -1
                                                         : 1;
}

static int compare_bytes(uint64_t a, uint64_t b)
{
    return a == b ? 0 : a < b ? -1 : 1;
}

int ps_search_compare(const ps_search_trial *a, const ps_search_trial *b)
{
    const int speed = compare_speed(&a->outcome, &b->outcome);
    if (speed != 0) {
        return speed;
    }
    const int bytes = compare_bytes(a->outcome.peak_bytes, b->outcome.peak_bytes);
    return bytes != 0 ? bytes : compare_identity(a, b);
}

static int by_memory(const void *x, const void *y)
{
    const ps_search_trial *a = x, *b = y;
    const int bytes = compare_bytes(a->outcome.peak_bytes, b->outcome.peak_bytes);
    return bytes != 0 ? bytes : ps_search_compare(a, b);
}

static int by_speed(const void *x, const void *y)
{
    const ps_search_family *a = x, *b = y;
    return ps_search_compare(&a->trial, &b->trial);
}

/* ---- trials ---- */

static ps_code keep(searching *self, const ps_search_trial *trial, ps_error *err)
{
    PS_TRY(ps_grow((void **)&self->trial, &self->capacity, self->count + 1, MAX_TRIALS,
                   sizeof *self->trial, err));
    self->trial[self->count++] = *trial;
    return PS_OK;
}

static ps_code try_size(void *context, size_t i, ps_search_need *out, ps_error *err)
{
    searching *self = context;
    const ps_search *what = self->what;
    ps_search_trial trial = {0};
    trial.point.method = *self->method;
    trial.point.micro_batch = ps_search_size_at(self->sizes, i);
    trial.point.accumulate =
        ps_search_accumulation(&what->rule, self->method, trial.point.micro_batch);
    PS_TRY(what->evaluate(what->context, &trial.point, false, &trial.outcome, err));
    const bool lacks_host = ps_search_lacks_host(&trial.outcome);
    *out = (ps_search_need){
        .is_possible = trial.outcome.verdict != PS_SEARCH_REFUSED,
        .needed_bytes = lacks_host ? trial.outcome.host_bytes : trial.outcome.peak_bytes,
        .limit_bytes = lacks_host ? trial.outcome.host_capacity_bytes : trial.outcome.limit_bytes};
    return keep(self, &trial, err);
}

static ps_code keep_refusal(searching *self, const ps_error *why, ps_error *err)
{
    ps_search_trial trial = {.point = {.method = *self->method, .micro_batch = 1, .accumulate = 1},
                             .outcome = {.verdict = PS_SEARCH_REFUSED}};
    (void)snprintf(trial.outcome.why, sizeof trial.outcome.why, "%.300s", why->message);
    return keep(self, &trial, err);
}

/* Recomputation costs time: it is of use for sizes that do not fit without it. */
static size_t skipped(const searching *self)
{
    ps_search_method plain = *self->method;
    plain.recomputes = false;
    return self->method->recomputes && self->plain != NULL &&
                   ps_search_is_method(self->plain, &plain)
               ? self->plain_count
               : 0;
}

static void note_plain(searching *self, size_t largest)
{
    if (!self->method->recomputes) {
        self->plain = self->method;
        self->plain_count = largest == SIZE_MAX ? 0 : largest + 1;
    }
}

static bool was_refused(const searching *self)
{
    return self->count > 0 && self->trial[self->count - 1].outcome.verdict == PS_SEARCH_REFUSED;
}

static ps_code try_method(searching *self, ps_error *err)
{
    ps_search_sizes sizes;
    ps_error why = {0};
    size_t largest = SIZE_MAX;
    ps_code code = ps_search_sizes_of(&self->what->rule, self->method, &sizes, &why);
    if (code == PS_USAGE) {
        return keep_refusal(self, &why, err);
    }
    if (code != PS_OK) {
        return ps_fail_nomem(err);
    }
    self->sizes = &sizes;
    code = ps_search_largest(sizes.count, skipped(self), try_size, self, &largest, err);
    if (code == PS_OK && largest == SIZE_MAX && sizes.count > 1 && was_refused(self)) {
        /* perhaps for what accumulates: the largest size does so least */
        ps_search_need need;
        code = try_size(self, sizes.count - 1, &need, err);
    }
    ps_search_sizes_fini(&sizes);
    note_plain(self, largest);
    return code;
}

static ps_code try_all(searching *self, ps_error *err)
{
    const ps_search *what = self->what;
    for (size_t i = 0; i < what->method_count; i++) {
        if (what->progress != NULL) {
            what->progress(what->context, i, what->method_count);
        }
        self->method = &what->method[i];
        PS_TRY(try_method(self, err));
    }
    return PS_OK;
}

/* ---- families ---- */

/* What stands for a family before anything is evaluated in full: what fits before what does not,
 * and that before what is refused. */
static bool stands_before(const ps_search_trial *a, const ps_search_trial *b)
{
    if (a->outcome.verdict != b->outcome.verdict) {
        return a->outcome.verdict < b->outcome.verdict;
    }
    switch (a->outcome.verdict) {
    case PS_SEARCH_FITS:
        return ps_search_compare(a, b) < 0;
    case PS_SEARCH_TOO_LARGE:
        return by_memory(a, b) < 0;
    case PS_SEARCH_REFUSED:
        break;
    }
    return false;
}

static size_t find_best(const searching *self, const ps_search_method *of)
{
    size_t best = SIZE_MAX;
    for (size_t i = 0; i < self->count; i++) {
        const ps_search_trial *trial = &self->trial[i];
        if (ps_search_is_family(&trial->point.method, of) &&
            (best == SIZE_MAX || stands_before(trial, &self->trial[best]))) {
            best = i;
        }
    }
    return best;
}

/* The fastest that also fits when it is evaluated in full; the next one otherwise. */
static ps_code settle(searching *self, size_t first, ps_search_family *out, ps_error *err)
{
    const ps_search *what = self->what;
    const ps_search_method of = self->trial[first].point.method;
    ps_search_trial *best = &self->trial[find_best(self, &of)];
    while (best->outcome.verdict == PS_SEARCH_FITS && !best->is_full) {
        PS_TRY(what->evaluate(what->context, &best->point, true, &best->outcome, err));
        best->is_full = true;
        if (best->outcome.verdict != PS_SEARCH_FITS) {
            best = &self->trial[find_best(self, &of)];
        }
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

static ps_code settle_all(searching *self, ps_search_result *out, ps_error *err)
{
    size_t capacity = 0;
    for (size_t i = 0; i < self->count; i++) {
        if (is_known(out, &self->trial[i].point.method)) {
            continue;
        }
        PS_TRY(ps_grow((void **)&out->family, &capacity, out->family_count + 1, MAX_TRIALS,
                       sizeof *out->family, err));
        PS_TRY(settle(self, i, &out->family[out->family_count], err));
        out->family_count++;
    }
    return PS_OK;
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

static ps_code find_families(searching *self, ps_search_result *out, ps_error *err)
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

static ps_code find_front(searching *self, ps_search_result *out, ps_error *err)
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
        qsort(out->front, out->front_count, sizeof *out->front, by_memory);
    }
    size_t kept = 0;
    for (size_t i = 0; i < out->front_count; i++) {
        const ps_search_trial *trial = &out->front[i];
        if (kept == 0 || compare_speed(&trial->outcome, &out->front[kept - 1].outcome) < 0) {
            out->front[kept++] = *trial;
        }
    }
    out->front_count = kept;
    return PS_OK;
}

ps_code ps_search_run(const ps_search *what, ps_search_result *out, ps_error *err)
{
    searching self = {.what = what};
    *out = (ps_search_result){0};
    ps_code code = try_all(&self, err);
    if (code == PS_OK) {
        code = find_families(&self, out, err);
    }
    if (code == PS_OK) {
        code = find_front(&self, out, err);
    }
    out->trial_count = self.count;
    ps_free(self.trial);
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
