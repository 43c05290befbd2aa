/* SPDX-License-Identifier: MIT
 *
 * Measured tables of collectives: CSV, or the text that nccl-tests prints.
 * Between two measured sizes time is taken as straight in the bytes, which is
 * what a latency and a rate make of it; beyond the ends it follows the
 * formula, scaled by the ratio at that end.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "cluster/csv_rows.h"
#include "cost/collective_parts.h"

enum { COLUMNS = 5, MAX_ROWS = 1 << 16, MAX_TOKENS = 32, MAX_LINE = 1024 };

typedef struct reading {
    ps_collective_model *into;
    const char *name;
    bool has_header;
} reading;

static ps_code refuse(const char *name, uint32_t line, const char *what, const char *text,
                      ps_error *err)
{
    return ps_fail(err, PS_BAD_INPUT, "%.140s:%u: %s \"%.60s\"", name, (unsigned)line, what, text);
}

static ps_code add(ps_collective_model *self, const ps_measured_row *row, ps_error *err)
{
    PS_TRY(ps_grow((void **)&self->row, &self->row_capacity, self->row_count + 1, MAX_ROWS,
                   sizeof *self->row, err));
    self->row[self->row_count] = *row;
    self->row_count++;
    return PS_OK;
}

static bool find_kind(const char *name, ps_collective_op *out)
{
    for (int i = PS_COLLECTIVE_NONE + 1; i < PS_COLLECTIVE_OP_COUNT; i++) {
        if (strcmp(name, ps_collective_kind_name((ps_collective_op)i)) == 0) {
            *out = (ps_collective_op)i;
            return true;
        }
    }
    return false;
}

static ps_code on_row(void *context, const char *const *field, size_t count, uint32_t line,
                      ps_error *err)
{
    static const char *const header[COLUMNS] = {"collective", "ranks", "nodes", "bytes", "time"};
    reading *self = context;
    ps_measured_row row = {0};
    uint64_t ranks, nodes;
    if (count != COLUMNS) {
        return refuse(self->name, line, "not five fields after", field[0], err);
    }
    if (!self->has_header) {
        for (size_t i = 0; i < COLUMNS; i++) {
            if (strcmp(field[i], header[i]) != 0) {
                return refuse(self->name, line,
                              "measured collectives begin with the line "
                              "collective,ranks,nodes,bytes,time, not with",
                              field[i], err);
            }
        }
        self->has_header = true;
        return PS_OK;
    }
    if (!find_kind(field[0], &row.kind)) {
        return refuse(self->name, line, "unknown collective", field[0], err);
    }
    if (ps_quantity_parse_in(PS_UNIT_COUNT, field[1], 2, PS_CLUSTER_MAX_GPUS, &ranks, err) !=
            PS_OK ||
        ps_quantity_parse_in(PS_UNIT_COUNT, field[2], 1, ranks, &nodes, err) != PS_OK ||
        ps_quantity_parse_in(PS_UNIT_SIZE, field[3], 1, UINT64_C(1) << 56, &row.bytes, err) !=
            PS_OK ||
        ps_duration_parse(field[4], &row.dur_ns, err) != PS_OK || row.dur_ns == 0) {
        return refuse(self->name, line, "not ranks, nodes, bytes and a time:", field[4], err);
    }
    row.ranks = (uint32_t)ranks;
    row.nodes = (uint32_t)nodes;
    return add(self->into, &row, err);
}

/* What a text of nccl-tests says before and of its columns. */
typedef struct test_text {
    const char *name;
    ps_collective_op kind;
    uint32_t line, ranks, hosts;
    int time_column; /* of the first, out-of-place, times; -1: not yet said */
    char host[64];   /* of the line before */
} test_text;

static int split(char *line, char *token[MAX_TOKENS])
{
    int count = 0;
    char *rest = NULL;
    for (char *at = strtok_r(line, " \t\r", &rest); at != NULL && count < MAX_TOKENS;
         at = strtok_r(NULL, " \t\r", &rest)) {
        token[count] = at;
        count++;
    }
    return count;
}

