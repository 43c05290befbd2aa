/* SPDX-License-Identifier: MIT
 *
 * Help pages of at most 80 columns. Every text stands in a verb's table;
 * here are only the headings and what follows from the tables.
 */
#include "cli/help.h"

#include <string.h>

#include "cli/text.h"

#define LEFT 2u    /* where terms begin */
#define MIDDLE 26u /* where their explanations begin */
#define TERM_BYTES 128u

static const struct {
    int status;
    const char *meaning;
} exit_statuses[] = {
    {0, "done"},
    {1, NULL}, /* the verb says what its "no" means */
    {2, "the command line cannot be understood"},
    {3, "the input cannot be used"},
    {4, "the environment refused: no such file, no permission, no space, no device"},
    {5, "a fault of peakstep itself"},
};

static void print_term(ps_output *out, const char *term, const char *meaning)
{
    const size_t width = ps_text_width(term);
    if (LEFT + width + 2 > MIDDLE) {
        ps_output_print(out, "%*s%s\n%*s", (int)LEFT, "", term, (int)MIDDLE, "");
    } else {
        ps_output_print(out, "%*s%s%*s", (int)LEFT, "", term, (int)(MIDDLE - LEFT - width), "");
    }
    ps_text_wrap(out, meaning, MIDDLE, MIDDLE, PS_TEXT_COLUMNS);
}

/* ---- options ---- */

static const char *unit_hint(ps_unit_kind unit)
{
    switch (unit) {
    case PS_UNIT_SIZE:
        return "bytes, or a size such as 24GiB";
    case PS_UNIT_BANDWIDTH:
        return "bandwidth such as 25GB/s or 200Gb/s";
    case PS_UNIT_DURATION:
        return "duration such as 5ms";
    case PS_UNIT_FLOP_RATE:
        return "rate such as 989TFLOP/s";
    case PS_UNIT_RATIO:
        return "ratio such as 0.8 or 80%";
    case PS_UNIT_COUNT:
    case PS_UNIT_KIND_COUNT:
        break;
    }
    return NULL;
}

/* Adds "(required; a, b)" item by item. */
static void add_remark(char *text, size_t bytes, bool *is_open, const char *remark,
                       const char *value)
{
    const size_t used = strlen(text);
    (void)snprintf(text + used, bytes - used, "%s%s%s", *is_open ? "; " : " (", remark, value);
    *is_open = true;
}

static void print_option(ps_output *out, const ps_option *option)
{
    char term[TERM_BYTES], meaning[1024];
    const char letter[] = {'-', option->letter, ',', ' ', '\0'};
    bool is_open = false;
    (void)snprintf(term, sizeof term, "%s--%s%s%s", option->letter != 0 ? letter : "    ",
                   option->name, option->value != NULL ? " " : "",
                   option->value != NULL ? option->value : "");
    (void)snprintf(meaning, sizeof meaning, "%s", option->help);
    if (option->kind == PS_OPTION_QUANTITY && unit_hint(option->unit) != NULL) {
        add_remark(meaning, sizeof meaning, &is_open, unit_hint(option->unit), "");
    }
    if (option->is_required) {
        add_remark(meaning, sizeof meaning, &is_open, "required", "");
    }
    if (option->is_repeatable) {
        add_remark(meaning, sizeof meaning, &is_open, "may be repeated", "");
    }
    if (option->fallback != NULL) {
        add_remark(meaning, sizeof meaning, &is_open, "default: ", option->fallback);
    }
    if (is_open) {
        const size_t used = strlen(meaning);
        (void)snprintf(meaning + used, sizeof meaning - used, ")");
    }
    print_term(out, term, meaning);
}

static void print_options(ps_output *out, const ps_verb *verb)
{
    ps_output_print(out, "\nOptions:\n");
    for (const ps_option *o = verb->options; o != NULL && o->name != NULL; o++) {
        print_option(out, o);
    }
    for (const ps_option *o = ps_common_options(); o->name != NULL; o++) {
        print_option(out, o);
    }
}

/* ---- the other parts of a page ---- */

static void print_synopsis(ps_output *out, const ps_verb *verb)
{
    char line[512];
    (void)snprintf(line, sizeof line, "Usage: peakstep %s [OPTIONS]", verb->name);
    for (const ps_operand *o = verb->operands; o != NULL && o->name != NULL; o++) {
        const size_t used = strlen(line);
        (void)snprintf(line + used, sizeof line - used, o->is_optional ? " [%s]%s" : " %s%s",
                       o->name, o->is_repeatable ? "..." : "");
    }
    for (const ps_option *o = verb->options; o != NULL && o->name != NULL; o++) {
        const size_t used = strlen(line);
        if (o->is_required) {
            (void)snprintf(line + used, sizeof line - used, " --%s %s", o->name, o->value);
        }
    }
    ps_text_wrap(out, line, 0, 7, PS_TEXT_COLUMNS);
}

static void print_operands(ps_output *out, const ps_verb *verb)
{
    if (verb->operands == NULL) {
        return;
    }
    ps_output_print(out, "\nOperands:\n");
    for (const ps_operand *o = verb->operands; o->name != NULL; o++) {
        print_term(out, o->name, o->help);
    }
}

static void print_examples(ps_output *out, const ps_verb *verb)
{
    ps_output_print(out, "\nExamples:\n");
    for (const ps_example *example = verb->examples; example->command != NULL; example++) {
        ps_output_print(out, "  %s\n      ", example->command);
        ps_text_wrap(out, example->what, 6, 6, PS_TEXT_COLUMNS);
    }
}

static void print_exit_statuses(ps_output *out, const ps_verb *verb)
{
    ps_output_print(out, "\nExit status:\n");
    for (size_t i = 0; i < sizeof exit_statuses / sizeof exit_statuses[0]; i++) {
        const char *meaning = exit_statuses[i].meaning;
        if (meaning == NULL) {
            meaning = verb->no_means;
        }
        if (meaning != NULL) {
            ps_output_print(out, "  %d  ", exit_statuses[i].status);
            ps_text_wrap(out, meaning, 5, 5, PS_TEXT_COLUMNS);
        }
    }
}

void ps_help_verb(ps_output *out, const ps_verb *verb)
{
    ps_output_print(out, "peakstep %s: %s\n\n", verb->name, verb->summary);
    print_synopsis(out, verb);
    ps_output_print(out, "\n");
    ps_text_wrap(out, verb->description, 0, 0, PS_TEXT_COLUMNS);
    print_operands(out, verb);
    print_options(out, verb);
    print_examples(out, verb);
    print_exit_statuses(out, verb);
}

void ps_help_overview(ps_output *out)
{
    ps_output_print(out, "Usage: peakstep VERB [OPTIONS] INPUT...\n\n");
    ps_text_wrap(out,
                 "Answers two questions about a training job of a language model from a recording "
                 "of it: does it fit, and how fast is a step?",
                 0, 0, PS_TEXT_COLUMNS);
    ps_output_print(out, "\nVerbs:\n");
    for (const ps_verb *const *verb = ps_verbs(); *verb != NULL; verb++) {
        ps_output_print(out, "  %-18s%s\n", (*verb)->name, (*verb)->summary);
    }
    ps_output_print(out, "\n  --version         print the version\n"
                         "  --help            print this page\n\n");
    ps_text_wrap(out, "\"peakstep help VERB\" tells everything about a verb.", 0, 0,
                 PS_TEXT_COLUMNS);
}
