/* SPDX-License-Identifier: MIT
 *
 * Tables of named things with one figure a row, in the form of the catalogue:
 *
 *   node,quantity,value,unit,origin
 *   dgx-a100-80,gpus,8,,published: vendor datasheet
 *
 * "like" names a thing of the same table that supplies what is not stated. A
 * later file overrides single figures of an earlier one. Unlike the catalogue,
 * whose quantities are a fixed enumeration, the reader of a table says which
 * quantities it has, and one of them may end in numbers: "links-*".
 */
#ifndef PS_CLUSTER_FIGURE_TABLE_H
#define PS_CLUSTER_FIGURE_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "base/units.h"
#include "cluster/catalogue.h"

/** Kind of a quantity whose value is a word. */
#define PS_FIGURE_WORD PS_UNIT_KIND_COUNT

/** What rows may say; the list of a table ends with a NULL quantity. */
typedef struct ps_figure_rule {
    const char *quantity; /* a final * stands for digits and -, a final ? for letters too */
    ps_unit_kind kind;    /* or PS_FIGURE_WORD */
    uint64_t min, max;    /* in the base unit of the kind; of words ignored */
} ps_figure_rule;

/** One figure as found; texts are borrowed until the table changes. */
typedef struct ps_stated {
    uint64_t value;   /* of words 0 */
    const char *text; /* as written, without its unit */
    const char *origin;
    ps_quality quality;
} ps_stated;

typedef struct ps_figure_table ps_figure_table;

/**
 * New table without rows.
 *
 * @param subject  first word of its header line: "node"
 * @param rules    static storage
 * @return NULL when out of memory
 */
ps_figure_table *ps_figure_table_create(const char *subject,
                                        const ps_figure_rule *rules) PS_MUST_USE;

void ps_figure_table_destroy(ps_figure_table *self);

/**
 * Adds the rows of a CSV text.
 *
 * @param name  what messages call the text
 * @return PS_OK · PS_NOMEM · PS_LIMIT · PS_BAD_INPUT with "name:line:" and what is wrong: another
 *         header, an unknown quantity or quality, a value that does not parse or is out of range,
 *         a figure stated twice in the text
 * After a failure the table is only good for ps_figure_table_destroy.
 */
ps_code ps_figure_table_read(ps_figure_table *self, const char *name, const char *text,
                             size_t bytes, ps_error *err) PS_MUST_USE;

/** PS_OK · PS_BAD_INPUT a "like" that names nothing, or in the end itself. Call after reading. */
ps_code ps_figure_table_check(const ps_figure_table *self, ps_error *err) PS_MUST_USE;

/** Number of things; ids are 0 .. count - 1 in the order of first mention. */
uint32_t ps_figure_table_count(const ps_figure_table *self);

/** Name of a thing; borrowed until the table changes. */
const char *ps_figure_table_name(const ps_figure_table *self, uint32_t id);

/** Thing of a name, without regard to case, blanks and punctuation; false when there is none. */
bool ps_figure_table_find(const ps_figure_table *self, const char *name, uint32_t *id);

/** True and *out filled when the thing, or one that it is like, states the quantity. */
bool ps_figure_table_get(const ps_figure_table *self, uint32_t id, const char *quantity,
                         ps_stated *out);

/** ps_figure_table_get of a figure that is indispensable: PS_NOT_FOUND names it. */
ps_code ps_figure_table_need(const ps_figure_table *self, uint32_t id, const char *quantity,
                             ps_stated *out, ps_error *err) PS_MUST_USE;

#endif
