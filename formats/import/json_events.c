/* SPDX-License-Identifier: MIT
 *
 * Events out of a window: where to cut, and what to do about damage.
 *
 * A cut is made where an event seems to end: at "} , {" followed by a name, or
 * at "} ]" followed by what may follow a list. Such text can also stand inside
 * an event, so a cut is only a guess: when the last event before it cannot be
 * read, reading starts again at that event with cuts that lie 1, 2, 4, ... 64
 * guesses ahead. Only when all fail is the event damaged; then everything is
 * skipped up to the next place where an event begins with a usual name.
 */
#include "import/json_events.h"

#include <string.h>

#include "base/memory.h"
#include "import/json_outer.h"
#include "import/json_text.h"
#include "import/json_window.h"

#define MAX_ATTEMPTS 7u
#define SMALL_BATCH_BYTES ((size_t)16 << 10)
#define DAMAGE_PATIENCE 1000u

struct ps_json_events {
    ps_json_window window;
    ps_json_outer outer;
    ps_json_batch *batch;
    bool is_begun;
    bool in_list;
    bool is_open;       /* the batch is being walked */
    size_t cut;         /* index that holds ']' while open */
    char saved_front;   /* what '[' at begin - 1 replaced */
    char saved_back[2]; /* what "] " at cut replaced */
    size_t batch_bytes; /* wanted size of the next batch */
    unsigned attempt;   /* 0: normal; n: cut 2^(n-1) guesses ahead */
    ps_json_damage damage;
};

ps_code ps_json_events_open(ps_source *source, const char *list_key, const char *open_key,
                            size_t window_bytes, ps_json_events **out, ps_error *err)
{
    ps_json_events *self = ps_calloc(1, sizeof *self);
    if (self == NULL) {
        return ps_fail_nomem(err);
    }
    ps_json_outer_init(&self->outer, list_key);
    self->batch_bytes = window_bytes;
    self->batch = ps_json_batch_create(open_key);
    ps_code code = self->batch == NULL ? ps_fail_nomem(err) : PS_OK;
    if (code == PS_OK) {
        code = ps_json_window_init(&self->window, source, window_bytes, err);
    }
    if (code != PS_OK) {
        ps_json_events_close(self);
        return code;
    }
    *out = self;
    return PS_OK;
}

void ps_json_events_close(ps_json_events *self)
{
    if (self == NULL) {
        return;
    }
    ps_json_batch_destroy(self->batch);
    ps_json_window_fini(&self->window);
    ps_json_outer_fini(&self->outer);
    ps_free(self);
}

/* ---- guessing where events end ---- */

static size_t skip_space(const ps_json_window *w, size_t at)
{
    while (at < w->end && ps_json_is_space(w->bytes[at])) {
        at++;
    }
    return at;
}

/* Names that recorders put first in an event. */
static bool has_event_key(const ps_json_window *w, size_t at)
{
    static const char *const keys[] = {"\"ph\"",  "\"name\"", "\"cat\"",  "\"ts\"",
                                       "\"pid\"", "\"tid\"",  "\"args\"", "\"dur\""};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        const size_t bytes = strlen(keys[i]);
        if (w->end - at >= bytes && memcmp(w->bytes + at, keys[i], bytes) == 0) {
            return true;
        }
    }
    return false;
}

/* True when the list may end at the ']' at index `at`. */
static bool may_end_list(const ps_json_window *w, size_t at)
{
    const size_t behind = skip_space(w, at + 1);
    if (behind == w->end) {
        return w->is_over;
    }
    if (w->bytes[behind] == ',') {
        const size_t name = skip_space(w, behind + 1);
        return name < w->end && w->bytes[name] == '"';
    }
    return w->bytes[behind] == '}';
}

/* How sure a guess has to be. */
typedef enum certainty {
    LOOSE,  /* the next object may begin with any name */
    STRICT, /* the next object must begin like an event */
} certainty;

/* A guess at the '}' at index `at`: *cut is the ',' or ']' behind it. */
static bool is_event_end(const ps_json_window *w, size_t at, certainty wanted, size_t *cut)
{
    const size_t behind = skip_space(w, at + 1);
    if (behind == w->end) {
        return false;
    }
    *cut = behind;
    if (w->bytes[behind] == ']') {
        return may_end_list(w, behind);
    }
    if (w->bytes[behind] != ',') {
        return false;
    }
    const size_t brace = skip_space(w, behind + 1);
    if (brace == w->end || w->bytes[brace] != '{') {
        return false;
    }
    const size_t name = skip_space(w, brace + 1);
    return wanted == STRICT ? has_event_key(w, name) : name < w->end && w->bytes[name] == '"';
}

