/* SPDX-License-Identifier: MIT
 *
 * Memory of a recorded job whose optimizer goes to the host: pinned buffers
 * there, names for what was resident, bytes that leave the device; and what is
 * told of it.
 */
#include <inttypes.h>
#include <stdio.h>

#include "base/memory.h"
#include "policy/offload_optimizer.h"

/* ---- memory ---- */

static ps_code add_buffer(ps_offload_building *b, uint64_t bytes, ps_memory_kind memory,
                          ps_role role, uint32_t *out, ps_error *err)
{
    size_t row;
    PS_TRY(ps_plan_add(b->plan, PS_PLAN_BUFFER, &row, err));
    b->plan->buffer.bytes[row] = bytes;
    b->plan->buffer.memory[row] = (uint8_t)memory;
    b->plan->buffer.role[row] = (uint8_t)role;
    *out = (uint32_t)row;
    return PS_OK;
}

static uint64_t elements_of(const ps_offload_parameter *of)
{
    return of->bytes / of->element_bytes;
}

uint64_t ps__offload_elements(const ps_offload_optimizer *places)
{
    uint64_t elements = 0;
    for (size_t i = 0; i < places->parameter_count; i++) {
        elements += elements_of(&places->parameter[i]);
    }
    return elements;
}

uint64_t ps__offload_bytes(const ps_offload_optimizer *places)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < places->parameter_count; i++) {
        bytes += places->parameter[i].bytes;
    }
    return bytes;
}

/* The thread has host memory before anything else. */
static ps_code add_host_buffer(ps_offload_moving *self, uint64_t bytes, ps_role role, uint32_t *out,
                               ps_error *err)
{
    ps_offload_building *b = self->b;
    const ps_plan_task_table *task = &b->plan->task;
    uint32_t first = 0;
    while (task->lane[first] != self->places->step[0].lane || task->kind[first] != PS_TASK_HOST) {
        first++; /* it launches: there is one */
    }
    self->begin = first;
    PS_TRY(add_buffer(b, bytes, PS_MEMORY_PINNED, role, out, err));
    PS_TRY(ps__offload_request(b, PS_MEMOP_ALLOC, *out, first, 0, err));
    b->plan->memop.offset_ns[b->plan->memop.head.count - 1] = -task->gap_ns[first];
    return PS_OK;
}

/* What nobody names and is moved by name from now on. */
static ps_code name_resident(ps_offload_moving *self, ps_error *err)
{
    for (size_t i = 0; i < self->places->parameter_count; i++) {
        const ps_offload_parameter *of = &self->places->parameter[i];
        self->parameter[i] = of->buffer;
        self->kept[i] = PS_OFFLOAD_NONE;
        if (of->buffer == PS_OFFLOAD_NONE && !of->streams) {
            PS_TRY(add_buffer(self->b, of->device_bytes, PS_MEMORY_UNKNOWN, PS_ROLE_BEFORE,
                              &self->parameter[i], err));
        }
        if (of->keeps_gradient) {
            PS_TRY(add_buffer(self->b, of->device_bytes, PS_MEMORY_UNKNOWN, PS_ROLE_BEFORE,
                              &self->kept[i], err));
        }
    }
    return PS_OK;
}

ps_code ps__offload_name_node(ps_offload_building *b, ps_error *err)
{
    char name[32];
    size_t row;
    if (b->plan->device.node[0] != 0) {
        return PS_OK;
    }
    (void)snprintf(name, sizeof name, "node%" PRIu32, b->host.node);
    PS_TRY(ps_plan_add(b->plan, PS_PLAN_NODE, &row, err));
    b->plan->node.capacity_bytes[row] = b->host.node_bytes;
    b->plan->device.node_ranks[0] = b->node_ranks;
    b->plan->device.node[0] = (uint32_t)row + 1;
    return ps_strings_put_z(b->plan->strings, name, &b->plan->node.name[row], err);
}

