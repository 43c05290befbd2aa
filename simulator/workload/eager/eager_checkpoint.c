/* SPDX-License-Identifier: MIT
 *
 * A block that keeps its inputs alone: torch.utils.checkpoint without
 * re-entering backward.
 *
 * In forward every tensor that a node of the block would save is counted and
 * let go. The first of these nodes that runs in backward runs the block again
 * from its inputs, until the last of the counted tensors is there again (to its
 * end as torch.utils.checkpoint did before: ps_eager_set_reentrant); each node
 * then takes its own ones.
 */
#include <string.h>

#include "base/memory.h"
#include "workload/eager/eager_checkpoint.h"
#include "workload/eager/eager_state.h"

typedef struct ps_checkpoint {
    struct ps_checkpoint *before, *after; /* all there are, for the end of a run that failed */
    uint32_t owners;                      /* nodes, and the forward pass while it runs */
    ps_checkpoint_call call;
    unsigned char about[PS_CHECKPOINT_ABOUT_BYTES];
    ps_tensor held[PS_CHECKPOINT_HELD];
    ps_dtype autocast;
    uint32_t block;
    uint32_t ticket;     /* of the input, where a keeper has it */
    bool wants_gradient; /* of the input */
    bool is_filled;
    ps_tensor *value; /* while they wait for their nodes */
    uint32_t count, filled;
    size_t capacity;
} ps_checkpoint;

static void enlist(ps_eager *self, ps_checkpoint *made)
{
    made->after = self->checkpoints;
    if (made->after != NULL) {
        made->after->before = made;
    }
    self->checkpoints = made;
}

static void strike_out(ps_eager *self, ps_checkpoint *dead)
{
    if (dead->before != NULL) {
        dead->before->after = dead->after;
    } else {
        self->checkpoints = dead->after;
    }
    if (dead->after != NULL) {
        dead->after->before = dead->before;
    }
}

static void disown(ps_eager *self, ps_checkpoint *checkpoint)
{
    if (--checkpoint->owners > 0) {
        return;
    }
    for (uint32_t i = 0; i < checkpoint->filled; i++) {
        ps_eager_clear(self, &checkpoint->value[i]);
    }
    for (size_t i = 0; i < checkpoint->call.held_count; i++) {
        ps_eager_clear(self, &checkpoint->held[i]);
    }
    ps_eager_drop(self, checkpoint->call.input);
    ps_eager_forget(self, checkpoint->ticket);
    strike_out(self, checkpoint);
    ps_free(checkpoint->value);
    ps_free(checkpoint);
}

void ps_checkpoint_free_all(ps_eager *self)
{
    while (self->checkpoints != NULL) {
        ps_checkpoint *dead = self->checkpoints;
        strike_out(self, dead);
        ps_free(dead->value);
        ps_free(dead);
    }
}

static ps_checkpoint *make(ps_eager *self, const ps_checkpoint_call *call)
{
    ps_checkpoint *made = ps_calloc(1, sizeof *made);
    if (made == NULL) {
        ps_eager_fail(self, PS_NOMEM, "out of memory");
        return NULL;
    }
    enlist(self, made);
    made->owners = 1;
    made->call = *call;
    made->autocast = self->autocast;
    made->block = self->block;
    memcpy(made->about, call->about, call->about_bytes);
    made->call.about = made->about;
    made->wants_gradient = ps_eager_requires_grad(self, call->input);
    made->ticket = ps_eager_pack(self, call->input);
    made->call.input = made->ticket != 0 ? 0 : ps_eager_hold(self, call->input);
    for (size_t i = 0; i < call->held_count; i++) {
        made->held[i] = ps_eager_hold(self, call->held[i]);
    }
    return made;
}

ps_tensor ps_eager_checkpoint(ps_eager *self, const ps_checkpoint_call *call)
{
    if (!self->is_recording || self->checkpoint != NULL ||
        call->about_bytes > PS_CHECKPOINT_ABOUT_BYTES || call->held_count > PS_CHECKPOINT_HELD) {
        ps_eager_fail(self, PS_INTERNAL, "a checkpoint cannot be made here");
        return 0;
    }
    ps_checkpoint *made = make(self, call);
    if (made == NULL) {
        return 0;
    }
    self->checkpoint = made;
    const ps_tensor out = call->run(call->context, call->about, call->index, call->input);
    self->checkpoint = NULL;
    disown(self, made);
    return out;
}

void ps_checkpoint_save(ps_eager *self, ps_node *node, ps_tensor tensor)
{
    ps_checkpoint *in = self->checkpoint;
    if (!self->is_backward) {
        if (node->checkpoint == NULL) {
            node->checkpoint = in;
            node->first_saved = in->count;
            in->owners++;
        } else if (node->first_saved + node->saved_count != in->count) {
            ps_eager_fail(self, PS_INTERNAL, "a node of a checkpoint saves at two times");
        }
        node->saved[node->saved_count++] = 0;
        in->count++;
        return;
    }
    if (in->filled == in->count) {
        return;
    }
    ps_eager_note(self, ps_grow((void **)&in->value, &in->capacity, in->filled + 1,
                                PS_EAGER_MAX_ITEMS, sizeof *in->value, &self->err));
    if (self->code == PS_OK) {
        in->value[in->filled++] = ps_op_view_of(self, tensor, self->tensor[tensor].elements);
        self->is_skipping = in->filled == in->count && !self->is_reentrant;
    }
}

static void fill(ps_eager *self, ps_checkpoint *from)
{
    const bool was_recording = ps_eager_set_grad_mode(self, true);
    const uint32_t block = self->block;
    from->is_filled = true;
    self->block = from->block;
    self->checkpoint = from;
    ps_eager_set_autocast(self, from->autocast);
    if (from->ticket != 0) {
        from->call.input = ps_eager_unpack(self, from->ticket);
        from->ticket = 0;
    }
    /* a fresh tensor: the recomputed graph ends at the block's input */
    ps_tensor input =
        ps_op_view_of(self, from->call.input, self->tensor[from->call.input].elements);
    if (from->wants_gradient) {
        ps_eager_require_grad(self, input);
    }
    const ps_tensor out =
        from->call.run(from->call.context, from->call.about, from->call.index, input);
    self->is_skipping = false;
    self->checkpoint = NULL;
    self->block = block;
    ps_eager_drop(self, out);
    ps_eager_drop(self, input);
    ps_eager_set_autocast(self, PS_DTYPE_F32);
    (void)ps_eager_set_grad_mode(self, was_recording);
    if (from->filled != from->count) {
        ps_eager_fail(self, PS_INTERNAL, "a recomputed block saves other tensors than before");
    }
}

void ps_checkpoint_fill(ps_eager *self, ps_node *node)
{
    ps_checkpoint *from = node->checkpoint;
    if (!from->is_filled) {
        fill(self, from);
    }
    for (uint32_t i = 0; i < node->saved_count && self->code == PS_OK; i++) {
        node->saved[i] = from->value[node->first_saved + i];
        from->value[node->first_saved + i] = 0;
    }
}

void ps_checkpoint_leave(ps_eager *self, ps_node *node)
{
    ps_checkpoint *from = node->checkpoint;
    node->checkpoint = NULL;
    disown(self, from);
}
