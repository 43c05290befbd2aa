/* SPDX-License-Identifier: MIT
 *
 * What offloading an optimizer cannot be combined with, each in a sentence.
 */
#include <string.h>

#include "workload/scheme/offload.h"

/* Of a job whose optimizer stays on the device. */
static ps_code check_unused(const ps_zero_settings *z, ps_error *err)
{
    const bool is_set = z->offloads_parameters || z->flushes_beside || z->update_stride != 0 ||
                        z->has_one_copy_stream || z->delays_update || z->stores_optimizer ||
                        z->reads_ahead || z->writes_behind || z->swap_buffers > 0 ||
                        z->offload_millionths < PS_ZERO_WHOLE;
    return is_set ? ps_fail(err, PS_USAGE, "settings of offloading need offload_optimizer=true")
                  : PS_OK;
}

/* Buffers of a step, and of those that come and go beside it. */
static int64_t buffers_needed(const ps_zero_settings *z)
{
    return PS_OFFLOAD_SWAPPED * (1 + z->reads_ahead + z->writes_behind);
}

static ps_code check_storage(const ps_recipe *r, ps_error *err)
{
    const ps_zero_settings *z = &r->parallel.zero;
    if (!z->stores_optimizer) {
        return z->reads_ahead || z->writes_behind || z->swap_buffers > 0
                   ? ps_fail(err, PS_USAGE,
                             "pipeline_read, pipeline_write and buffer_count need "
                             "offload_optimizer=nvme")
                   : PS_OK;
    }
    if (r->parallel.scheme != PS_PARALLEL_ZERO3) {
        return ps_fail(err, PS_USAGE, "offload_optimizer=nvme is of zero3 alone");
    }
    if (z->flushes_beside || z->update_stride != 0 || z->offload_millionths < PS_ZERO_WHOLE) {
        return ps_fail(err, PS_USAGE,
                       "offload_optimizer=nvme does not go with offload_ratio, "
                       "async_gradient_flush or update_stride: they are of states in memory");
    }
    if (z->swap_buffers > PS_OFFLOAD_MAX_BUFFERS || ps_offload_buffers(z) < buffers_needed(z)) {
        return ps_fail(err, PS_USAGE,
                       "buffer_count is %lld: expected %lld to %d, %d for each sub-group that is "
                       "read, stepped over or written at a time",
                       (long long)ps_offload_buffers(z), (long long)buffers_needed(z),
                       PS_OFFLOAD_MAX_BUFFERS, PS_OFFLOAD_SWAPPED);
    }
    return PS_OK;
}

static ps_code check_training(const ps_recipe *r, ps_error *err)
{
    if (strcmp(r->optimizer, "adam") != 0 && strcmp(r->optimizer, "adamw") != 0) {
        return ps_fail(err, PS_USAGE, "the optimizer on the host is Adam, not \"%.40s\"",
                       r->optimizer);
    }
    if (r->parallel.syncs_always && r->accumulate > 1) {
        return ps_fail(
            err, PS_USAGE,
            "with offload_optimizer=true the last micro-batch alone ends a step: no_sync "
            "cannot be false");
    }
    if (r->parameters == PS_DTYPE_F32) {
        return ps_fail(err, PS_USAGE,
                       "offload_optimizer needs weights of 16 bits: --dtype bf16 or fp16");
    }
    return PS_OK;
}

static ps_code check_stride(const ps_zero_settings *z, ps_error *err)
{
    if (z->update_stride < 0) {
        return ps_fail(err, PS_USAGE, "update_stride: the machine has not chosen one");
    }
    if (z->update_stride == 1) {
        return ps_fail(err, PS_USAGE,
                       "update_stride=1 would have every sub-group step on the device: 2 or more");
    }
    if (z->has_one_copy_stream && z->update_stride == 0) {
        return ps_fail(err, PS_USAGE, "one_copy_stream=true needs update_stride");
    }
    return PS_OK;
}

ps_code ps_offload_check(const ps_recipe *r, ps_error *err)
{
    const ps_zero_settings *z = &r->parallel.zero;
    if (!z->offloads_optimizer) {
        return check_unused(z, err);
    }
    PS_TRY(check_storage(r, err));
    PS_TRY(check_training(r, err));
    return check_stride(z, err);
}
