/* SPDX-License-Identifier: MIT
 *
 * How full links were.
 */
#include "base/memory.h"
#include "run/steady.h"

#define NS_PER_S UINT64_C(1000000000)
#define MILLION UINT64_C(1000000)

/* Bytes of a task that cross one of its links in the window. */
static uint64_t bytes_in(const ps_plan *plan, const ps_run_times *times, const ps_window *window,
                         uint32_t task)
{
    const ps_ns begin = ps_time_add(times->start_ns[task], plan->task.dur_ns[task]);
    const ps_ns end = times->end_ns[task];
    const ps_ns inside = ps__window_share(window, begin, end);
    if (end <= begin) { /* it had no time: too few bytes for a nanosecond */
        return begin >= window->begin_ns && end <= window->end_ns ? plan->task.bytes[task] : 0;
    }
    return ps_mul_div_u64(plan->task.bytes[task], (uint64_t)inside, (uint64_t)(end - begin));
}

/* What a link could have carried; at least 1. */
static uint64_t room_of(const ps_plan *plan, size_t link, const ps_window *window)
{
    const uint64_t length = (uint64_t)(window->end_ns - window->begin_ns);
    const uint64_t bytes = ps_mul_div_u64(plan->link.bytes_per_s[link], length, NS_PER_S);
    return bytes > 0 ? bytes : 1;
}

ps_code ps__link_use(const ps_plan *plan, const ps_run_times *times, const ps_window *window,
                     ps_result_steady *out, ps_error *err)
{
    const size_t links = plan->link.head.count;
    uint64_t *bytes = ps_calloc(links + 1, sizeof *bytes);
    out->link = ps_calloc(links + 1, sizeof *out->link);
    if (bytes == NULL || out->link == NULL) {
        ps_free(bytes);
        return ps_fail_nomem(err);
    }
    for (size_t i = 0; i < plan->transfer.head.count; i++) {
        bytes[plan->transfer.link[i]] += bytes_in(plan, times, window, plan->transfer.task[i]);
    }
    for (uint32_t i = 0; i < links; i++) {
        if (bytes[i] > 0) {
            const uint64_t room = room_of(plan, i, window);
            out->link[out->link_count++] = (ps_result_link){
                .link = i,
                .bytes = bytes[i],
                .share_millionths =
                    bytes[i] < room ? ps_mul_div_u64(bytes[i], MILLION, room) : MILLION};
        }
    }
    ps_free(bytes);
    return PS_OK;
}
