/* SPDX-License-Identifier: MIT
 *
 * Parameters of a recorded job lie in pinned host memory.
 *
 *   host      alloc, launch of copies, wait ... free ... launch of copies, wait, free
 *   upload    ├ block ┤
 *   compute            first kernel waits; last kernel, then memory is free
 *   offload                                     ├ what was written ┤
 *
 * The memory of a block is asked for on the stream that computes: its upload
 * comes behind what that stream had before. Where parameters were written, they
 * are copied back, their memory goes when that is done, and the next upload
 * comes behind it.
 */
#include <inttypes.h>
#include <stdio.h>

#include "base/memory.h"
#include "policy/offload_parameter_parts.h"
#include "policy/plan_edit.h"

enum { UPLOAD = PS_HOST_UPLOAD, OFFLOAD = PS_HOST_OFFLOAD };

static bool goes(const ps_parameter_streaming *self, uint32_t block)
{
    const ps_offload_block *of = &self->what->block[block];
    for (size_t i = of->first; i < of->first + of->count; i++) {
        if (self->what->parameter[i].goes) {
            return true;
        }
    }
    return false;
}

static bool is_block_written(const ps_parameter_streaming *self, uint32_t block)
{
    const ps_offload_block *of = &self->what->block[block];
    for (size_t i = of->first; i < of->first + of->count; i++) {
        if (ps__parameter_is_written(self, i)) {
            return true;
        }
    }
    return false;
}

/* What a block shares may stay although the block goes. */
static bool is_of_use(const ps_parameter_streaming *self, uint32_t block, const ps_offload_use *use)
{
    if (!goes(self, block)) {
        return false;
    }
    return use->block == PS_OFFLOAD_EVERY_BLOCK
               ? is_block_written(self, block)
               : ps__offload_block_is_of(self->what, block, use->block);
}

/* The first block of a use at `from` or behind it, or the number of blocks. */
static uint32_t next_block(const ps_parameter_streaming *self, const ps_offload_use *use,
                           uint32_t from)
{
    uint32_t block = from;
    while (block < self->what->block_count && !is_of_use(self, block, use)) {
        block++;
    }
    return block;
}

#define FOR_BLOCKS(self, use, block)                                                       \
    for (uint32_t block = next_block((self), (use), 0); block < (self)->what->block_count; \
         block = next_block((self), (use), block + 1))

/* ---- in the host ---- */

/* Before all else: what nobody recorded being loaded has been loaded. */
static ps_code load(ps_parameter_streaming *self, ps_error *err)
{
    ps_plan *plan = self->b->plan;
    const uint32_t host = plan->task.lane[self->what->moment[0].place.host];
    uint32_t task;
    PS_TRY(
        ps__insertion_task(&self->b->insertion, host, PS_TASK_HOST, PS_INSERT_FIRST, &task, err));
    plan->task.basis[task] = PS_BASIS_ANALYTIC;
    PS_TRY(ps_strings_put_z(plan->strings, "parameters are loaded", &plan->task.name[task], err));
    for (size_t i = 0; i < self->what->parameter_count; i++) {
        const ps_block_parameter *from = &self->what->parameter[i];
        if (!from->goes) {
            continue;
        }
        self->host_bytes += from->bytes;
        if (from->buffer != PS_OFFLOAD_NONE) {
            self->pinned[i] = from->buffer;
            plan->buffer.memory[from->buffer] = PS_MEMORY_PINNED;
            continue;
        }
        PS_TRY(ps__parameter_buffer(self, i, PS_MEMORY_PINNED, &self->pinned[i], err));
        PS_TRY(ps__offload_request(self->b, PS_MEMOP_ALLOC, self->pinned[i], task, 0, err));
    }
    return ps__plan_shrink_resident(plan, 0, self->what->resident_bytes, err);
}

/* ---- memory that is copied back ---- */

