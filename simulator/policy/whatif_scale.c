/* SPDX-License-Identifier: MIT
 *
 * Driver of scaling: another batch size, another sequence length.
 */
#include "policy/whatif_scale.h"

#include <stdio.h>

#include "base/memory.h"
#include "policy/whatif_parts.h"
#include "policy/whatif_scale_parts.h"

/* Sizes that no run has; products of two of them stay below 2^64. */
#define LARGEST ((uint64_t)1 << 31)

static ps_code refuse_unknown(const char *what, const char *option, ps_error *err)
{
    return ps_fail(err, PS_USAGE, "the trace does not tell its own %s: say it with --recorded-%s",
                   what, option);
}

/* One quantity of the run: what was asked for, said, and found; 0 is unknown. */
typedef struct quantity {
    const char *what, *option;
    uint64_t wanted, given, found;
} quantity;

/* Both values of one quantity; equal where it does not change. */
static ps_code settle(const quantity *of, uint64_t *old_value, uint64_t *new_value, ps_error *err)
{
    const uint64_t recorded = of->given != 0 ? of->given : of->found;
    if (of->wanted != 0 && recorded == 0) {
        return refuse_unknown(of->what, of->option, err);
    }
    if (of->wanted > LARGEST || recorded > LARGEST) {
        return ps_fail(err, PS_USAGE, "a %s of %llu is more than this can count", of->what,
                       (unsigned long long)(of->wanted > recorded ? of->wanted : recorded));
    }
    *old_value = recorded;
    *new_value = of->wanted != 0 ? of->wanted : recorded;
    return PS_OK;
}

static ps_code settle_both(ps_scaling *self, ps_error *err)
{
    const ps_whatif_scale *change = self->change;
    quantity batch = {"batch size", "batch", change->batch, change->recorded_batch, 0};
    quantity sequence = {"sequence length", "seq", change->sequence, change->recorded_sequence, 0};
    PS_TRY(ps_scale_find_recorded(self->trace, &batch.found, &sequence.found, err));
    PS_TRY(settle(&batch, &self->old_batch, &self->new_batch, err));
    return settle(&sequence, &self->old_sequence, &self->new_sequence, err);
}

static ps_code say_change(ps_plan *plan, const char *key, uint64_t old_value, uint64_t new_value,
                          ps_error *err)
{
    char text[64];
    if (old_value == new_value) {
        return PS_OK;
    }
    (void)snprintf(text, sizeof text, "%llu -> %llu", (unsigned long long)old_value,
                   (unsigned long long)new_value);
    return ps_plan_set_meta(plan, key, text, err);
}

static ps_code say_how(const ps_scaling *self, ps_error *err)
{
    char text[192];
    PS_TRY(say_change(self->plan, PS_PLAN_META_BATCH, self->old_batch, self->new_batch, err));
    PS_TRY(
        say_change(self->plan, PS_PLAN_META_SEQUENCE, self->old_sequence, self->new_sequence, err));
    (void)snprintf(
        text, sizeof text,
        "%llu buffers by shapes, %llu by sizes, %llu by roles, %llu by the structure "
        "file",
        (unsigned long long)self->counts_by_shape, (unsigned long long)self->counts_by_size,
        (unsigned long long)self->counts_by_role, (unsigned long long)self->counts_by_person);
    PS_TRY(ps_plan_set_meta(self->plan, PS_PLAN_META_SCALE_BASIS, text, err));
    if (self->searches > 0) {
        (void)snprintf(text, sizeof text, "%llu searches for algorithms taken out, %lld ns",
                       (unsigned long long)self->searches, (long long)self->searches_ns);
        PS_TRY(ps_plan_set_meta(self->plan, PS_PLAN_META_SCALE_HOST, text, err));
    }
    if (self->work_by_bytes + self->work_by_arithmetic + self->work_same + self->work_unknown ==
        0) {
        return PS_OK;
    }
    (void)snprintf(text, sizeof text,
                   "%llu by the bytes they move, %llu by their arithmetic, %llu as recorded, "
                   "%llu undecided and as recorded",
                   (unsigned long long)self->work_by_bytes,
                   (unsigned long long)self->work_by_arithmetic,
                   (unsigned long long)self->work_same, (unsigned long long)self->work_unknown);
    return ps_plan_set_meta(self->plan, PS_PLAN_META_SCALE_WORK, text, err);
}

/* What was recorded of the totals and the blocks belongs to the recorded sizes. */
static void forget_recorded(ps_plan *plan)
{
    for (size_t i = 0; i < plan->memop.head.count; i++) {
        plan->memop.expect[i] = 0;
    }
    for (size_t d = 0; d < plan->device.head.count; d++) {
        plan->device.sizes_are_blocks[d] = 0;
    }
    for (size_t i = 0; i < plan->step.head.count; i++) {
        plan->step.recorded_ns[i] = 0;
    }
}

static ps_code scale(ps_scaling *self, const ps_catalogue *catalogue, ps_error *err)
{
    PS_TRY(ps__scaling_read_evidence(self, err));
    PS_TRY(ps__scaling_read_chains(self, err));
    PS_TRY(ps__scaling_buffers(self, err));
    PS_TRY(ps__scaling_work(self, catalogue, err));
    PS_TRY(ps__scaling_host(self, err));
    forget_recorded(self->plan);
    return say_how(self, err);
}

static void release(ps_scaling *self)
{
    ps_free(self->shapes);
    ps_idmap_fini(&self->shapes_of_text);
    ps_idmap_fini(&self->evidence);
    ps_free(self->parent);
    ps_free(self->last_range);
    ps_idmap_fini(&self->thread_of_tid);
    ps_free(self->thread_begin);
    ps_free(self->born_old);
    ps_free(self->born_new);
}

ps_code ps__whatif_scale(ps_plan *plan, const ps_catalogue *catalogue,
                         const ps_whatif_scale *change, bool *is_scaled, ps_error *err)
{
    ps_scaling self = {.change = change, .plan = plan, .trace = change->trace};
    *is_scaled = false;
    if (change->trace == NULL) {
        return ps_fail(err, PS_USAGE,
                       "another batch size or sequence length needs the trace: a plan does not "
                       "hold the shapes of tensors");
    }
    PS_TRY(settle_both(&self, err));
    if (self.old_batch == self.new_batch && self.old_sequence == self.new_sequence) {
        return PS_OK;
    }
    const ps_code code = scale(&self, catalogue, err);
    release(&self);
    *is_scaled = code == PS_OK;
    return code;
}
