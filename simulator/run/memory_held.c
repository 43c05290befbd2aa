/* SPDX-License-Identifier: MIT
 *
 * Freed memory that other streams still use.
 *
 * PyTorch's allocator marks the end of each such stream when a block is freed
 * and looks at the marks whenever it is asked for memory: blocks whose marks
 * have been passed by then can serve the request. How much memory a program
 * needs so depends on how far its host is ahead of the device.
 */
#include "run/memory_walk.h"

#include "base/memory.h"

#define NOT_HELD (-1)
#define MAX_HELD ((size_t)1 << 31)

ps_code ps__memory_held_open(ps_memory_walk *walk, ps_error *err)
{
    const ps_plan *plan = walk->plan;
    walk->first_release_ns = PS_TIME_NEVER;
    walk->held_until_ns = ps_calloc(plan->buffer.head.count, sizeof *walk->held_until_ns);
    if (walk->held_until_ns == NULL) {
        return ps_fail_nomem(err);
    }
    for (size_t i = 0; i < plan->buffer.head.count; i++) {
        walk->held_until_ns[i] = NOT_HELD;
    }
    for (size_t i = 0; i < plan->hold.head.count; i++) {
        ps_ns *until_ns = &walk->held_until_ns[plan->hold.buffer[i]];
        const ps_ns end_ns = walk->times->end_ns[plan->hold.task[i]];
        *until_ns = end_ns > *until_ns ? end_ns : *until_ns;
    }
    return PS_OK;
}

void ps__memory_held_close(ps_memory_walk *walk)
{
    ps_free(walk->held_until_ns);
    ps_free(walk->held);
    walk->held_until_ns = NULL;
    walk->held = NULL;
}

ps_code ps__memory_held_add(ps_memory_walk *walk, uint32_t buffer, ps_error *err)
{
    const ps_ns until_ns = walk->held_until_ns[buffer];
    if (until_ns == NOT_HELD) {
        return PS_OK; /* a row of the plan ends it */
    }
    PS_TRY(ps_grow((void **)&walk->held, &walk->held_capacity, walk->held_count + 1, MAX_HELD,
                   sizeof *walk->held, err));
    walk->held[walk->held_count++] = buffer;
    walk->first_release_ns = until_ns < walk->first_release_ns ? until_ns : walk->first_release_ns;
    return PS_OK;
}

ps_code ps__memory_held_release(ps_memory_walk *walk, ps_ns now, ps_error *err)
{
    size_t kept = 0;
    if (walk->first_release_ns > now) {
        return PS_OK;
    }
    walk->first_release_ns = PS_TIME_NEVER;
    for (size_t i = 0; i < walk->held_count; i++) {
        const uint32_t buffer = walk->held[i];
        const ps_ns until_ns = walk->held_until_ns[buffer];
        if (until_ns <= now) {
            PS_TRY(ps__memory_request_end_free(walk, buffer, err));
            continue;
        }
        walk->held[kept++] = buffer;
        walk->first_release_ns =
            until_ns < walk->first_release_ns ? until_ns : walk->first_release_ns;
    }
    walk->held_count = kept;
    return PS_OK;
}