static ps_code free_block(ps_parameter_streaming *self, uint32_t block, const ps_offload_moment *at,
                          uint32_t call, ps_error *err)
{
    const ps_offload_block *of = &self->what->block[block];
    for (size_t i = of->first; i < of->first + of->count; i++) {
        if (self->what->parameter[i].goes) {
            PS_TRY(ps__offload_request(self->b, PS_MEMOP_FREE, self->device[i], call,
                                       at->place.memop, err));
        }
    }
    return PS_OK;
}

/* The stream waits for what was copied back, and its memory goes. */
static ps_code flush(ps_parameter_streaming *self, const ps_offload_moment *at, ps_error *err)
{
    uint32_t call;
    if (self->leaving == PS_OFFLOAD_NONE) {
        return PS_OK;
    }
    PS_TRY(ps__offload_call(self->b, &at->place, "cudaStreamWaitEvent",
                            self->what->use[at->use].phase, &call, err));
    for (uint32_t i = 0; i < self->what->block_count; i++) {
        if (self->block[i].is_leaving) {
            self->block[i].is_leaving = false;
            self->block[i].has_awaited = at->place.behind;
            PS_TRY(free_block(self, i, at, call, err));
        }
    }
    self->freed = self->leaving;
    self->freed_behind = at->place.behind;
    self->leaving = PS_OFFLOAD_NONE;
    return at->place.behind == PS_OFFLOAD_NONE
               ? PS_OK
               : ps__offload_wait(self->b, at->place.behind, self->freed, err);
}

/* ---- coming ---- */

/* What is leaving has gone when it comes again. */
static ps_code bring(ps_parameter_streaming *self, uint32_t block, const ps_offload_moment *at,
                     ps_error *err)
{
    PS_TRY(self->block[block].is_leaving ? flush(self, at, err) : PS_OK);
    return ps__parameters_bring(self, block, at, err);
}

/* The lane of uploads is in order: its newest copy is enough. */
static ps_code await(ps_parameter_streaming *self, const ps_offload_moment *at, ps_error *err)
{
    uint32_t newest = PS_OFFLOAD_NONE, call;
    FOR_BLOCKS(self, &self->what->use[at->use], i)
    {
        ps_streamed_block *state = &self->block[i];
        if (state->is_here && !state->is_awaited) {
            newest = newest == PS_OFFLOAD_NONE || state->upload > newest ? state->upload : newest;
            state->is_awaited = true;
        }
    }
    if (newest == PS_OFFLOAD_NONE) {
        return PS_OK;
    }
    PS_TRY(ps__offload_call(self->b, &at->place, "cudaStreamWaitEvent",
                            self->what->use[at->use].phase, &call, err));
    return ps__offload_wait(self->b, at->place.behind, newest, err);
}

static ps_code tell(ps_parameter_streaming *self, uint32_t block, uint32_t task, bool writes,
                    ps_error *err)
{
    const ps_offload_block *of = &self->what->block[block];
    for (size_t i = of->first; i < of->first + of->count; i++) {
        if (self->what->parameter[i].goes) {
            PS_TRY(ps__offload_tell(self->b, task, self->device[i],
                                    writes && ps__parameter_is_written(self, i), err));
        }
    }
    return PS_OK;
}

static ps_code begin(ps_parameter_streaming *self, const ps_offload_moment *at, ps_error *err)
{
    const ps_offload_use *use = &self->what->use[at->use];
    FOR_BLOCKS(self, use, i)
    {
        PS_TRY(bring(self, i, at, err));
    }
    PS_TRY(await(self, at, err));
    FOR_BLOCKS(self, use, i)
    {
        PS_TRY(tell(self, i, at->place.behind, false, err));
        self->block[i].open++;
    }
    return PS_OK;
}

