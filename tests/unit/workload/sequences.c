/* SPDX-License-Identifier: MIT
 *
 * Models built from a description against what PyTorch asked of its
 * allocator (recorded/, made by tests/workload/export_sequences.py).
 *
 *   sequences FILE.txt.gz...
 *
 * Every allocation in order and to the byte; between two allocations the same
 * tensors end, in any order: no allocator can tell. Prints a line a file,
 * with the first difference; exit status 1 when there is one.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/source.h"
#include "support/recipe_line.h"
#include "workload/config/config.h"
#include "workload/script/train.h"

#define MAX_TEXT ((size_t)8 << 20)
#define MAX_EVENTS ((size_t)1 << 20)
#define SHOWN 12

typedef struct event {
    bool is_free;
    uint64_t value; /* bytes, or number of the allocation */
    const char *made_by;
} event;

typedef struct events {
    event *at;
    size_t count;
    uint64_t live, peak;
    uint64_t *bytes; /* of each allocation */
    size_t allocated;
} events;

static void add(events *self, bool is_free, uint64_t value)
{
    if (self->count == MAX_EVENTS) {
        abort();
    }
    self->at[self->count++] = (event){is_free, value, ""};
    if (is_free) {
        self->live -= self->bytes[value];
    } else {
        self->bytes[self->allocated++] = value;
        self->live += value;
        self->peak = self->live > self->peak ? self->live : self->peak;
    }
}

static int by_value(const void *a, const void *b)
{
    const uint64_t x = ((const event *)a)->value, y = ((const event *)b)->value;
    return (x > y) - (x < y);
}

/* Ends between two allocations in the order of their tensors. */
static void settle(events *self)
{
    for (size_t begin = 0; begin < self->count;) {
        size_t end = begin;
        while (end < self->count && self->at[end].is_free) {
            end++;
        }
        qsort(&self->at[begin], end - begin, sizeof *self->at, by_value);
        begin = end + 1;
    }
}

/* ---- what the model does ---- */

typedef struct making {
    events made;
    size_t told; /* events before this one have a name */
    const ps_eager *e;
    uint64_t *number; /* of each buffer: its allocation's; on the host: ON_HOST */
    size_t buffers;
} making;

#define ON_HOST UINT64_MAX

static void on_begun(void *context, const ps_eager *e)
{
    ((making *)context)->e = e;
}

static ps_code on_alloc(void *context, uint32_t buffer, uint64_t bytes, ps_role role, ps_error *err)
{
    making *self = context;
    (void)role;
    (void)err;
    if (self->buffers == MAX_EVENTS || buffer != self->buffers) {
        abort();
    }
    const bool is_on_host = ps_memory_is_host((uint8_t)ps_eager_memory_now(self->e));
    self->number[self->buffers++] = is_on_host ? ON_HOST : self->made.allocated;
    if (!is_on_host) {
        add(&self->made, false, bytes);
    }
    return PS_OK;
}

static ps_code on_free(void *context, uint32_t buffer, ps_error *err)
{
    making *self = context;
    (void)err;
    if (self->number[buffer] != ON_HOST) {
        add(&self->made, true, self->number[buffer]);
    }
    return PS_OK;
}

static ps_code on_kernel(void *context, const ps_eager_kernel *kernel, ps_error *err)
{
    making *self = context;
    (void)err;
    for (; self->told < self->made.count; self->told++) {
        self->made.at[self->told].made_by = kernel->name;
    }
    return PS_OK;
}

static void on_rename(void *context, uint32_t buffer, ps_role role)
{
    (void)context;
    (void)buffer;
    (void)role;
}

/* ---- the recording ---- */

/* @param text  MAX_TEXT bytes and a NUL */
static void read_text(const char *path, char *text)
{
    ps_source *source;
    ps_error err;
    size_t got = 0;
    if (ps_source_open(path, &source, &err) != PS_OK) {
        (void)fprintf(stderr, "sequences: cannot read %s\n", path);
        exit(4);
    }
    if (ps_source_read(source, text, MAX_TEXT, &got, &err) != PS_OK) {
        exit(3);
    }
    ps_source_close(source);
    text[got] = '\0';
}

static char *next_line(char **text)
{
    char *line = *text;
    if (line == NULL || *line == '\0') {
        return NULL;
    }
    *text = strchr(line, '\n');
    if (*text != NULL) {
        *(*text)++ = '\0';
    }
    return line;
}

/* ---- comparison ---- */

