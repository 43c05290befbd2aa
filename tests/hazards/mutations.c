/* SPDX-License-Identifier: MIT
 *
 * Does the checker catch a dropped dependency?
 *
 *   mutations PLAN LEAST [RULE]...
 *
 * Drops every dependency between two lanes that is no launch, one at a time,
 * and asks brute force whether that breaks a rule which the whole plan keeps.
 * The checker must say the same each time. Dependencies that others imply
 * change nothing; of those that matter at least LEAST must have been caught.
 * The plan itself must be free of hazards but for those of the RULEs named.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plan/hazards.h"
#include "support/hazard_oracle.h"

typedef struct tally {
    size_t dropped, implied, idle, caught, wrong;
} tally;

typedef struct verdict {
    bool breaks[PS_HAZARD_RULE_COUNT];
} verdict;

static _Noreturn void give_up(const char *what, const ps_error *err)
{
    (void)fprintf(stderr, "mutations: %s%s%s\n", what, err != NULL ? ": " : "",
                  err != NULL ? err->message : "");
    exit(2);
}

static verdict judge(const ps_plan *plan)
{
    ps_error err = {0};
    ps_hazards found;
    verdict out;
    if (ps_plan_hazards(plan, &found, &err) != PS_OK) {
        give_up("the plan cannot be checked", &err);
    }
    for (int i = 0; i < PS_HAZARD_RULE_COUNT; i++) {
        out.breaks[i] = found.count[i] > 0;
    }
    return out;
}

static bool is_named(ps_hazard_rule rule, char **names, int count)
{
    bool is = false;
    for (int i = 0; i < count; i++) {
        is = is || strcmp(names[i], ps_hazard_name(rule)) == 0;
    }
    return is;
}

/* The row moves to the end of the table and out of it, and comes back. */
typedef struct dep_row {
    uint32_t task, before;
    uint8_t kind, origin;
    int64_t lag_ns;
} dep_row;

static dep_row get(const ps_plan_dep_table *dep, size_t i)
{
    return (dep_row){dep->task[i], dep->before[i], dep->kind[i], dep->origin[i], dep->lag_ns[i]};
}

static void put(ps_plan_dep_table *dep, size_t i, dep_row row)
{
    dep->task[i] = row.task;
    dep->before[i] = row.before;
    dep->kind[i] = row.kind;
    dep->origin[i] = row.origin;
    dep->lag_ns[i] = row.lag_ns;
}

static dep_row drop(ps_plan_dep_table *dep, size_t at)
{
    const dep_row row = get(dep, at);
    for (size_t i = at; i + 1 < dep->head.count; i++) {
        put(dep, i, get(dep, i + 1));
    }
    dep->head.count--;
    return row;
}

static void restore(ps_plan_dep_table *dep, size_t at, dep_row row)
{
    dep->head.count++;
    for (size_t i = dep->head.count - 1; i > at; i--) {
        put(dep, i, get(dep, i - 1));
    }
    put(dep, at, row);
}

static bool is_still_ordered(const hazard_oracle *oracle, dep_row row)
{
    const bool holds_end = row.kind == PS_DEP_END_AFTER_END || row.kind == PS_DEP_END_AFTER_START;
    const bool awaits_end = row.kind == PS_DEP_END_AFTER_END || row.kind == PS_DEP_START_AFTER_END;
    return hazard_oracle_orders(oracle, row.before * 2 + (awaits_end ? 1 : 0),
                                row.task * 2 + (holds_end ? 1 : 0));
}

static void name_it(const ps_plan *plan, dep_row row, const char *what)
{
    (void)printf(
        "%s: task %u \"%s\" (lane \"%s\") no longer waits for task %u \"%s\" (lane \"%s\")\n", what,
        row.task, ps_strings_text(plan->strings, plan->task.name[row.task]),
        ps_strings_text(plan->strings, plan->lane.name[plan->task.lane[row.task]]), row.before,
        ps_strings_text(plan->strings, plan->task.name[row.before]),
        ps_strings_text(plan->strings, plan->lane.name[plan->task.lane[row.before]]));
}

/* With the dependency gone: brute force against the checker, over the rules kept before. */
static void compare(const ps_plan *plan, dep_row row, const verdict *whole, tally *seen)
{
    hazard_oracle oracle = hazard_oracle_of(plan);
    seen->dropped++;
    if (is_still_ordered(&oracle, row)) {
        seen->implied++;
    } else {
        const verdict now = judge(plan);
        /* the checker tells of one pair of accesses what brute force may also call unwritten */
        const bool hides = whole->breaks[PS_HAZARD_UNORDERED];
        bool is_told = false, is_broken = false;
        for (int i = 0; i < PS_HAZARD_RULE_COUNT; i++) {
            is_told = is_told || (now.breaks[i] && !whole->breaks[i]);
            const bool is_kept = !whole->breaks[i] && !(hides && i == PS_HAZARD_UNWRITTEN);
            is_broken = is_broken || (is_kept && hazard_oracle_breaks(&oracle, (ps_hazard_rule)i));
        }
        seen->caught += is_told && is_broken ? 1 : 0;
        seen->idle += !is_told && !is_broken ? 1 : 0;
        if (is_told != is_broken) {
            seen->wrong++;
            name_it(plan, row, is_told ? "no reason to complain" : "NOT CAUGHT");
        }
    }
    hazard_oracle_fini(&oracle);
}

static bool is_dropped(const ps_plan *plan, size_t i)
{
    return plan->task.lane[plan->dep.task[i]] != plan->task.lane[plan->dep.before[i]] &&
           plan->dep.kind[i] != PS_DEP_START_AFTER_START;
}

int main(int argc, char **argv)
{
    ps_plan *plan;
    ps_error err = {0};
    tally seen = {0};
    bool is_clean = true;
    if (argc < 3) {
        give_up("usage: mutations PLAN LEAST [RULE]...", NULL);
    }
    if (ps_plan_read(argv[1], &plan, &err) != PS_OK) {
        give_up(argv[1], &err);
    }
    const verdict whole = judge(plan);
    for (int i = 0; i < PS_HAZARD_RULE_COUNT; i++) {
        const ps_hazard_rule rule = (ps_hazard_rule)i;
        if (whole.breaks[i] != is_named(rule, argv + 3, argc - 3)) {
            (void)printf("%s %s\n", whole.breaks[i] ? "breaks" : "does not break",
                         ps_hazard_name(rule));
            is_clean = false;
        }
    }
    for (size_t i = 0; i < plan->dep.head.count; i++) {
        if (is_dropped(plan, i)) {
            const dep_row row = drop(&plan->dep, i);
            compare(plan, row, &whole, &seen);
            restore(&plan->dep, i, row);
        }
    }
    (void)printf("dropped %zu: %zu implied by others, %zu guard nothing that is told, %zu caught, "
                 "%zu wrong\n",
                 seen.dropped, seen.implied, seen.idle, seen.caught, seen.wrong);
    ps_plan_destroy(plan);
    const size_t least = (size_t)strtoul(argv[2], NULL, 10);
    return is_clean && seen.wrong == 0 && seen.caught >= least && seen.caught > 0 ? 0 : 1;
}