/* "#  Rank  0 Group  0 Pid  1 on  host device  0 ..." and "#  size count type ... time ..." */
static void read_comment(test_text *self, char *const token[], int count)
{
    if (count > 2 && strcmp(token[1], "Rank") == 0) {
        self->ranks++;
        for (int i = 2; i + 1 < count; i++) {
            if (strcmp(token[i], "on") == 0 && strcmp(self->host, token[i + 1]) != 0) {
                (void)snprintf(self->host, sizeof self->host, "%s", token[i + 1]);
                self->hosts++;
            }
        }
    }
    if (count > 2 && strcmp(token[1], "size") == 0) {
        for (int i = 2; i < count && self->time_column < 0; i++) {
            self->time_column = strcmp(token[i], "time") == 0 ? i - 1 : -1;
        }
    }
}

static ps_code read_figures(const test_text *self, ps_collective_model *into, char *const token[],
                            int count, ps_error *err)
{
    char time[48];
    ps_measured_row row = {.kind = self->kind, .ranks = self->ranks, .nodes = self->hosts};
    if (self->time_column < 0 || self->ranks < 2 || self->hosts == 0) {
        return refuse(self->name, self->line,
                      "figures before the lines that tell ranks and columns:", token[0], err);
    }
    if (count <= self->time_column) {
        return refuse(self->name, self->line, "too few figures after", token[0], err);
    }
    (void)snprintf(time, sizeof time, "%.40sus", token[self->time_column]);
    if (ps_quantity_parse_in(PS_UNIT_SIZE, token[0], 0, UINT64_C(1) << 56, &row.bytes, err) !=
            PS_OK ||
        ps_duration_parse(time, &row.dur_ns, err) != PS_OK) {
        return refuse(self->name, self->line, "not bytes and a time:", token[0], err);
    }
    return row.bytes > 0 && row.dur_ns > 0 ? add(into, &row, err) : PS_OK;
}

static ps_code read_tests(test_text *self, ps_collective_model *into, const char *text,
                          size_t bytes, ps_error *err)
{
    for (size_t at = 0; at < bytes;) {
        const char *end = memchr(text + at, '\n', bytes - at);
        const size_t length = end != NULL ? (size_t)(end - text) - at : bytes - at;
        char line[MAX_LINE], *token[MAX_TOKENS];
        self->line++;
        if (length >= sizeof line) {
            return refuse(self->name, self->line, "a line too long for nccl-tests after", "", err);
        }
        memcpy(line, text + at, length);
        line[length] = '\0';
        const int count = split(line, token);
        if (count > 0 && token[0][0] == '#') {
            read_comment(self, token, count);
        } else if (count > 0 && token[0][0] >= '0' && token[0][0] <= '9') {
            PS_TRY(read_figures(self, into, token, count, err));
        }
        at += length + 1;
    }
    return PS_OK;
}

static int by_key(const void *a, const void *b)
{
    const ps_measured_row *x = a, *y = b;
    const uint64_t left[4] = {(uint64_t)x->kind, x->ranks, x->nodes, x->bytes};
    const uint64_t right[4] = {(uint64_t)y->kind, y->ranks, y->nodes, y->bytes};
    for (int i = 0; i < 4; i++) {
        if (left[i] != right[i]) {
            return left[i] < right[i] ? -1 : 1;
        }
    }
    return (x->dur_ns > y->dur_ns) - (x->dur_ns < y->dur_ns);
}

/* Sorts the rows; of several of one size the fastest stays. */
static void put_in_order(ps_collective_model *self)
{
    size_t kept = 0;
    qsort(self->row, self->row_count, sizeof *self->row, by_key);
    for (size_t i = 0; i < self->row_count; i++) {
        const ps_measured_row *row = &self->row[i], *last = kept > 0 ? &self->row[kept - 1] : NULL;
        if (last == NULL || last->kind != row->kind || last->ranks != row->ranks ||
            last->nodes != row->nodes || last->bytes != row->bytes) {
            self->row[kept] = *row;
            kept++;
        }
    }
    self->row_count = kept;
}

