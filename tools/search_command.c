/* SPDX-License-Identifier: MIT
 *
 * The command that does a trial again: what was given, but for what belongs to
 * the search alone, and what the search chose.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "search_report.h"

static void append(char text[PS_SEARCH_COMMAND_BYTES], const char *format, ...) PS_PRINTF(2, 3);

static void append(char text[PS_SEARCH_COMMAND_BYTES], const char *format, ...)
{
    va_list args;
    const size_t used = strlen(text);
    va_start(args, format);
    (void)vsnprintf(text + used, PS_SEARCH_COMMAND_BYTES - used, format, args);
    va_end(args);
}

/* A word as a shell reads it back. */
static void append_word(char text[PS_SEARCH_COMMAND_BYTES], const char *word)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "%+,-./:=@_";
    if (word[0] != '\0' && strspn(word, plain) == strlen(word)) {
        append(text, " %s", word);
        return;
    }
    append(text, " '");
    for (const char *at = word; *at != '\0'; at++) {
        if (*at == '\'') {
            append(text, "'\\''");
        } else {
            append(text, "%c", *at);
        }
    }
    append(text, "'");
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
        append(text, " --%s", name);
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
        append(text, " --tp %lld --pp %lld", (long long)method->tensor,
               (long long)method->pipeline);
    }
    if (method->kind == PS_SEARCH_SCHEME) {
        append(text, " --policy %s", ps_parallel_word_at((size_t)method->scheme - 1));
        if (method->tensor > 1) {
            append(text, " --tp %lld", (long long)method->tensor);
        }
    }
    if (method->syncs_always) {
        append(text, " --scheme-option no_sync=false");
    }
    if (method->kind == PS_SEARCH_POLICY) {
        append(text, " --policy %s", policy_word(method->policy));
    }
}

static void append_placement(char text[PS_SEARCH_COMMAND_BYTES], const ps_search_method *method)
{
    const char *setting;
    for (size_t i = 0; (setting = ps_search_placement_setting(method->placement, i)) != NULL; i++) {
        append(text, " --scheme-option %s", setting);
    }
    if (method->placement == PS_SEARCH_FROZEN_ON_HOST) {
        append(text, " --offload-parameters");
    }
    if (method->streams_activations) {
        append(text, " --offload-activations streamed");
    }
}

static void append_training(char text[PS_SEARCH_COMMAND_BYTES], const ps_args *args,
                            ps_search_training training)
{
    const bool is_quantized = training == PS_SEARCH_QLORA;
    if ((training == PS_SEARCH_LORA || is_quantized) && !ps_args_has(args, "lora")) {
        append(text, " --lora %d", PS_SEARCH_LORA_RANK);
    }
    if (is_quantized) {
        append(text, " --quantize nf4");
    }
}

void ps_search_command(const ps_search_report *self, const ps_search_change *change,
                       char out[PS_SEARCH_COMMAND_BYTES])
{
    const ps_search_point *point = &change->point;
    const ps_args *args = self->of->args;
    out[0] = '\0';
    append(out, "peakstep simulate");
    append_word(out, self->input);
    append_given(out, args, change);
    append(out, " --dtype %s", self->of->dtype);
    if (change->gpus > 1) {
        append(out, " --gpus %u", change->gpus);
    }
    append_method(out, &point->method);
    append_placement(out, &point->method);
    if (optimizer_of(change) != NULL) {
        append(out, " --optimizer %s", optimizer_of(change));
    }
    append_training(out, args, point->method.training);
    if (change->host_bytes > 0) {
        append(out, " --host-capacity %lluGiB", (unsigned long long)(change->host_bytes >> 30));
    }
    append(out, " --batch %lld", (long long)point->micro_batch);
    if (point->accumulate > 1) {
        append(out, " --accumulate %lld", (long long)point->accumulate);
    }
    if (point->method.recomputes) {
        append(out, " --checkpoint full");
    }
}

ps_search_change ps_search_no_change(const ps_search_report *self, const ps_search_point *point)
{
    return (ps_search_change){.point = *point, .gpus = self->of->machine.gpus};
}
