/* SPDX-License-Identifier: MIT
 *
 * The hazards of a plan: questions are collected, answered together, and told.
 */
#include "plan/hazards.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "plan/hazard_parts.h"

#define TEXT_BYTES 160

/* ---- words ---- */

const char *ps_hazard_name(ps_hazard_rule rule)
{
    static const char *const names[] = {
#define NAME(sym, name, doc) name,
        PS_HAZARD_RULES(NAME)
#undef NAME
    };
    return names[rule];
}

const char *ps_hazard_meaning(ps_hazard_rule rule)
{
    static const char *const words[] = {
#define MEANING(sym, name, doc) doc,
        PS_HAZARD_RULES(MEANING)
#undef MEANING
    };
    return words[rule];
}

/* task 7 "gemm" (lane 2 "stream") */
static void task_text(const ps_plan *plan, uint32_t task, char *out, size_t bytes)
{
    const uint32_t lane = plan->task.lane[task];
    (void)snprintf(out, bytes, "task %" PRIu32 " \"%.40s\" (lane %" PRIu32 " \"%.32s\")", task,
                   ps_strings_text(plan->strings, plan->task.name[task]), lane,
                   ps_strings_text(plan->strings, plan->lane.name[lane]));
}

static const char *role_word(uint8_t role)
{
    static const char *const words[PS_ROLE_COUNT] = {
        "memory",    "parameter", "gradient",  "optimizer state", "activation",
        "temporary", "input",     "workspace", "earlier memory"};
    return words[role < PS_ROLE_COUNT ? role : 0];
}

static void buffer_text(const ps_plan *plan, uint32_t buffer, char *out, size_t bytes)
{
    const char *label = ps_strings_text(plan->strings, plan->buffer.label[buffer]);
    (void)snprintf(out, bytes, "buffer %" PRIu32 " (%s%s%.40s%s, %" PRIu64 " bytes)", buffer,
                   role_word(plan->buffer.role[buffer]), label[0] != '\0' ? " \"" : "", label,
                   label[0] != '\0' ? "\"" : "", plan->buffer.bytes[buffer]);
}

/* The sentence of a hazard whose parts are in words. */
static void sentence(const ps_hazard *hazard, const char *task, const char *other,
                     const char *buffer, char *out, size_t bytes)
{
    const char *does = hazard->is_write ? "writes" : "reads";
    const char *did = hazard->other_is_write ? "writes" : "reads";
    switch (hazard->rule) {
    case PS_HAZARD_UNALLOCATED:
        (void)snprintf(out, bytes, "%s %s %s without waiting for its allocation in %s", task, does,
                       buffer, other);
        break;
    case PS_HAZARD_FREED:
        (void)snprintf(out, bytes, "%s %s %s, freed before in %s", task, does, buffer, other);
        break;
    case PS_HAZARD_UNWRITTEN:
        (void)snprintf(out, bytes, "%s reads %s, and nothing wrote it before", task, buffer);
        break;
    case PS_HAZARD_UNORDERED:
        (void)snprintf(out, bytes, "%s %s %s without waiting for %s, which %s it", task, does,
                       buffer, other, did);
        break;
    case PS_HAZARD_REUSED:
        (void)snprintf(out, bytes,
                       "%s %s %s, freed meanwhile: %s does not wait for that, and may have the "
                       "memory",
                       task, does, buffer, other);
        break;
    case PS_HAZARD_TAKEN:
    case PS_HAZARD_RULE_COUNT:
        (void)snprintf(out, bytes,
                       "%s %s %s without waiting for %s, which may still use the memory", task,
                       does, buffer, other);
        break;
    }
}

void ps_hazard_text(const ps_plan *plan, const ps_hazard *hazard, char *out, size_t bytes)
{
    char task[TEXT_BYTES], other[TEXT_BYTES] = "no task", buffer[TEXT_BYTES];
    task_text(plan, hazard->task, task, sizeof task);
    if (hazard->other != PS_HAZARD_NONE) {
        task_text(plan, hazard->other, other, sizeof other);
    }
    buffer_text(plan, hazard->buffer, buffer, sizeof buffer);
    sentence(hazard, task, other, buffer, out, bytes);
}

