/* SPDX-License-Identifier: MIT
 *
 * What both of PyTorch's fully sharded schemes share.
 */
#include "workload/scheme/fsdp.h"

#include "base/memory.h"

ps_code ps_fsdp_check(const ps_recipe *r, ps_error *err)
{
    const ps_fsdp_settings *s = &r->parallel.fsdp;
    if (r->quantize != PS_QUANTIZE_NONE) {
        return ps_fail(err, PS_USAGE,
                       "weights of 4 bits cannot be divided by the dimensions they had");
    }
    if (r->policy != PS_TRAIN_POLICY_NONE) {
        return ps_fail(err, PS_USAGE,
                       "a policy that places parameters leaves none for fsdp to divide");
    }
    if (s->has_param_dtype && r->autocast != PS_DTYPE_F32) {
        return ps_fail(err, PS_USAGE, "autocast or parameters that are gathered in 16 bits: one");
    }
    if (s->has_param_dtype && r->has_masters) {
        return ps_fail(err, PS_USAGE,
                       "parameters that are gathered in 16 bits have their 32-bit shards: no "
                       "other copies of them are kept");
    }
    return PS_OK;
}

ps_code ps_fsdp_make_model(ps_scheme *self, ps_model *of, ps_error *err)
{
    const ps_model *m = self->m;
    *of = (ps_model){.e = m->e, .recipe = m->recipe, .family = m->family};
    of->parameter = ps_calloc(m->parameter_count + 1, sizeof *of->parameter);
    of->shape = ps_calloc(m->parameter_count + 1, sizeof *of->shape);
    of->parameter_count = m->parameter_count;
    return of->parameter == NULL || of->shape == NULL ? ps_fail_nomem(err) : PS_OK;
}
