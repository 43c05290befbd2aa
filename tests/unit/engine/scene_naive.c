/* SPDX-License-Identifier: MIT
 *
 * The rules of engine.h read literally: at each instant everything that may
 * happen happens, then the clock goes to the next instant that matters.
 */
#include <assert.h>

#include "base/checked.h"
#include "scene_random.h"

typedef enum phase { UNBORN, WORKING, MOVING, HELD, ENDED } phase;

typedef struct world {
    const scene *s;
    int64_t *start_ns, *end_ns;
    phase phase[SCENE_MAX_TASKS];
    uint64_t left[SCENE_MAX_TASKS]; /* bytes * 10^9 */
    uint64_t rate[SCENE_MAX_TASKS];
    int64_t now;
    int64_t next; /* next instant that matters */
} world;

/* True when `at` has come; otherwise it is an instant that matters. */
static bool has_come(world *w, int64_t at)
{
    if (at <= w->now) {
        return true;
    }
    w->next = at < w->next ? at : w->next;
    return false;
}

static bool deps_allow(world *w, uint32_t task, bool is_end)
{
    bool allowed = true;
    for (size_t i = 0; i < w->s->dep_count; i++) {
        const scene_dep *dep = &w->s->dep[i];
        const bool holds_end = dep->kind >= PS_ENGINE_END_AFTER_END;
        const bool awaits_end =
            dep->kind == PS_ENGINE_START_AFTER_END || dep->kind == PS_ENGINE_END_AFTER_END;
        if (dep->task != task || holds_end != is_end) {
            continue;
        }
        if (w->phase[dep->before] == UNBORN || (awaits_end && w->phase[dep->before] != ENDED)) {
            allowed = false;
        } else if (!has_come(w,
                             (awaits_end ? w->end_ns : w->start_ns)[dep->before] + dep->lag_ns)) {
            allowed = false;
        }
    }
    return allowed;
}

static bool lane_allows(world *w, uint32_t task)
{
    for (uint32_t i = task; i > 0; i--) {
        if (w->s->lane[i - 1] == w->s->lane[task]) {
            return w->phase[i - 1] == ENDED && has_come(w, w->end_ns[i - 1] + w->s->gap_ns[task]);
        }
    }
    return has_come(w, w->s->gap_ns[task]);
}

static bool crosses(const scene *s, uint32_t task, uint32_t link)
{
    for (size_t i = 0; i < s->transfer_count; i++) {
        if (s->transfer[i].task == task && s->transfer[i].link == link) {
            return true;
        }
    }
    return false;
}

static bool has_links(const scene *s, uint32_t task)
{
    for (uint32_t link = 0; link < s->link_count; link++) {
        if (crosses(s, task, link)) {
            return true;
        }
    }
    return false;
}

/* One task one phase on, if it may. */
static bool advance(world *w, uint32_t task)
{
    switch (w->phase[task]) {
    case UNBORN:
        if (lane_allows(w, task) && deps_allow(w, task, false)) {
            w->start_ns[task] = w->now;
            w->phase[task] = WORKING;
            return true;
        }
        return false;
    case WORKING:
        if (has_come(w, w->start_ns[task] + w->s->dur_ns[task])) {
            w->left[task] = has_links(w->s, task) ? w->s->bytes[task] * 1000000000 : 0;
            w->phase[task] = MOVING;
            return true;
        }
        return false;
    case MOVING:
        w->phase[task] = w->left[task] == 0 ? HELD : MOVING;
        return w->left[task] == 0;
    case HELD:
        if (deps_allow(w, task, true)) {
            w->end_ns[task] = w->now;
            w->phase[task] = ENDED;
            return true;
        }
        return false;
    case ENDED:
        return false;
    }
    return false;
}

/* Raises all open rates together until a link is full or a limit reached, again and again. */
static void share(world *w)
{
    const scene *s = w->s;
    bool is_open[SCENE_MAX_TASKS];
    uint64_t free_rate[SCENE_MAX_LINKS];
    for (uint32_t i = 0; i < s->task_count; i++) {
        is_open[i] = w->phase[i] == MOVING;
        w->rate[i] = 0;
    }
    for (size_t i = 0; i < s->link_count; i++) {
        free_rate[i] = s->link_bytes_per_s[i];
    }
    for (;;) {
        uint64_t rise = UINT64_MAX;
        for (uint32_t link = 0; link < s->link_count; link++) {
            uint64_t open = 0;
            for (uint32_t i = 0; i < s->task_count; i++) {
                open += is_open[i] && crosses(s, i, link) ? 1 : 0;
            }
            if (open > 0) {
                assert(free_rate[link] % open == 0);
                rise = free_rate[link] / open < rise ? free_rate[link] / open : rise;
            }
        }
        for (uint32_t i = 0; i < s->task_count; i++) {
            if (is_open[i] && s->rate_bytes_per_s[i] > 0 &&
                s->rate_bytes_per_s[i] - w->rate[i] < rise) {
                rise = s->rate_bytes_per_s[i] - w->rate[i];
            }
        }
        if (rise == UINT64_MAX) {
            return;
        }
        for (uint32_t i = 0; i < s->task_count; i++) {
            for (uint32_t link = 0; is_open[i] && link < s->link_count; link++) {
                free_rate[link] -= crosses(s, i, link) ? rise : 0;
            }
            w->rate[i] += is_open[i] ? rise : 0;
        }
        for (uint32_t i = 0; i < s->task_count; i++) {
            for (uint32_t link = 0; link < s->link_count; link++) {
                is_open[i] = is_open[i] && !(crosses(s, i, link) && free_rate[link] == 0);
            }
            is_open[i] = is_open[i] && w->rate[i] != s->rate_bytes_per_s[i];
        }
    }
}

bool scene_naive(const scene *self, int64_t *start_ns, int64_t *end_ns)
{
    world w = {.s = self};
    w.start_ns = start_ns;
    w.end_ns = end_ns;
    for (;;) {
        bool has_changed = true;
        while (has_changed) {
            has_changed = false;
            w.next = PS_TIME_NEVER;
            for (uint32_t i = 0; i < self->task_count; i++) {
                has_changed |= advance(&w, i);
            }
        }
        share(&w);
        for (uint32_t i = 0; i < self->task_count; i++) {
            if (w.phase[i] == MOVING) {
                (void)has_come(&w, w.now + (int64_t)((w.left[i] + w.rate[i] - 1) / w.rate[i]));
            }
        }
        if (w.next == PS_TIME_NEVER) {
            break;
        }
        for (uint32_t i = 0; i < self->task_count; i++) {
            const uint64_t moved = w.rate[i] * (uint64_t)(w.next - w.now);
            w.left[i] -= w.phase[i] == MOVING && moved < w.left[i] ? moved : w.left[i];
        }
        w.now = w.next;
    }
    for (uint32_t i = 0; i < self->task_count; i++) {
        if (w.phase[i] != ENDED) {
            return false;
        }
    }
    return true;
}
