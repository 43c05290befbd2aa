/* SPDX-License-Identifier: MIT
 *
 * Weights that several blocks share: one tensor, one gradient, uses in each.
 *
 *   forward    b0  b1  b2  b3      b3 works with b0's weight
 *   backward   b3  b2  b1  b0      its gradient is complete, and added up, in b0
 *   gradients  -   w   w   w
 *
 * Autograd accumulates a gradient once, behind the last of its uses in
 * backward: the block of the first use makes it. A block that computes as much
 * in backward as others and makes a gradient less works with the weight of
 * another block. One that computes less has a frozen weight instead.
 *
 * Whose weight it is, additions of autograd tell: where uses meet there is one
 * more. What nothing tells stays on the device, in all blocks that may be meant.
 */
#include <string.h>

#include "base/memory.h"
#include "policy/gradients.h"
#include "policy/offload_parameter_parts.h"

/** What a block's backward pass does in the first step's last micro-batch. */
typedef struct pass {
    ps_ns begin_ns; /* of its forward pass */
    size_t work;    /* launches, but those that add gradients */
    size_t adds;    /* operators that add */
    bool is_known, is_complete;
} pass;

typedef struct shared_search {
    ps_parameter_search *search;
    const ps_gradients *gradients;
    const ps_backward *backward;
    bool *has_gradient; /* per parameter */
    pass *pass;         /* per block */
    size_t *made;       /* per parameter: gradients of its size, of the whole model */
    uint32_t *owner;    /* per parameter: whose tensor it is, or NONE: its own */
    bool any;
} shared_search;

/* ---- gradients of blocks ---- */

static ps_ns ready_ns(const shared_search *self, size_t gradient)
{
    const ps_gradient *of = &self->gradients->gradient[gradient];
    return self->search->stream.times.start_ns[of->ready_after] + of->ready_offset_ns;
}

static bool has_text(const ps_trace *trace, size_t range, const char *part)
{
    return strstr(ps_strings_text(trace->strings, trace->range.name[range]), part) != NULL;
}

/* The block whose operator's backward ran last before a moment, or NONE. */
static uint32_t block_before(const shared_search *self, ps_ns at_ns)
{
    const ps_trace *trace = self->search->trace;
    for (size_t i = ps__offload_first_range(trace, at_ns); i-- > 0;) {
        if (trace->range.category[i] == PS_RANGE_OPERATOR && trace->range.sequence[i] > 0 &&
            !has_text(trace, i, "AccumulateGrad")) {
            const uint32_t run =
                ps_idmap_get(&self->search->run_of_sequence, (uint64_t)trace->range.sequence[i]);
            return run == PS_IDMAP_NONE ? PS_OFFLOAD_NONE : self->search->run[run].block;
        }
    }
    return PS_OFFLOAD_NONE;
}

/* Of parameters of one size in one block it does not matter which is taken to have it. */
static void give_gradient(shared_search *self, uint32_t block, uint64_t bytes)
{
    const ps_offload_parameters *out = self->search->out;
    const ps_offload_block *of = &out->block[block];
    for (size_t i = of->first; i < of->first + of->count; i++) {
        if (!self->has_gradient[i] && out->parameter[i].bytes == bytes) {
            self->has_gradient[i] = true;
            return;
        }
    }
}

static void give_gradients(shared_search *self)
{
    const ps_offload_parameters *out = self->search->out;
    for (size_t i = 0; i < self->backward->count; i++) {
        const size_t row = self->backward->first + i;
        const uint64_t bytes = self->gradients->gradient[row].bytes;
        const uint32_t block = block_before(self, ready_ns(self, row));
        if (block != PS_OFFLOAD_NONE) {
            give_gradient(self, block, bytes);
        }
        for (size_t p = 0; p < out->parameter_count; p++) {
            self->made[p] += out->parameter[p].bytes == bytes;
        }
    }
}

