/* SPDX-License-Identifier: MIT
 *
 * Figures of collectives from rows gpu,topology,quantity,value,unit,origin. A
 * quantity is one of the machine, rings-N of a group of N (rings: of all), or
 * one of a protocol, as simple-start.
 */
#include <stdio.h>
#include <string.h>

#include "base/units.h"
#include "cluster/csv_rows.h"
#include "cost/builtin_collectives.h"
#include "cost/collective_parts.h"

typedef enum column {
    COLUMN_GPU,
    COLUMN_TOPOLOGY,
    COLUMN_QUANTITY,
    COLUMN_VALUE,
    COLUMN_UNIT,
    COLUMN_ORIGIN,
    COLUMN_COUNT
} column;

static const char *const column_names[COLUMN_COUNT] = {"gpu",   "topology", "quantity",
                                                       "value", "unit",     "origin"};

enum { TEXT_BYTES = 48 };

typedef struct reading {
    ps_collective_model *into;
    const char *gpu, *name;
    bool has_header;
} reading;

/* Where a quantity goes; into is NULL for an unknown one. */
typedef struct place {
    uint64_t *into;
    ps_unit_kind unit;
} place;

static ps_code refuse(const reading *self, uint32_t line, const char *what, const char *text,
                      ps_error *err)
{
    return ps_fail(err, PS_BAD_INPUT, "%.140s:%u: %s \"%.60s\"", self->name, (unsigned)line, what,
                   text);
}

static ps_code read_header(reading *self, const char *const *field, size_t count, uint32_t line,
                           ps_error *err)
{
    bool is_right = count == COLUMN_COUNT;
    for (size_t i = 0; is_right && i < COLUMN_COUNT; i++) {
        is_right = strcmp(field[i], column_names[i]) == 0;
    }
    if (!is_right) {
        return ps_fail(err, PS_BAD_INPUT,
                       "%.140s:%u: figures of collectives begin with the line "
                       "gpu,topology,quantity,value,unit,origin",
                       self->name, (unsigned)line);
    }
    self->has_header = true;
    return PS_OK;
}

