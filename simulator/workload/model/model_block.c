/* SPDX-License-Identifier: MIT
 *
 * Blocks of a model as they run: recomputed in backward where the recipe says
 * so, and watched by a scheme that moves what they need.
 */
#include <string.h>

#include "workload/eager/eager_checkpoint.h"
#include "workload/eager/eager_parts.h"
#include "workload/model/model.h"

/* ---- single modules ---- */

ps_tensor ps_model_use(ps_model *m, const ps_tensor own[PS_MODULE_OWN], ps_tensor x)
{
    (void)ps_eager_hold(m->e, x);
    ps_eager_enter_parameters(m->e);
    return m->hooks == NULL || m->hooks->use == NULL ? x : m->hooks->use(m->hooks->context, own, x);
}

void ps_model_unuse(ps_model *m, const ps_tensor own[PS_MODULE_OWN], ps_tensor out)
{
    if (m->hooks != NULL && m->hooks->unuse != NULL) {
        m->hooks->unuse(m->hooks->context, own, out);
    }
}

/* ---- recomputation ---- */

/* The checkpoint outlives the call: what it needs is the model and the family's function. */
typedef struct checkpoint_about {
    ps_block_run run;
    unsigned char rest[PS_CHECKPOINT_ABOUT_BYTES - sizeof(ps_block_run)];
} checkpoint_about;

static ps_tensor run_block(ps_model *m, ps_block_run run, const void *about, int64_t index,
                           ps_tensor input)
{
    m->is_in_block = true;
    const ps_tensor out = run(m, about, index, input);
    m->is_in_block = false;
    ps_eager_clear(m->e, &m->left);
    return out;
}

static ps_tensor run_checkpointed(void *context, const void *about, int64_t index, ps_tensor input)
{
    ps_model *m = context;
    const checkpoint_about *of = about;
    if (m->recipe->checkpoints_attention) {
        return of->run(m, of->rest, index, input);
    }
    return run_block(m, of->run, of->rest, index, input);
}

static bool is_checkpointed(const ps_model *m, int64_t index)
{
    const int64_t every = m->recipe->checkpoint_every;
    return every > 0 && index % every == 0;
}

static ps_tensor recompute(ps_model *m, const ps_block_call *call, int64_t index, ps_tensor hidden)
{
    checkpoint_about about = {.run = call->run};
    if (call->about_bytes > sizeof about.rest) {
        ps_eager_fail(m->e, PS_INTERNAL, "a block is passed too much");
        return 0;
    }
    memcpy(about.rest, call->about, call->about_bytes);
    const ps_checkpoint_call kept = {.run = run_checkpointed,
                                     .context = m,
                                     .about = &about,
                                     .about_bytes = sizeof about,
                                     .held = call->held,
                                     .held_count = call->held_count,
                                     .index = index,
                                     .input = hidden};
    return ps_eager_checkpoint(m->e, &kept);
}

/* ---- blocks ---- */

static ps_tensor call_block(ps_model *m, const ps_block_call *call, int64_t index, ps_tensor hidden)
{
    if (is_checkpointed(m, index)) {
        return recompute(m, call, index, hidden);
    }
    m->call = call;
    const ps_tensor out = run_block(m, call->run, call->about, index, hidden);
    m->call = NULL;
    return out;
}

static ps_tensor call_watched(ps_model *m, const ps_block_call *call, int64_t index,
                              ps_tensor hidden)
{
    const ps_model_hooks *hooks = m->hooks;
    const uint32_t block = (uint32_t)index + 1;
    ps_tensor in = hooks->enter(hooks->context, block, ps_eager_hold(m->e, hidden));
    const ps_tensor out = call_block(m, call, index, in);
    hooks->leave(hooks->context, block, out);
    ps_eager_clear(m->e, &in);
    return out;
}

ps_tensor ps_model_block(ps_model *m, const ps_block_call *call, int64_t index, ps_tensor hidden)
{
    const bool is_watched = m->hooks != NULL && m->hooks->enter != NULL;
    ps_eager_set_block(m->e, (uint32_t)index + 1);
    const ps_tensor out =
        is_watched ? call_watched(m, call, index, hidden) : call_block(m, call, index, hidden);
    ps_eager_set_block(m->e, 0);
    return out;
}

ps_tensor ps_model_attention(ps_model *m, ps_block_run run, const void *about, ps_tensor mask,
                             int64_t index, ps_tensor hidden)
{
    ps_tensor held[PS_CHECKPOINT_HELD];
    if (!m->recipe->checkpoints_attention || m->call == NULL) {
        return run(m, about, index, hidden);
    }
    ps_block_call call = *m->call;
    for (size_t i = 0; i < call.held_count && i < PS_CHECKPOINT_HELD; i++) {
        held[i] = i == 0 && mask != 0 ? mask : call.held[i];
    }
    call.held = held;
    call.run = run;
    call.about = about;
    return recompute(m, &call, index, hidden);
}

void ps_model_leave_to_block(ps_model *m, ps_tensor owned)
{
    if (m->is_in_block) {
        ps_eager_assign(m->e, &m->left, owned);
    } else {
        ps_eager_drop(m->e, owned);
    }
}
