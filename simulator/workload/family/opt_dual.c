/* SPDX-License-Identifier: MIT
 *
 * OPT's forward pass in stages, for two passes side by side (script/dual.h).
 */
#include "workload/family/opt.h"
#include "workload/model/masks.h"

enum { DUAL_WORDS = 2, DUAL_MASK = 3, DUAL_PLACES = 4 }; /* slots of a pass */
enum { DUAL_SHOWN = 0 };                                 /* of both */

static const ps_opt *opt_of(const ps_model *m)
{
    return m->state;
}

static bool own_words(const ps_model *m, ps_tensor own[PS_DUAL_OWN])
{
    own[0] = opt_of(m)->words;
    return true;
}

static ps_tensor dual_words(ps_model *m, const ps_dual_pass *its)
{
    const ps_opt *self = m->state;
    return ps_embedding_run(m, self->words, its->batch->ids, self->shape.words_width);
}

static ps_tensor dual_shown(ps_model *m, const ps_dual_pass *its)
{
    const ps_batch *batch = its->batch;
    return batch->mask != 0 ? ps_eager_hold(m->e, batch->mask)
                            : ps_op_plain(m->e, "fill", batch->batch * batch->length, PS_DTYPE_F32);
}

static ps_tensor dual_mask(ps_model *m, const ps_dual_pass *its)
{
    const ps_causal_mask mask = {.batch = its->batch->batch,
                                 .length = its->batch->length,
                                 .given = its->shared[DUAL_SHOWN],
                                 .dtype = ps_eager_dtype(m->e, its->slot[DUAL_WORDS]),
                                 .is_for_kernel = m->recipe->attention != PS_ATTENTION_EAGER};
    return ps_causal_mask_make(m, &mask);
}

static bool own_places(const ps_model *m, ps_tensor own[PS_DUAL_OWN])
{
    own[0] = opt_of(m)->positions;
    return true;
}

static ps_tensor dual_places(ps_model *m, const ps_dual_pass *its)
{
    ps_tensor numbers = ps_opt_count_positions(m, its->shared[DUAL_SHOWN], its->batch->batch);
    const ps_tensor out = ps_opt_embed_positions(m, numbers);
    ps_eager_clear(m->e, &numbers);
    return out;
}

static bool own_project_in(const ps_model *m, ps_tensor own[PS_DUAL_OWN])
{
    own[0] = opt_of(m)->project_in.weight;
    return own[0] != 0;
}

static ps_tensor dual_project_in(ps_model *m, const ps_dual_pass *its)
{
    return ps_linear_run(m, &opt_of(m)->project_in, its->slot[DUAL_WORDS]);
}

static ps_tensor dual_add(ps_model *m, const ps_dual_pass *its)
{
    return ps_op_add(m->e, its->slot[DUAL_WORDS], its->slot[DUAL_PLACES]);
}

static ps_tensor dual_block(ps_model *m, const ps_dual_pass *its, int64_t index)
{
    const ps_opt_pass about = {.batch = its->batch->batch,
                               .length = its->batch->length,
                               .given = {[PS_OPT_MASK] = its->slot[DUAL_MASK]}};
    return ps_opt_run_block(m, &about, index, its->slot[PS_DUAL_HIDDEN]);
}

static int64_t dual_block_count(const ps_model *m)
{
    return opt_of(m)->shape.layers;
}

static bool own_final(const ps_model *m, ps_tensor own[PS_DUAL_OWN])
{
    const ps_opt *self = m->state;
    own[0] = self->final.weight;
    own[1] = self->final.bias;
    return self->shape.has_final_norm;
}

static ps_tensor dual_final(ps_model *m, const ps_dual_pass *its)
{
    return ps_norm_run(m, &opt_of(m)->final, its->slot[PS_DUAL_HIDDEN]);
}

static bool own_project_out(const ps_model *m, ps_tensor own[PS_DUAL_OWN])
{
    own[0] = opt_of(m)->project_out.weight;
    return own[0] != 0;
}

static ps_tensor dual_project_out(ps_model *m, const ps_dual_pass *its)
{
    return ps_linear_run(m, &opt_of(m)->project_out, its->slot[PS_DUAL_HIDDEN]);
}

static bool own_head(const ps_model *m, ps_tensor own[PS_DUAL_OWN])
{
    own[0] = opt_of(m)->head;
    return true;
}

static ps_tensor dual_head(ps_model *m, const ps_dual_pass *its)
{
    const ps_opt *self = m->state;
    const ps_linear head = {
        .weight = self->head, .in = self->shape.words_width, .out = self->shape.vocabulary};
    return ps_linear_run(m, &head, its->slot[PS_DUAL_HIDDEN]);
}

static const ps_dual_stage dual_before[] = {
    {.run = dual_words, .own = own_words, .slot = DUAL_WORDS},
    {.run = dual_shown, .slot = DUAL_SHOWN, .is_shared = true},
    {.run = dual_mask, .slot = DUAL_MASK},
    {.run = dual_places, .own = own_places, .slot = DUAL_PLACES},
    {.run = dual_project_in, .own = own_project_in, .slot = DUAL_WORDS},
    {.run = dual_add, .slot = PS_DUAL_HIDDEN},
};

static const ps_dual_stage dual_after[] = {
    {.run = dual_final, .own = own_final, .slot = PS_DUAL_HIDDEN},
    {.run = dual_project_out, .own = own_project_out, .slot = PS_DUAL_HIDDEN},
};

const ps_dual_ops ps_opt_dual = {
    .before = dual_before,
    .before_count = sizeof dual_before / sizeof dual_before[0],
    .block = dual_block,
    .block_count = dual_block_count,
    .after = dual_after,
    .after_count = sizeof dual_after / sizeof dual_after[0],
    .head = {.run = dual_head, .own = own_head, .slot = PS_DUAL_LOGITS},
};