ps_code ps_collective_add_measured(ps_collective_model *self, const char *name, const char *text,
                                   size_t bytes, ps_collective_op kind, ps_error *err)
{
    const size_t before = self->row_count;
    ps_code code;
    if (kind == PS_COLLECTIVE_NONE) {
        reading read = {.into = self, .name = name};
        code = ps_csv_read(name, text, bytes, on_row, &read, err);
    } else {
        test_text read = {.name = name, .kind = kind, .time_column = -1};
        code = read_tests(&read, self, text, bytes, err);
    }
    if (code == PS_OK && self->row_count == before) {
        code = ps_fail(err, PS_BAD_INPUT, "%.140s: no measured collective in it", name);
    }
    if (code != PS_OK) {
        self->row_count = before;
        return code;
    }
    put_in_order(self);
    return PS_OK;
}

/* RECV is the other side of SEND. */
static ps_collective_op side(ps_collective_op kind)
{
    return kind == PS_COLLECTIVE_RECV ? PS_COLLECTIVE_SEND : kind;
}

static bool is_about(const ps_measured_row *row, const ps_collective_call *call)
{
    return side(row->kind) == side(call->kind) && row->ranks == call->place.ranks &&
           row->nodes == call->place.nodes;
}

/* The formula at a measured size. */
static uint64_t formula_ns(const ps_collective_model *self, const ps_collective_call *call,
                           uint64_t bytes)
{
    ps_collective_call at = *call;
    ps_collective_way way = {0};
    ps_collective_result result = {.dur_ns = 1};
    at.bytes = bytes;
    if (ps_collective_choose(self, &at, &way, NULL) == PS_OK) {
        ps_collective_time_of(self, &at, way, &result);
    }
    return result.dur_ns > 0 ? (uint64_t)result.dur_ns : 1;
}

static uint64_t measured_ns(const ps_collective_model *self, const ps_collective_call *call,
                            const ps_measured_row *below, const ps_measured_row *above,
                            uint64_t formula)
{
    if (below == NULL || above == NULL) {
        const ps_measured_row *end = below != NULL ? below : above;
        return ps_mul_div_u64(formula, (uint64_t)end->dur_ns, formula_ns(self, call, end->bytes));
    }
    const uint64_t span = above->bytes - below->bytes;
    if (span == 0) {
        return (uint64_t)below->dur_ns;
    }
    return ps_mul_div_u64((uint64_t)below->dur_ns, above->bytes - call->bytes, span) +
           ps_mul_div_u64((uint64_t)above->dur_ns, call->bytes - below->bytes, span);
}

/* Splits a duration again: bytes no faster than the formula's rate, the rest is latency. */
static void take_duration(ps_collective_result *inout, uint64_t ns)
{
    const uint64_t moving = ps_ns_at(inout->wire_bytes, inout->rate_bytes_per_s);
    ns = ps_least(ns, UINT64_C(1) << 62);
    inout->dur_ns = (ps_ns)ns;
    if (ns >= moving) {
        inout->latency_ns = (ps_ns)(ns - moving);
        return;
    }
    inout->latency_ns = 0;
    inout->rate_bytes_per_s = ps_mul_div_u64(inout->wire_bytes, 1000000000, ns > 0 ? ns : 1);
}

void ps_collective_apply_measured(const ps_collective_model *self, const ps_collective_call *call,
                                  ps_collective_result *inout)
{
    const ps_measured_row *below = NULL, *above = NULL;
    for (size_t i = 0; i < self->row_count; i++) {
        const ps_measured_row *row = &self->row[i];
        if (is_about(row, call) && row->bytes <= call->bytes) {
            below = row;
        }
        if (is_about(row, call) && row->bytes >= call->bytes && above == NULL) {
            above = row;
        }
    }
    if (below == NULL && above == NULL) {
        return;
    }
    take_duration(inout, measured_ns(self, call, below, above, (uint64_t)inout->dur_ns));
    inout->basis = below != NULL && above != NULL ? PS_BASIS_MEASURED : PS_BASIS_SCALED;
}