ps_code ps__offload_make_memory(ps_offload_moving *self, ps_error *err)
{
    const uint64_t wide = ps__offload_elements(self->places) * PS_OFFLOAD_WIDE_BYTES;
    PS_TRY(ps__offload_name_node(self->b, err));
    for (size_t i = 0; i < (self->b->change->delayed ? PS_OFFLOAD_SIDES : 1); i++) {
        PS_TRY(add_host_buffer(self, ps__offload_bytes(self->places), PS_ROLE_GRADIENT,
                               &self->transfer[i], err));
    }
    for (uint32_t i = 0; i <= self->places->kind.states; i++) {
        PS_TRY(add_host_buffer(self, wide, PS_ROLE_OPTIMIZER_STATE, &self->state[i], err));
    }
    PS_TRY(add_buffer(self->b, 0, PS_MEMORY_UNKNOWN, PS_ROLE_TEMPORARY, &self->b->moved_free, err));
    return name_resident(self, err);
}

/* ---- what goes ---- */

/* Bytes that have got names, and those of states, are no longer among the nameless. */
static uint64_t left_residence(const ps_offload_optimizer *places)
{
    uint64_t bytes = places->resident_bytes;
    for (size_t i = 0; i < places->parameter_count; i++) {
        const ps_offload_parameter *of = &places->parameter[i];
        bytes += of->buffer == PS_OFFLOAD_NONE && !of->streams ? of->device_bytes : 0;
        bytes += of->keeps_gradient ? of->device_bytes : 0;
    }
    return bytes;
}

ps_code ps__offload_optimizer_memory(ps_offload_building *b, const ps_offload_optimizer *places,
                                     ps_error *err)
{
    const size_t count = b->plan->buffer.head.count;
    bool *drop = ps_calloc(count, sizeof *drop);
    if (drop == NULL) {
        return ps_fail_nomem(err);
    }
    for (size_t i = 0; i < places->buffer_count; i++) {
        drop[i] = places->drop_buffer[i];
    }
    drop[b->moved_free] = true;
    const ps_code code = ps__plan_drop_buffers(b->plan, drop, NULL, err);
    ps_free(drop);
    PS_TRY(code);
    return ps__plan_shrink_resident(b->plan, 0, left_residence(places), err);
}

/* ---- facts ---- */

static const char *way_of(const ps_offload_optimizer *places)
{
    bool streams = true;
    for (size_t i = 0; i < places->step_count; i++) {
        streams = streams && places->step[i].streams;
    }
    return places->exchange_count > 0 ? "leave together behind what ranks exchange"
           : !places->is_placed
               ? "leave together after backward: when each is ready is not recorded"
           : places->touches ? "leave together after backward: kernels before a step may use them"
           : streams         ? "leave as they are ready"
                     : "leave together after backward where some are ready before they are written";
}

ps_code ps__offload_optimizer_fact(ps_offload_building *b, const ps_offload_optimizer *places,
                                   ps_error *err)
{
    char text[640];
    (void)snprintf(
        text, sizeof text,
        "%s, %s (%s): %zu steps over %zu tensors of %" PRIu64 " parameters, %" PRIu64
        " bytes, run on the host; %zu kernels are gone and %" PRIu64
        " bytes of states have left the device%s%s; gradients %s%s",
        places->kind.name, places->kind.style, places->kind.how, places->step_count,
        places->parameter_count, ps__offload_elements(places), ps__offload_bytes(places),
        places->dropped_kernels, places->state_bytes, places->state_bytes == 0 ? "" : ", ",
        places->state_bytes == 0 ? "" : places->states_how, way_of(places),
        b->change->delayed
            ? "; updates are delayed: each runs beside the next step, whose end brings its "
              "weights, and the first recorded step finds none to bring"
            : "");
    return ps_plan_set_meta(b->plan, PS_PLAN_META_OFFLOAD_OPTIMIZER, text, err);
}
