/* SPDX-License-Identifier: MIT
 *
 * Blocks by module ranges: of the classes that run at least twice in a step, the
 * one that takes most time in all.
 */
#include <stdio.h>
#include <string.h>

#include "base/idmap.h"
#include "base/memory.h"
#include "workload/recover/block_parts.h"

#define CLASS_BYTES 128

/* "nn.Module: BertLayer_3" or "model.layers.3 (LlamaDecoderLayer)": the class. */
static bool class_of(const char *name, char out[CLASS_BYTES])
{
    const char *begin = NULL;
    size_t bytes = 0;
    const size_t length = strlen(name);
    if (strncmp(name, "nn.Module: ", 11) == 0) {
        begin = name + 11;
        bytes = strlen(begin);
        while (bytes > 0 && begin[bytes - 1] >= '0' && begin[bytes - 1] <= '9') {
            bytes--;
        }
        if (bytes == 0 || begin[bytes - 1] != '_' || begin[bytes] == '\0') {
            return false;
        }
        bytes--;
    } else if (length > 3 && name[length - 1] == ')' && strstr(name, " (") != NULL) {
        begin = strstr(name, " (") + 2;
        bytes = (size_t)(name + length - 1 - begin);
    }
    if (bytes == 0 || bytes >= CLASS_BYTES) {
        return false;
    }
    memcpy(out, begin, bytes);
    out[bytes] = '\0';
    return true;
}

static const char *override_pattern(const ps_recovery *self)
{
    const char *pattern = NULL;
    for (size_t i = 0; i < self->overrides->count; i++) {
        if (self->overrides->row[i].what == PS_OVERRIDE_BLOCK) {
            pattern = self->overrides->row[i].pattern;
        }
    }
    return pattern;
}

static bool is_module_range(const ps_recovery *self, size_t range, char class[CLASS_BYTES])
{
    const uint8_t category = self->trace->range.category[range];
    const char *name = ps__recover_text(self, self->trace->range.name[range]);
    return (category == PS_RANGE_PYTHON || category == PS_RANGE_ANNOTATION) &&
           class_of(name, class);
}

typedef struct module_class {
    ps_str name;
    size_t count;
    ps_ns time_ns, last_end_ns;
    bool is_nested; /* a call inside another of the same class */
} module_class;

typedef struct class_list {
    module_class *entry;
    size_t count, capacity;
    ps_idmap by_name;
} class_list;

static ps_code count_classes(ps_recovery *self, class_list *list, ps_error *err)
{
    const ps_range_table *range = &self->trace->range;
    char class[CLASS_BYTES];
    for (size_t i = 0; i < range->head.count; i++) {
        ps_str name;
        if (!is_module_range(self, i, class) ||
            ps_structure_step_at(self->out, range->start_ns[i]) == PS_STRUCTURE_NONE) {
            continue;
        }
        PS_TRY(ps_strings_put_z(self->out->strings, class, &name, err));
        uint32_t at = ps_idmap_get(&list->by_name, name);
        if (at == PS_IDMAP_NONE) {
            PS_TRY(ps_grow((void **)&list->entry, &list->capacity, list->count + 1,
                           PS_STRUCTURE_MAX, sizeof *list->entry, err));
            at = (uint32_t)list->count++;
            list->entry[at] = (module_class){.name = name, .last_end_ns = INT64_MIN};
            PS_TRY(ps_idmap_put(&list->by_name, name, at, err));
        }
        module_class *entry = &list->entry[at];
        entry->is_nested = entry->is_nested || range->start_ns[i] < entry->last_end_ns;
        entry->last_end_ns = range->start_ns[i] + range->dur_ns[i];
        entry->time_ns += range->dur_ns[i];
        entry->count++;
    }
    return PS_OK;
}

/* The class whose calls take most time, of those that run twice a step and not in each other. */
static ps_str block_class(const class_list *list, size_t steps)
{
    const module_class *best = NULL;
    for (size_t i = 0; i < list->count; i++) {
        const module_class *entry = &list->entry[i];
        if (!entry->is_nested && entry->count >= 2 * steps &&
            (best == NULL || entry->time_ns > best->time_ns)) {
            best = entry;
        }
    }
    return best == NULL ? 0 : best->name;
}

static ps_code add_module_blocks(ps_recovery *self, const char *wanted, const char *pattern,
                                 ps_error *err)
{
    const ps_range_table *range = &self->trace->range;
    char class[CLASS_BYTES];
    for (size_t i = 0; i < range->head.count; i++) {
        const char *name = ps__recover_text(self, range->name[i]);
        const bool is_wanted = pattern != NULL
                                   ? ps_pattern_matches(pattern, name)
                                   : is_module_range(self, i, class) && strcmp(class, wanted) == 0;
        const uint32_t step = ps_structure_step_at(self->out, range->start_ns[i]);
        if (!is_wanted || step == PS_STRUCTURE_NONE) {
            continue;
        }
        const ps_structure_block block = {
            .start_ns = range->start_ns[i],
            .end_ns = range->start_ns[i] + range->dur_ns[i],
            .may_end_ns = range->start_ns[i] + range->dur_ns[i],
            .phase = ps_structure_phase_at(self->out, range->start_ns[i]),
            .step = step,
        };
        PS_TRY(ps__block_add(self, &block, name, pattern != NULL ? "" : wanted, err));
    }
    return PS_OK;
}

ps_code ps__blocks_of_modules(ps_recovery *self, ps_error *err)
{
    class_list list = {0};
    const char *pattern = override_pattern(self);
    ps_code code = count_classes(self, &list, err);
    const ps_str class = block_class(&list, self->out->step_count);
    ps_free(list.entry);
    ps_idmap_fini(&list.by_name);
    PS_TRY(code);
    if (class == 0 && pattern == NULL) {
        return PS_OK;
    }
    char wanted[CLASS_BYTES];
    (void)snprintf(wanted, sizeof wanted, "%s", ps_strings_text(self->out->strings, class));
    PS_TRY(add_module_blocks(self, wanted, pattern, err));
    if (self->out->block_count == 0) {
        return ps_fail(err, PS_USAGE,
                       "no range of the trace is called \"%s\", which the structure file names as "
                       "the block",
                       pattern == NULL ? wanted : pattern);
    }
    return ps__recover_find(self, "blocks", pattern != NULL ? "structure file" : "module ranges",
                            pattern != NULL ? 1000 : 950, err, "%zu runs of %s",
                            self->out->block_count, pattern != NULL ? pattern : wanted);
}
