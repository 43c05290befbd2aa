/* SPDX-License-Identifier: MIT
 *
 * CodeGen as transformers 4.51 writes it: GPT-J with one projection for
 * queries, values and keys, laid out for four partitions of heads.
 */
#include "workload/family/gptj_decoder.h"

#define PARTITIONS 4

static void make_projections(ps_model *m, const ps_gptj_shape *n, ps_gptj_layer *made)
{
    made->packed = ps_linear_make(m, "qkv_proj", n->hidden, 3 * n->hidden, false);
}

/*
 * _split_heads: heads of all partitions side by side, a copy unless each has one. A gradient that
 * lies by heads is copied where the heads of a partition meet.
 */
static ps_tensor gather_heads(ps_model *m, ps_tensor part, const ps_attention_shape *n,
                              bool is_value)
{
    const int64_t elements = ps_eager_elements(m->e, part);
    if (n->heads == PARTITIONS) {
        return ps_op_view(m->e, part, elements, false);
    }
    const bool is_strided = is_value && n->queries > 1;
    ps_tensor view = ps_op_view(m->e, part, elements, is_strided);
    const ps_tensor out = ps_op_copy(m->e, view);
    ps_eager_clear(m->e, &view);
    return out;
}

static void project(ps_model *m, ps_gptj_layer *with, ps_tensor x, const ps_gptj_pass *about,
                    ps_gptj_heads *own)
{
    const ps_attention_shape *n = &about->heads;
    ps_tensor part[3]; /* query, value, key */
    const ps_tensor packed = ps_gptj_keep(own, ps_linear_run(m, &with->packed, x));
    ps_op_split(m->e, packed, part, 3);
    own->query = gather_heads(m, part[0], n, false);
    own->key = gather_heads(m, part[2], n, false);
    own->value = gather_heads(m, part[1], n, true);
    for (int i = 0; i < 3; i++) {
        ps_eager_clear(m->e, &part[i]);
    }
}

static void look_up(ps_model *m, const ps_gptj_layer *with, const ps_gptj_pass *about,
                    ps_gptj_heads *own)
{
    const int64_t width = ((const ps_gptj *)m->state)->shape.turned_width;
    (void)with;
    (void)ps_gptj_keep(own, ps_op_plain(m->e, "index", about->heads.queries * width, PS_DTYPE_F32));
}

static const ps_gptj_way way = {.make_projections = make_projections,
                                .project = project,
                                .look_up = look_up,
                                .casts_cached_key = true,
                                .masks_before_scale = true};

static ps_code create(ps_model *m, const ps_model_config *config, ps_error *err)
{
    PS_TRY(ps_gptj_create(m, &way, config, err));
    const int64_t heads = ((const ps_gptj *)m->state)->shape.heads;
    if (heads % PARTITIONS != 0) {
        return ps_fail(err, PS_BAD_INPUT, "%s: \"n_head\" is %lld, which %d does not divide",
                       ps_model_config_name(config), (long long)heads, PARTITIONS);
    }
    return PS_OK;
}

const ps_family ps_family_codegen = {
    .model_type = "codegen",
    .lora_target = {"qkv_proj"},
    .recomputes_attention = true,
    .create = create,
    .destroy = ps_gptj_destroy,
    .forward = ps_gptj_forward,
};
