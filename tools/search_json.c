/* SPDX-License-Identifier: MIT
 *
 * A search as one JSON document.
 */
#include "cli/json.h"
#include "search_report.h"

#define SCHEMA "peakstep.search/1"

static void write_point(ps_json *json, const ps_search_point *point)
{
    const char *placement = ps_search_placement_family(point->method.placement);
    char name[PS_SEARCH_NAME_BYTES];
    ps_search_method_name(&point->method, name);
    ps_json_text(json, "method", name);
    ps_json_i64(json, "replicas", point->method.replicas);
    ps_json_i64(json, "tensor_parallel", point->method.tensor);
    ps_json_i64(json, "pipeline_parallel", point->method.pipeline);
    ps_json_i64(json, "micro_batch", point->micro_batch);
    ps_json_i64(json, "accumulate", point->accumulate);
    ps_json_bool(json, "recomputes", point->method.recomputes);
    ps_json_bool(json, "empties_caches", point->empties_caches);
    ps_json_bool(json, "streams_activations", point->method.streams_activations);
    if (placement != NULL) {
        ps_json_text(json, "offload", placement);
    } else {
        ps_json_null(json, "offload");
    }
}

static void write_outcome(ps_json *json, const ps_search_outcome *outcome)
{
    static const char *const verdicts[] = {"fits", "too-large", "refused"};
    ps_json_text(json, "verdict", verdicts[outcome->verdict]);
    if (outcome->verdict != PS_SEARCH_REFUSED) {
        ps_json_u64(json, "peak_device_bytes", outcome->peak_bytes);
        ps_json_u64(json, "limit_bytes", outcome->limit_bytes);
        ps_json_u64(json, "capacity_bytes", outcome->capacity_bytes);
        if (outcome->host_bytes > 0) {
            ps_json_u64(json, "peak_host_bytes", outcome->host_bytes);
            ps_json_u64(json, "host_capacity_bytes", outcome->host_capacity_bytes);
        }
        ps_json_i64(json, "step_time_ns", outcome->step_ns);
        ps_json_u64(json, "tokens_per_step", outcome->tokens);
        ps_json_u64(json, "tokens_per_s", ps_search_tokens_per_s(outcome));
    }
    ps_json_text(json, outcome->verdict == PS_SEARCH_REFUSED ? "reason" : "peak", outcome->why);
}

static void write_command(const ps_search_report *self, ps_json *json,
                          const ps_search_change *change)
{
    char command[PS_SEARCH_COMMAND_BYTES];
    ps_search_command(self, change, command);
    ps_json_text(json, "command", command);
}

static void write_trial(const ps_search_report *self, ps_json *json, const ps_search_trial *trial)
{
    const ps_search_change none = ps_search_no_change(self, &trial->point);
    write_point(json, &trial->point);
    write_outcome(json, &trial->outcome);
    if (trial->outcome.verdict == PS_SEARCH_FITS) {
        write_command(self, json, &none);
    }
}

static void write_remedies(const ps_search_report *self, ps_json *json, size_t family)
{
    const ps_search_remedies *of = &self->remedies[family];
    char name[PS_SEARCH_NAME_BYTES];
    ps_json_array(json, "would_fit_with");
    for (size_t i = 0; i < of->count; i++) {
        ps_json_object(json, NULL);
        ps_search_change_name(self->of, &of->remedy[i].change, name);
        ps_json_text(json, "change", name);
        write_point(json, &of->remedy[i].change.point);
        write_outcome(json, &of->remedy[i].outcome);
        write_command(self, json, &of->remedy[i].change);
        ps_json_end(json);
    }
    ps_json_end(json);
}

static void write_families(const ps_search_report *self, ps_json *json)
{
    char name[PS_SEARCH_NAME_BYTES];
    ps_json_array(json, "families");
    for (size_t i = 0; i < self->result.family_count; i++) {
        const ps_search_trial *trial = &self->result.family[i].trial;
        ps_json_object(json, NULL);
        ps_search_family_name(&trial->point.method, name);
        ps_json_text(json, "family", name);
        write_trial(self, json, trial);
        if (trial->outcome.verdict == PS_SEARCH_TOO_LARGE) {
            write_remedies(self, json, i);
        }
        ps_json_end(json);
    }
    ps_json_end(json);
}

ps_code ps_search_json(const ps_search_report *self, ps_output *out, ps_error *err)
{
    const ps_search_case *of = self->of;
    ps_json json;
    ps_json_open(&json, out, PS_JSON_LINES);
    ps_json_object(&json, NULL);
    ps_json_text(&json, "schema", SCHEMA);
    ps_json_text(&json, "model", ps_model_config_name(of->config));
    ps_json_text(&json, "gpu", ps_catalogue_name(of->catalogue, of->machine.gpu));
    ps_json_u64(&json, "gpus", of->machine.gpus);
    ps_json_text(&json, "dtype", of->dtype);
    ps_json_i64(&json, "sequence_tokens", ps_search_case_length(of));
    ps_json_u64(&json, "margin_millionths", of->margin);
    ps_json_u64(&json, "trials", self->result.trial_count);
    if (self->result.fitting_count > 0) {
        ps_json_object(&json, "answer");
        write_trial(self, &json, &self->result.family[0].trial);
        ps_json_end(&json);
    } else {
        ps_json_null(&json, "answer");
    }
    write_families(self, &json);
    ps_json_array(&json, "front");
    for (size_t i = 0; i < self->result.front_count; i++) {
        ps_json_object(&json, NULL);
        write_trial(self, &json, &self->result.front[i]);
        ps_json_end(&json);
    }
    ps_json_end(&json);
    ps_json_end(&json);
    return ps_json_close(&json, err);
}
