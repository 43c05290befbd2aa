/* SPDX-License-Identifier: MIT
 *
 * GPT-J as transformers 4.51 writes it.
 */
#include "workload/family/gptj_decoder.h"
#include "workload/model/scores.h"

static void make_projections(ps_model *m, const ps_gptj_shape *n, ps_gptj_layer *made)
{
    made->key = ps_linear_make(m, "k_proj", n->hidden, n->hidden, false);
    made->value = ps_linear_make(m, "v_proj", n->hidden, n->hidden, false);
    made->query = ps_linear_make(m, "q_proj", n->hidden, n->hidden, false);
}

static void project(ps_model *m, ps_gptj_layer *with, ps_tensor x, const ps_gptj_pass *about,
                    ps_gptj_heads *own)
{
    own->query = ps_linear_run(m, &with->query, x);
    own->key = ps_linear_run(m, &with->key, x);
    own->value = ps_linear_run(m, &with->value, x);
    ps_heads_split_view(m, &own->value, &about->heads, false);
}

/* The table and the positions are repeated before rows are gathered. */
static void look_up(ps_model *m, const ps_gptj_layer *with, const ps_gptj_pass *about,
                    ps_gptj_heads *own)
{
    const int64_t width = ((const ps_gptj *)m->state)->shape.turned_width;
    const int64_t rows = ps_eager_elements(m->e, with->table) / width;
    const int64_t places = about->heads.queries * width;
    (void)ps_gptj_keep(own, ps_op_plain(m->e, "copy", rows * width, PS_DTYPE_F32));
    (void)ps_gptj_keep(own, ps_op_plain(m->e, "copy", places, PS_DTYPE_I64));
    (void)ps_gptj_keep(own, ps_op_plain(m->e, "gather", places, PS_DTYPE_F32));
}

static const ps_gptj_way way = {
    .make_projections = make_projections, .project = project, .look_up = look_up};

static ps_code create(ps_model *m, const ps_model_config *config, ps_error *err)
{
    return ps_gptj_create(m, &way, config, err);
}

const ps_family ps_family_gptj = {
    .model_type = "gptj",
    .lora_target = {"q_proj", "v_proj"},
    .recomputes_attention = true,
    .create = create,
    .destroy = ps_gptj_destroy,
    .forward = ps_gptj_forward,
};
