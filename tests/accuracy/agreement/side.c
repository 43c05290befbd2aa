/* SPDX-License-Identifier: MIT
 *
 * What both sides have in common.
 */
#include "accuracy/agreement/side.h"

#include <string.h>

typedef struct word {
    const char *part; /* of an operation's name here, or of a kernel's in PyTorch */
    work_kind kind;
} word;

static const word words[] = {
    {"FillFunctor", WORK_FILL},
    {"direct_copy_kernel", WORK_COPY},
    {"copy_kernel_cuda", WORK_COPY},
    {"CatArrayBatchedCopy", WORK_COPY},
};
static const word whole[] = {{"fill", WORK_FILL}, {"copy", WORK_COPY}, {"cat", WORK_COPY}};

work_kind work_kind_of(const ps_workload *workload, uint32_t op)
{
    const char *name = ps_strings_text(workload->strings, workload->op.name[op]);
    const uint8_t kind = workload->op.kind[op];
    if (kind != PS_OP_MEMORY) {
        return kind == PS_OP_MATMUL      ? WORK_MATMUL
               : kind == PS_OP_ATTENTION ? WORK_ATTENTION
               : kind == PS_OP_COPY      ? WORK_COPY
                                         : WORK_OTHER;
    }
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strstr(name, words[i].part) != NULL) {
            return words[i].kind;
        }
    }
    for (size_t i = 0; i < sizeof whole / sizeof whole[0]; i++) {
        if (strcmp(name, whole[i].part) == 0) {
            return whole[i].kind;
        }
    }
    return WORK_OTHER;
}

static void count_step(side *self, size_t step)
{
    const ps_workload *w = self->workload;
    /* a recording's first step begins with its forward: the first batch was there already */
    bool is_arriving = step == 0;
    for (uint32_t e = w->step.begin_event[step]; e < w->step.end_event[step]; e++) {
        const uint32_t op = w->event.ref[e];
        if (w->event.kind[e] != PS_WORKLOAD_EVENT_OP) {
            continue;
        }
        const work_kind kind = work_kind_of(w, op);
        is_arriving = is_arriving && kind == WORK_COPY;
        if (!is_arriving) {
            self->launches[step][w->op.phase[op]][kind] += w->op.launches[op];
        }
    }
}

ps_code side_count(side *self, ps_error *err)
{
    ps_workload_walk walk;
    self->steps = self->workload->step.head.count;
    if (self->steps == 0 || self->steps > STEPS_MAX) {
        return ps_fail(err, PS_BAD_INPUT, "%zu steps are not 1 to %d", self->steps, STEPS_MAX);
    }
    ps_workload_walk_init(&walk, self->workload);
    self->peak = ps_workload_walk_to(&walk, (uint32_t)self->workload->event.head.count);
    for (size_t step = 0; step < self->steps; step++) {
        count_step(self, step);
    }
    return PS_OK;
}

void side_fini(side *self)
{
    ps_workload_destroy(self->workload);
    self->workload = NULL;
}
