/* SPDX-License-Identifier: MIT
 *
 * Which memory of a recorded job its trained parameters and optimizer states
 * are.
 *
 *   parameter   a buffer with that role, of its gradient's size
 *   state       what optimizer steps make and keep
 *   otherwise   a part of what was resident before the recording, if that is enough
 */
#include <inttypes.h>

#include "alloc/sizes.h"
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

/* ---- states ---- */

/* What optimizer steps make goes: for good, or for their own use. */
static uint64_t drop_made(ps_offload_search *self)
{
    const ps_offload_optimizer *out = self->out;
    uint64_t kept = 0;
    size_t step = 0;
    for (uint32_t i = 0; i < self->plan->buffer.head.count; i++) {
        if (self->alloc[i] == SIZE_MAX || !ps__offload_is_on_device(self->plan, i)) {
            continue;
        }
        const ps_ns born = ps__offload_born_ns(self, i);
        for (step = 0; step < out->step_count && out->step[step].end_ns <= born;) {
            step++;
        }
        if (step == out->step_count || born < out->step[step].begin_ns ||
            self->plan->task.lane[self->plan->memop.task[self->alloc[i]]] != out->step[step].lane) {
            continue;
        }
        out->drop_buffer[i] = true;
        kept += ps__offload_freed_ns(self, i) > out->step[step].end_ns ? self->plan->buffer.bytes[i]
                                                                       : 0;
    }
    return kept;
}

/* States made while recording say how many there are; small ones beside them count steps. */
static ps_code count_states(ps_offload_search *self, uint64_t made, ps_error *err)
{
    ps_offload_optimizer *out = self->out;
    uint64_t bytes = 0;
    for (size_t i = 0; i < out->parameter_count; i++) {
        bytes += out->parameter[i].device_bytes;
    }
    if (made == 0) {
        out->state_bytes = out->resident_bytes = bytes * out->kind.states;
        return PS_OK;
    }
    const uint64_t times = bytes == 0 ? 0 : made / bytes;
    if (times < 1 || times > 3 || (times == 1) != (out->kind.states < 2) ||
        made - times * bytes > out->parameter_count * PS_ALLOC_GRAIN_BYTES) {
        return ps_fail(err, PS_USAGE,
                       "recorded optimizer steps make %" PRIu64
                       " bytes that stay, beside gradients of %" PRIu64
                       ": which of them are states of %s is not known",
                       made, bytes, out->kind.name);
    }
    out->kind.states = (uint32_t)times;
    out->state_bytes = made;
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
    PS_TRY(count_states(self, drop_made(self), err));
    return check_resident(self, err);
}