/* Of the uses that come next in the step. */
static ps_code bring_ahead(ps_parameter_streaming *self, const ps_offload_moment *at, ps_error *err)
{
    const ps_offload_parameters *what = self->what;
    const uint32_t ahead = self->b->change->prefetch;
    for (size_t i = at->use + 1; i < what->use_count && i <= (size_t)at->use + ahead; i++) {
        if (what->use[i].step == what->use[at->use].step &&
            what->use[i].block != PS_OFFLOAD_EVERY_BLOCK) {
            FOR_BLOCKS(self, &what->use[i], block)
            {
                PS_TRY(bring(self, block, at, err));
            }
        }
    }
    return PS_OK;
}

/* ---- going ---- */

/* Needed again before another block would take the place, or about to be written with all others. */
static bool stays(const ps_parameter_streaming *self, uint32_t block, size_t use)
{
    const ps_offload_parameters *what = self->what;
    const uint32_t ahead = self->b->change->prefetch > 1 ? self->b->change->prefetch : 1;
    for (size_t i = use + 1; i < what->use_count && what->use[i].step == what->use[use].step; i++) {
        if (is_of_use(self, block, &what->use[i])) {
            return what->use[i].block == PS_OFFLOAD_EVERY_BLOCK || i <= use + ahead;
        }
    }
    return false;
}

/* What was written is copied back, and leaves; the other memory goes at once, for which the host
 * does nothing that takes time. */
static ps_code let_go(ps_parameter_streaming *self, const ps_offload_moment *at, ps_error *err)
{
    const ps_offload_use *use = &self->what->use[at->use];
    uint32_t call = PS_OFFLOAD_NONE;
    FOR_BLOCKS(self, use, i)
    {
        ps_streamed_block *state = &self->block[i];
        if (state->open > 0 || stays(self, i, at->use)) {
            continue;
        }
        state->is_here = false;
        if (state->is_dirty) {
            PS_TRY(ps__parameters_offload(self, i, at, err));
            continue;
        }
        if (call == PS_OFFLOAD_NONE) {
            PS_TRY(ps__offload_call(self->b, &at->place, "parameters are let go", use->phase, &call,
                                    err));
            self->b->plan->task.dur_ns[call] = 0;
        }
        PS_TRY(free_block(self, i, at, call, err));
    }
    return PS_OK;
}

/* One block leaves while the next is used; where all leave at once, they are waited for. */
static ps_code finish(ps_parameter_streaming *self, const ps_offload_moment *at, ps_error *err)
{
    const ps_offload_use *use = &self->what->use[at->use];
    FOR_BLOCKS(self, use, i)
    {
        PS_TRY(tell(self, i, at->place.before, use->writes, err));
        self->block[i].is_dirty = self->block[i].is_dirty || use->writes;
        self->block[i].open--;
    }
    PS_TRY(flush(self, at, err));
    PS_TRY(let_go(self, at, err));
    return use->block == PS_OFFLOAD_EVERY_BLOCK ? flush(self, at, err) : PS_OK;
}

/* ---- all ---- */

static ps_code write_number(const ps_parameter_streaming *self, const char *key, uint64_t value,
                            ps_error *err)
{
    char text[24];
    (void)snprintf(text, sizeof text, "%" PRIu64, value);
    return ps_plan_set_meta(self->b->plan, key, text, err);
}

