/* SPDX-License-Identifier: MIT
 *
 * Scores of metrics over rows.
 */
#include "validate_score.h"

#include "base/memory.h"

static bool is_chosen(const ps_validation *validation, ps_row_choice choice, ps_metric metric,
                      size_t i)
{
    const ps_truth *truth = validation->truth;
    return validation->row[i].state == PS_ROW_EVALUATED && truth->row[i].metric == metric &&
           truth->row[i].is_calibration == choice.is_calibration &&
           (!choice.has_group ||
            truth->cell[i * truth->column_count + choice.column] == choice.value);
}

static void score_verdict(ps_score *self, bool predicted, bool measured)
{
    self->right += predicted == measured ? 1 : 0;
    self->wrongly_fits += predicted && !measured ? 1 : 0;
    self->wrongly_full += !predicted && measured ? 1 : 0;
}

ps_code ps_score_of(const ps_validation *validation, ps_row_choice choice, ps_metric metric,
                    ps_score *out, ps_error *err)
{
    const size_t count = validation->truth->row_count;
    ps_score made = {.metric = metric};
    int64_t *error = ps_calloc(count, sizeof *error);
    if (error == NULL) {
        return ps_fail_nomem(err);
    }
    for (size_t i = 0; i < count; i++) {
        if (is_chosen(validation, choice, metric, i)) {
            error[made.count++] = validation->row[i].error;
            score_verdict(&made, validation->row[i].predicted != 0,
                          validation->truth->row[i].measured != 0);
        }
    }
    if (ps_metric_kind_of(metric) != PS_METRIC_VERDICT) {
        made = (ps_score){.metric = metric, .count = made.count};
        made.error = ps_error_statistics_of(error, made.count);
    }
    ps_free(error);
    *out = made;
    return PS_OK;
}

uint64_t ps_score_right_share(const ps_score *self)
{
    return self->count == 0 ? 0 : ps_mul_div_u64(self->right, PS_RATIO_ONE, self->count);
}