/* ---- questions ---- */

void ps__hazard_found(ps_hazard_work *self, const ps_hazard *hazard)
{
    ps_hazards *found = &self->found;
    ps_hazard *first = &found->first[hazard->rule];
    if (found->count[hazard->rule]++ == 0 || hazard->task < first->task) {
        *first = *hazard;
    }
    found->total++;
}

ps_code ps__hazard_ask(ps_hazard_work *self, ps_plan_moment before, ps_plan_moment after,
                       const ps_hazard_doubt *doubt, ps_error *err)
{
    const size_t need = self->question_count + 1;
    PS_TRY(ps_grow((void **)&self->question, &self->question_capacity, need, PS_HAZARD_MAX_ROWS,
                   sizeof *self->question, err));
    PS_TRY(ps_grow((void **)&self->doubt, &self->doubt_capacity, need, PS_HAZARD_MAX_ROWS,
                   sizeof *self->doubt, err));
    self->question[self->question_count] = (ps_order_question){.before = before, .after = after};
    self->doubt[self->question_count++] = *doubt;
    return PS_OK;
}

static ps_code find(ps_hazard_work *self, ps_error *err)
{
    PS_TRY(ps__hazard_accesses(self, err));
    PS_TRY(ps__hazard_memory(self, err));
    PS_TRY(ps_plan_order_ask(&self->order, self->question, self->question_count, err));
    for (size_t i = 0; i < self->question_count; i++) {
        if (self->question[i].holds != self->doubt[i].should_hold) {
            ps__hazard_found(self, &self->doubt[i].hazard);
        }
    }
    return PS_OK;
}

ps_code ps_plan_hazards(const ps_plan *plan, ps_hazards *out, ps_error *err)
{
    ps_hazard_work self = {.plan = plan};
    if (plan->access.head.count == 0) {
        *out = (ps_hazards){0};
        return PS_OK;
    }
    if (plan->access.head.count > PS_HAZARD_MAX_ACCESSES) {
        return ps_fail(err, PS_LIMIT, "%zu accesses are too many to be checked, at most %zu",
                       plan->access.head.count, PS_HAZARD_MAX_ACCESSES);
    }
    PS_TRY(ps_plan_order_make(plan, &self.order, err));
    const ps_code code = find(&self, err);
    if (code == PS_OK) {
        *out = self.found;
    }
    ps_plan_order_fini(&self.order);
    ps_free(self.life_of);
    ps_free(self.life);
    ps_free(self.use);
    ps_free(self.pool);
    ps_free(self.user);
    ps_free(self.question);
    ps_free(self.doubt);
    return code;
}

/* ---- what a plan tells of itself ---- */

static size_t loss_row(const ps_plan *plan)
{
    size_t row = 0;
    while (row < plan->loss.head.count &&
           strcmp(ps_strings_text(plan->strings, plan->loss.name[row]), PS_HAZARDS_LOSS) != 0) {
        row++;
    }
    return row;
}

uint64_t ps_plan_told_hazards(const ps_plan *plan)
{
    const size_t row = loss_row(plan);
    return row < plan->loss.head.count ? plan->loss.count[row] : 0;
}

ps_code ps_plan_tell_hazards(ps_plan *plan, const ps_hazards *found, ps_error *err)
{
    char text[PS_ERROR_MESSAGE_BYTES] = "";
    size_t row = loss_row(plan);
    if (found->total == 0 && row == plan->loss.head.count) {
        return PS_OK;
    }
    for (int i = PS_HAZARD_RULE_COUNT; i-- > 0;) {
        if (found->count[i] > 0) {
            ps_hazard_text(plan, &found->first[i], text, sizeof text);
        }
    }
    if (row == plan->loss.head.count) {
        PS_TRY(ps_plan_add(plan, PS_PLAN_LOSS, &row, err));
        PS_TRY(ps_strings_put_z(plan->strings, PS_HAZARDS_LOSS, &plan->loss.name[row], err));
        plan->loss.severity[row] = (uint8_t)PS_SEVERITY_ERROR;
    }
    plan->loss.count[row] = found->total;
    return ps_plan_set_meta(plan, PS_HAZARDS_LOSS, text, err);
}