/* Copies of all steps; steps are alike. */
static ps_code write_facts(const ps_parameter_streaming *self, ps_error *err)
{
    char text[384], shared[96] = "";
    uint64_t blocks = 0;
    const uint64_t steps = self->what->step_count;
    const size_t apart = self->what->block_count - self->what->model_blocks;
    for (uint32_t i = 0; i < self->what->model_blocks; i++) {
        blocks += goes(self, i);
    }
    if (apart > 0) {
        (void)snprintf(shared, sizeof shared, ", of them %zu that several blocks share", apart);
    }
    (void)snprintf(text, sizeof text,
                   "parameters of %" PRIu64 " of %zu blocks%s, %" PRIu64
                   " bytes, lie in pinned host memory: %" PRIu64 " bytes come and %" PRIu64
                   " go back a step; sizes by %s",
                   blocks, self->what->model_blocks, shared, self->host_bytes,
                   self->up_bytes / steps, self->down_bytes / steps, self->what->how);
    PS_TRY(ps_plan_set_meta(self->b->plan, PS_PLAN_META_OFFLOAD_PARAMETERS, text, err));
    PS_TRY(write_number(self, PS_PLAN_META_OFFLOAD_PARAMETERS "-blocks", blocks, err));
    PS_TRY(write_number(self, PS_PLAN_META_OFFLOAD_PARAMETERS "-bytes", self->host_bytes, err));
    PS_TRY(write_number(self, PS_PLAN_META_OFFLOAD_PARAMETERS "-upload-bytes-per-step",
                        self->up_bytes / steps, err));
    return write_number(self, PS_PLAN_META_OFFLOAD_PARAMETERS "-offload-bytes-per-step",
                        self->down_bytes / steps, err);
}

/* The host's optimizer writes where copies to the device read: its calls come before theirs. */
static ps_code tell_updates(ps_parameter_streaming *self, ps_error *err)
{
    for (size_t u = 0; u < self->b->update_count; u++) {
        for (size_t i = 0; i < self->what->parameter_count; i++) {
            const ps_block_parameter *of = &self->what->parameter[i];
            if (of->goes && of->is_updated) {
                PS_TRY(ps__offload_tell(self->b, self->b->update[u], self->pinned[i], true, err));
            }
        }
    }
    return PS_OK;
}

static ps_code stream(ps_parameter_streaming *self, ps_error *err)
{
    static ps_code (*const acts[])(ps_parameter_streaming *, const ps_offload_moment *,
                                   ps_error *) = {[PS_OFFLOAD_USE_ENDS] = finish,
                                                  [PS_OFFLOAD_USE_BEGINS] = begin,
                                                  [PS_OFFLOAD_AHEAD] = bring_ahead};
    if (self->block == NULL || self->pinned == NULL || self->device == NULL) {
        return ps_fail_nomem(err);
    }
    for (size_t i = 0; i < self->what->block_count; i++) {
        self->block[i] = (ps_streamed_block){
            .upload = PS_OFFLOAD_NONE, .offload = PS_OFFLOAD_NONE, .has_awaited = PS_OFFLOAD_NONE};
    }
    PS_TRY(ps__offload_lane(self->b, "stream of parameter uploads", &self->b->lane[UPLOAD], err));
    PS_TRY(ps__offload_lane(self->b, "stream of parameter offloads", &self->b->lane[OFFLOAD], err));
    PS_TRY(ps__offload_name_node(self->b, err));
    PS_TRY(load(self, err));
    for (size_t i = 0; i < self->what->moment_count; i++) {
        PS_TRY(acts[self->what->moment[i].kind](self, &self->what->moment[i], err));
    }
    PS_TRY(tell_updates(self, err));
    return write_facts(self, err);
}

ps_code ps__offload_parameters(ps_offload_building *b, const ps_offload_parameters *what,
                               ps_error *err)
{
    ps_parameter_streaming self = {.b = b,
                                   .what = what,
                                   .block = ps_calloc(what->block_count, sizeof *self.block),
                                   .pinned = ps_calloc(what->parameter_count, sizeof *self.pinned),
                                   .device = ps_calloc(what->parameter_count, sizeof *self.device),
                                   .leaving = PS_OFFLOAD_NONE,
                                   .freed = PS_OFFLOAD_NONE,
                                   .upload_awaits = PS_OFFLOAD_NONE,
                                   .offload_awaits = PS_OFFLOAD_NONE};
    const ps_code code = stream(&self, err);
    ps_free(self.block);
    ps_free(self.pinned);
    ps_free(self.device);
    return code;
}
