/* SPDX-License-Identifier: MIT
 *
 * Which memory of a recorded job its trained parameters are: a buffer with that
 * role, of its gradient's size; otherwise a part of what was resident before the
 * recording, if that is enough.
 */
#include <inttypes.h>

#include "base/memory.h"
#include "policy/offload_optimizer.h"

/* ---- parameters ---- */

static ps_code find_parameters(ps_offload_search *self, ps_error *err)
{
    const ps_structure *of = self->change->structure;
    ps_offload_optimizer *out = self->out;
    const ps_ns first = out->step[0].begin_ns, last = out->step[out->step_count - 1].end_ns;
    bool *taken = ps_calloc(of->buffer_count + 1, sizeof *taken);
    if (taken == NULL) {
        return ps_fail_nomem(err);
    }
    for (size_t p = 0; p < out->parameter_count; p++) {
        for (uint32_t i = 0; i < of->buffer_count; i++) {
            if (!taken[i] && of->buffer[i].role == PS_ROLE_PARAMETER &&
                self->plan->buffer.bytes[i] == out->parameter[p].device_bytes &&
                ps__offload_is_on_device(self->plan, i) && ps__offload_born_ns(self, i) < first &&
                ps__offload_freed_ns(self, i) >= last) {
                taken[i] = true;
                out->parameter[p].buffer = i;
                break;
            }
        }
    }
    ps_free(taken);
    return PS_OK;
}

static ps_code check_resident(const ps_offload_search *self, ps_error *err)
{
    const ps_offload_optimizer *out = self->out;
    const uint64_t has = self->plan->device.base_live_bytes[0];
    uint64_t need = out->resident_bytes;
    for (size_t i = 0; i < out->parameter_count; i++) {
        const ps_offload_parameter *of = &out->parameter[i];
        need += of->buffer == PS_OFFLOAD_NONE ? of->device_bytes : 0;
        need += of->keeps_gradient ? of->device_bytes : 0;
    }
    if (need <= has) {
        return PS_OK;
    }
    return has == 0
               ? ps_fail(err, PS_USAGE,
                         "%" PRIu64 " bytes of parameters, states and gradients are from before "
                         "the recording, which does not say how much was live then",
                         need)
               : ps_fail(err, PS_USAGE,
                         "%" PRIu64 " bytes of parameters, states and gradients would be from "
                         "before the recording, which says that %" PRIu64 " were live then",
                         need, has);
}

ps_code ps__offload_optimizer_tensors(ps_offload_search *self, ps_error *err)
{
    PS_TRY(find_parameters(self, err));
    PS_TRY(ps__offload_optimizer_states(self, err));
    return check_resident(self, err);
}
