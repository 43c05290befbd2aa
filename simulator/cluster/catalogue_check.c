/* SPDX-License-Identifier: MIT
 *
 * What must hold of a catalogue once a file has been read: every entry has a
 * class, states only figures of that class, and has the needed ones; "like"
 * leads to an entry it may inherit from, and never back.
 */
#include <stdio.h>

#include "cluster/catalogue_store.h"

static ps_code refuse(const ps_catalogue *self, ps_catalogue_place at, const char *what,
                      const char *detail, ps_error *err)
{
    return ps_fail(err, PS_BAD_INPUT, "%.140s:%u: %s%s", ps_strings_text(self->strings, at.file),
                   (unsigned)at.line, what, detail);
}

static ps_code resolve_like(ps_catalogue *self, ps_catalogue_entry *entry, ps_error *err)
{
    char key[PS_NAME_KEY_BYTES];
    if (entry->like_at.line == 0) {
        return PS_OK;
    }
    const char *name = ps_strings_text(self->strings, entry->like_name);
    entry->like = ps_name_key(name, PS_NAME_PLAIN, key) ? ps_catalogue_entry_of(self, key)
                                                        : PS_CATALOGUE_NONE;
    if (entry->like == PS_CATALOGUE_NONE) {
        char hint[256] = "";
        char what[400];
        ps_catalogue_suggest(self, entry->class_of, key, hint, sizeof hint);
        (void)snprintf(what, sizeof what, "\"%.80s\"%s", name, hint);
        return refuse(self, entry->like_at, "no entry to be like: ", what, err);
    }
    const ps_catalogue_entry *base = &self->entry[entry->like];
    if (base->class_of != entry->class_of && base->class_of != PS_HARDWARE_FAMILY) {
        return refuse(self, entry->like_at, "an entry can only be like one of its class: ", name,
                      err);
    }
    return PS_OK;
}

/* A chain longer than there are entries has come back to itself. */
static ps_code check_no_cycle(const ps_catalogue *self, const ps_catalogue_entry *entry,
                              ps_error *err)
{
    size_t steps = 0;
    for (uint32_t i = entry->like; i != PS_CATALOGUE_NONE; i = self->entry[i].like) {
        steps++;
        if (steps > self->entry_count) {
            return refuse(self, entry->like_at, "an entry is like itself in the end: ",
                          ps_strings_text(self->strings, entry->name), err);
        }
    }
    return PS_OK;
}

static ps_code check_figures(const ps_catalogue *self, uint32_t index, ps_error *err)
{
    const ps_catalogue_entry *entry = &self->entry[index];
    const char *name = ps_strings_text(self->strings, entry->name);
    char what[256];
    for (int i = 0; i < PS_FIGURE_COUNT; i++) {
        const ps_figure_spec *spec = ps_figure_spec_of((ps_figure_id)i);
        ps_figure figure;
        if (spec->class_of == entry->class_of || entry->class_of == PS_HARDWARE_FAMILY) {
            if (spec->is_needed && entry->class_of != PS_HARDWARE_FAMILY &&
                !ps_catalogue_get(self, (ps_hardware_id){index}, (ps_figure_id)i, &figure)) {
                (void)snprintf(what, sizeof what, "%.80s lacks %s: ", name, spec->name);
                return refuse(self, entry->first, what, spec->doc, err);
            }
        } else if (entry->figure_row[i] != PS_CATALOGUE_NONE) {
            (void)snprintf(what, sizeof what, "%s is a figure of a %s, but %.80s is a ", spec->name,
                           ps_hardware_class_name(spec->class_of), name);
            return refuse(self, self->row[entry->figure_row[i]].at, what,
                          ps_hardware_class_name(entry->class_of), err);
        }
    }
    return PS_OK;
}

ps_code ps_catalogue_check(ps_catalogue *self, ps_error *err)
{
    for (size_t i = 0; i < self->entry_count; i++) {
        ps_catalogue_entry *entry = &self->entry[i];
        if (entry->class_at.line == 0) {
            return refuse(self, entry->first,
                          "an entry without a class: ", ps_strings_text(self->strings, entry->name),
                          err);
        }
    }
    for (size_t i = 0; i < self->entry_count; i++) {
        PS_TRY(resolve_like(self, &self->entry[i], err));
    }
    for (size_t i = 0; i < self->entry_count; i++) {
        PS_TRY(check_no_cycle(self, &self->entry[i], err));
    }
    for (size_t i = 0; i < self->entry_count; i++) {
        PS_TRY(check_figures(self, (uint32_t)i, err));
    }
    return PS_OK;
}
