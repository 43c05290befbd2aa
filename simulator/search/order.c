/* SPDX-License-Identifier: MIT
 *
 * The order of trials: exact, total, the same whatever was tried first.
 */
#include "search/order.h"

#include <string.h>

#define NS_PER_S 1000000000u

uint64_t ps_search_tokens_per_s(const ps_search_outcome *self)
{
    return self->step_ns <= 0 ? 0 : ps_mul_div_u64(self->tokens, NS_PER_S, (uint64_t)self->step_ns);
}

bool ps_search_lacks_host(const ps_search_outcome *self)
{
    return self->host_capacity_bytes > 0 && self->host_bytes > self->host_capacity_bytes;
}

/* By tokens * time of the other. */
int ps__search_compare_speed(const ps_search_outcome *a, const ps_search_outcome *b)
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
    if (a->point.micro_batch != b->point.micro_batch) {
        return a->point.micro_batch < b->point.micro_batch ? -1 : 1;
    }
    return a->point.empties_caches == b->point.empties_caches ? 0
           : a->point.empties_caches                          ? 1
                                                              : -1;
}

static int compare_bytes(uint64_t a, uint64_t b)
{
    return a == b ? 0 : a < b ? -1 : 1;
}

int ps_search_compare(const ps_search_trial *a, const ps_search_trial *b)
{
    const int speed = ps__search_compare_speed(&a->outcome, &b->outcome);
    if (speed != 0) {
        return speed;
    }
    const int bytes = compare_bytes(a->outcome.peak_bytes, b->outcome.peak_bytes);
    return bytes != 0 ? bytes : compare_identity(a, b);
}

int ps__search_by_memory(const void *x, const void *y)
{
    const ps_search_trial *a = x, *b = y;
    const int bytes = compare_bytes(a->outcome.peak_bytes, b->outcome.peak_bytes);
    return bytes != 0 ? bytes : ps_search_compare(a, b);
}

static bool lacks_host_alone(const ps_search_outcome *self)
{
    return ps_search_lacks_host(self) && self->live_bytes <= self->limit_bytes;
}

/* Of what does not fit a GPU that it takes no more than a host stands before all else, for memory of
 * a host is cheap; of those the least of the host, else the least of the GPU. */
static int compare_shortage(const ps_search_trial *a, const ps_search_trial *b)
{
    const bool is_host_a = lacks_host_alone(&a->outcome), is_host_b = lacks_host_alone(&b->outcome);
    if (is_host_a != is_host_b) {
        return is_host_a ? -1 : 1;
    }
    if (a->point.empties_caches != b->point.empties_caches) {
        return a->point.empties_caches ? 1 : -1; /* endless memory tells what would be needed */
    }
    const int host = is_host_a ? compare_bytes(a->outcome.host_bytes, b->outcome.host_bytes) : 0;
    return host != 0 ? host : ps__search_by_memory(a, b);
}

bool ps_search_stands_before(const ps_search_trial *a, const ps_search_trial *b)
{
    if (a->outcome.verdict != b->outcome.verdict) {
        return a->outcome.verdict < b->outcome.verdict;
    }
    switch (a->outcome.verdict) {
    case PS_SEARCH_FITS:
        return ps_search_compare(a, b) < 0;
    case PS_SEARCH_TOO_LARGE:
        return compare_shortage(a, b) < 0;
    case PS_SEARCH_REFUSED:
        break;
    }
    return false;
}
