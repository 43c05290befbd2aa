/* SPDX-License-Identifier: MIT
 *
 * Gates over scores.
 */
#include "validate_gate.h"

#include <string.h>

static const struct {
    const char *option;
    const char *what;
} kinds[PS_GATE_KIND_COUNT] = {
    [PS_GATE_MEDIAN] = {"max-median", "median error"},
    [PS_GATE_MEAN] = {"max-mean", "mean error"},
    [PS_GATE_P90] = {"max-p90", "90th percentile of the errors"},
    [PS_GATE_WORST] = {"max-worst", "largest error"},
    [PS_GATE_FITS] = {"min-fits", "share of right verdicts"},
};

const char *ps_gate_option(ps_gate_kind kind)
{
    return kinds[kind].option;
}

static ps_code parse_bound(ps_gate *self, const char *text, ps_error *err)
{
    const uint64_t most = self->kind == PS_GATE_FITS ? PS_RATIO_ONE : INT64_MAX;
    if (ps_quantity_parse_in(PS_UNIT_RATIO, text, 0, most, &self->bound, err) != PS_OK) {
        ps_error_note(err, "--%s", kinds[self->kind].option);
        return PS_USAGE;
    }
    return PS_OK;
}

ps_code ps_gate_parse(ps_gate_kind kind, const char *text, ps_gate *out, ps_error *err)
{
    ps_gate made = {.kind = kind};
    const size_t name_bytes = strcspn(text, "=");
    if (kind == PS_GATE_FITS) {
        made.has_metric = true;
        made.metric = PS_METRIC_FITS;
    } else if (text[name_bytes] == '=') {
        made.has_metric = true;
        if (!ps_metric_find(text, name_bytes, &made.metric) ||
            ps_metric_kind_of(made.metric) == PS_METRIC_VERDICT) {
            return ps_fail(err, PS_USAGE, "--%s: \"%.*s\" is no metric with an error",
                           kinds[kind].option, (int)(name_bytes < 64 ? name_bytes : 64), text);
        }
        text += name_bytes + 1;
    }
    PS_TRY(parse_bound(&made, text, err));
    *out = made;
    return PS_OK;
}

static uint64_t value_of(ps_gate_kind kind, const ps_score *score)
{
    switch (kind) {
    case PS_GATE_MEDIAN:
        return score->error.median;
    case PS_GATE_MEAN:
        return score->error.mean;
    case PS_GATE_P90:
        return score->error.p90;
    case PS_GATE_WORST:
        return score->error.worst;
    case PS_GATE_FITS:
    case PS_GATE_KIND_COUNT:
        break;
    }
    return ps_score_right_share(score);
}

static ps_code check_score(const ps_gate *self, const ps_score *score, ps_error *err)
{
    char value_text[PS_PERCENT_TEXT_BYTES], bound_text[PS_PERCENT_TEXT_BYTES];
    const uint64_t value = value_of(self->kind, score);
    const bool is_least = self->kind == PS_GATE_FITS;
    if (is_least ? value >= self->bound : value <= self->bound) {
        return PS_OK;
    }
    return ps_fail(err, PS_CHECK_FAILED, "%s: the %s is %s, %s than the %s of --%s",
                   ps_metric_name(score->metric), kinds[self->kind].what,
                   ps_percent_text((int64_t)value, false, value_text), is_least ? "less" : "more",
                   ps_percent_text((int64_t)self->bound, false, bound_text),
                   kinds[self->kind].option);
}

static bool is_meant(const ps_gate *self, const ps_score *score)
{
    return score->count > 0 &&
           (self->has_metric ? score->metric == self->metric
                             : ps_metric_kind_of(score->metric) != PS_METRIC_VERDICT);
}

ps_code ps_gate_check(const ps_gate *self, const ps_score *score, ps_error *err)
{
    bool is_shown = false;
    for (int i = 0; i < PS_METRIC_COUNT; i++) {
        if (is_meant(self, &score[i])) {
            is_shown = true;
            PS_TRY(check_score(self, &score[i], err));
        }
    }
    if (!is_shown) {
        return ps_fail(err, PS_CHECK_FAILED, "--%s: no row of the table shows %s",
                       kinds[self->kind].option,
                       self->has_metric ? ps_metric_name(self->metric) : "an error");
    }
    return PS_OK;
}
