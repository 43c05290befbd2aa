/* SPDX-License-Identifier: MIT
 *
 * A recipe in one line.
 */
#include "base/text.h"
#include "model_recipe_parts.h"

static const char *type_word(const ps_recipe *r)
{
    if (r->autocast != PS_DTYPE_F32) {
        return r->autocast == PS_DTYPE_BF16 ? "fp32 under bf16 autocast"
                                            : "fp32 under fp16 autocast";
    }
    return r->has_masters                   ? "bf16 with fp32 copies"
           : r->parameters == PS_DTYPE_BF16 ? "bf16"
           : r->parameters == PS_DTYPE_F16  ? "fp16"
                                            : "fp32";
}

static void add_training(const ps_recipe *r, char text[PS_RECIPE_TEXT_BYTES])
{
    ps_text_append(text, PS_RECIPE_TEXT_BYTES, "%s, %.40s", type_word(r), r->optimizer);
    if (r->optimizer_rank > 0) {
        ps_text_append(text, PS_RECIPE_TEXT_BYTES, " of rank %lld", (long long)r->optimizer_rank);
    }
    if (r->lora_rank > 0) {
        ps_text_append(text, PS_RECIPE_TEXT_BYTES, ", LoRA of rank %lld%s", (long long)r->lora_rank,
                       r->quantize != PS_QUANTIZE_NONE ? " on weights of 4 bits" : "");
    }
}

static void add_policies(const ps_recipe *r, char text[PS_RECIPE_TEXT_BYTES])
{
    if (r->policy != PS_TRAIN_POLICY_NONE) {
        ps_text_append(text, PS_RECIPE_TEXT_BYTES, ", %s", ps__recipe_policy_word(r->policy));
    }
    if (ps_parallel_is_on(&r->parallel)) {
        ps_text_append(
            text, PS_RECIPE_TEXT_BYTES, ", %lld GPU%s by %s%s", (long long)r->parallel.ranks,
            r->parallel.ranks == 1 ? "" : "s", ps_parallel_word_at((size_t)r->parallel.scheme - 1),
            r->parallel.zero.offloads_optimizer ? " with its optimizer on the host" : "");
    }
    if (ps_parallel_tensor(&r->parallel) > 1) {
        ps_text_append(text, PS_RECIPE_TEXT_BYTES, ", tp %lld",
                       (long long)r->parallel.tensor_ranks);
    }
}

static void add_recomputation(const ps_recipe *r, char text[PS_RECIPE_TEXT_BYTES])
{
    if (r->checkpoint_every == 1) {
        ps_text_append(text, PS_RECIPE_TEXT_BYTES, ", every block recomputed");
    } else if (r->checkpoints_attention) {
        ps_text_append(text, PS_RECIPE_TEXT_BYTES, ", attention recomputed");
    } else if (r->checkpoint_every > 1) {
        ps_text_append(text, PS_RECIPE_TEXT_BYTES, ", each %lldth block recomputed",
                       (long long)r->checkpoint_every);
    }
}

static void add_streaming(const ps_recipe *r, char text[PS_RECIPE_TEXT_BYTES])
{
    if (r->streaming.activations != PS_ACTIVATION_OFFLOAD_NONE) {
        ps_text_append(text, PS_RECIPE_TEXT_BYTES, ", activations on the host");
    }
    if (r->streaming.parameters) {
        ps_text_append(text, PS_RECIPE_TEXT_BYTES, ", frozen weights on the host");
    }
    if (r->hift.layers > 0) {
        ps_text_append(text, PS_RECIPE_TEXT_BYTES, ", %lld layer%s a step",
                       (long long)r->hift.layers, r->hift.layers == 1 ? "" : "s");
    }
}

static void add_batch(const ps_recipe *r, char text[PS_RECIPE_TEXT_BYTES])
{
    ps_text_append(text, PS_RECIPE_TEXT_BYTES, ", %lld x %s%lld tokens", (long long)r->batch,
                   r->lengths != NULL ? "up to " : "", (long long)r->length);
    if (r->accumulate > 1) {
        ps_text_append(text, PS_RECIPE_TEXT_BYTES, ", %lld micro-batches a step",
                       (long long)r->accumulate);
    }
}

void ps_model_recipe_describe(const ps_recipe *r, char text[PS_RECIPE_TEXT_BYTES])
{
    text[0] = '\0';
    add_training(r, text);
    add_policies(r, text);
    add_recomputation(r, text);
    add_streaming(r, text);
    add_batch(r, text);
}
