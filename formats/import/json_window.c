/* SPDX-License-Identifier: MIT
 *
 * A window over a stream of JSON text. The unread part moves to the front
 * only when more is asked for, so with a window much larger than an event
 * little is moved.
 */
#include "import/json_window.h"

#include <string.h>

#include "base/memory.h"
#include "import/json_batch.h"
#include "import/json_text.h"

#define GUARD_BYTES 1u

/* Resizes the block behind `bytes`; the guard and the padding come on top of the capacity. */
static ps_code resize(ps_json_window *self, size_t capacity, ps_error *err)
{
    char *block = self->bytes == NULL ? NULL : self->bytes - GUARD_BYTES;
    char *grown = ps_realloc(block, GUARD_BYTES + capacity + PS_JSON_PADDING, 1);
    if (grown == NULL) {
        return ps_fail_nomem(err);
    }
    self->bytes = grown + GUARD_BYTES;
    self->capacity = capacity;
    grown[0] = ' ';
    memset(self->bytes + capacity, ' ', PS_JSON_PADDING);
    return PS_OK;
}

ps_code ps_json_window_init(ps_json_window *self, ps_source *source, size_t capacity, ps_error *err)
{
    *self = (ps_json_window){.source = source};
    return resize(self, capacity, err);
}

void ps_json_window_fini(ps_json_window *self)
{
    if (self->bytes != NULL) {
        ps_free(self->bytes - GUARD_BYTES);
        self->bytes = NULL;
    }
}

static ps_code make_room(ps_json_window *self, ps_error *err)
{
    if (self->begin > 0) {
        memmove(self->bytes, self->bytes + self->begin, self->end - self->begin);
        self->base += self->begin;
        self->end -= self->begin;
        self->begin = 0;
    }
    if (self->end < self->capacity) {
        return PS_OK;
    }
    if (self->capacity >= PS_JSON_WINDOW_MAX_BYTES) {
        return ps_fail_at(err, PS_LIMIT, self->base, "one event is larger than %zu MiB",
                          PS_JSON_WINDOW_MAX_BYTES >> 20);
    }
    const size_t wanted = self->capacity * 2;
    return resize(self, wanted < PS_JSON_WINDOW_MAX_BYTES ? wanted : PS_JSON_WINDOW_MAX_BYTES, err);
}

ps_code ps_json_window_more(ps_json_window *self, bool *grew, ps_error *err)
{
    size_t got = 0;
    *grew = false;
    if (self->is_over) {
        return PS_OK;
    }
    PS_TRY(make_room(self, err));
    PS_TRY(ps_source_read(self->source, self->bytes + self->end, self->capacity - self->end, &got,
                          err));
    self->is_over = got == 0;
    self->end += got;
    *grew = got > 0;
    return PS_OK;
}

ps_code ps_json_window_skip_space(ps_json_window *self, char *next, ps_error *err)
{
    for (;;) {
        while (self->begin < self->end && ps_json_is_space(self->bytes[self->begin])) {
            self->begin++;
        }
        if (self->begin < self->end) {
            *next = self->bytes[self->begin];
            return PS_OK;
        }
        bool grew = false;
        PS_TRY(ps_json_window_more(self, &grew, err));
        if (!grew) {
            *next = '\0';
            return PS_OK;
        }
    }
}
