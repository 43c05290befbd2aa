/* SPDX-License-Identifier: MIT
 *
 * A search for people: the answer first.
 */
#include <string.h>

#include "base/units.h"
#include "cli/table.h"
#include "cli/text.h"
#include "search_report.h"

#define DEFAULT_ROWS 8u
#define INDENT 4u

static const char *size_text(uint64_t bytes, char buf[PS_QUANTITY_TEXT_BYTES])
{
    return ps_quantity_format(PS_UNIT_SIZE, bytes, buf);
}

static unsigned long long rate(const ps_search_outcome *outcome)
{
    return (unsigned long long)ps_search_tokens_per_s(outcome);
}

static const char *recompute_text(const ps_search_report *self, const ps_search_method *method)
{
    return method->recomputes                          ? "full"
           : ps_args_has(self->of->args, "checkpoint") ? "as asked"
                                                       : "none";
}

static size_t rows(const ps_search_report *self, size_t count)
{
    const size_t most = ps_args_has(self->of->args, "top")
                            ? (size_t)ps_args_quantity(self->of->args, "top")
                            : DEFAULT_ROWS;
    return count < most ? count : most;
}

/* ---- the answer ---- */

static void print_job(const ps_search_report *self, ps_output *out)
{
    const ps_search_case *of = self->of;
    const ps_recipe *r = &of->recipe.recipe;
    ps_output_quote(out, ps_model_config_name(of->config));
    ps_output_print(out, " on %u x %s: %s, %s%s, sequences of %lld tokens\n", of->machine.gpus,
                    ps_catalogue_name(of->catalogue, of->machine.gpu), of->dtype,
                    r->optimizer == NULL ? "adamw" : r->optimizer, r->lora_rank > 0 ? ", LoRA" : "",
                    (long long)ps_search_case_length(of));
}

static void print_command(const ps_search_report *self, const ps_search_change *change,
                          ps_output *out)
{
    char command[PS_SEARCH_COMMAND_BYTES];
    ps_search_command(self, change, command);
    ps_output_print(out, "%*s%s\n", (int)INDENT, "", command);
}

/* What the fullest node holds, all its ranks. */
static void print_host(const ps_search_outcome *outcome, ps_output *out)
{
    char a[PS_QUANTITY_TEXT_BYTES], b[PS_QUANTITY_TEXT_BYTES];
    if (outcome->host_bytes == 0) {
        return;
    }
    ps_output_print(out, ", %s", size_text(outcome->host_bytes, a));
    if (outcome->host_capacity_bytes > 0) {
        ps_output_print(out, " of %s", size_text(outcome->host_capacity_bytes, b));
    }
    ps_output_print(out, " of host memory");
}

static void print_answer(const ps_search_report *self, ps_output *out)
{
    const ps_search_trial *best = &self->result.family[0].trial;
    const ps_search_change none = ps_search_no_change(self, &best->point);
    char name[PS_SEARCH_NAME_BYTES], a[PS_QUANTITY_TEXT_BYTES], b[PS_QUANTITY_TEXT_BYTES];
    ps_search_method_name(&best->point.method, name);
    ps_output_print(out, "Fastest that fits: %s, %lld x %lld sequences%s\n", name,
                    (long long)best->point.accumulate, (long long)best->point.micro_batch,
                    best->point.method.recomputes ? ", every block recomputed" : "");
    ps_output_print(out, "%*s%s a step, %llu tokens/s; ", (int)INDENT, "",
                    ps_time_format(best->outcome.step_ns, a), rate(&best->outcome));
    ps_output_print(out, "%s of %s a GPU", size_text(best->outcome.peak_bytes, a),
                    size_text(best->outcome.capacity_bytes, b));
    print_host(&best->outcome, out);
    ps_output_print(out, "\n");
    print_command(self, &none, out);
}

/* ---- nothing fits ---- */

