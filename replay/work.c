/* SPDX-License-Identifier: MIT
 *
 * What a task means to a backend, and the books of what was done.
 *
 *   kernel      a stand-in of its length; bytes only if it uses links
 *   memcpy      its bytes, within its length or, when it uses links, after it
 *   memset      its bytes, within its length
 *   collective  the backend's collective; bytes only if it uses links
 *   host        the harness's own stand-in; bytes only if it uses links
 *
 * What the backend cannot do is waived: a kernel of the same length.
 */
#include "replay/session.h"

static bool can(const ps_replay_session *self, ps_backend_capability capability)
{
    return (self->ops->capabilities & (uint32_t)capability) != 0;
}

/* True when the backend does less for a task than the plan states. */
static bool is_waived(const ps_replay_session *self, uint32_t task)
{
    const bool moves = self->plan->task.bytes[task] > 0;
    const bool lacks_copies = !can(self, PS_BACKEND_COPIES);
    if (self->uses_links[task] != 0 && moves && lacks_copies) {
        return true;
    }
    switch ((ps_task_kind)self->plan->task.kind[task]) {
    case PS_TASK_MEMCPY:
        return moves && lacks_copies;
    case PS_TASK_MEMSET:
        return moves && !can(self, PS_BACKEND_FILLS);
    case PS_TASK_COLLECTIVE:
    case PS_TASK_EXCHANGE:
        return !can(self, PS_BACKEND_COLLECTIVES);
    case PS_TASK_HOST:
    case PS_TASK_WAIT:
    case PS_TASK_KERNEL:
    case PS_TASK_CPU:
    case PS_TASK_KIND_COUNT:
        break;
    }
    return false;
}

static uint64_t scaled_bytes(const ps_replay_session *self, uint32_t task)
{
    const uint64_t bytes = self->plan->task.bytes[task], scale = self->options.memory_scale;
    return bytes / scale + (bytes % scale != 0 ? 1u : 0u);
}

ps_backend_work ps_replay_work_of(const ps_replay_session *self, uint32_t task)
{
    const ps_plan_task_table *tasks = &self->plan->task;
    const bool uses_links = self->uses_links[task] != 0;
    const bool is_host = ps_replay_is_host_kind(tasks->kind[task]);
    const bool has_bytes =
        uses_links || tasks->kind[task] == PS_TASK_MEMCPY || tasks->kind[task] == PS_TASK_MEMSET;
    ps_backend_work work = {
        .kind = is_host ? PS_TASK_MEMCPY : (ps_task_kind)tasks->kind[task],
        .task = task,
        .copy_kind = is_host ? PS_COPY_HTOH : tasks->copy_kind[task],
        .memory_kind = tasks->memory_kind[task],
        .name = ps_strings_text(self->plan->strings, tasks->name[task]),
        .dur_ns = is_host ? 0 : ps_replay_session_ns(self, tasks->dur_ns[task]),
        .bytes = has_bytes ? scaled_bytes(self, task) : 0,
        .moves_after = uses_links,
    };
    if (is_waived(self, task)) {
        work.kind = PS_TASK_KERNEL;
        work.bytes = 0;
    }
    return work;
}

static void add_traffic(ps_replay_traffic *to, const ps_replay_traffic *more)
{
    to->count += more->count;
    to->plan_bytes += more->plan_bytes;
    to->moved_bytes += more->moved_bytes;
    to->move_ns = ps_time_add(to->move_ns, more->move_ns);
}

void ps_replay_tally_add(ps_replay_tally *tally, const ps_replay_session *self, uint32_t task,
                         const ps_backend_result *result)
{
    const ps_plan_task_table *tasks = &self->plan->task;
    const ps_replay_traffic one = {
        .count = 1,
        .plan_bytes = tasks->bytes[task],
        .moved_bytes = result->moved_bytes,
        .move_ns = result->move_ns,
    };
    if (is_waived(self, task)) {
        tally->waived[tasks->kind[task]]++;
    }
    if (tasks->kind[task] == PS_TASK_MEMCPY) {
        add_traffic(&tally->copies[tasks->copy_kind[task]], &one);
    } else if (self->uses_links[task] != 0) {
        add_traffic(&tally->links, &one);
    }
}

static void report_traffic(ps_replay_traffic *to, const ps_replay_traffic *more)
{
    add_traffic(to, more);
    to->bytes_per_s = to->move_ns > 0 ? (double)to->moved_bytes * 1e9 / (double)to->move_ns : 0.0;
}

void ps_replay_tally_report(const ps_replay_tally *tally, ps_replay_report *report)
{
    for (size_t i = 0; i < PS_REPLAY_COPY_KINDS; i++) {
        report_traffic(&report->copies[i], &tally->copies[i]);
    }
    report_traffic(&report->links, &tally->links);
    for (size_t i = 0; i < PS_TASK_KIND_COUNT; i++) {
        report->waived[i] += tally->waived[i];
    }
}
