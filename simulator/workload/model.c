/* SPDX-License-Identifier: MIT
 *
 * Parameters, outputs and blocks of a model.
 */
#include "workload/model.h"

#include <string.h>

#include "base/memory.h"
#include "workload/eager_checkpoint.h"
#include "workload/eager_parts.h"
#include "workload/model_parts.h"

#define MAX_ITEMS ((size_t)1 << 24)

ps_recipe ps_recipe_default(void)
{
    return (ps_recipe){.batch = 1,
                       .length = 1024,
                       .steps = 2,
                       .accumulate = 1,
                       .parameters = PS_DTYPE_F32,
                       .autocast = PS_DTYPE_F32,
                       .optimizer = "adamw"};
}

static void list_trained(ps_model *m, ps_tensor parameter)
{
    ps_eager_require_grad(m->e, parameter);
    m->trained_elements += (uint64_t)ps_eager_elements(m->e, parameter);
    if (ps_grow((void **)&m->parameter, &m->parameter_capacity, m->parameter_count + 1, MAX_ITEMS,
                sizeof *m->parameter, NULL) != PS_OK) {
        ps_eager_fail(m->e, PS_NOMEM, "out of memory");
        return;
    }
    m->parameter[m->parameter_count++] = parameter;
}

static ps_tensor make(ps_model *m, int64_t elements, ps_dtype dtype, bool is_trained)
{
    const ps_tensor made = ps_eager_make(m->e, elements, dtype, PS_ROLE_PARAMETER);
    if (made != 0) {
        m->parameter_elements += (uint64_t)elements;
        if (is_trained) {
            list_trained(m, made);
        }
    }
    return made;
}

ps_tensor ps_model_parameter(ps_model *m, int64_t elements)
{
    return make(m, elements, m->recipe->parameters, m->recipe->lora_rank == 0);
}

void ps_model_place_parameter(ps_model *m, size_t place)
{
    if (m->recipe->lora_rank > 0 || place >= m->parameter_count) {
        return;
    }
    const ps_tensor last = m->parameter[m->parameter_count - 1];
    for (size_t i = m->parameter_count - 1; i > place; i--) {
        m->parameter[i] = m->parameter[i - 1];
    }
    m->parameter[place] = last;
}

ps_tensor ps_model_adapter(ps_model *m, int64_t elements)
{
    /* peft keeps adapters in 32 bits beside 16-bit weights */
    return make(m, elements, PS_DTYPE_F32, true);
}

ps_tensor ps_model_buffer(ps_model *m, int64_t elements, ps_dtype dtype)
{
    return ps_eager_make(m->e, elements, dtype, PS_ROLE_PARAMETER);
}

/* ---- blocks ---- */

/* The checkpoint outlives the call: what it needs is the model and the family's function. */
typedef struct checkpoint_about {
    ps_block_run run;
    unsigned char rest[PS_CHECKPOINT_ABOUT_BYTES - sizeof(ps_block_run)];
} checkpoint_about;

static ps_tensor run_checkpointed(void *context, const void *about, int64_t index, ps_tensor input)
{
    const checkpoint_about *of = about;
    return of->run(context, of->rest, index, input);
}

static bool is_checkpointed(const ps_model *m, int64_t index)
{
    const int64_t every = m->recipe->checkpoint_every;
    return every > 0 && index % every == 0;
}

ps_tensor ps_model_block(ps_model *m, const ps_block_call *call, int64_t index, ps_tensor hidden)
{
    checkpoint_about about = {.run = call->run};
    ps_eager_set_block(m->e, (uint32_t)index + 1);
    ps_tensor out = 0;
    if (!is_checkpointed(m, index)) {
        out = call->run(m, call->about, index, hidden);
    } else if (call->about_bytes > sizeof about.rest) {
        ps_eager_fail(m->e, PS_INTERNAL, "a block is passed too much");
    } else {
        memcpy(about.rest, call->about, call->about_bytes);
        const ps_checkpoint_call kept = {.run = run_checkpointed,
                                         .context = m,
                                         .about = &about,
                                         .about_bytes = sizeof about,
                                         .held = call->held,
                                         .held_count = call->held_count,
                                         .index = index,
                                         .input = hidden};
        out = ps_eager_checkpoint(m->e, &kept);
    }
    ps_eager_set_block(m->e, 0);
    return out;
}

/* ---- outputs ---- */

void ps_output_keep(ps_model *m, ps_model_output *out, ps_tensor owned)
{
    if (ps_grow((void **)&out->kept, &out->kept_capacity, out->kept_count + 1, MAX_ITEMS,
                sizeof *out->kept, NULL) != PS_OK) {
        ps_eager_fail(m->e, PS_NOMEM, "out of memory");
        return;
    }
    out->kept[out->kept_count++] = owned;
}

void ps_output_drop(ps_model *m, ps_model_output *out)
{
    ps_eager_clear(m->e, &out->loss);
    ps_eager_clear(m->e, &out->logits);
    for (size_t i = 0; i < out->kept_count; i++) {
        ps_eager_clear(m->e, &out->kept[i]);
    }
    ps_free(out->kept);
    *out = (ps_model_output){0};
}