static bool is_same_remedy(const ps_search_report *self, const ps_search_remedy *a,
                           const ps_search_remedy *b)
{
    char x[PS_SEARCH_NAME_BYTES], y[PS_SEARCH_NAME_BYTES];
    ps_search_change_name(self->of, &a->change, x);
    ps_search_change_name(self->of, &b->change, y);
    return strcmp(x, y) == 0;
}

static int compare_remedies(const ps_search_remedy *a, const ps_search_remedy *b)
{
    const ps_search_trial x = {.point = a->change.point, .outcome = a->outcome};
    const ps_search_trial y = {.point = b->change.point, .outcome = b->outcome};
    return ps_search_compare(&x, &y);
}

/* True when one does what the other does, with no more memory of the host, and faster. */
static bool is_beaten(const ps_search_report *self, const ps_search_remedy *of,
                      const ps_search_remedy *by)
{
    const bool is_same = of->change.host_bytes > 0 && by->change.host_bytes > 0
                             ? by->change.host_bytes <= of->change.host_bytes
                             : is_same_remedy(self, by, of);
    return is_same && compare_remedies(by, of) < 0;
}

static bool is_best_remedy(const ps_search_report *self, const ps_search_remedy *of)
{
    for (size_t i = 0; i < self->result.family_count; i++) {
        for (size_t k = 0; k < self->remedies[i].count; k++) {
            if (is_beaten(self, of, &self->remedies[i].remedy[k])) {
                return false;
            }
        }
    }
    return true;
}

static void print_remedies(const ps_search_report *self, ps_output *out)
{
    char name[PS_SEARCH_NAME_BYTES], method[PS_SEARCH_NAME_BYTES], a[PS_QUANTITY_TEXT_BYTES];
    for (size_t i = 0; i < self->result.family_count; i++) {
        for (size_t k = 0; k < self->remedies[i].count; k++) {
            const ps_search_remedy *remedy = &self->remedies[i].remedy[k];
            if (!is_best_remedy(self, remedy)) {
                continue;
            }
            ps_search_change_name(self->of, &remedy->change, name);
            ps_search_method_name(&remedy->change.point.method, method);
            ps_output_print(out, "  %s would fit (%s): %s, %llu tokens/s\n", name, method,
                            size_text(remedy->outcome.peak_bytes, a), rate(&remedy->outcome));
            print_command(self, &remedy->change, out);
        }
    }
}

static const ps_search_trial *least_needed(const ps_search_report *self)
{
    const ps_search_trial *least = NULL;
    for (size_t i = 0; i < self->result.family_count; i++) {
        const ps_search_trial *trial = &self->result.family[i].trial;
        if (trial->outcome.verdict == PS_SEARCH_TOO_LARGE &&
            (least == NULL || ps_search_stands_before(trial, least))) {
            least = trial;
        }
    }
    return least;
}

static void print_no_answer(const ps_search_report *self, ps_output *out)
{
    const ps_search_trial *least = least_needed(self);
    char name[PS_SEARCH_NAME_BYTES], a[PS_QUANTITY_TEXT_BYTES], b[PS_QUANTITY_TEXT_BYTES];
    if (least == NULL) {
        ps_output_print(out, "Nothing can be built; the reasons stand below\n");
        return;
    }
    ps_search_method_name(&least->point.method, name);
    if (ps_search_lacks_host(&least->outcome)) {
        ps_output_print(out,
                        "Nothing fits: %s needs %s of host memory, of the %s that a node has\n",
                        name, size_text(least->outcome.host_bytes, a),
                        size_text(least->outcome.host_capacity_bytes, b));
        print_remedies(self, out);
        return;
    }
    ps_output_print(out, "Nothing fits: %s needs least, %s of the %s that a GPU has to give\n",
                    name, size_text(least->outcome.peak_bytes, a),
                    size_text(least->outcome.limit_bytes, b));
    print_remedies(self, out);
}

/* ---- tables ---- */