/* ---- work of blocks ---- */

/* Operators that add gradients up, here and with those of earlier micro-batches, launch what a block
 * with less to add does not. */
static void measure(shared_search *self, const ps_offload_run *run, pass *out)
{
    const ps_trace *trace = self->search->trace;
    const ps_offload_stream *stream = &self->search->stream;
    ps_ns covered_ns = run->back_ns;
    *out = (pass){.begin_ns = run->begin_ns,
                  .work = ps__offload_launched_by(stream, run->back_end_ns) -
                          ps__offload_launched_by(stream, run->back_ns),
                  .is_known = true};
    for (size_t i = ps__offload_first_range(trace, run->back_ns);
         i < trace->range.head.count && trace->range.start_ns[i] < run->back_end_ns; i++) {
        const bool adds = has_text(trace, i, "aten::add");
        if (trace->range.category[i] != PS_RANGE_OPERATOR ||
            trace->range.start_ns[i] < covered_ns ||
            (!adds && !has_text(trace, i, "AccumulateGrad"))) {
            continue;
        }
        covered_ns = trace->range.start_ns[i] + trace->range.dur_ns[i];
        out->adds += adds;
        out->work -= ps__offload_launched_by(
                         stream, covered_ns < run->back_end_ns ? covered_ns : run->back_end_ns) -
                     ps__offload_launched_by(stream, trace->range.start_ns[i]);
    }
}

/* The newest backward pass of each block before the gradients are complete. */
static void measure_all(shared_search *self)
{
    const ps_parameter_search *search = self->search;
    const ps_ns last_ns = ready_ns(self, self->backward->first + self->backward->count - 1);
    for (size_t i = 0; i < search->run_count; i++) {
        const ps_offload_run *run = &search->run[i];
        if (run->phase == PS_PHASE_FORWARD && run->back_end_ns > run->back_ns &&
            run->back_ns <= last_ns) {
            measure(self, run, &self->pass[run->block]);
        }
    }
}

/* ---- whose they are ---- */

static bool lacks(const shared_search *self, size_t parameter)
{
    return self->search->out->parameter[parameter].is_trained && !self->has_gradient[parameter];
}

static void find_complete(shared_search *self)
{
    const ps_offload_parameters *out = self->search->out;
    for (size_t b = 0; b < out->block_count; b++) {
        const ps_offload_block *of = &out->block[b];
        self->pass[b].is_complete = self->pass[b].is_known;
        for (size_t i = of->first; i < of->first + of->count; i++) {
            self->pass[b].is_complete = self->pass[b].is_complete && !lacks(self, i);
        }
    }
}

/* Of the blocks that make all their gradients half launch no more in backward. */
static bool computes_all(const shared_search *self, uint32_t block)
{
    size_t complete = 0, no_more = 0;
    for (size_t b = 0; b < self->search->out->block_count; b++) {
        complete += self->pass[b].is_complete;
        no_more += self->pass[b].is_complete && self->pass[b].work <= self->pass[block].work;
    }
    return no_more > 0 && 2 * no_more >= complete;
}

/* Parameters of a size in all blocks; *outside is of gradients that none of them has. */
static size_t count_size(const shared_search *self, size_t parameter, size_t *outside)
{
    const ps_offload_parameters *out = self->search->out;
    size_t count = 0, own = 0;
    for (size_t i = 0; i < out->parameter_count; i++) {
        if (out->parameter[i].bytes == out->parameter[parameter].bytes) {
            count++;
            own += self->has_gradient[i];
        }
    }
    *outside = self->made[parameter] - own;
    return count;
}

/* A parameter of the size with a gradient of its own, or NONE. */
static uint32_t own_of_size(const shared_search *self, uint32_t block, uint64_t bytes)
{
    const ps_offload_parameters *out = self->search->out;
    const ps_offload_block *of = &out->block[block];
    for (size_t i = of->first; i < of->first + of->count; i++) {
        if (out->parameter[i].bytes == bytes && self->has_gradient[i]) {
            return (uint32_t)i;
        }
    }
    return PS_OFFLOAD_NONE;
}

