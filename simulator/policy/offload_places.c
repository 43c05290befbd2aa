/* SPDX-License-Identifier: MIT
 *
 * Which tensors of a recorded job can wait in the host, and where in its plan
 * they would go and come.
 *
 * A tensor belongs to the block whose backward pass frees it: the input of a
 * block is the output of the one before it, but is kept for this one.
 */
#include "base/memory.h"
#include "policy/offload_parts.h"

typedef struct search {
    const ps_plan *plan;
    const ps_structure *structure;
    ps_offload_places *out;
    ps_offload_stream stream;
} search;

/* ---- blocks ---- */

/* The next block of a phase in the same step, or NONE. */
static size_t neighbour(const ps_structure *of, size_t row, bool is_later)
{
    for (size_t i = row; is_later ? ++i < of->block_count : i-- > 0;) {
        if (of->block[i].step != of->block[row].step) {
            break;
        }
        if (of->block[i].phase == of->block[row].phase) {
            return i;
        }
    }
    return PS_OFFLOAD_NONE;
}

/* The backward block that frees something at a moment, or NONE. */
static size_t freeing_block(const ps_structure *of, ps_ns at_ns)
{
    for (size_t i = 0; i < of->block_count; i++) {
        if (of->block[i].phase == PS_PHASE_BACKWARD && of->block[i].pair != 0 &&
            of->block[i].start_ns <= at_ns && at_ns < of->block[i].end_ns) {
            return i;
        }
    }
    return PS_OFFLOAD_NONE;
}

static bool find_group(const search *self, size_t backward, ps_offload_group *out)
{
    const ps_structure *of = self->structure;
    const size_t forward = of->block[backward].pair - 1;
    const size_t next = neighbour(of, forward, true), above = neighbour(of, backward, false);
    return next != PS_OFFLOAD_NONE && above != PS_OFFLOAD_NONE &&
           ps__offload_place(&self->stream, of->block[forward].end_ns, &out->out) &&
           ps__offload_place(&self->stream, of->block[next].end_ns, &out->go) &&
           ps__offload_place(&self->stream, of->block[above].start_ns, &out->in) &&
           ps__offload_place(&self->stream, of->block[backward].start_ns, &out->use) &&
           out->out.memop <= out->go.memop && out->go.memop <= out->in.memop;
}

/* ---- tensors ---- */

typedef struct life {
    size_t alloc, free; /* rows of memop, or SIZE_MAX */
} life;

static life *find_lives(const ps_plan *plan)
{
    life *out = ps_calloc(plan->buffer.head.count + 1, sizeof *out);
    for (size_t i = 0; out != NULL && i < plan->buffer.head.count; i++) {
        out[i] = (life){SIZE_MAX, SIZE_MAX};
    }
    for (size_t i = 0; out != NULL && i < plan->memop.head.count; i++) {
        if (plan->memop.op[i] == PS_MEMOP_ALLOC) {
            out[plan->memop.buffer[i]].alloc = i;
        } else if (plan->memop.op[i] == PS_MEMOP_FREE) {
            out[plan->memop.buffer[i]].free = i;
        }
    }
    return out;
}

static bool is_kept(const search *self, uint32_t buffer, const life *of)
{
    const ps_structure_buffer *what = &self->structure->buffer[buffer];
    return what->is_saved && of->alloc != SIZE_MAX && of->free != SIZE_MAX &&
           self->plan->buffer.bytes[buffer] > 0 &&
           !ps_memory_is_host(self->plan->buffer.memory[buffer]);
}

static ps_code add_tensor(search *self, uint32_t buffer, size_t free, ps_error *err)
{
    ps_offload_places *out = self->out;
    const size_t launched =
        ps__offload_launched_by(&self->stream, ps__offload_memop_ns(&self->stream, free));
    PS_TRY(ps_grow((void **)&out->tensor, &out->tensor_capacity, out->tensor_count + 1,
                   PS_TABLE_MAX_ROWS, sizeof *out->tensor, err));
    out->tensor[out->tensor_count++] = (ps_offload_tensor){
        .buffer = buffer, .free = free, .last_reader = self->stream.task[launched - 1]};
    return PS_OK;
}

/* What the block's backward pass frees and was there when its forward pass ended. */
static ps_code fill_group(search *self, size_t backward, const life *lives, ps_error *err)
{
    ps_offload_places *out = self->out;
    ps_offload_group group = {.first = out->tensor_count};
    if (!find_group(self, backward, &group)) {
        return PS_OK;
    }
    for (uint32_t i = 0; i < self->structure->buffer_count; i++) {
        if (is_kept(self, i, &lives[i]) &&
            ps__offload_is_over(&self->stream, lives[i].alloc, group.out.before) &&
            lives[i].free >= group.in.memop &&
            freeing_block(self->structure, ps__offload_memop_ns(&self->stream, lives[i].free)) ==
                backward &&
            ps__offload_launched_by(&self->stream,
                                    ps__offload_memop_ns(&self->stream, lives[i].free)) > 0) {
            PS_TRY(add_tensor(self, i, lives[i].free, err));
        }
    }
    group.count = out->tensor_count - group.first;
    if (group.count == 0) {
        return PS_OK;
    }
    PS_TRY(ps_grow((void **)&out->group, &out->group_capacity, out->group_count + 1,
                   PS_TABLE_MAX_ROWS, sizeof *out->group, err));
    out->group[out->group_count++] = group;
    return PS_OK;
}

static ps_code find(search *self, ps_error *err)
{
    const ps_structure *of = self->structure;
    PS_TRY(ps__offload_stream(self->plan, &self->stream, err));
    self->out->compute = self->stream.lane;
    life *lives = find_lives(self->plan);
    ps_code code = lives == NULL ? ps_fail_nomem(err) : PS_OK;
    /* rows of blocks ascend in time: forward order of groups is the reverse of their backward's */
    for (size_t i = of->block_count; i-- > 0 && code == PS_OK;) {
        if (of->block[i].phase == PS_PHASE_BACKWARD && of->block[i].pair != 0) {
            code = fill_group(self, i, lives, err);
        }
    }
    ps_free(lives);
    return code;
}

ps_code ps__offload_find(const ps_plan *plan, const ps_offload *change, ps_offload_places *out,
                         ps_error *err)
{
    ps_offload_places found = {0};
    search self = {.plan = plan, .structure = change->structure, .out = &found};
    ps_code code = find(&self, err);
    if (code == PS_OK && found.group_count == 0) {
        code = ps_fail(err, PS_USAGE,
                       "no block of the recording keeps memory from its forward to its backward "
                       "pass while another one runs: nothing to offload");
    }
    ps__offload_stream_fini(&self.stream);
    if (code != PS_OK) {
        ps__offload_places_fini(&found);
        return code;
    }
    *out = found;
    return PS_OK;
}

void ps__offload_places_fini(ps_offload_places *self)
{
    ps_free(self->group);
    ps_free(self->tensor);
    *self = (ps_offload_places){0};
}
