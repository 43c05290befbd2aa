/* SPDX-License-Identifier: MIT
 *
 * Tables and differences.
 */
#include "accuracy/agreement/report.h"

#include <inttypes.h>
#include <stdio.h>

static const char *const moments[] = {"loaded", "forward", "backward", "optimizer"};
static const char *const kinds[] = {"product", "attention", "copy", "fill", "other"};
static const struct {
    ps_role role;
    const char *name;
} roles[] = {
    {PS_ROLE_PARAMETER, "parameter"},   {PS_ROLE_GRADIENT, "gradient"},
    {PS_ROLE_OPTIMIZER_STATE, "state"}, {PS_ROLE_ACTIVATION, "activation"},
    {PS_ROLE_TEMPORARY, "temporary"},   {PS_ROLE_INPUT, "input"},
    {PS_ROLE_WORKSPACE, "workspace"},
};
enum { ROLES = sizeof roles / sizeof roles[0] };

static const ps_phase phases[] = {PS_PHASE_FORWARD, PS_PHASE_BACKWARD, PS_PHASE_OPTIMIZER};
static const char *const phase_names[] = {"forward", "backward", "optimizer"};
enum { PHASES = sizeof phases / sizeof phases[0] };

/* One figure when both are equal. */
static void cell(uint64_t model, uint64_t recorded)
{
    if (model == recorded) {
        (void)printf(" %" PRIu64 " |", model);
    } else {
        (void)printf(" **%" PRIu64 " / %" PRIu64 "** |", model, recorded);
    }
}

static size_t last_step(const pair *p)
{
    const size_t steps = p->model.steps < p->recorded.steps ? p->model.steps : p->recorded.steps;
    return steps - 1;
}

void report_memory(const pair *pairs, size_t count)
{
    (void)printf("| recording | allocations and frees | equal | loaded | forward ends | backward "
                 "ends | optimizer ends | peak |\n"
                 "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n");
    for (size_t i = 0; i < count; i++) {
        const pair *p = &pairs[i];
        const size_t step = last_step(p);
        const size_t events =
            p->recorded.workload->event.head.count - p->recorded.workload->op.head.count;
        (void)printf("| %s | %zu | %s |", p->name, events, p->events_agree ? "all" : "no");
        for (size_t m = 0; m < MOMENT_COUNT; m++) {
            const size_t at = m == MOMENT_LOADED ? 0 : step;
            cell(p->model.live_bytes[at][m], p->recorded.live_bytes[at][m]);
        }
        cell(p->model.peak.live.total_bytes, p->recorded.peak.live.total_bytes);
        (void)printf("\n");
    }
    (void)printf("\n");
}

/* [bytes] that both sides give to the same role. */
static uint64_t agreed_bytes(const pair *p)
{
    uint64_t sum = 0;
    for (size_t r = 0; r < ROLES; r++) {
        const uint64_t a = p->model.peak.live.role_bytes[roles[r].role];
        const uint64_t b = p->recorded.peak.live.role_bytes[roles[r].role];
        sum += a < b ? a : b;
    }
    return sum;
}

void report_attribution(const pair *pairs, size_t count)
{
    (void)printf("| recording | agreed |");
    for (size_t r = 0; r < ROLES; r++) {
        (void)printf(" %s |", roles[r].name);
    }
    (void)printf("\n| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n");
    for (size_t i = 0; i < count; i++) {
        const pair *p = &pairs[i];
        const uint64_t total = p->recorded.peak.live.total_bytes;
        (void)printf("| %s | %.2f %% |", p->name,
                     total == 0 ? 0.0 : 100.0 * (double)agreed_bytes(p) / (double)total);
        for (size_t r = 0; r < ROLES; r++) {
            cell(p->model.peak.live.role_bytes[roles[r].role],
                 p->recorded.peak.live.role_bytes[roles[r].role]);
        }
        (void)printf("\n");
    }
    (void)printf("\n");
}

