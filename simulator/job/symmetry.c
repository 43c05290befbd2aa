/* SPDX-License-Identifier: MIT
 *
 * Refinement of colours, round by round.
 */
#include "job/symmetry.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

/* What a vertex sees through one edge. */
typedef struct sight {
    uint32_t label, colour;
} sight;

/* One vertex with all it sees, sorted. */
typedef struct view {
    uint32_t vertex, colour;
    const sight *seen;
    size_t count;
} view;

typedef struct keyed {
    uint64_t key;
    uint32_t vertex;
} keyed;

typedef struct refinement {
    const ps_symmetry_edge *edge;
    size_t edge_count, vertex_count;
    uint32_t *colour;
    size_t *first; /* per vertex, and one more: its part of `seen` */
    sight *seen;
    view *view;
    keyed *keyed;
    uint32_t *renamed; /* per vertex: new colour */
} refinement;

static int by_sight(const void *a, const void *b)
{
    const sight *x = a, *y = b;
    if (x->label != y->label) {
        return x->label < y->label ? -1 : 1;
    }
    return (x->colour > y->colour) - (x->colour < y->colour);
}

/* The same colour and the same sights: 0. */
static int compare_views(const view *x, const view *y)
{
    if (x->colour != y->colour) {
        return x->colour < y->colour ? -1 : 1;
    }
    if (x->count != y->count) {
        return x->count < y->count ? -1 : 1;
    }
    for (size_t i = 0; i < x->count; i++) {
        const int order = by_sight(&x->seen[i], &y->seen[i]);
        if (order != 0) {
            return order;
        }
    }
    return 0;
}

static int by_view(const void *a, const void *b)
{
    const view *x = a, *y = b;
    const int order = compare_views(x, y);
    return order != 0 ? order : (x->vertex > y->vertex) - (x->vertex < y->vertex);
}

static void count_edges(refinement *self)
{
    for (size_t i = 0; i < self->edge_count; i++) {
        self->first[self->edge[i].a + 1]++;
        self->first[self->edge[i].b + 1]++;
    }
    for (size_t i = 0; i < self->vertex_count; i++) {
        self->first[i + 1] += self->first[i];
    }
}

static void look(refinement *self, size_t *next)
{
    memcpy(next, self->first, self->vertex_count * sizeof *next);
    for (size_t i = 0; i < self->edge_count; i++) {
        const ps_symmetry_edge *edge = &self->edge[i];
        self->seen[next[edge->a]++] = (sight){edge->label, self->colour[edge->b]};
        self->seen[next[edge->b]++] = (sight){edge->label, self->colour[edge->a]};
    }
    for (size_t i = 0; i < self->vertex_count; i++) {
        const size_t count = self->first[i + 1] - self->first[i];
        sight *seen = self->seen + self->first[i];
        if (count > 1) {
            qsort(seen, count, sizeof *seen, by_sight);
        }
        self->view[i] = (view){(uint32_t)i, self->colour[i], seen, count};
    }
    qsort(self->view, self->vertex_count, sizeof *self->view, by_view);
}

/* Classes in the order of their lowest vertex; returns how many there are. */
static uint32_t name_classes(refinement *self)
{
    uint32_t sorted = 0, count = 0;
    for (size_t i = 0; i < self->vertex_count; i++) {
        if (i > 0 && compare_views(&self->view[i - 1], &self->view[i]) != 0) {
            sorted++;
        }
        self->renamed[self->view[i].vertex] = sorted;
    }
    uint32_t *name = self->colour; /* is written where the class has been seen before */
    uint32_t *first_name = self->renamed + self->vertex_count;
    memset(first_name, 0xff, self->vertex_count * sizeof *first_name);
    for (size_t i = 0; i < self->vertex_count; i++) {
        uint32_t *slot = &first_name[self->renamed[i]];
        if (*slot == UINT32_MAX) {
            *slot = count++;
        }
        name[i] = *slot;
    }
    return count;
}

static int by_key(const void *a, const void *b)
{
    const keyed *x = a, *y = b;
    if (x->key != y->key) {
        return x->key < y->key ? -1 : 1;
    }
    return (x->vertex > y->vertex) - (x->vertex < y->vertex);
}

/* Vertices of one key have one colour. */
static void begin(refinement *self, const uint64_t *key)
{
    uint32_t colour = 0;
    for (size_t i = 0; i < self->vertex_count; i++) {
        self->keyed[i] = (keyed){key[i], (uint32_t)i};
    }
    qsort(self->keyed, self->vertex_count, sizeof *self->keyed, by_key);
    for (size_t i = 0; i < self->vertex_count; i++) {
        colour += i > 0 && self->keyed[i].key != self->keyed[i - 1].key ? 1 : 0;
        self->colour[self->keyed[i].vertex] = colour;
    }
}

static void refine(refinement *self, size_t *next, uint32_t *count)
{
    uint32_t before;
    *count = 0;
    do { /* classes only ever split: as many as before are the same */
        before = *count;
        look(self, next);
        *count = name_classes(self);
    } while (*count != before);
}

ps_code ps_symmetry_refine(const ps_symmetry_edge *edge, size_t edge_count, const uint64_t *key,
                           size_t vertex_count, uint32_t *colour, uint32_t *count, ps_error *err)
{
    refinement self = {.edge = edge,
                       .edge_count = edge_count,
                       .vertex_count = vertex_count,
                       .colour = colour,
                       .first = ps_calloc(vertex_count + 1, sizeof *self.first),
                       .seen = ps_calloc(2 * edge_count + 1, sizeof *self.seen),
                       .view = ps_calloc(vertex_count + 1, sizeof *self.view),
                       .keyed = ps_calloc(vertex_count + 1, sizeof *self.keyed),
                       .renamed = ps_calloc(2 * vertex_count + 1, sizeof *self.renamed)};
    size_t *next = ps_calloc(vertex_count + 1, sizeof *next);
    ps_code code = PS_OK;
    if (self.first == NULL || self.seen == NULL || self.view == NULL || self.keyed == NULL ||
        self.renamed == NULL || next == NULL) {
        code = ps_fail_nomem(err);
    } else {
        count_edges(&self);
        begin(&self, key);
        refine(&self, next, count);
    }
    ps_free(self.first);
    ps_free(self.seen);
    ps_free(self.view);
    ps_free(self.keyed);
    ps_free(self.renamed);
    ps_free(next);
    return code;
}
