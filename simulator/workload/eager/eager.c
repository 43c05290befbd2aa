/* SPDX-License-Identifier: MIT
 *
 * The life of the model, its first failure, and what it is set to.
 */
#include "workload/eager/eager.h"

#include <string.h>

#include "base/memory.h"
#include "workload/eager/eager_state.h"

ps_eager *ps_eager_create(const ps_eager_sink *sink)
{
    ps_eager *self = ps_calloc(1, sizeof *self);
    if (self == NULL) {
        return NULL;
    }
    self->sink = *sink;
    self->free_tensor = PS_EAGER_NO_SLOT;
    self->free_storage = PS_EAGER_NO_SLOT;
    self->is_recording = true;
    self->capability = 90;
    self->release = 211;
    self->tensor_count = 1; /* 0 is no tensor */
    if (ps_grow((void **)&self->tensor, &self->tensor_capacity, 64, PS_EAGER_MAX_ITEMS,
                sizeof *self->tensor, NULL) != PS_OK) {
        ps_free(self);
        return NULL;
    }
    memset(self->tensor, 0, sizeof *self->tensor);
    return self;
}

void ps_eager_destroy(ps_eager *self)
{
    if (self == NULL) {
        return;
    }
    ps_checkpoint_free_all(self);
    for (size_t i = 0; i < self->node_count; i++) {
        ps_free(self->node[i]);
    }
    ps_free(self->node);
    ps_free(self->free_node);
    ps_free(self->cast);
    ps_free(self->tensor);
    ps_free(self->storage);
    ps_free(self);
}

ps_code ps_eager_code(const ps_eager *self, ps_error *err)
{
    if (self->code != PS_OK && err != NULL) {
        *err = self->err;
    }
    return self->code;
}

bool ps_eager_has_failed(const ps_eager *self)
{
    return self->code != PS_OK;
}

void ps_eager_fail(ps_eager *self, ps_code code, const char *text)
{
    if (self->code == PS_OK) {
        self->code = ps_fail(&self->err, code, "%s", text);
    }
}

void ps_eager_note(ps_eager *self, ps_code code)
{
    if (self->code == PS_OK) {
        self->code = code;
    }
}

/* ---- where what is told applies ---- */

void ps_eager_set_phase(ps_eager *self, ps_eager_phase phase)
{
    self->phase = phase;
}

ps_eager_phase ps_eager_phase_now(const ps_eager *self)
{
    return self->phase;
}

void ps_eager_set_block(ps_eager *self, uint32_t block)
{
    self->block = block;
}

uint32_t ps_eager_block_now(const ps_eager *self)
{
    return self->block;
}

ps_eager_lane ps_eager_set_lane(ps_eager *self, ps_eager_lane lane)
{
    const ps_eager_lane was = self->lane;
    self->lane = lane;
    return was;
}

ps_eager_lane ps_eager_lane_now(const ps_eager *self)
{
    return self->lane;
}

ps_memory_kind ps_eager_set_memory(ps_eager *self, ps_memory_kind memory)
{
    const ps_memory_kind was = self->memory;
    self->memory = memory;
    return was;
}

ps_memory_kind ps_eager_memory_now(const ps_eager *self)
{
    return self->memory;
}

uint32_t ps_eager_new_mark(ps_eager *self)
{
    return ++self->last_mark;
}

/* ---- the device and the library ---- */

void ps_eager_set_workspace(ps_eager *self, uint64_t bytes)
{
    self->workspace_bytes = bytes;
}

void ps_eager_set_device(ps_eager *self, int64_t sm_count, int64_t threads_per_sm)
{
    self->device = (ps_reduce_device){sm_count, threads_per_sm};
}

void ps_eager_set_capability(ps_eager *self, int64_t capability)
{
    self->capability = capability;
}

void ps_eager_set_release(ps_eager *self, int64_t release)
{
    self->release = release;
}

int64_t ps_eager_multiprocessors(const ps_eager *self)
{
    return self->device.sm_count;
}

int64_t ps_eager_capability(const ps_eager *self)
{
    return self->capability;
}

int64_t ps_eager_release(const ps_eager *self)
{
    return self->release;
}

/* ---- modes ---- */

bool ps_eager_set_grad_mode(ps_eager *self, bool is_on)
{
    const bool was = self->is_recording;
    self->is_recording = is_on;
    return was;
}

void ps_eager_set_backward(ps_eager *self, bool is_backward)
{
    self->is_backward = is_backward;
}

bool ps_eager_is_backward(const ps_eager *self)
{
    return self->is_backward;
}

void ps_eager_set_reentrant(ps_eager *self, bool is_so)
{
    self->is_reentrant = is_so;
}

bool ps_eager_is_reentrant(const ps_eager *self)
{
    return self->is_reentrant;
}

void ps_eager_set_inputs_first(ps_eager *self, bool is_so)
{
    self->inputs_first = is_so;
}

bool ps_eager_inputs_first(const ps_eager *self)
{
    return self->inputs_first;
}

bool ps_eager_is_skipping(const ps_eager *self)
{
    return self->is_skipping;
}