static void show(const char *title, const events *of, size_t at)
{
    (void)printf("  %s\n", title);
    for (size_t i = at < SHOWN ? 0 : at - SHOWN; i < at + SHOWN && i < of->count; i++) {
        const event *e = &of->at[i];
        (void)printf("  %c %6zu %s %" PRIu64 " %s\n", i == at ? '>' : ' ', i,
                     e->is_free ? "free " : "alloc", e->value, e->made_by);
    }
}

static bool compare(const char *name, const events *made, const events *recorded)
{
    size_t at = 0;
    while (at < made->count && at < recorded->count &&
           made->at[at].is_free == recorded->at[at].is_free &&
           made->at[at].value == recorded->at[at].value) {
        at++;
    }
    if (at == made->count && at == recorded->count) {
        (void)printf("exact  %s: %zu events, peak %" PRIu64 " bytes\n", name, at, made->peak);
        return true;
    }
    (void)printf("differ %s: event %zu of %zu; peak %" PRIu64 " for %" PRIu64 " bytes (%+.3f %%)\n",
                 name, at, recorded->count, made->peak, recorded->peak,
                 100.0 * ((double)made->peak / (double)recorded->peak - 1.0));
    show("made", made, at);
    show("recorded", recorded, at);
    return false;
}

/* Room for the largest recording, taken once: a sanitizer clears every block that is handed out. */
typedef struct room {
    char *text;
    events made, recorded;
    uint64_t *number;
} room;

static void *take(size_t count, size_t bytes)
{
    void *block = malloc(count * bytes);
    if (block == NULL) {
        abort();
    }
    return block;
}

static events no_events(void)
{
    return (events){.at = take(MAX_EVENTS, sizeof(event)),
                    .bytes = take(MAX_EVENTS, sizeof(uint64_t))};
}

static void forget(events *self)
{
    *self = (events){.at = self->at, .bytes = self->bytes};
}

static void release(events *self)
{
    free(self->at);
    free(self->bytes);
}

static void read_events(char **text, events *recorded)
{
    forget(recorded);
    for (char *line = next_line(text); line != NULL; line = next_line(text)) {
        if (line[0] != '#') {
            add(recorded, line[0] == 'F', strtoull(line + 2, NULL, 10));
        }
    }
    settle(recorded);
}

static bool make(const char *config_line, const char *recipe_line, room *in)
{
    recipe_words told;
    ps_error err = {0};
    ps_model_config *config;
    if (ps_model_config_read_memory("recording", config_line, strlen(config_line), &config, &err) !=
        PS_OK) {
        abort();
    }
    const ps_recipe recipe = recipe_of_line(recipe_line, &told);
    forget(&in->made);
    making self = {.made = in->made, .number = in->number};
    const ps_family *family = NULL;
    ps_code code = ps_family_of(config, &family, &err);
    const ps_training run = {.family = family,
                             .config = config,
                             .recipe = &recipe,
                             .device = RECIPE_DEVICE,
                             .sink = {.context = &self,
                                      .alloc = on_alloc,
                                      .free = on_free,
                                      .kernel = on_kernel,
                                      .rename = on_rename},
                             .marks = {.context = &self, .begun = on_begun}};
    if (code == PS_OK) {
        code = ps_train(&run, &err);
    }
    if (code != PS_OK) {
        char words[512];
        ps_error_format(&err, words, sizeof words);
        (void)printf("       refused: %s %s\n", ps_code_name(code), words);
    }
    ps_model_config_destroy(config);
    settle(&self.made);
    in->made = self.made;
    return code == PS_OK;
}

static bool check(const char *path, room *in)
{
    char *text = in->text;
    read_text(path, text);
    char *config = next_line(&text), *recipe = next_line(&text);
    const char *name = strrchr(path, '/') == NULL ? path : strrchr(path, '/') + 1;
    read_events(&text, &in->recorded);
    const bool is_made = make(config + strlen("# config "), recipe, in);
    return compare(name, &in->made, &in->recorded) && is_made;
}

int main(int argc, char **argv)
{
    bool are_equal = argc > 1;
    room in = {.text = take(MAX_TEXT + 1, 1),
               .made = no_events(),
               .recorded = no_events(),
               .number = take(MAX_EVENTS, sizeof(uint64_t))};
    for (int i = 1; i < argc; i++) {
        are_equal = check(argv[i], &in) && are_equal;
    }
    release(&in.made);
    release(&in.recorded);
    free(in.number);
    free(in.text);
    return are_equal ? 0 : 1;
}