/* Hosts have a column where one holds anything. */
static bool has_host(const ps_search_report *self)
{
    const ps_search_result *result = &self->result;
    bool has = false;
    for (size_t i = 0; i < result->fitting_count; i++) {
        has = has || result->family[i].trial.outcome.host_bytes > 0;
    }
    for (size_t i = 0; i < result->front_count; i++) {
        has = has || result->front[i].outcome.host_bytes > 0;
    }
    return has;
}

static void add_row(const ps_search_report *self, const ps_search_trial *trial, ps_grid *grid)
{
    char name[PS_SEARCH_NAME_BYTES], a[PS_QUANTITY_TEXT_BYTES];
    ps_search_method_name(&trial->point.method, name);
    ps_grid_cell(grid, "%s", name);
    ps_grid_cell(grid, "%lld x %lld", (long long)trial->point.accumulate,
                 (long long)trial->point.micro_batch);
    ps_grid_cell(grid, "%s", recompute_text(self, &trial->point.method));
    ps_grid_cell(grid, "%s", size_text(trial->outcome.peak_bytes, a));
    ps_grid_cell(grid, "%llu %%",
                 (unsigned long long)ps_mul_div_u64(trial->outcome.peak_bytes, 100,
                                                    trial->outcome.capacity_bytes));
    if (has_host(self)) {
        ps_grid_cell(grid, "%s",
                     trial->outcome.host_bytes > 0 ? size_text(trial->outcome.host_bytes, a) : "-");
    }
    ps_grid_cell(grid, "%s", ps_time_format(trial->outcome.step_ns, a));
    ps_grid_cell(grid, "%llu", rate(&trial->outcome));
}

static void begin_table(const ps_search_report *self, ps_grid *grid)
{
    static const ps_grid_column plain[] = {
        {"method", false}, {"batch", true}, {"recompute", false}, {"peak", true},
        {"of GPU", true},  {"step", true},  {"tokens/s", true}};
    static const ps_grid_column with_host[] = {
        {"method", false}, {"batch", true}, {"recompute", false}, {"peak", true},
        {"of GPU", true},  {"host", true},  {"step", true},       {"tokens/s", true}};
    if (has_host(self)) {
        ps_grid_init(grid, with_host, sizeof with_host / sizeof with_host[0]);
    } else {
        ps_grid_init(grid, plain, sizeof plain / sizeof plain[0]);
    }
}

static ps_code print_families(const ps_search_report *self, ps_output *out, ps_error *err)
{
    ps_grid grid;
    if (self->result.fitting_count == 0) {
        return PS_OK;
    }
    ps_output_print(out, "\nbest of each family (micro-batches a step x sequences of one)\n");
    begin_table(self, &grid);
    for (size_t i = 0; i < rows(self, self->result.fitting_count); i++) {
        add_row(self, &self->result.family[i].trial, &grid);
    }
    return ps_grid_print(&grid, out, 2, err);
}

static ps_code print_front(const ps_search_report *self, ps_output *out, ps_error *err)
{
    const size_t count = self->result.front_count;
    ps_grid grid;
    if (count < 2) {
        return PS_OK;
    }
    ps_output_print(out, "\nmemory against speed: nothing is smaller and faster than these\n");
    begin_table(self, &grid);
    /* evenly over the front, both ends among them */
    const size_t shown = rows(self, count);
    for (size_t i = 0; i < shown; i++) {
        add_row(self, &self->result.front[shown < 2 ? count - 1 : i * (count - 1) / (shown - 1)],
                &grid);
    }
    return ps_grid_print(&grid, out, 2, err);
}

ps_code ps_search_text(const ps_search_report *self, ps_output *out, ps_error *err)
{
    if (self->result.fitting_count > 0) {
        print_answer(self, out);
    } else {
        print_no_answer(self, out);
    }
    ps_output_print(out, "\n");
    print_job(self, out);
    PS_TRY(print_families(self, out, err));
    PS_TRY(print_front(self, out, err));
    ps_search_print_losers(self, out);
    ps_search_print_notes(self, out);
    return PS_OK;
}
