/* SPDX-License-Identifier: MIT
 *
 * Checks of the input columns, so that the core can trust them.
 */
#include "engine/input.h"

#define MAX_ROWS ((size_t)1 << 31)

static ps_code check_counts(const ps_engine_input *in, ps_error *err)
{
    const struct {
        const char *what;
        size_t count;
    } counts[] = {
        {"lanes", in->lane_count},         {"tasks", in->task_count},
        {"dependencies", in->dep_count},   {"links", in->link_count},
        {"transfers", in->transfer_count},
    };
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        if (counts[i].count >= MAX_ROWS) {
            return ps_fail(err, PS_BAD_INPUT, "%zu %s, must be below %zu", counts[i].count,
                           counts[i].what, MAX_ROWS);
        }
    }
    return PS_OK;
}

static ps_code check_tasks(const ps_engine_input *in, ps_error *err)
{
    for (size_t i = 0; i < in->task_count; i++) {
        if (in->lane[i] >= in->lane_count) {
            return ps_fail(err, PS_BAD_INPUT, "task %zu: lane %u of %zu", i, (unsigned)in->lane[i],
                           in->lane_count);
        }
        if (in->gap_ns[i] < 0 || in->dur_ns[i] < 0) {
            return ps_fail(err, PS_BAD_INPUT,
                           "task %zu: gap %lld ns, duration %lld ns, must be >= 0", i,
                           (long long)in->gap_ns[i], (long long)in->dur_ns[i]);
        }
    }
    return PS_OK;
}

static ps_code check_deps(const ps_engine_input *in, ps_error *err)
{
    for (size_t i = 0; i < in->dep_count; i++) {
        if (in->dep_task[i] >= in->task_count || in->dep_before[i] >= in->task_count) {
            return ps_fail(err, PS_BAD_INPUT, "dependency %zu: tasks %u and %u of %zu", i,
                           (unsigned)in->dep_task[i], (unsigned)in->dep_before[i], in->task_count);
        }
        if (i > 0 && in->dep_task[i] < in->dep_task[i - 1]) {
            return ps_fail(err, PS_BAD_INPUT, "dependency %zu: task %u after task %u, not sorted",
                           i, (unsigned)in->dep_task[i], (unsigned)in->dep_task[i - 1]);
        }
        if (in->dep_kind[i] > PS_ENGINE_END_AFTER_START) {
            return ps_fail(err, PS_BAD_INPUT, "dependency %zu: kind %u is unknown", i,
                           (unsigned)in->dep_kind[i]);
        }
        if (in->dep_lag_ns[i] < 0) {
            return ps_fail(err, PS_BAD_INPUT, "dependency %zu: lag %lld ns, must be >= 0", i,
                           (long long)in->dep_lag_ns[i]);
        }
    }
    return PS_OK;
}

static ps_code check_transfers(const ps_engine_input *in, ps_error *err)
{
    for (size_t i = 0; i < in->link_count; i++) {
        if (in->link_bytes_per_s[i] == 0) {
            return ps_fail(err, PS_BAD_INPUT, "link %zu: capacity 0", i);
        }
    }
    for (size_t i = 0; i < in->transfer_count; i++) {
        if (in->transfer_task[i] >= in->task_count || in->transfer_link[i] >= in->link_count) {
            return ps_fail(err, PS_BAD_INPUT, "transfer %zu: task %u of %zu over link %u of %zu", i,
                           (unsigned)in->transfer_task[i], in->task_count,
                           (unsigned)in->transfer_link[i], in->link_count);
        }
        if (i > 0 && in->transfer_task[i] < in->transfer_task[i - 1]) {
            return ps_fail(err, PS_BAD_INPUT, "transfer %zu: task %u after task %u, not sorted", i,
                           (unsigned)in->transfer_task[i], (unsigned)in->transfer_task[i - 1]);
        }
    }
    return PS_OK;
}

ps_code ps_engine_input_check(const ps_engine_input *input, ps_error *err)
{
    PS_TRY(check_counts(input, err));
    PS_TRY(check_tasks(input, err));
    PS_TRY(check_deps(input, err));
    return check_transfers(input, err);
}
