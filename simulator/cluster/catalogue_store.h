/* SPDX-License-Identifier: MIT
 *
 * What a catalogue holds; shared by reading, checking and looking up.
 *
 *   entry ──figure_row[figure]──► row   value, text, origin, file:line
 *     └────like──► entry                (a chain without cycles once checked)
 *   alias ──► entry
 *
 * Names are compared by their key: lower-case letters, digits and * only.
 */
#ifndef PS_CLUSTER_CATALOGUE_STORE_H
#define PS_CLUSTER_CATALOGUE_STORE_H

#include "base/idmap.h"
#include "base/strings.h"
#include "cluster/catalogue.h"
#include "cluster/near_names.h"

/** "No entry", "no row"; what an idmap answers for an absent key. */
#define PS_CATALOGUE_NONE PS_IDMAP_NONE

/** Entries, rows and aliases a catalogue can have; far above any real one. */
#define PS_CATALOGUE_MAX_ROWS ((size_t)1 << 20)

/** Where a row stands. */
typedef struct ps_catalogue_place {
    ps_str file;
    uint32_t line;       /* 0: not stated */
    uint32_t generation; /* of the file */
} ps_catalogue_place;

typedef struct ps_catalogue_row {
    uint64_t value;
    ps_str text, origin;
    ps_quality quality;
    ps_catalogue_place at;
} ps_catalogue_row;

typedef struct ps_catalogue_entry {
    ps_str name, key;
    ps_str compute_capability;
    ps_catalogue_place first; /* first mention */
    ps_catalogue_place class_at, like_at, capability_at;
    ps_hardware_class class_of;
    ps_str like_name;
    uint32_t like; /* entry, or PS_CATALOGUE_NONE */
    uint32_t figure_row[PS_FIGURE_COUNT];
} ps_catalogue_entry;

typedef struct ps_catalogue_alias {
    ps_str key;
    uint32_t entry;
    uint32_t generation; /* later files win */
} ps_catalogue_alias;

struct ps_catalogue {
    ps_strings *strings;
    ps_idmap entry_by_key; /* id of the key -> entry */
    ps_catalogue_entry *entry;
    size_t entry_count, entry_capacity;
    ps_catalogue_row *row;
    size_t row_count, row_capacity;
    ps_catalogue_alias *alias;
    size_t alias_count, alias_capacity;
    uint32_t generation; /* files read so far */
};

/** The class and the rest of a figure's X-macro line. */
typedef struct ps_figure_spec {
    const char *name, *doc;
    ps_unit_kind kind;
    uint64_t min;
    ps_hardware_class class_of;
    bool is_needed;
} ps_figure_spec;

const ps_figure_spec *ps_figure_spec_of(ps_figure_id figure);

/** Entry with that key, or PS_CATALOGUE_NONE. */
uint32_t ps_catalogue_entry_of(const ps_catalogue *self, const char *key);

/** Verifies entries as ps_catalogue_read_file promises and resolves "like". */
ps_code ps_catalogue_check(ps_catalogue *self, ps_error *err) PS_MUST_USE;

/** Writes ", did you mean A, B or C?" or nothing: names of a class near a key. */
void ps_catalogue_suggest(const ps_catalogue *self, ps_hardware_class class_of, const char *key,
                          char *out, size_t out_bytes);

#endif
