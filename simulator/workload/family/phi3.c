/* SPDX-License-Identifier: MIT
 *
 * Phi-3: Llama with one projection for queries, keys and values, one for gate and up, dropout
 * before residuals, and heads of which a part may turn.
 */
#include <string.h>

#include "workload/family/decoder.h"

/* Its only way to scale positions; "su" and "yarn" are older names of it. */
static void read_longrope(ps_shape_reader *r, ps_decoder_shape *n)
{
    const char *kind = ps_shape_text(r, "rope_scaling.rope_type", NULL);
    kind = ps_shape_text(r, "rope_scaling.type", kind);
    if (r->code != PS_OK || kind == NULL) {
        return;
    }
    if (strcmp(kind, "longrope") != 0 && strcmp(kind, "su") != 0 && strcmp(kind, "yarn") != 0) {
        r->code = ps_fail(r->err, PS_BAD_INPUT,
                          "rotary positions of type \"%s\" are not modelled for phi3", kind);
        return;
    }
    n->short_positions = ps_shape_size(r, "original_max_position_embeddings", 4096);
}

static ps_code create(ps_model *m, const ps_model_config *config, ps_error *err)
{
    ps_shape_reader r = {.config = config, .err = err};
    ps_decoder_shape n = {.layers = 32,
                          .hidden = 3072,
                          .heads = 32,
                          .inner = 8192,
                          .vocabulary = 32064,
                          .turned_width = 1,
                          .is_packed = true};
    ps_decoder_read(&r, &n);
    read_longrope(&r, &n);
    ps_decoder_read_window(&r, &n, 0);
    (void)ps_decoder_read_turned(&r, &n, 1.0);
    n.residual_dropout = ps_shape_share(&r, "resid_pdrop", 0.0);
    return r.code == PS_OK ? ps_decoder_create(m, &n, err) : r.code;
}

const ps_family ps_family_phi3 = {
    .model_type = "phi3",
    .lora_target = {"qkv_proj"},
    .recomputes_attention = true,
    .create = create,
    .destroy = ps_decoder_destroy,
    .forward = ps_decoder_forward,
};
