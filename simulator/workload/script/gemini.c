/* SPDX-License-Identifier: MIT
 *
 * A model in Gemini's chunks, and its optimizer.
 */
#include "workload/script/gemini.h"

#include <string.h>

#include "base/memory.h"
#include "workload/eager/eager_parts.h"

ps_code ps_gemini_check(const ps_recipe *r, ps_error *err)
{
    if (r->parameters != PS_DTYPE_F16 || r->autocast != PS_DTYPE_F32) {
        return ps_fail(err, PS_USAGE, "gemini keeps 16-bit parameters: it needs --dtype fp16");
    }
    if (strcmp(r->optimizer, "adam") != 0 && strcmp(r->optimizer, "adamw") != 0) {
        return ps_fail(err, PS_USAGE,
                       "gemini brings an optimizer of its own: --optimizer adam or adamw, not "
                       "\"%s\"",
                       r->optimizer);
    }
    if (r->lora_rank > 0) {
        return ps_fail(err, PS_USAGE, "gemini with adapters is not described");
    }
    if (r->accumulate > 1) {
        return ps_fail(err, PS_USAGE,
                       "gemini's gradients take the parameters' place: 1 micro-batch a step");
    }
    if (r->clips) {
        return ps_fail(err, PS_USAGE, "gemini with clipped gradients is not described");
    }
    return PS_OK;
}

/* A gradient is copied over its parameter; the empty tensor that stands for it loses its memory. */
static void take_gradient(void *context, ps_tensor leaf, ps_tensor owned)
{
    ps_model *m = context;
    (void)leaf;
    ps_tensor empty =
        ps_op_result(m->e, ps_eager_elements(m->e, owned), ps_eager_dtype(m->e, owned));
    ps_eager_clear(m->e, &empty);
    ps_op_kernel(m->e, "copy", 2 * ps_eager_bytes(m->e, owned));
    ps_eager_drop(m->e, owned);
}

/* Chunks in the order in which they are opened: parameters, then their 32-bit copies. */
static void take_chunks(ps_model *m, const ps_gemini_layout *layout)
{
    ps_tensor chunk = 0;
    size_t made = 0;
    for (size_t i = 0; i < m->parameter_count; i++) {
        if (layout->chunk_of[i] >= made) {
            const int64_t elements = layout->chunk_elements[made++];
            chunk = ps_eager_make(m->e, elements, PS_DTYPE_F16, PS_ROLE_PARAMETER);
            (void)ps_eager_make(m->e, elements, PS_DTYPE_F32, PS_ROLE_OPTIMIZER_STATE);
        }
        ps_eager_lay_into(m->e, m->parameter[i], chunk);
    }
}

ps_code ps_gemini_place(ps_model *m, ps_error *err)
{
    ps_gemini_layout layout = {0};
    int64_t *elements = ps_calloc(m->parameter_count + 1, sizeof *elements);
    if (elements == NULL) {
        return ps_fail_nomem(err);
    }
    for (size_t i = 0; i < m->parameter_count; i++) {
        elements[i] = ps_eager_elements(m->e, m->parameter[i]);
    }
    const ps_code code = ps_gemini_lay_out(elements, m->parameter_count, 1, &layout, err);
    if (code == PS_OK) {
        take_chunks(m, &layout);
        ps_eager_set_grad_taker(m->e, take_gradient, m);
    }
    ps_gemini_layout_fini(&layout);
    ps_free(elements);
    return code;
}

static void make_states(ps_model *m)
{
    for (size_t i = 0; i < m->parameter_count; i++) {
        const int64_t elements = ps_eager_elements(m->e, m->parameter[i]);
        for (int moment = 0; moment < 2; moment++) {
            (void)ps_eager_make(m->e, elements, PS_DTYPE_F32, PS_ROLE_OPTIMIZER_STATE);
            ps_op_kernel(m->e, "fill", (uint64_t)elements * ps_dtype_bytes(PS_DTYPE_F32));
        }
    }
}

/* Adam reads a 16-bit gradient, reads and writes parameter and moments in 32 bits; copies follow. */
void ps_gemini_tell_step(ps_eager *e, uint64_t elements)
{
    enum { ADAM_BYTES = 2 + 3 * 2 * 4, COPY_BYTES = 4 + 2 };
    ps_op_kernel(e, "fused_adam", ADAM_BYTES * elements);
    ps_op_kernel(e, "copy", COPY_BYTES * elements);
}

void ps_gemini_step(ps_model *m, bool is_first)
{
    if (is_first) {
        make_states(m);
    }
    ps_gemini_tell_step(m->e, m->trained_elements);
}