static bool find_first(const ps_json_window *w, size_t from, certainty wanted, size_t *cut)
{
    while (from < w->end) {
        const char *brace = memchr(w->bytes + from, '}', w->end - from);
        if (brace == NULL) {
            return false;
        }
        const size_t at = (size_t)(brace - w->bytes);
        if (is_event_end(w, at, wanted, cut)) {
            return true;
        }
        from = at + 1;
    }
    return false;
}

static bool find_last(const ps_json_window *w, size_t limit, size_t *cut)
{
    for (size_t at = limit; at > w->begin; at--) {
        if (w->bytes[at - 1] == '}' && is_event_end(w, at - 1, LOOSE, cut)) {
            return true;
        }
    }
    return false;
}

/* ---- choosing a cut ---- */

static ps_code choose_normal_cut(ps_json_events *self, ps_error *err)
{
    ps_json_window *w = &self->window;
    bool grew = w->end - w->begin < w->capacity / 4;
    if (grew) {
        PS_TRY(ps_json_window_more(w, &grew, err));
    }
    for (;;) {
        const size_t unread = w->end - w->begin;
        const size_t wanted = unread < self->batch_bytes ? unread : self->batch_bytes;
        if (find_last(w, w->begin + wanted, &self->cut) ||
            find_first(w, w->begin, LOOSE, &self->cut)) {
            return PS_OK;
        }
        if (w->is_over) {
            self->cut = w->end;
            return PS_OK;
        }
        PS_TRY(ps_json_window_more(w, &grew, err));
    }
}

/* The cut 2^(attempt - 1) guesses ahead, or as far as the file goes. */
static ps_code choose_careful_cut(ps_json_events *self, ps_error *err)
{
    ps_json_window *w = &self->window;
    const unsigned wanted = 1u << (self->attempt - 1);
    for (;;) {
        size_t from = w->begin;
        unsigned found = 0;
        while (found < wanted && find_first(w, from, LOOSE, &self->cut)) {
            from = self->cut + 1;
            found++;
        }
        if (found == wanted) {
            return PS_OK;
        }
        if (w->is_over) {
            self->cut = found > 0 ? self->cut : w->end;
            return PS_OK;
        }
        bool grew = false;
        PS_TRY(ps_json_window_more(w, &grew, err));
    }
}

/* ---- batches ---- */

static void close_batch(ps_json_events *self)
{
    const ps_json_window *w = &self->window;
    char *front = w->bytes + w->begin - 1;
    *front = self->saved_front;
    memcpy(w->bytes + self->cut, self->saved_back, sizeof self->saved_back);
    self->is_open = false;
}

static ps_json_look look_over(ps_json_events *self)
{
    const ps_json_window *w = &self->window;
    char *text = w->bytes + w->begin - 1;
    const size_t bytes = self->cut - w->begin + 2;
    self->saved_front = text[0];
    memcpy(self->saved_back, w->bytes + self->cut, sizeof self->saved_back);
    text[0] = '[';
    memcpy(w->bytes + self->cut, "] ", sizeof self->saved_back);
    ps_json_look look = ps_json_batch_begin(self->batch, text, bytes);
    if (look == PS_JSON_LOOK_BAD_UTF8) {
        self->damage.bad_bytes += ps_json_clean_utf8(text, bytes);
        look = ps_json_batch_begin(self->batch, text, bytes);
    }
    return look;
}

static ps_code too_damaged(const ps_json_events *self, ps_error *err)
{
    return ps_fail_at(err, PS_CORRUPT, self->damage.first_offset,
                      "%llu of the first %llu events cannot be read, the first one",
                      (unsigned long long)self->damage.skipped,
                      (unsigned long long)(self->damage.skipped + self->damage.event_count));
}

static ps_code count_damage(ps_json_events *self, ps_error *err)
{
    if (self->damage.skipped++ == 0) {
        self->damage.first_offset = ps_json_window_offset(&self->window, self->window.begin);
    }
    return self->damage.skipped >= DAMAGE_PATIENCE &&
                   self->damage.skipped > self->damage.event_count
               ? too_damaged(self, err)
               : PS_OK;
}

static ps_code truncated(const ps_json_window *w, ps_error *err)
{
    return ps_fail_at(err, PS_TRUNCATED, ps_json_window_offset(w, w->end),
                      "the file ends inside the list of events");
}

