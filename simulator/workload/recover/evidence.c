/* SPDX-License-Identifier: MIT
 *
 * What names and frames tell of phases.
 *
 *   ranges    "forward", "## forward ##", "backward", "autograd::engine::evaluate_function: ...",
 *             "Optimizer.step#AdamW.step", "optimizer"
 *   frames    "torch::autograd::Engine::...", "optim/adamw.py:220 step", "model.py:41 forward",
 *             "linear.py:19 __init__"
 */
#include <ctype.h>
#include <string.h>

#include "workload/recover/recover_parts.h"

static bool starts_with(const char *text, const char *part)
{
    return strncmp(text, part, strlen(part)) == 0;
}

/* The letters of an annotation such as "## forward ##", lower case. */
static void bare_words(const char *name, char *out, size_t bytes)
{
    size_t n = 0;
    while (*name == '#' || *name == '=' || *name == '-' || *name == '*' || *name == ' ') {
        name++;
    }
    for (; *name != '\0' && n + 1 < bytes; name++) {
        out[n++] = (char)tolower((unsigned char)*name);
    }
    while (n > 0 && strchr("#=-* ", out[n - 1]) != NULL) {
        n--;
    }
    out[n] = '\0';
}

static bool annotation_phase(const char *name, ps_phase *phase)
{
    char words[64];
    if (starts_with(name, "Optimizer.step#")) {
        *phase = PS_PHASE_OPTIMIZER;
        return true;
    }
    bare_words(name, words, sizeof words);
    static const struct {
        const char *word;
        ps_phase phase;
    } known[] = {
        {"forward", PS_PHASE_FORWARD},          {"forward_pass", PS_PHASE_FORWARD},
        {"forward pass", PS_PHASE_FORWARD},     {"backward", PS_PHASE_BACKWARD},
        {"backward_pass", PS_PHASE_BACKWARD},   {"backward pass", PS_PHASE_BACKWARD},
        {"optimizer", PS_PHASE_OPTIMIZER},      {"optimizer_step", PS_PHASE_OPTIMIZER},
        {"optimizer step", PS_PHASE_OPTIMIZER}, {"optimizer.step", PS_PHASE_OPTIMIZER},
        {"evaluation", PS_PHASE_FORWARD},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (strcmp(words, known[i].word) == 0) {
            *phase = known[i].phase;
            return true;
        }
    }
    return false;
}

static bool override_phase(const ps_recovery *self, const char *name, ps_phase *phase)
{
    bool found = false;
    for (size_t i = 0; i < self->overrides->count; i++) {
        const ps_override *row = &self->overrides->row[i];
        if (row->what == PS_OVERRIDE_PHASE && row->by == PS_OVERRIDE_BY_RANGE &&
            ps_pattern_matches(row->pattern, name)) {
            *phase = row->phase;
            found = true;
        }
    }
    return found;
}

/* "autograd::engine::evaluate_function: MmBackward0", "AddmmBackward", "MulBackward1" */
static bool is_autograd(const char *name)
{
    size_t bytes = strlen(name);
    if (starts_with(name, "autograd::engine::evaluate_function")) {
        return true;
    }
    while (bytes > 0 && name[bytes - 1] >= '0' && name[bytes - 1] <= '9') {
        bytes--;
    }
    return strchr(name, ':') == NULL && bytes > 8 && strncmp(name + bytes - 8, "Backward", 8) == 0;
}

bool ps__recover_range_phase(const ps_recovery *self, size_t range, ps_phase *phase)
{
    const char *name = ps__recover_text(self, self->trace->range.name[range]);
    const uint8_t category = self->trace->range.category[range];
    if (override_phase(self, name, phase)) {
        return true;
    }
    if (category == PS_RANGE_ANNOTATION) {
        return annotation_phase(name, phase);
    }
    if (category == PS_RANGE_OPERATOR && is_autograd(name)) {
        *phase = PS_PHASE_BACKWARD;
        return true;
    }
    return false;
}

/* Does a frame "path/file.py:12 function" of the stack call `function`, in a file with `file`? */
static bool has_frame(const char *stack, const char *file, const char *function)
{
    const size_t bytes = strlen(function);
    for (const char *at = stack; *at != '\0';) {
        const size_t length = strcspn(at, ";");
        const bool ends = length > bytes && at[length - bytes - 1] == ' ' &&
                          strncmp(at + length - bytes, function, bytes) == 0;
        const char *hit = file[0] == '\0' ? at : strstr(at, file);
        if (ends && hit != NULL && hit < at + length) {
            return true;
        }
        at += length;
        at += strspn(at, "; ");
    }
    return false;
}

bool ps__recover_stack_phase(const char *stack, ps_phase *phase)
{
    if (strstr(stack, "torch::autograd::") != NULL &&
        (strstr(stack, "Engine::") != NULL || strstr(stack, "::apply") != NULL)) {
        *phase = PS_PHASE_BACKWARD;
        return true;
    }
    if (has_frame(stack, "optim", "step") || has_frame(stack, "optim", "_init_group")) {
        *phase = PS_PHASE_OPTIMIZER;
        return true;
    }
    if (has_frame(stack, "", "__init__")) {
        return false; /* building, whatever it is called from */
    }
    if (has_frame(stack, "", "forward")) {
        *phase = PS_PHASE_FORWARD;
        return true;
    }
    return false;
}

bool ps__recover_is_setup_stack(const char *stack)
{
    return has_frame(stack, "", "__init__") || has_frame(stack, "module.py", "to") ||
           has_frame(stack, "module.py", "_apply");
}
