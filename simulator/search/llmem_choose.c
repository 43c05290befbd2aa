/* SPDX-License-Identifier: MIT
 *
 * LLMem's Algorithm 1: of each method the largest batch, of those the one with
 * the highest score.
 */
#include <stdio.h>

#include "base/checked.h"
#include "search/batches.h"
#include "search/llmem.h"

#define MOST_SEQUENCES ((size_t)1 << 16)

typedef struct asking {
    const ps_llmem_job *job;
    ps_llmem_method method;
    uint64_t state_bytes;
} asking;

static ps_code need(const asking *self, int64_t batch, uint64_t *out, ps_error *err)
{
    uint64_t bytes;
    PS_TRY(ps_llmem_batch_bytes(self->job, self->method, batch, &bytes, err));
    return ps_add_u64(self->state_bytes, bytes, out)
               ? PS_OK
               : ps_fail(err, PS_LIMIT, "more bytes than can be counted");
}

static ps_code ask(void *context, size_t i, ps_search_need *out, ps_error *err)
{
    const asking *self = context;
    *out = (ps_search_need){.is_possible = true, .limit_bytes = self->job->capacity_bytes};
    return need(self, (int64_t)i + 1, &out->needed_bytes, err);
}

static uint64_t score_of(const ps_llmem_job *job, const ps_llmem_estimate *of)
{
    const ps_llmem_figures *f = job->figures;
    const uint64_t batch = (uint64_t)of->batch, data = (uint64_t)of->method.data;
    switch (of->method.kind) {
    case PS_LLMEM_CDP:
        return f->score_cdp * batch * data;
    case PS_LLMEM_ADP:
        return f->score_adp * batch * data;
    case PS_LLMEM_TP:
        return f->score_tp * batch;
    case PS_LLMEM_DP_TP:
        return f->score_dp_tp * batch * data;
    }
    return 0;
}

static ps_code estimate(const ps_llmem_job *job, ps_llmem_estimate *of, ps_error *err)
{
    asking self = {.job = job, .method = of->method};
    size_t largest;
    PS_TRY(ps_llmem_state_bytes(job, of->method, &self.state_bytes, err));
    PS_TRY(need(&self, 1, &of->first_bytes, err));
    PS_TRY(ps_search_largest(MOST_SEQUENCES, 0, 0, ask, &self, &largest, err));
    of->batch = largest == SIZE_MAX ? 0 : (int64_t)largest + 1;
    if (of->batch > 0) {
        PS_TRY(need(&self, of->batch, &of->largest_bytes, err));
    }
    of->score = score_of(job, of);
    return PS_OK;
}

static ps_code add(ps_llmem_choice *out, ps_llmem_kind kind, int64_t data, int64_t tensor,
                   ps_error *err)
{
    if (out->count == PS_LLMEM_METHODS) {
        return ps_fail(err, PS_USAGE, "more than %d ways to divide the GPUs", PS_LLMEM_METHODS);
    }
    out->estimate[out->count++].method =
        (ps_llmem_method){.kind = kind, .data = data, .tensor = tensor};
    return PS_OK;
}

static ps_code list(int64_t gpus, ps_llmem_choice *out, ps_error *err)
{
    PS_TRY(add(out, PS_LLMEM_CDP, gpus, 1, err));
    if (gpus == 1) {
        return PS_OK;
    }
    PS_TRY(add(out, PS_LLMEM_ADP, gpus, 1, err));
    PS_TRY(add(out, PS_LLMEM_TP, 1, gpus, err));
    for (int64_t tensor = 2; tensor < gpus; tensor++) {
        if (gpus % tensor == 0) {
            PS_TRY(add(out, PS_LLMEM_DP_TP, gpus / tensor, tensor, err));
        }
    }
    return PS_OK;
}

ps_code ps_llmem_choose(const ps_llmem_job *job, ps_llmem_choice *out, ps_error *err)
{
    uint64_t best = 0;
    *out = (ps_llmem_choice){.chosen = SIZE_MAX};
    PS_TRY(list(job->gpus, out, err));
    for (size_t i = 0; i < out->count; i++) {
        PS_TRY(estimate(job, &out->estimate[i], err));
        if (out->estimate[i].score > best) { /* ties stay with the first */
            best = out->estimate[i].score;
            out->chosen = i;
        }
    }
    return PS_OK;
}

void ps_llmem_name(ps_llmem_method method, char out[PS_LLMEM_NAME_BYTES])
{
    const long long data = (long long)method.data, tensor = (long long)method.tensor;
    switch (method.kind) {
    case PS_LLMEM_CDP:
        (void)snprintf(out, PS_LLMEM_NAME_BYTES, data == 1 ? "single GPU" : "%lldCDP", data);
        return;
    case PS_LLMEM_ADP:
        (void)snprintf(out, PS_LLMEM_NAME_BYTES, "%lldDP", data);
        return;
    case PS_LLMEM_TP:
        (void)snprintf(out, PS_LLMEM_NAME_BYTES, "%lldTP", tensor);
        return;
    case PS_LLMEM_DP_TP:
        (void)snprintf(out, PS_LLMEM_NAME_BYTES, "%lldDP+%lldTP", data, tensor);
        return;
    }
}