/* All that may be meant stay where they are. */
static void keep_all(shared_search *self, uint64_t bytes)
{
    ps_offload_parameters *out = self->search->out;
    for (size_t i = 0; i < out->parameter_count; i++) {
        out->parameter[i].stays = out->parameter[i].stays || out->parameter[i].bytes == bytes;
    }
}

/* The one block before it that has the weight and adds most, if it is told. */
static uint32_t find_owner(const shared_search *self, uint32_t block, uint64_t bytes,
                           size_t outside)
{
    uint32_t best = PS_OFFLOAD_NONE;
    size_t candidates = 0;
    bool is_tied = false;
    for (uint32_t b = 0; b < self->search->out->block_count; b++) {
        if (!self->pass[b].is_known || self->pass[b].begin_ns >= self->pass[block].begin_ns ||
            own_of_size(self, b, bytes) == PS_OFFLOAD_NONE) {
            continue;
        }
        candidates++;
        is_tied = best != PS_OFFLOAD_NONE && self->pass[b].adds == self->pass[best].adds;
        if (best == PS_OFFLOAD_NONE || self->pass[b].adds > self->pass[best].adds) {
            best = b;
            is_tied = false;
        }
    }
    const bool is_told = best != PS_OFFLOAD_NONE && !is_tied &&
                         (candidates > 1 || self->pass[best].adds > self->pass[block].adds);
    return is_told || (candidates == 1 && outside == 0) ? best : PS_OFFLOAD_NONE;
}

static void find_shared(shared_search *self, uint32_t block, size_t parameter)
{
    const uint64_t bytes = self->search->out->parameter[parameter].bytes;
    size_t outside;
    if (!lacks(self, parameter) || !self->pass[block].is_known || !computes_all(self, block) ||
        count_size(self, parameter, &outside) <= self->made[parameter]) {
        return;
    }
    const uint32_t owner = find_owner(self, block, bytes, outside);
    if (owner == PS_OFFLOAD_NONE) {
        keep_all(self, bytes);
        return;
    }
    self->owner[parameter] = own_of_size(self, owner, bytes);
    self->any = true;
}

/* ---- all ---- */

static ps_code find(shared_search *self, ps_error *err)
{
    const ps_offload_parameters *out = self->search->out;
    if (self->has_gradient == NULL || self->pass == NULL || self->made == NULL ||
        self->owner == NULL) {
        return ps_fail_nomem(err);
    }
    give_gradients(self);
    measure_all(self);
    find_complete(self);
    for (size_t i = 0; i < out->parameter_count; i++) {
        self->owner[i] = PS_OFFLOAD_NONE;
    }
    for (uint32_t b = 0; b < out->block_count; b++) {
        for (size_t i = out->block[b].first; i < out->block[b].first + out->block[b].count; i++) {
            find_shared(self, b, i);
        }
    }
    return self->any ? ps__offload_set_apart(self->search, self->owner, err) : PS_OK;
}

ps_code ps__offload_find_shared(ps_parameter_search *search, const ps_gradients *gradients,
                                ps_error *err)
{
    const size_t count = search->out->parameter_count;
    shared_search self = {.search = search,
                          .gradients = gradients,
                          .backward = &gradients->backward[0],
                          .has_gradient = ps_calloc(count, sizeof *self.has_gradient),
                          .pass = ps_calloc(search->out->block_count, sizeof *self.pass),
                          .made = ps_calloc(count, sizeof *self.made),
                          .owner = ps_calloc(count, sizeof *self.owner)};
    const ps_code code = find(&self, err);
    ps_free(self.has_gradient);
    ps_free(self.pass);
    ps_free(self.made);
    ps_free(self.owner);
    return code;
}
