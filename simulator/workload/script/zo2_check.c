/* SPDX-License-Identifier: MIT
 *
 * What ZO2 cannot run.
 */
#include "workload/script/zo2.h"

static bool shares_head(const ps_model *m)
{
    ps_tensor head[PS_DUAL_OWN] = {0}, own[PS_DUAL_OWN] = {0};
    const ps_dual_ops *ops = m->family->dual;
    (void)ops->head.own(m, head);
    for (size_t i = 0; i < ops->before_count; i++) {
        if (ops->before[i].own != NULL && ops->before[i].own(m, own) && own[0] == head[0]) {
            return true;
        }
    }
    return false;
}

static ps_code check_settings(const ps_model *m, const ps_recipe *r, ps_error *err)
{
    const int64_t blocks = m->family->dual->block_count(m);
    const ps_zo2_settings *with = &r->zo2;
    const bool is_typed =
        r->autocast != PS_DTYPE_F32 || (with->has_host_dtype && with->host_dtype != r->parameters);
    if (with->has_blocks && with->last_block >= blocks) {
        return ps_fail(err, PS_USAGE, "offloading_blocks: the last of %lld blocks is %lld",
                       (long long)blocks, (long long)blocks - 1);
    }
    if (with->is_bucket && is_typed) {
        return ps_fail(
            err, PS_USAGE,
            "communicate_optimize_method=bucket puts together what crosses as it is: not "
            "with another type on the host");
    }
    if (with->asks_driver && (with->is_bucket || with->waits_for_offload)) {
        return ps_fail(
            err, PS_USAGE,
            "reuse_memory=false asks the driver for each tensor and gives it back at "
            "once: not with communicate_optimize_method=bucket or wait_for_offload=true");
    }
    return PS_OK;
}

ps_code ps_zo2_check(const ps_model *m, ps_error *err)
{
    const ps_recipe *r = m->recipe;
    if (m->family->dual == NULL) {
        return ps_fail(err, PS_USAGE,
                       "zo2 needs a model that is described module by module: opt, llama, mistral, "
                       "qwen2, qwen3, not \"%s\"",
                       m->family->model_type);
    }
    if (r->lora_rank > 0) {
        return ps_fail(err, PS_USAGE, "zo2 moves whole blocks: adapters do not go with it");
    }
    if (shares_head(m)) {
        return ps_fail(err, PS_USAGE,
                       "zo2 moves the head apart from the embedding: tie_word_embeddings must be "
                       "false in config.json");
    }
    return check_settings(m, r, err);
}
