/* SPDX-License-Identifier: MIT
 *
 * DeepSeek-MoE: Llama whose feed-forward is done, from a given block on, by a
 * few of many small experts and by some that take all tokens.
 *
 * Its class is code that comes with the model, not in transformers: there is no
 * recording of it that this could be compared with. It follows what that code
 * does: attention and its tables of positions as Llama had them before
 * transformers 4.38, experts that copy tokens, a loss on logits in 32 bits. The
 * same steps written out in a model of the library's gave PyTorch's own events;
 * masks, made as transformers 4.51 makes them for Llama, were not looked at.
 */
#include <string.h>

#include "base/memory.h"
#include "workload/family/decoder.h"

/* The first blocks have none; then every so many-th, counted from 0, has them. */
static void read_dense_layers(ps_shape_reader *r, ps_decoder_shape *n)
{
    int64_t first = 0;
    const int64_t step = ps_shape_size(r, "moe_layer_freq", 1);
    if (r->code == PS_OK) {
        r->code =
            ps_config_int(r->config, "first_k_dense_replace", 0, 0, INT32_MAX, &first, r->err);
    }
    if (r->code != PS_OK) {
        return;
    }
    n->is_dense = ps_calloc((size_t)n->layers, sizeof *n->is_dense);
    if (n->is_dense == NULL) {
        r->code = ps_fail_nomem(r->err);
        return;
    }
    for (int64_t i = 0; i < n->layers; i++) {
        n->is_dense[i] = i < first || i % step != 0;
    }
}

static ps_router_loss read_router_loss(ps_shape_reader *r)
{
    const double factor = ps_shape_share(r, "aux_loss_alpha", 0.001);
    const bool is_by_sequence = ps_shape_flag(r, "seq_aux", true);
    if (factor == 0.0) {
        return PS_ROUTER_LOSS_NONE;
    }
    return is_by_sequence ? PS_ROUTER_LOSS_SEQUENCE : PS_ROUTER_LOSS_BATCH;
}

static void refuse_others(ps_shape_reader *r, const ps_model *m)
{
    const char *scoring = ps_shape_text(r, "scoring_func", "softmax");
    const int64_t parts = ps_shape_size(r, "pretraining_tp", 1);
    if (r->code == PS_OK && strcmp(scoring, "softmax") != 0) {
        r->code = ps_fail(r->err, PS_BAD_INPUT,
                          "scoring_func is \"%s\"; of DeepSeek's routers only those with softmax "
                          "are modelled",
                          scoring);
    }
    if (r->code == PS_OK && parts > 1) {
        r->code =
            ps_fail(r->err, PS_BAD_INPUT, "pretraining_tp: products cut in parts are not modelled");
    }
    if (r->code == PS_OK && m->recipe->is_evaluating) {
        r->code = ps_fail(r->err, PS_BAD_INPUT,
                          "deepseek runs its experts another way when it is evaluated, which is "
                          "not modelled");
    }
}

/* Without a number of experts all blocks are dense; without one of shared ones none is shared. */
static void read_experts(ps_shape_reader *r, ps_decoder_shape *n)
{
    const bool has_experts = !ps_config_is_null(r->config, "n_routed_experts") &&
                             ps_config_has(r->config, "n_routed_experts");
    const bool has_shared = !ps_config_is_null(r->config, "n_shared_experts") &&
                            ps_config_has(r->config, "n_shared_experts");
    if (!has_experts) {
        return;
    }
    n->sparse = (ps_sparse_mlp_shape){
        .hidden = n->hidden,
        .inner = ps_shape_size(r, "moe_intermediate_size", 1407),
        .experts = ps_shape_size(r, "n_routed_experts", 0),
        .experts_a_token = ps_shape_size(r, "num_experts_per_tok", 0),
        .activation = n->activation,
        .keeps_shares = !ps_shape_flag(r, "norm_topk_prob", false),
        .copies_tokens = true,
        .router_loss = read_router_loss(r),
    };
    if (has_shared) {
        n->sparse.shared_inner = n->sparse.inner * ps_shape_size(r, "n_shared_experts", 0);
    }
    ps_decoder_check_experts(r, n);
    read_dense_layers(r, n);
}

static ps_code create(ps_model *m, const ps_model_config *config, ps_error *err)
{
    ps_shape_reader r = {.config = config, .err = err};
    ps_decoder_shape n = {.layers = 30,
                          .hidden = 4096,
                          .heads = 32,
                          .inner = 11008,
                          .vocabulary = 102400,
                          .is_early = true,
                          .widens_logits = true};
    ps_decoder_read(&r, &n);
    ps_decoder_read_rotary(&r);
    n.table_positions = ps_shape_size(&r, "max_position_embeddings", 2048);
    n.has_qkv_bias = n.has_output_bias = ps_shape_flag(&r, "attention_bias", false);
    refuse_others(&r, m);
    read_experts(&r, &n);
    if (r.code != PS_OK) {
        ps_free(n.is_dense);
        return r.code;
    }
    return ps_decoder_create(m, &n, err);
}

const ps_family ps_family_deepseek = {
    .model_type = "deepseek",
    .lora_target = {"q_proj", "v_proj"},
    .create = create,
    .destroy = ps_decoder_destroy,
    .forward = ps_decoder_forward,
};
