/* SPDX-License-Identifier: MIT
 *
 * The blocks of a recorded job, and what they need on the device when.
 */
#include <inttypes.h>

#include "alloc/sizes.h"
#include "base/memory.h"
#include "policy/offload_parameter_parts.h"

ps_code ps__offload_add_parameter(ps_parameter_search *self, uint32_t block,
                                  ps_block_parameter what, ps_error *err)
{
    ps_offload_parameters *out = self->out;
    ps_offload_block *of = &out->block[block];
    PS_TRY(ps_grow((void **)&out->parameter, &out->parameter_capacity, out->parameter_count + 1,
                   PS_TABLE_MAX_ROWS, sizeof *out->parameter, err));
    of->first = of->count == 0 ? out->parameter_count : of->first;
    of->count++;
    out->parameter[out->parameter_count++] = what;
    return PS_OK;
}

/* Without backward and without operators nothing says whether something changes parameters. */
static ps_code check_told(const ps_parameter_search *self, ps_error *err)
{
    return ps__offload_has_phase(self->structure, PS_PHASE_BACKWARD)
               ? PS_OK
               : ps_fail(err, PS_USAGE,
                         "no backward pass and no shapes of operators (record_shapes=True) are "
                         "recorded: nothing says whether parameters are changed in place");
}

static ps_code find_weights(ps_parameter_search *self, ps_error *err)
{
    bool has_any = false;
    PS_TRY(ps__offload_weights_of_shapes(self, &has_any, err));
    if (has_any && !ps__offload_has_phase(self->structure, PS_PHASE_BACKWARD)) {
        return ps__offload_find_sweeps(self, err);
    }
    if (!has_any) {
        PS_TRY(ps__offload_weights_of_buffers(self, &has_any, err));
        PS_TRY(has_any ? check_told(self, err) : PS_OK);
    }
    return has_any ? PS_OK
                   : ps_fail(err, PS_USAGE,
                             "nothing says how large the parameters of blocks are: neither shapes "
                             "of operators (record_shapes=True) nor parameters that repeat as "
                             "blocks do are recorded");
}

uint64_t ps__offload_device_bytes(const ps_plan *plan, uint64_t bytes)
{
    return plan->device.sizes_are_blocks[0] != 0 ? ps_round_up_u64(bytes, PS_ALLOC_GRAIN_BYTES)
                                                 : bytes;
}

/* What lies on the device from before the recording must be able to hold what goes. */
static ps_code check_resident(ps_parameter_search *self, ps_error *err)
{
    ps_offload_parameters *out = self->out;
    const uint64_t resident = self->plan->device.base_live_bytes[0];
    uint64_t bytes = 0;
    for (size_t i = 0; i < out->parameter_count; i++) {
        if (out->parameter[i].goes && out->parameter[i].buffer == PS_OFFLOAD_NONE &&
            !ps_add_u64(bytes, ps__offload_device_bytes(self->plan, out->parameter[i].bytes),
                        &bytes)) {
            bytes = UINT64_MAX;
        }
    }
    out->resident_bytes = bytes;
    return bytes <= resident
               ? PS_OK
               : ps_fail(err, PS_USAGE,
                         "blocks have %" PRIu64 " bytes of parameters and %" PRIu64
                         " bytes are resident before the recording: they were not there, or are "
                         "counted twice",
                         bytes, resident);
}

/* Memory for parameters is asked for as the recording's own first request is. */
static void find_stream(ps_parameter_search *self)
{
    const ps_plan *plan = self->plan;
    for (size_t i = 0; i < plan->memop.head.count; i++) {
        if (plan->memop.op[i] == PS_MEMOP_ALLOC &&
            !ps_memory_is_host(plan->buffer.memory[plan->memop.buffer[i]])) {
            self->out->stream = plan->buffer.stream[plan->memop.buffer[i]];
            return;
        }
    }
}

static ps_code find(ps_parameter_search *self, ps_error *err)
{
    PS_TRY(ps__offload_check_ranks(self->trace, err));
    PS_TRY(ps__offload_stream(self->plan, &self->stream, err));
    self->out->compute = self->stream.lane;
    find_stream(self);
    PS_TRY(ps__offload_find_runs(self, err));
    PS_TRY(find_weights(self, err));
    PS_TRY(ps__offload_find_trained(self, err));
    PS_TRY(check_resident(self, err));
    PS_TRY(ps__offload_find_uses(self, err));
    return self->out->use_count > 0
               ? PS_OK
               : ps_fail(err, PS_USAGE,
                         "blocks launch nothing in the recording: nothing to stream");
}

ps_code ps__offload_parameters_find(const ps_plan *plan, const ps_offload *change,
                                    ps_offload_parameters *out, ps_error *err)
{
    ps_offload_parameters found = {0};
    ps_parameter_search self = {.plan = plan,
                                .trace = change->trace,
                                .structure = change->structure,
                                .change = change,
                                .out = &found};
    ps_idmap_init(&self.run_of_sequence);
    const ps_code code = find(&self, err);
    ps_idmap_fini(&self.run_of_sequence);
    ps__offload_stream_fini(&self.stream);
    ps_free(self.run);
    if (code != PS_OK) {
        ps__offload_parameters_fini(&found);
        return code;
    }
    *out = found;
    return PS_OK;
}

void ps__offload_parameters_fini(ps_offload_parameters *self)
{
    ps_free(self->parameter);
    ps_free(self->block);
    ps_free(self->share);
    ps_free(self->use);
    ps_free(self->moment);
    *self = (ps_offload_parameters){0};
}