/* Leaves out the event at begin. */
static ps_code skip_damaged(ps_json_events *self, ps_error *err)
{
    ps_json_window *w = &self->window;
    size_t cut = 0;
    while (!find_first(w, w->begin, STRICT, &cut)) {
        bool grew = false;
        if (w->is_over) {
            return truncated(w, err);
        }
        PS_TRY(ps_json_window_more(w, &grew, err));
    }
    PS_TRY(count_damage(self, err));
    w->begin = cut;
    self->attempt = 0;
    self->batch_bytes = SMALL_BATCH_BYTES;
    return PS_OK;
}

/* The event at begin could not be read with the last cut. */
static ps_code try_harder(ps_json_events *self, ps_error *err)
{
    if (self->attempt < MAX_ATTEMPTS) {
        self->attempt++;
        return PS_OK;
    }
    return skip_damaged(self, err);
}

static ps_code open_batch(ps_json_events *self, ps_error *err)
{
    PS_TRY(self->attempt == 0 ? choose_normal_cut(self, err) : choose_careful_cut(self, err));
    switch (look_over(self)) {
    case PS_JSON_LOOK_OK:
        self->is_open = true;
        return PS_OK;
    case PS_JSON_LOOK_NOMEM:
        close_batch(self);
        return ps_fail_nomem(err);
    case PS_JSON_LOOK_BAD_UTF8:
    case PS_JSON_LOOK_DAMAGED:
        break;
    }
    close_batch(self);
    return try_harder(self, err);
}

/* Moves begin to a place in the walked text, the batch's own bracket included. */
static void leave_batch(ps_json_events *self, const char *place)
{
    close_batch(self);
    if (place != NULL) {
        self->window.begin = (size_t)(place - self->window.bytes);
    }
}

static ps_code step_batch(ps_json_events *self, ps_json_item *object, bool *has, ps_error *err)
{
    *has = false;
    const ps_json_step step = ps_json_batch_next(self->batch, object);
    switch (step) {
    case PS_JSON_STEP_OBJECT:
        if (self->attempt > 0) {
            self->attempt = 0;
            self->batch_bytes = SMALL_BATCH_BYTES;
        }
        self->damage.event_count++;
        *has = true;
        return PS_OK;
    case PS_JSON_STEP_END:
        leave_batch(self, object->next);
        if (self->batch_bytes < self->window.capacity) {
            self->batch_bytes *= 2;
        }
        return PS_OK;
    case PS_JSON_STEP_DAMAGED:
        leave_batch(self, object->start);
        return try_harder(self, err);
    case PS_JSON_STEP_NOMEM:
        break;
    }
    close_batch(self);
    return ps_fail_nomem(err);
}

/* Between batches: opens the next one, or handles what is no event. */
static ps_code advance(ps_json_events *self, ps_error *err)
{
    ps_json_window *w = &self->window;
    char c = ',';
    while (c == ',') {
        PS_TRY(ps_json_window_skip_space(w, &c, err));
        w->begin += c == ',' ? 1 : 0;
    }
    if (w->begin == w->end) {
        return truncated(w, err);
    }
    switch (c) {
    case '{':
        return open_batch(self, err);
    case ']':
        w->begin++;
        return ps_json_outer_resume(&self->outer, w, &self->in_list, err);
    case '}':
    case ':':
        return skip_damaged(self, err);
    default: /* a value, but not an event */
        PS_TRY(count_damage(self, err));
        return ps_json_outer_skip_value(w, err);
    }
}

ps_code ps_json_events_next(ps_json_events *self, ps_json_item *object, bool *has, ps_error *err)
{
    if (!self->is_begun) {
        self->is_begun = true;
        PS_TRY(ps_json_outer_start(&self->outer, &self->window, &self->in_list, err));
    }
    *has = false;
    while (self->in_list && !*has) {
        PS_TRY(self->is_open ? step_batch(self, object, has, err) : advance(self, err));
    }
    return PS_OK;
}

uint64_t ps_json_events_offset(const ps_json_events *self, const char *piece)
{
    return ps_json_window_offset(&self->window, (size_t)(piece - self->window.bytes));
}

uint64_t ps_json_events_list_count(const ps_json_events *self)
{
    return self->outer.list_count;
}

ps_json_damage ps_json_events_damage(const ps_json_events *self)
{
    ps_json_damage damage = self->damage;
    damage.left_out = self->outer.left_out;
    return damage;
}

ps_code ps_json_events_outer(ps_json_events *self, char **text, size_t *bytes, ps_error *err)
{
    return ps_json_outer_text(&self->outer, text, bytes, err);
}
