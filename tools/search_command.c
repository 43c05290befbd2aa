/* SPDX-License-Identifier: MIT
 *
 * The command that does a trial again: what was given, but for what belongs to
 * the search alone, and what the search chose.
 */
#include <string.h>

#include "base/text.h"
#include "search_report.h"

/* A word as a shell reads it back. */
static void append_word(char text[PS_SEARCH_COMMAND_BYTES], const char *word)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "%+,-./:=@_";
    if (word[0] != '\0' && strspn(word, plain) == strlen(word)) {
        ps_text_append(text, PS_SEARCH_COMMAND_BYTES, " %s", word);
        return;
    }
    ps_text_append(text, PS_SEARCH_COMMAND_BYTES, " '");
    for (const char *at = word; *at != '\0'; at++) {
        if (*at == '\'') {
            ps_text_append(text, PS_SEARCH_COMMAND_BYTES, "'\\''");
        } else {
            ps_text_append(text, PS_SEARCH_COMMAND_BYTES, "%c", *at);
        }
    }
    ps_text_append(text, PS_SEARCH_COMMAND_BYTES, "'");
}

/* In place of what was asked for; NULL: nothing is. */
static const char *optimizer_of(const ps_search_change *change)
{
    return change->optimizer != NULL ? change->optimizer
                                     : ps_search_training_optimizer(change->point.method.training);
}

/* Options of the search alone, and those that the search decides. */
static bool is_left_out(const char *name, const ps_search_change *change)
{
    static const char *const names[] = {
        "global-batch", "min-tokens", "margin", "allow", "top", "chooser", "json", "quiet",
        "batch",        "accumulate", "policy", "gpus",  "tp",  "pp",      "dtype"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(name, names[i]) == 0) {
            return true;
        }
    }
    if (strcmp(name, "host-capacity") == 0) {
        return change->host_bytes > 0;
    }
    return strcmp(name, "optimizer") == 0 && optimizer_of(change) != NULL;
}

static void append_given(char text[PS_SEARCH_COMMAND_BYTES], const ps_args *args,
                         const ps_search_change *change)
{
    for (size_t i = 0; i < args->value_count; i++) {
        const char *name = args->value[i].option->name;
        if (is_left_out(name, change)) {
            continue;
        }
        ps_text_append(text, PS_SEARCH_COMMAND_BYTES, " --%s", name);
        if (args->value[i].text != NULL) {
            append_word(text, args->value[i].text);
        }
    }
}

static const char *policy_word(ps_train_policy policy)
{
    static const char *const words[] = {
#define POLICY(sym, word, doc) word,
        PS_TRAIN_POLICIES(POLICY)
#undef POLICY
    };
    return words[policy];
}

static void append_method(char text[PS_SEARCH_COMMAND_BYTES], const ps_search_method *method)
{
    if (method->kind == PS_SEARCH_MEGATRON) {
        ps_text_append(text, PS_SEARCH_COMMAND_BYTES, " --tp %lld --pp %lld",
                       (long long)method->tensor, (long long)method->pipeline);
    }
    if (method->kind == PS_SEARCH_SCHEME) {
        ps_text_append(text, PS_SEARCH_COMMAND_BYTES, " --policy %s",
                       ps_parallel_word_at((size_t)method->scheme - 1));
        if (method->tensor > 1) {
            ps_text_append(text, PS_SEARCH_COMMAND_BYTES, " --tp %lld", (long long)method->tensor);
        }
    }
    if (method->syncs_always) {
        ps_text_append(text, PS_SEARCH_COMMAND_BYTES, " --scheme-option no_sync=false");
    }
    if (method->kind == PS_SEARCH_POLICY) {
        ps_text_append(text, PS_SEARCH_COMMAND_BYTES, " --policy %s", policy_word(method->policy));
    }
}

static void append_placement(char text[PS_SEARCH_COMMAND_BYTES], const ps_search_method *method)
{
    const char *setting;
    for (size_t i = 0; (setting = ps_search_placement_setting(method->placement, i)) != NULL; i++) {
        ps_text_append(text, PS_SEARCH_COMMAND_BYTES, " --scheme-option %s", setting);
    }
    if (method->placement == PS_SEARCH_FROZEN_ON_HOST) {
        ps_text_append(text, PS_SEARCH_COMMAND_BYTES, " --offload-parameters");
    }
    if (method->streams_activations) {
        ps_text_append(text, PS_SEARCH_COMMAND_BYTES, " --offload-activations streamed");
    }
}

static void append_training(char text[PS_SEARCH_COMMAND_BYTES], const ps_args *args,
                            ps_search_training training)
{
    const bool is_quantized = training == PS_SEARCH_QLORA;
    if ((training == PS_SEARCH_LORA || is_quantized) && !ps_args_has(args, "lora")) {
        ps_text_append(text, PS_SEARCH_COMMAND_BYTES, " --lora %d", PS_SEARCH_LORA_RANK);
    }
    if (is_quantized) {
        ps_text_append(text, PS_SEARCH_COMMAND_BYTES, " --quantize nf4");
    }
}

void ps_search_command(const ps_search_report *self, const ps_search_change *change,
                       char out[PS_SEARCH_COMMAND_BYTES])
{
    const ps_search_point *point = &change->point;
    const ps_args *args = self->of->args;
    out[0] = '\0';
    ps_text_append(out, PS_SEARCH_COMMAND_BYTES, "peakstep simulate");
    append_word(out, self->input);
    append_given(out, args, change);
    ps_text_append(out, PS_SEARCH_COMMAND_BYTES, " --dtype %s", self->of->dtype);
    if (change->gpus > 1) {
        ps_text_append(out, PS_SEARCH_COMMAND_BYTES, " --gpus %u", change->gpus);
    }
    append_method(out, &point->method);
    append_placement(out, &point->method);
    if (optimizer_of(change) != NULL) {
        ps_text_append(out, PS_SEARCH_COMMAND_BYTES, " --optimizer %s", optimizer_of(change));
    }
    append_training(out, args, point->method.training);
    if (change->host_bytes > 0) {
        ps_text_append(out, PS_SEARCH_COMMAND_BYTES, " --host-capacity %lluGiB",
                       (unsigned long long)(change->host_bytes >> 30));
    }
    ps_text_append(out, PS_SEARCH_COMMAND_BYTES, " --batch %lld", (long long)point->micro_batch);
    if (point->accumulate > 1) {
        ps_text_append(out, PS_SEARCH_COMMAND_BYTES, " --accumulate %lld",
                       (long long)point->accumulate);
    }
    if (point->method.recomputes) {
        ps_text_append(out, PS_SEARCH_COMMAND_BYTES, " --checkpoint full");
    }
}

ps_search_change ps_search_no_change(const ps_search_report *self, const ps_search_point *point)
{
    return (ps_search_change){.point = *point, .gpus = self->of->machine.gpus};
}
