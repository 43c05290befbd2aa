/* SPDX-License-Identifier: MIT
 *
 * "Did you mean": the names nearest to one that is not in the catalogue.
 */
#include "cluster/catalogue_store.h"
#include "cluster/near_names.h"

static const char *name_of(const void *context, uint32_t entry)
{
    return ps_catalogue_name(context, (ps_hardware_id){entry});
}

void ps_catalogue_suggest(const ps_catalogue *self, ps_hardware_class class_of, const char *key,
                          char *out, size_t out_bytes)
{
    ps_near_names near;
    ps_near_names_init(&near, key);
    for (size_t i = 0; i < self->entry_count + self->alias_count; i++) {
        const bool is_alias = i >= self->entry_count;
        const ps_catalogue_alias *alias = is_alias ? &self->alias[i - self->entry_count] : NULL;
        const uint32_t entry = is_alias ? alias->entry : (uint32_t)i;
        const ps_str name = is_alias ? alias->key : self->entry[i].key;
        if (self->entry[entry].class_of == class_of) {
            ps_near_names_add(&near, entry, ps_strings_text(self->strings, name));
        }
    }
    ps_near_names_format(&near, name_of, self, out, out_bytes);
}
