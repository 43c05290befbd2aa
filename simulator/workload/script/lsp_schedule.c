/* SPDX-License-Identifier: MIT
 *
 * Which act of LSP-Offload stands where. The released code appends acts to
 * lists of the linear modules, and does them in the host's own thread when it
 * comes by:
 *
 *   from fcfs_point on   OFF after its backward; UPD, UPL, APP of linear l after the backward of
 *                        l - delay; where there is none, before the forward of the next step
 *   before it            all in front of the next forward of linear l - delay: the module needed
 *                        first is served first
 *   zero                 OFF after its backward; the rest of all before the next forward
 *
 * In the ideal nothing waits in the host: OFF, UPD and UPL are handed over at once, those before
 * the point at the end of backward, the first needed first.
 */
#include <string.h>

#include "base/memory.h"
#include "workload/script/lsp_parts.h"

#define MAX_ITEMS ((size_t)1 << 20)

/* ---- queues ---- */

static bool insert(ps_lsp_queue *into, size_t at, ps_lsp_act act, uint32_t linear)
{
    if (ps_grow((void **)&into->item, &into->capacity, into->count + 1, MAX_ITEMS,
                sizeof *into->item, NULL) != PS_OK) {
        return false;
    }
    memmove(into->item + at + 1, into->item + at, (into->count - at) * sizeof *into->item);
    into->item[at] = (ps_lsp_item){act, linear};
    into->count++;
    return true;
}

static bool append(ps_lsp_queue *into, ps_lsp_act act, uint32_t linear)
{
    return insert(into, into->count, act, linear);
}

static bool put_in_front(ps_lsp_queue *into, ps_lsp_act act, uint32_t linear)
{
    return insert(into, 0, act, linear);
}

void ps_lsp_queue_fini(ps_lsp_queue *self)
{
    ps_free(self->item);
    *self = (ps_lsp_queue){0};
}

void ps_lsp_run_queue(ps_lsp *self, ps_lsp_queue *queue)
{
    for (size_t i = 0; i < queue->count; i++) {
        ps_lsp_do(self, queue->item[i]);
    }
    queue->count = 0;
}

/* ---- the released code ---- */

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static bool serve_first_come(ps_lsp *self, uint32_t linear, ps_lsp_act act, int64_t delay)
{
    return delay <= linear
               ? append(&self->linear[linear - delay].after_backward, act, linear)
               : append(&self->linear[least(delay - linear, linear)].before_forward, act, linear);
}

static bool serve_last_come(ps_lsp *self, uint32_t linear, ps_lsp_act act, int64_t delay)
{
    return delay <= linear
               ? put_in_front(&self->linear[linear - delay].before_forward, act, linear)
               : put_in_front(&self->linear[least(linear, delay - linear)].after_backward, act,
                              linear);
}

static bool schedule_zero(ps_lsp *self, uint32_t linear)
{
    ps_lsp_queue *first = &self->linear[0].before_forward;
    return append(&self->linear[linear].after_backward, PS_LSP_OFF, linear) &&
           put_in_front(first, PS_LSP_APP, linear) && put_in_front(first, PS_LSP_UPL, linear) &&
           put_in_front(first, PS_LSP_UPD, linear);
}

static bool schedule_released(ps_lsp *self, uint32_t linear)
{
    const ps_lsp_settings *s = self->settings;
    if (linear >= s->fcfs_point) {
        return append(&self->linear[linear].after_backward, PS_LSP_OFF, linear) &&
               serve_first_come(self, linear, PS_LSP_UPD, s->fcfs_process_delay) &&
               serve_first_come(self, linear, PS_LSP_UPL, s->fcfs_h2d_delay) &&
               serve_first_come(self, linear, PS_LSP_APP, s->fcfs_upd_delay);
    }
    return serve_last_come(self, linear, PS_LSP_APP, s->lcfs_h2d_delay) &&
           serve_last_come(self, linear, PS_LSP_UPL, s->lcfs_h2d_delay) &&
           serve_last_come(self, linear, PS_LSP_UPD, s->lcfs_process_delay) &&
           serve_last_come(self, linear, PS_LSP_OFF, s->lcfs_d2h_delay);
}

/* ---- the ideal ---- */

static bool schedule_ideal(ps_lsp *self, uint32_t linear)
{
    const ps_lsp_settings *s = self->settings;
    ps_lsp_queue *after = &self->linear[linear].after_backward;
    ps_lsp_queue *before = &self->linear[linear].before_forward;
    if (linear < s->fcfs_point) {
        return append(after, PS_LSP_OFF, linear) && append(before, PS_LSP_APP, linear);
    }
    const bool is_early = s->fcfs_upd_delay > 0 && s->fcfs_upd_delay <= linear;
    return append(after, PS_LSP_OFF, linear) && append(after, PS_LSP_UPD, linear) &&
           append(after, PS_LSP_UPL, linear) &&
           (is_early ? append(&self->linear[linear - s->fcfs_upd_delay].after_backward, PS_LSP_APP,
                              linear)
                     : append(before, PS_LSP_APP, linear));
}

void ps_lsp_run_end(ps_lsp *self)
{
    for (uint32_t i = 0;
         self->settings->is_ideal && i < self->count && i < (uint64_t)self->settings->fcfs_point;
         i++) {
        ps_lsp_do(self, (ps_lsp_item){PS_LSP_UPD, i});
        ps_lsp_do(self, (ps_lsp_item){PS_LSP_UPL, i});
    }
}

bool ps_lsp_schedule(ps_lsp *self, uint32_t linear)
{
    return self->settings->is_zero    ? schedule_zero(self, linear)
           : self->settings->is_ideal ? schedule_ideal(self, linear)
                                      : schedule_released(self, linear);
}
