/* SPDX-License-Identifier: MIT
 *
 * What kind of optimizer a recorded job has, and of which type its states are,
 * by the range of its step, its operators and its kernels.
 */
#include <ctype.h>
#include <string.h>

#include "policy/offload_optimizer.h"

static const struct {
    const char *class_name, *name;
    uint32_t states, most_states, passes;
} kinds[] = {
#define OFFLOADED(class, name, fewest, most, passes) {class, name, fewest, most, passes},
#include "policy/offload_optimizers.def"
#undef OFFLOADED
};

#define KINDS (sizeof kinds / sizeof kinds[0])

static bool has_text(const char *text, const char *part)
{
    return strstr(text, part) != NULL;
}

/* ---- signs ---- */

typedef struct signs {
    bool is_adam, is_adagrad, is_lion, multiplies;
    bool is_narrow, is_wide, is_fused, is_foreach;
    bool has_bytes; /* states of 8 bits */
    bool has_words; /* states of 32 bits, whatever the parameters' type */
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
            out->is_adagrad = out->is_adagrad || has_text(name, "adagrad");
            out->is_lion = out->is_lion || has_text(name, "sign");
            out->multiplies = out->multiplies || has_text(name, "mul_");
            out->is_fused = out->is_fused || has_text(name, "_fused_");
            out->is_foreach = out->is_foreach || has_text(name, "_foreach_");
        }
    }
}

/* Kernels of bitsandbytes say how many states they have and of how many bits; those of apex and of
 * DeepSpeed keep states of 32 bits; those of PyTorch keep states of the parameters' type. */
static void see_kernel(const char *name, signs *out)
{
    const bool is_narrow = has_text(name, "BFloat16") || has_text(name, "Half");
    const bool has_pairs = has_text(name, "Optimizer") && has_text(name, "2State");
    out->is_narrow = out->is_narrow || is_narrow;
    out->is_wide = out->is_wide || (!is_narrow && has_text(name, "float"));
    out->is_adam = out->is_adam || has_text(name, "Adam") || has_text(name, "addcdiv") ||
                   (has_text(name, "PointwiseOp") && has_text(name, "divides")) || has_pairs;
    out->is_adagrad = out->is_adagrad || has_text(name, "Adagrad");
    out->is_lion = out->is_lion || has_text(name, "Lion");
    out->multiplies = out->multiplies || has_text(name, "multiplies");
    out->is_fused = out->is_fused || has_text(name, "Fused");
    out->is_foreach = out->is_foreach || has_text(name, "multi_tensor_apply");
    out->has_bytes = out->has_bytes || (has_text(name, "Optimizer") && has_text(name, "8bit"));
    out->has_words = out->has_words || (has_text(name, "Optimizer") && has_text(name, "32bit")) ||
                     has_text(name, "AdamFunctor");
}

static void see_kernels(const ps_offload_search *self, signs *out)
{
    const ps_plan *plan = self->plan;
    for (size_t i = 0; i < plan->task.head.count; i++) {
        if (self->out->drop_task[i] && plan->task.kind[i] == PS_TASK_KERNEL) {
            see_kernel(ps_strings_text(plan->strings, plan->task.name[i]), out);
        }
    }
}

/* ---- the class ---- */

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

static bool cut_end(char *text, const char *end)
{
    const size_t length = strlen(text), of_end = strlen(end);
    if (length <= of_end || strcmp(text + length - of_end, end) != 0) {
        return false;
    }
    text[length - of_end] = '\0';
    return true;
}

/* "pagedadamw8bit" to "adamw", and what it says of its states. */
static const char *cut_name(char *name, signs *seen)
{
    static const char *const begins[] = {"paged", "fused"};
    const char *out = name;
    seen->has_bytes = cut_end(name, "8bit") || seen->has_bytes;
    seen->has_words = cut_end(name, "32bit") || seen->has_words;
    for (size_t i = 0; i < sizeof begins / sizeof begins[0]; i++) {
        out += strncmp(out, begins[i], strlen(begins[i])) == 0 ? strlen(begins[i]) : 0;
    }
    return out;
}

static const char *class_of_signs(const signs *seen)
{
    return seen->is_adagrad ? "adagrad" : seen->is_lion ? "lion" : seen->is_adam ? "adam" : "sgd";
}

static ps_code refuse(const char *name, ps_error *err)
{
    return ps_fail(err, PS_USAGE,
                   "the recorded optimizer is %s: steps of Adam and its kind, Adadelta, Adafactor, "
                   "Adagrad, Lion, RMSprop, Rprop and SGD can go to the host",
                   name);
}

/* ---- all ---- */

static void describe(const signs *seen, ps_offload_kind *out)
{
    out->style = seen->is_fused ? "fused" : seen->is_foreach ? "foreach" : "single-tensor";
    if (seen->is_narrow != seen->is_wide) {
        out->element_bytes = seen->is_narrow ? 2 : 4;
    }
    out->state_type = seen->has_bytes           ? PS_OFFLOAD_STATES_8_BIT
                      : seen->has_words         ? PS_OFFLOAD_STATES_32_BIT
                      : out->element_bytes == 0 ? PS_OFFLOAD_STATES_LIKE_PARAMETERS
                      : seen->is_narrow         ? PS_OFFLOAD_STATES_KERNELS_16_BIT
                                                : PS_OFFLOAD_STATES_KERNELS_32_BIT;
}

ps_code ps__offload_optimizer_kind(ps_offload_search *self, ps_error *err)
{
    ps_offload_kind *out = &self->out->kind;
    char name[32];
    signs seen = {0};
    see_operators(self, &seen);
    see_kernels(self, &seen);
    recorded_name(self, name, sizeof name);
    const bool is_named = name[0] != '\0';
    const char *class_name = is_named ? cut_name(name, &seen) : class_of_signs(&seen);
    size_t kind = 0;
    while (kind < KINDS && strcmp(kinds[kind].class_name, class_name) != 0) {
        kind++;
    }
    if (kind == KINDS) {
        return refuse(class_name, err);
    }
    *out = (ps_offload_kind){.name = kinds[kind].name,
                             .states = kinds[kind].states,
                             .most_states = kinds[kind].most_states,
                             .passes = kinds[kind].passes,
                             .how = is_named ? "by its range" : "by its kernels"};
    if (out->states < out->most_states && out->states == 0 && seen.multiplies) {
        out->states = 1; /* momentum */
    }
    describe(&seen, out);
    return PS_OK;
}