static place path_place(ps_collective_path *path, const char *quantity)
{
#define PATH_FIGURE(member, name, unit)                \
    if (strcmp(quantity, name) == 0) {                 \
        return (place){&path->member, PS_UNIT_##unit}; \
    }
    PS_COLLECTIVE_PATH_FIGURES(PATH_FIGURE)
#undef PATH_FIGURE
    return (place){NULL, PS_UNIT_COUNT};
}

static place rings_place(ps_collective_machine *machine, const char *quantity)
{
    for (uint32_t n = 2; n <= PS_COLLECTIVE_MOST_RANKS; n++) {
        char text[TEXT_BYTES];
        (void)snprintf(text, sizeof text, "rings-%u", (unsigned)n);
        if (strcmp(quantity, text) == 0) {
            return (place){&machine->rings[n], PS_UNIT_RATIO};
        }
    }
    if (strcmp(quantity, "rings") == 0) {
        return (place){&machine->rings[0], PS_UNIT_RATIO};
    }
    return (place){NULL, PS_UNIT_COUNT};
}

static place find_place(ps_collective_machine *machine, const char *quantity)
{
#define MACHINE_FIGURE(member, name, unit)                \
    if (strcmp(quantity, name) == 0) {                    \
        return (place){&machine->member, PS_UNIT_##unit}; \
    }
    PS_COLLECTIVE_MACHINE_FIGURES(MACHINE_FIGURE)
#undef MACHINE_FIGURE
    for (size_t p = 0; p < PS_COLLECTIVE_PROTOCOL_COUNT; p++) {
        const char *name = ps_collective_protocol_name((ps_collective_protocol)p);
        const size_t length = strlen(name);
        if (strncmp(quantity, name, length) == 0 && quantity[length] == '-') {
            return path_place(&machine->path[p], quantity + length + 1);
        }
    }
    return rings_place(machine, quantity);
}

static ps_code read_value(const reading *self, const char *const *field, uint32_t line,
                          ps_collective_machine *machine, ps_error *err)
{
    const place at = find_place(machine, field[COLUMN_QUANTITY]);
    char text[TEXT_BYTES];
    if (at.into == NULL) {
        return refuse(self, line, "unknown quantity", field[COLUMN_QUANTITY], err);
    }
    const int length = snprintf(text, sizeof text, "%s%s", field[COLUMN_VALUE], field[COLUMN_UNIT]);
    if (length < 0 || (size_t)length >= sizeof text ||
        ps_quantity_parse_in(at.unit, text, 0, (uint64_t)1 << 50, at.into, err) != PS_OK) {
        return refuse(self, line, "not a value with its unit:", field[COLUMN_VALUE], err);
    }
    machine->is_given = true;
    machine->is_guessed |= strncmp(field[COLUMN_ORIGIN], "guessed", strlen("guessed")) == 0;
    return PS_OK;
}

static ps_code on_row(void *context, const char *const *field, size_t count, uint32_t line,
                      ps_error *err)
{
    reading *self = context;
    if (!self->has_header) {
        return read_header(self, field, count, line, err);
    }
    if (count != COLUMN_COUNT) {
        return refuse(self, line, "not six fields after", field[0], err);
    }
    if (field[COLUMN_ORIGIN][0] == '\0') {
        return refuse(self, line, "no origin after", field[COLUMN_VALUE], err);
    }
    for (size_t t = 0; t < PS_COLLECTIVE_TOPOLOGY_COUNT; t++) {
        if (strcmp(field[COLUMN_TOPOLOGY],
                   ps_collective_topology_name((ps_collective_topology)t)) == 0) {
            ps_collective_machine other = {0}; /* another GPU's rows are checked all the same */
            const bool is_ours = strcmp(field[COLUMN_GPU], self->gpu) == 0;
            return read_value(self, field, line, is_ours ? &self->into->machine[t] : &other, err);
        }
    }
    return refuse(self, line, "unknown topology", field[COLUMN_TOPOLOGY], err);
}

static ps_code read_text(reading *self, const char *name, const char *text, size_t bytes,
                         ps_error *err)
{
    self->name = name;
    self->has_header = false;
    return ps_csv_read(name, text, bytes, on_row, self, err);
}

/* A group without rings of its own has those of all. */
static ps_code complete(ps_collective_machine *machine, const char *gpu, ps_error *err)
{
    bool is_whole =
        machine->ranks >= 1 && machine->ranks <= PS_COLLECTIVE_MOST_RANKS && machine->link_rate > 0;
    for (size_t n = 2; n <= machine->ranks && is_whole; n++) {
        machine->rings[n] = machine->rings[n] > 0 ? machine->rings[n] : machine->rings[0];
        is_whole = machine->rings[n] > 0;
    }
    for (size_t p = 0; p < PS_COLLECTIVE_PROTOCOL_COUNT; p++) {
        const ps_collective_path *path = &machine->path[p];
        is_whole = is_whole && path->ring_share > 0 && path->tree_share > 0;
    }
    return is_whole ? PS_OK
                    : ps_fail(err, PS_NOT_FOUND,
                              "collectives of %.60s need ranks (at most %u), link-rate, rings, and "
                              "each protocol's ring-share and tree-share above 0",
                              gpu, PS_COLLECTIVE_MOST_RANKS);
}

ps_code ps_collective_read(const char *gpu, const ps_collective_options *options,
                           ps_collective_model *out, ps_error *err)
{
    reading state = {.into = out, .gpu = gpu};
    bool is_known = false;
    for (size_t i = 0; i < ps_collective_file_count; i++) {
        const ps_builtin_file *file = &ps_collective_files[i];
        PS_TRY(read_text(&state, file->name, (const char *)file->bytes, file->count, err));
    }
    if (options != NULL && options->csv != NULL) {
        PS_TRY(read_text(&state, "collectives", options->csv, options->csv_bytes, err));
    }
    for (size_t t = 0; t < PS_COLLECTIVE_TOPOLOGY_COUNT; t++) {
        if (out->machine[t].is_given) {
            is_known = true;
            PS_TRY(complete(&out->machine[t], gpu, err));
        }
    }
    return is_known ? PS_OK
                    : ps_fail(err, PS_NOT_FOUND, "no figures of collectives for \"%.60s\"", gpu);
}
