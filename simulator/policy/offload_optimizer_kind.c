/* SPDX-License-Identifier: MIT
 *
 * What kind of optimizer a recorded job has, by the range of its step, its
 * operators and its kernels.
 */
#include <ctype.h>
#include <string.h>

#include "policy/offload_optimizer.h"

static bool has_text(const char *text, const char *part)
{
    return strstr(text, part) != NULL;
}

typedef struct signs {
    bool is_adam, multiplies, is_narrow, is_wide, is_fused, is_foreach;
} signs;

static void see_operators(const ps_offload_search *self, signs *out)
{
    const ps_trace *trace = self->change->trace;
    const ps_offload_step *step = &self->out->step[0];
    for (size_t i = 0; i < trace->range.head.count; i++) {
        const char *name = ps_strings_text(trace->strings, trace->range.name[i]);
        if (trace->range.category[i] == PS_RANGE_OPERATOR &&
            trace->range.start_ns[i] >= step->begin_ns && trace->range.start_ns[i] < step->end_ns) {
            out->is_adam = out->is_adam || has_text(name, "addcdiv") || has_text(name, "adam");
            out->multiplies = out->multiplies || has_text(name, "mul_");
            out->is_fused = out->is_fused || has_text(name, "_fused_");
            out->is_foreach = out->is_foreach || has_text(name, "_foreach_");
        }
    }
}

static void see_kernels(const ps_offload_search *self, signs *out)
{
    const ps_plan *plan = self->plan;
    for (size_t i = 0; i < plan->task.head.count; i++) {
        const char *name = ps_strings_text(plan->strings, plan->task.name[i]);
        if (!self->out->drop_task[i] || plan->task.kind[i] != PS_TASK_KERNEL) {
            continue;
        }
        const bool is_narrow = has_text(name, "BFloat16") || has_text(name, "Half");
        out->is_narrow = out->is_narrow || is_narrow;
        out->is_wide = out->is_wide || (!is_narrow && has_text(name, "float"));
        out->is_adam = out->is_adam || has_text(name, "Adam") || has_text(name, "addcdiv") ||
                       (has_text(name, "PointwiseOp") && has_text(name, "divides"));
        out->multiplies = out->multiplies || has_text(name, "multiplies");
        out->is_fused = out->is_fused || has_text(name, "Fused");
        out->is_foreach = out->is_foreach || has_text(name, "multi_tensor_apply");
    }
}

/* "AdamW" of "Optimizer.step#AdamW.step", lower case. */
static void copy_name(const char *range, char *out, size_t bytes)
{
    size_t n = 0;
    for (const char *at = range + strlen(PS_OFFLOAD_STEP_RANGE); *at != '\0' && *at != '.'; at++) {
        if (n + 1 < bytes) {
            out[n++] = (char)tolower((unsigned char)*at);
        }
    }
    out[n] = '\0';
}

/* Of the first step; empty where no range has such a name. */
static void recorded_name(const ps_offload_search *self, char *out, size_t bytes)
{
    const ps_trace *trace = self->change->trace;
    out[0] = '\0';
    for (size_t i = 0; i < trace->range.head.count && out[0] == '\0'; i++) {
        const char *name = ps_strings_text(trace->strings, trace->range.name[i]);
        if (trace->range.start_ns[i] == self->out->step[0].begin_ns &&
            strncmp(name, PS_OFFLOAD_STEP_RANGE, strlen(PS_OFFLOAD_STEP_RANGE)) == 0) {
            copy_name(name, out, bytes);
        }
    }
}

ps_code ps__offload_optimizer_kind(ps_offload_search *self, ps_error *err)
{
    ps_offload_kind *out = &self->out->kind;
    char name[32];
    signs seen = {0};
    see_operators(self, &seen);
    see_kernels(self, &seen);
    recorded_name(self, name, sizeof name);
    const bool is_named_adam =
        strcmp(name, "adam") == 0 || strcmp(name, "adamw") == 0 || strcmp(name, "fusedadam") == 0;
    if (name[0] != '\0' && !is_named_adam && strcmp(name, "sgd") != 0) {
        return ps_fail(err, PS_USAGE,
                       "the recorded optimizer is %s: steps of Adam, AdamW and SGD can go to the "
                       "host",
                       name);
    }
    const bool is_adam = is_named_adam || (name[0] == '\0' && seen.is_adam);
    *out = (ps_offload_kind){.name = is_adam ? "adam" : "sgd",
                             .states = is_adam           ? 2
                                       : seen.multiplies ? 1
                                                         : 0,
                             .style = seen.is_fused     ? "fused"
                                      : seen.is_foreach ? "foreach"
                                                        : "single-tensor",
                             .how = name[0] != '\0' ? "by its range" : "by its kernels"};
    if (seen.is_narrow != seen.is_wide) {
        out->element_bytes = seen.is_narrow ? 2 : 4;
    }
    return PS_OK;
}
