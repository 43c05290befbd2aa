/* SPDX-License-Identifier: MIT
 *
 * Executor for backends on which no time passes: one thread, every moment of
 * the plan in the graph's legal order. Times in the log stay 0.
 */
#include "replay/session.h"

static ps_code do_start(ps_replay_session *self, uint32_t task, ps_replay_tally *tally,
                        ps_error *err)
{
    const bool is_idle_host =
        ps_replay_is_host_kind(self->plan->task.kind[task]) && self->uses_links[task] == 0;
    if (is_idle_host) {
        return PS_OK;
    }
    const ps_backend_work work = ps_replay_work_of(self, task);
    ps_backend_answer answer = PS_BACKEND_DONE;
    ps_backend_ticket ticket = 0;
    ps_backend_result result = {0};
    PS_TRY(self->ops->submit(self->backend, self->plan->task.lane[task], &work, &answer, &ticket,
                             &result, err));
    ps_replay_tally_add(tally, self, task, &result);
    return PS_OK;
}

ps_code ps_replay_run_inline(ps_replay_session *self, ps_error *err)
{
    const ps_replay_graph *graph = &self->graph;
    ps_replay_log *log = &self->report->log;
    ps_replay_tally tally = {0};
    for (size_t i = 0; i < graph->node_count; i++) {
        const uint32_t node = graph->order[i];
        if (node >= 2 * graph->task_count) {
            const uint32_t memop = node - (uint32_t)(2 * graph->task_count);
            PS_TRY(ps_replay_ledger_apply(&self->ledger, memop, err));
            log->memop_order[memop] = i + 1;
        } else if (node % 2 == 0) {
            PS_TRY(do_start(self, node / 2, &tally, err));
            log->start_order[node / 2] = i + 1;
        } else {
            log->end_order[node / 2] = i + 1;
        }
    }
    ps_replay_tally_report(&tally, self->report);
    return PS_OK;
}
