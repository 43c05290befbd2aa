/* SPDX-License-Identifier: MIT
 *
 * The Kineto importer: the PyTorch profiler's Chrome trace JSON, from 2020
 * (categories with capitals, no addresses) to now (decimal times relative to
 * a base). kineto_map.c has the table of what becomes what.
 *
 * Caveats: sizes in memory events are those of the allocator's blocks; the
 * file says nothing of streams or segments there; baseTimeNanoseconds is kept
 * beside the rows, not added to them; a file in which most events cannot be
 * read is refused, fewer are counted and left out.
 */
#include "import/kineto.h"

#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "import/json_events.h"
#include "import/json_head.h"
#include "import/kineto_map.h"

/* [bytes] within which the first event of a bare list must show itself */
#define FIRST_EVENT_BYTES 4096u

/* ---- probe ---- */

static bool contains(const unsigned char *text, size_t bytes, const char *word)
{
    const size_t wanted = strlen(word);
    for (size_t i = 0; i + wanted <= bytes; i++) {
        if (memcmp(text + i, word, wanted) == 0) {
            return true;
        }
    }
    return false;
}

static int probe_kineto(const unsigned char *head, size_t head_bytes)
{
    static const char *const hints[] = {"schemaVersion", "deviceProperties", "distributedInfo",
                                        "displayTimeUnit", "baseTimeNanoseconds"};
    const char first = ps_json_head_char(head, head_bytes, 0);
    if (first == '[') {
        const size_t shown = head_bytes < FIRST_EVENT_BYTES ? head_bytes : FIRST_EVENT_BYTES;
        return ps_json_head_char(head, head_bytes, 1) == '{' && contains(head, shown, "\"ph\"") ? 80
                                                                                                : 0;
    }
    if (first != '{') {
        return 0;
    }
    if (ps_json_head_has(head, head_bytes, "traceEvents")) {
        return 95;
    }
    /* the list may begin behind the head, after much about the machine or the ranks */
    for (size_t i = 0; i < sizeof hints / sizeof hints[0]; i++) {
        if (ps_json_head_has(head, head_bytes, hints[i])) {
            return 60;
        }
    }
    return 0;
}

/* ---- import ---- */

/* Everything an import owns. */
typedef struct session {
    ps_json_events *events;
    ps_kineto_map *map;
} session;

static ps_code import_events(const session *self, ps_error *err)
{
    ps_kineto_event event = {0};
    ps_json_item object;
    bool has = false;
    for (;;) {
        PS_TRY(ps_json_events_next(self->events, &object, &has, err));
        if (!has) {
            return PS_OK;
        }
        event.offset = ps_json_events_offset(self->events, object.start);
        event.index++;
        ps_kineto_event_read(&event, &self->map->words, &object);
        PS_TRY(ps_kineto_map_event(self->map, &event, err));
    }
}

/* Members around the list that were too large to look at. */
static ps_code note_left_out(const session *self, ps_error *err)
{
    char text[24];
    const uint64_t count = ps_json_events_damage(self->events).left_out;
    if (count == 0) {
        return PS_OK;
    }
    (void)snprintf(text, sizeof text, "%llu", (unsigned long long)count);
    return ps_trace_builder_meta(self->map->out, PS_META_LEFT_OUT, text, err);
}

/* Adds up damage of text and of meaning; more than half of the events is too much. */
static ps_code judge_damage(const session *self, ps_error *err)
{
    const ps_json_damage damage = ps_json_events_damage(self->events);
    const uint64_t incomplete = self->map->loss[PS_KINETO_LOSS_MALFORMED];
    const uint64_t total = damage.event_count + damage.skipped;
    const uint64_t bad = damage.skipped + incomplete;
    uint64_t first = damage.first_offset;
    if (damage.skipped == 0 || (incomplete > 0 && self->map->first_malformed < first)) {
        first = self->map->first_malformed;
    }
    if (bad > total / 2) {
        return ps_fail_at(err, PS_CORRUPT, first,
                          "%llu of %llu events cannot be read, the first one",
                          (unsigned long long)bad, (unsigned long long)total);
    }
    self->map->loss[PS_KINETO_LOSS_MALFORMED] = bad;
    self->map->loss[PS_KINETO_LOSS_TEXT] += damage.bad_bytes;
    return PS_OK;
}

static ps_code import_all(const session *self, ps_error *err)
{
    char *outer = NULL;
    size_t outer_bytes = 0;
    PS_TRY(import_events(self, err));
    if (ps_json_events_list_count(self->events) == 0) {
        return ps_fail(err, PS_BAD_INPUT, "there is no \"traceEvents\" in the file");
    }
    PS_TRY(judge_damage(self, err));
    PS_TRY(note_left_out(self, err));
    PS_TRY(ps_json_events_outer(self->events, &outer, &outer_bytes, err));
    return ps_kineto_map_outer(self->map, outer, outer_bytes, err);
}

ps_code ps_kineto_import(ps_source *source, ps_trace_builder *out, size_t window_bytes,
                         ps_error *err)
{
    session self = {.map = ps_calloc(1, sizeof *self.map)};
    if (self.map == NULL) {
        return ps_fail_nomem(err);
    }
    ps_kineto_map_init(self.map, out);
    ps_code code =
        ps_json_events_open(source, "traceEvents", "args", window_bytes, &self.events, err);
    if (code == PS_OK) {
        code = import_all(&self, err);
    }
    ps_json_events_close(self.events);
    ps_kineto_map_fini(self.map);
    ps_free(self.map);
    return code;
}

static ps_code import_kineto(ps_source *source, ps_trace_builder *out, ps_error *err)
{
    return ps_kineto_import(source, out, PS_JSON_EVENTS_WINDOW_BYTES, err);
}

const ps_importer_ops ps_importer_kineto = {
    .abi = PS_IMPORTER_ABI,
    .name = "kineto",
    .summary = "PyTorch profiler trace, Chrome trace JSON (.json, .json.gz, tar)",
    .probe = probe_kineto,
    .import = import_kineto,
};