void report_kernels(const pair *pairs, size_t count)
{
    (void)printf("| recording | phase | product | attention | copy | fill | other | all |\n"
                 "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |\n");
    for (size_t i = 0; i < count; i++) {
        const pair *p = &pairs[i];
        const size_t step = last_step(p);
        for (size_t f = 0; f < PHASES; f++) {
            uint64_t all[2] = {0};
            (void)printf("| %s | %s |", p->name, phase_names[f]);
            for (size_t k = 0; k < WORK_KIND_COUNT; k++) {
                const uint64_t a = p->model.launches[step][phases[f]][k];
                const uint64_t b = p->recorded.launches[step][phases[f]][k];
                cell(a, b);
                all[0] += a;
                all[1] += b;
            }
            cell(all[0], all[1]);
            (void)printf("\n");
        }
    }
    (void)printf("\n");
}

/* ---- differences ---- */

static bool same(const pair *p, const char *what, size_t step, const char *part, uint64_t model,
                 uint64_t recorded)
{
    if (model != recorded) {
        (void)printf("%s: step %zu, %s %s: model %" PRIu64 ", recorded %" PRIu64 "\n", p->name,
                     step, what, part, model, recorded);
    }
    return model == recorded;
}

static bool memory_agrees(const pair *p)
{
    bool agrees = p->events_agree;
    if (!agrees) {
        (void)printf("%s: allocations and frees differ after %zu\n", p->name, p->events_equal);
    }
    agrees = same(p, "number of steps", 0, "", p->model.steps, p->recorded.steps) && agrees;
    for (size_t step = 0; step <= last_step(p); step++) {
        for (size_t m = step == 0 ? MOMENT_LOADED : MOMENT_FORWARD; m < MOMENT_COUNT; m++) {
            agrees = same(p, "bytes at", step, moments[m], p->model.live_bytes[step][m],
                          p->recorded.live_bytes[step][m]) &&
                     agrees;
        }
    }
    return same(p, "bytes at", 0, "the peak", p->model.peak.live.total_bytes,
                p->recorded.peak.live.total_bytes) &&
           agrees;
}

/* Launches by which a step's counts differ, each kind of each phase by itself. */
static uint64_t difference_of_step(const pair *p, size_t step)
{
    uint64_t sum = 0;
    for (size_t f = 0; f < PHASES; f++) {
        for (size_t k = 0; k < WORK_KIND_COUNT; k++) {
            const uint64_t a = p->model.launches[step][phases[f]][k];
            const uint64_t b = p->recorded.launches[step][phases[f]][k];
            char part[64];
            (void)snprintf(part, sizeof part, "%s %s", phase_names[f], kinds[k]);
            (void)same(p, "launches,", step, part, a, b);
            sum += a > b ? a - b : b - a;
        }
    }
    return sum;
}

static bool attribution_agrees(const pair *p)
{
    bool agrees = true;
    for (size_t r = 0; r < ROLES; r++) {
        agrees = same(p, "bytes at the peak,", 0, roles[r].name,
                      p->model.peak.live.role_bytes[roles[r].role],
                      p->recorded.peak.live.role_bytes[roles[r].role]) &&
                 agrees;
    }
    return agrees;
}

bool report_differences(const pair *p)
{
    bool agrees = memory_agrees(p);
    agrees = attribution_agrees(p) && agrees;
    uint64_t difference = 0;
    for (size_t step = 0; step <= last_step(p); step++) {
        difference += difference_of_step(p, step);
    }
    if (difference != p->allowed) {
        (void)printf("%s: %" PRIu64 " launches differ, stated are %" PRIu64 "\n", p->name,
                     difference, p->allowed);
    }
    return agrees && difference == p->allowed;
}

static void list_ops(const char *title, const side *of)
{
    const ps_workload *w = of->workload;
    const size_t step = of->steps - 1;
    for (uint32_t e = w->step.begin_event[step]; e < w->step.end_event[step]; e++) {
        const uint32_t op = w->event.ref[e];
        if (w->event.kind[e] == PS_WORKLOAD_EVENT_OP) {
            (void)printf("%s %u %s %u %s\n", title, (unsigned)w->op.phase[op],
                         kinds[work_kind_of(w, op)], (unsigned)w->op.launches[op],
                         ps_strings_text(w->strings, w->op.name[op]));
        }
    }
}

void report_ops(const pair *p)
{
    list_ops("model", &p->model);
    list_ops("recorded", &p->recorded);
}
