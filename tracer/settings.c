/* SPDX-License-Identifier: MIT
 *
 * Settings from the environment.
 */
#include "settings.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/units.h"

/* Digits up to `stop`; an empty text gives the fallback. */
static bool read_number(const char *text, const char *stop, uint64_t fallback, uint64_t *out)
{
    uint64_t value = 0;
    if (text == stop) {
        *out = fallback;
        return true;
    }
    for (; text < stop; text++) {
        if (*text < '0' || *text > '9' || value > UINT64_MAX / 10 - 1) {
            return false;
        }
        value = value * 10 + (uint64_t)(*text - '0');
    }
    *out = value;
    return true;
}

ps_code ps_steps_parse(const char *text, uint64_t *first, uint64_t *end, ps_error *err)
{
    const char *colon = strchr(text, ':');
    uint64_t from, to;
    if (colon == NULL || !read_number(text, colon, 0, &from) ||
        !read_number(colon + 1, text + strlen(text), UINT64_MAX, &to)) {
        return ps_fail(err, PS_USAGE, "\"%.64s\" is not a range of steps, expected A:B", text);
    }
    if (to <= from) {
        return ps_fail(err, PS_USAGE, "\"%.64s\" holds no step: B must be greater than A", text);
    }
    *first = from;
    *end = to;
    return PS_OK;
}

static uint64_t read_bytes(const char *name, uint64_t fallback)
{
    const char *text = getenv(name);
    uint64_t bytes;
    return text != NULL && ps_size_parse(text, &bytes, NULL) == PS_OK ? bytes : fallback;
}

static bool read_switch(const char *name, bool fallback)
{
    const char *text = getenv(name);
    return text == NULL ? fallback : strcmp(text, "0") != 0;
}

ps_settings ps_settings_read(void)
{
    ps_settings self = {
        .folder = getenv(PS_ENV_FOLDER),
        .cupti = getenv(PS_ENV_CUPTI),
        .wants_device = read_switch(PS_ENV_DEVICE, true),
        .watches_driver = read_switch(PS_ENV_WATCH, false),
        .budget_bytes = read_bytes(PS_ENV_BUDGET, PS_DEFAULT_BUDGET_BYTES),
        .max_bytes = read_bytes(PS_ENV_MAX_BYTES, 0),
        .end_step = UINT64_MAX,
    };
    const char *steps = getenv(PS_ENV_STEPS);
    self.has_steps =
        steps != NULL && ps_steps_parse(steps, &self.first_step, &self.end_step, NULL) == PS_OK;
    return self;
}
