/* SPDX-License-Identifier: MIT
 *
 * A decoder cut for two passes side by side, as ZO2 does it with Qwen3:
 *
 *   words, mask, rotary positions ─► blocks ─► final norm ─► head ─► loss in 32 bits
 */
#include "workload/family/decoder_parts.h"
#include "workload/script/dual.h"

enum { WORDS = 2, MASK = 3, COS = 4, SIN = 5 }; /* slots of a pass */
enum { RANGE = 1 };                             /* of both: cache_position */

static const ps_decoder *decoder_of(const ps_model *m)
{
    return m->state;
}

static const ps_decoder_shape *shape_of(const ps_model *m)
{
    return &decoder_of(m)->shape;
}

static bool own_words(const ps_model *m, ps_tensor own[PS_DUAL_OWN])
{
    own[0] = decoder_of(m)->words;
    return true;
}

/* hidden_states = inputs_embeds: both variables hold it */
static ps_tensor run_words(ps_model *m, const ps_dual_pass *its)
{
    const ps_tensor out =
        ps_embedding_run(m, decoder_of(m)->words, its->batch->ids, shape_of(m)->hidden);
    *its->beside = ps_eager_hold(m->e, out);
    return out;
}

static ps_tensor run_range(ps_model *m, const ps_dual_pass *its)
{
    return ps_op_plain(m->e, "arange", its->batch->length, PS_DTYPE_I64);
}

static ps_tensor run_mask(ps_model *m, const ps_dual_pass *its)
{
    return ps_batch_mask(m, its->batch, ps_eager_dtype(m->e, its->slot[WORDS]), &shape_of(m)->mask);
}

/* A module without parameters: nothing of it moves. */
static bool own_nothing(const ps_model *m, ps_tensor own[PS_DUAL_OWN])
{
    (void)m;
    own[0] = own[1] = 0;
    return true;
}

static ps_tensor run_rotary(ps_model *m, const ps_dual_pass *its)
{
    const ps_rotary made =
        ps_rotary_begin(m, its->batch->length, ps_decoder_turned_width(shape_of(m)),
                        ps_eager_dtype(m->e, its->slot[WORDS]));
    *its->beside = made.sin;
    return made.cos;
}

static ps_tensor run_block(ps_model *m, const ps_dual_pass *its, int64_t index)
{
    const ps_decoder_pass about = {.batch = its->batch->batch,
                                   .length = its->batch->length,
                                   .rotary = {.cos = its->slot[COS], .sin = its->slot[SIN]},
                                   .mask = its->slot[MASK],
                                   .mask_pitch =
                                       ps_decoder_mask_pitch(its->batch, &shape_of(m)->mask)};
    return ps_decoder_run_block(m, &about, index, its->slot[PS_DUAL_HIDDEN]);
}

static int64_t block_count(const ps_model *m)
{
    return shape_of(m)->layers;
}

static bool own_final(const ps_model *m, ps_tensor own[PS_DUAL_OWN])
{
    own[0] = decoder_of(m)->final.weight;
    own[1] = 0;
    return true;
}

static ps_tensor run_final(ps_model *m, const ps_dual_pass *its)
{
    return ps_rms_norm_run(m, &decoder_of(m)->final, its->slot[PS_DUAL_HIDDEN]);
}

static bool own_head(const ps_model *m, ps_tensor own[PS_DUAL_OWN])
{
    own[0] = decoder_of(m)->head;
    return true;
}

static ps_tensor run_head(ps_model *m, const ps_dual_pass *its)
{
    const ps_linear head = {
        .weight = decoder_of(m)->head, .in = shape_of(m)->hidden, .out = shape_of(m)->vocabulary};
    return ps_linear_run(m, &head, its->slot[PS_DUAL_HIDDEN]);
}

static ps_tensor run_loss(ps_model *m, const ps_dual_pass *its)
{
    return ps_causal_loss(m, its->slot[PS_DUAL_LOGITS], its->batch, shape_of(m)->vocabulary);
}

static const ps_dual_stage before[] = {
    {.run = run_words, .own = own_words, .slot = PS_DUAL_HIDDEN, .beside_slot = WORDS},
    {.run = run_range, .slot = RANGE, .is_shared = true},
    {.run = run_mask, .slot = MASK},
    {.run = run_rotary, .own = own_nothing, .slot = COS, .beside_slot = SIN},
};

static const ps_dual_stage after[] = {
    {.run = run_final, .own = own_final, .slot = PS_DUAL_HIDDEN},
};

const ps_dual_ops ps_decoder_dual = {
    .before = before,
    .before_count = sizeof before / sizeof before[0],
    .block = run_block,
    .block_count = block_count,
    .after = after,
    .after_count = sizeof after / sizeof after[0],
    .head = {.run = run_head, .own = own_head, .slot = PS_DUAL_LOGITS},
    .loss = run_loss,
};
