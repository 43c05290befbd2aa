/* SPDX-License-Identifier: MIT
 *
 * Mixtral: Mistral whose feed-forward is done by a few of many experts.
 */
#include "workload/family/decoder.h"

static void read_experts(ps_shape_reader *r, ps_decoder_shape *n)
{
    n->sparse = (ps_sparse_mlp_shape){.hidden = n->hidden,
                                      .inner = n->inner,
                                      .experts = ps_shape_size(r, "num_local_experts", 8),
                                      .experts_a_token = ps_shape_size(r, "num_experts_per_tok", 2),
                                      .activation = n->activation,
                                      .is_mixtral = true};
    ps_decoder_check_experts(r, n);
    if (r->code == PS_OK && ps_shape_share(r, "router_jitter_noise", 0.0) > 0.0) {
        r->code = ps_fail(r->err, PS_BAD_INPUT, "router_jitter_noise is not modelled");
    }
}

static ps_code create(ps_model *m, const ps_model_config *config, ps_error *err)
{
    ps_shape_reader r = {.config = config, .err = err};
    ps_decoder_shape n = {.layers = 32,
                          .hidden = 4096,
                          .heads = 32,
                          .kv_heads = 8,
                          .inner = 14336,
                          .vocabulary = 32000};
    ps_decoder_read(&r, &n);
    ps_decoder_read_rotary(&r);
    ps_decoder_read_window(&r, &n, 0);
    read_experts(&r, &n);
    return r.code == PS_OK ? ps_decoder_create(m, &n, err) : r.code;
}

const ps_family ps_family_mixtral = {
    .model_type = "mixtral",
    .lora_target = {"q_proj", "v_proj"},
    .recomputes_attention = true,
    .create = create,
    .destroy = ps_decoder_destroy,
    .forward = ps_decoder_forward,
};
