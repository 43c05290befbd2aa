/* SPDX-License-Identifier: MIT
 *
 * Rows of a figure table are kept in the order of reading, each linked to the
 * row before it about the same thing; the last row about a figure is the one
 * that holds. A thing has few rows, so look-ups walk them.
 */
#include "cluster/figure_table.h"

#include <string.h>

#include "base/memory.h"
#include "cluster/figure_table_store.h"
#include "cluster/near_names.h"

/* Longest chain of "like". */
enum { MAX_LIKE = 16 };

ps_figure_table *ps_figure_table_create(const char *subject, const ps_figure_rule *rules)
{
    ps_figure_table *self = ps_calloc(1, sizeof *self);
    if (self == NULL) {
        return NULL;
    }
    self->subject = subject;
    self->rules = rules;
    self->strings = ps_strings_create();
    if (self->strings == NULL) {
        ps_free(self);
        return NULL;
    }
    return self;
}

void ps_figure_table_destroy(ps_figure_table *self)
{
    if (self != NULL) {
        ps_strings_destroy(self->strings);
        ps_free(self->row);
        ps_free(self->thing);
        ps_free(self);
    }
}

const ps_figure_row *ps_figure_own_row(const ps_figure_table *self, uint32_t id,
                                       const char *quantity)
{
    const int64_t name = ps_strings_find(self->strings, quantity, strlen(quantity));
    uint32_t at = name >= 0 ? self->thing[id].last : 0;
    while (at > 0 && self->row[at - 1].quantity != (ps_str)name) {
        at = self->row[at - 1].before;
    }
    return at > 0 ? &self->row[at - 1] : NULL;
}

/* The thing that this one is like; false at the end of the chain. */
static bool step_like(const ps_figure_table *self, uint32_t *id)
{
    const ps_figure_row *like = ps_figure_own_row(self, *id, "like");
    return like != NULL &&
           ps_figure_table_find(self, ps_strings_text(self->strings, like->text), id);
}

ps_code ps_figure_table_check(const ps_figure_table *self, ps_error *err)
{
    for (uint32_t id = 0; id < self->thing_count; id++) {
        const ps_figure_row *like = ps_figure_own_row(self, id, "like");
        uint32_t at = id;
        int steps = 0;
        while (steps <= MAX_LIKE && step_like(self, &at)) {
            steps++;
        }
        const bool is_named =
            like == NULL ||
            ps_figure_table_find(self, ps_strings_text(self->strings, like->text), &at);
        if (!is_named || steps > MAX_LIKE) {
            return ps_fail(err, PS_BAD_INPUT, "%.140s: %.80s is like %.80s, which %s",
                           ps_strings_text(self->strings, self->thing[id].file),
                           ps_figure_table_name(self, id),
                           ps_strings_text(self->strings, like->text),
                           is_named ? "leads back to it or too far" : "nothing states");
        }
    }
    return PS_OK;
}

uint32_t ps_figure_table_count(const ps_figure_table *self)
{
    return (uint32_t)self->thing_count;
}

const char *ps_figure_table_name(const ps_figure_table *self, uint32_t id)
{
    return ps_strings_text(self->strings, self->thing[id].name);
}

bool ps_figure_table_find(const ps_figure_table *self, const char *name, uint32_t *id)
{
    char key[PS_NAME_KEY_BYTES];
    if (!ps_name_key(name, PS_NAME_DECIMAL, key)) {
        return false;
    }
    const int64_t wanted = ps_strings_find(self->strings, key, strlen(key));
    for (uint32_t i = 0; wanted >= 0 && i < self->thing_count; i++) {
        if (self->thing[i].key == (ps_str)wanted) {
            *id = i;
            return true;
        }
    }
    return false;
}

bool ps_figure_table_get(const ps_figure_table *self, uint32_t id, const char *quantity,
                         ps_stated *out)
{
    for (int steps = 0; steps <= MAX_LIKE; steps++) {
        const ps_figure_row *row = ps_figure_own_row(self, id, quantity);
        if (row != NULL) {
            *out = (ps_stated){.value = row->value,
                               .text = ps_strings_text(self->strings, row->text),
                               .origin = ps_strings_text(self->strings, row->origin),
                               .quality = row->quality};
            return true;
        }
        if (!step_like(self, &id)) {
            return false;
        }
    }
    return false;
}

ps_code ps_figure_table_need(const ps_figure_table *self, uint32_t id, const char *quantity,
                             ps_stated *out, ps_error *err)
{
    if (ps_figure_table_get(self, id, quantity, out)) {
        return PS_OK;
    }
    return ps_fail(err, PS_NOT_FOUND, "%.80s states no %s; a row \"%.80s,%s,...\" would",
                   ps_figure_table_name(self, id), quantity, ps_figure_table_name(self, id),
                   quantity);
}
