/* SPDX-License-Identifier: MIT
 *
 * Finding the optimizer of a recorded job, stage by stage.
 */
#include "base/memory.h"
#include "policy/offload_optimizer.h"

static ps_code find(ps_offload_search *self, ps_error *err)
{
    ps_offload_optimizer *out = self->out;
    PS_TRY(ps__offload_check_ranks(self->change->trace, err));
    PS_TRY(ps__offload_stream(self->plan, &self->stream, err));
    out->compute = self->stream.lane;
    out->buffer_count = self->plan->buffer.head.count;
    out->drop_task = ps_calloc(self->plan->task.head.count, sizeof *out->drop_task);
    out->drop_buffer = ps_calloc(out->buffer_count, sizeof *out->drop_buffer);
    if (out->drop_task == NULL || out->drop_buffer == NULL) {
        return ps_fail_nomem(err);
    }
    PS_TRY(ps__offload_optimizer_steps(self, err));
    PS_TRY(ps__offload_optimizer_kind(self, err));
    PS_TRY(ps__offload_optimizer_gradients(self, err));
    return ps__offload_optimizer_tensors(self, err);
}

ps_code ps__offload_optimizer_find(const ps_plan *plan, const ps_offload *change,
                                   ps_offload_optimizer *out, ps_error *err)
{
    ps_offload_optimizer found = {0};
    ps_offload_search self = {.plan = plan, .change = change, .out = &found};
    const ps_code code = find(&self, err);
    ps__offload_stream_fini(&self.stream);
    ps_gradients_fini(&self.gradients);
    ps_free(self.pass);
    ps_free(self.alloc);
    ps_free(self.free);
    if (code != PS_OK) {
        ps__offload_optimizer_fini(&found);
        return code;
    }
    *out = found;
    return PS_OK;
}

void ps__offload_optimizer_fini(ps_offload_optimizer *self)
{
    ps_free(self->step);
    ps_free(self->parameter);
    ps_free(self->gradient);
    ps_free(self->exchange);
    ps_free(self->drop_task);
    ps_free(self->drop_buffer);
    *self = (ps_offload_optimizer){0};
}
