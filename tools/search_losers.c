/* SPDX-License-Identifier: MIT
 *
 * What does not fit, or cannot be: what it needs, when, and what would help.
 */
#include <string.h>

#include "base/units.h"
#include "search_report.h"

#define INDENT 4u

static const char *size_text(uint64_t bytes, char buf[PS_QUANTITY_TEXT_BYTES])
{
    return ps_quantity_format(PS_UNIT_SIZE, bytes, buf);
}

static const char *recomputed(const ps_search_trial *trial)
{
    const ps_search_method *method = &trial->point.method;
    const bool streams = method->streams_activations;
    return method->recomputes ? streams ? ", every block recomputed, activations on host"
                                        : ", every block recomputed"
           : streams          ? ", activations on host"
                              : "";
}

/* What a node lacks stands first: no GPU with more memory helps it. True: that is all. */
static bool print_lacking_host(const ps_search_trial *trial, ps_output *out)
{
    const ps_search_outcome *outcome = &trial->outcome;
    const bool is_all = outcome->live_bytes <= outcome->limit_bytes;
    char a[PS_QUANTITY_TEXT_BYTES], b[PS_QUANTITY_TEXT_BYTES];
    if (!ps_search_lacks_host(outcome)) {
        return false;
    }
    ps_output_print(out, "needs %s of host memory, of the %s that a node has",
                    size_text(outcome->host_bytes, a), size_text(outcome->host_capacity_bytes, b));
    if (is_all) {
        ps_output_print(out, ", at a micro-batch of %lld%s\n", (long long)trial->point.micro_batch,
                        recomputed(trial));
    } else {
        ps_output_print(out, ";\n%*s", (int)INDENT, "");
    }
    return is_all;
}

static void print_too_large(const ps_search_report *self, size_t family, ps_output *out)
{
    const ps_search_trial *trial = &self->result.family[family].trial;
    const ps_search_outcome *outcome = &trial->outcome;
    const ps_search_remedies *remedies = &self->remedies[family];
    char a[PS_QUANTITY_TEXT_BYTES], b[PS_QUANTITY_TEXT_BYTES], name[PS_SEARCH_NAME_BYTES];
    if (!print_lacking_host(trial, out)) {
        ps_output_print(out, "needs %s of %s at a micro-batch of %lld%s,\n%*s%s\n",
                        size_text(outcome->peak_bytes, a), size_text(outcome->limit_bytes, b),
                        (long long)trial->point.micro_batch, recomputed(trial), (int)INDENT, "",
                        outcome->why);
    }
    for (size_t k = 0; k < remedies->count && self->result.fitting_count > 0; k++) {
        ps_search_change_name(self->of, &remedies->remedy[k].change, name);
        ps_output_print(out, "%*swould fit with %s: %s\n", (int)INDENT, "", name,
                        size_text(remedies->remedy[k].outcome.peak_bytes, a));
    }
}

static bool is_refused(const ps_search_report *self, size_t family)
{
    return self->result.family[family].trial.outcome.verdict == PS_SEARCH_REFUSED;
}

static bool has_same_reason(const ps_search_report *self, size_t a, size_t b)
{
    const ps_search_family *family = self->result.family;
    return is_refused(self, a) && is_refused(self, b) &&
           strcmp(family[a].trial.outcome.why, family[b].trial.outcome.why) == 0;
}

/* Families that are refused for one reason stand together, where the first of them does. */
static void print_refused(const ps_search_report *self, size_t family, ps_output *out)
{
    const ps_search_result *result = &self->result;
    char name[PS_SEARCH_NAME_BYTES];
    for (size_t i = result->fitting_count; i < family; i++) {
        if (has_same_reason(self, i, family)) {
            return;
        }
    }
    for (size_t i = family; i < result->family_count; i++) {
        if (has_same_reason(self, i, family)) {
            ps_search_family_name(&result->family[i].trial.point.method, name);
            ps_output_print(out, "%s%s", i == family ? "  " : ", ", name);
        }
    }
    ps_output_print(out, ": ");
    ps_output_quote(out, result->family[family].trial.outcome.why);
    ps_output_print(out, "\n");
}

void ps_search_print_losers(const ps_search_report *self, ps_output *out)
{
    const ps_search_result *result = &self->result;
    char name[PS_SEARCH_NAME_BYTES];
    if (result->fitting_count == result->family_count) {
        return;
    }
    ps_output_print(out, "\nwhat does not fit, or cannot be\n");
    for (size_t i = result->fitting_count; i < result->family_count; i++) {
        if (is_refused(self, i)) {
            print_refused(self, i, out);
            continue;
        }
        ps_search_family_name(&result->family[i].trial.point.method, name);
        ps_output_print(out, "  %s: ", name);
        print_too_large(self, i, out);
    }
}
