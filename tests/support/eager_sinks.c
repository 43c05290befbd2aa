/* SPDX-License-Identifier: MIT
 */
#include "support/eager_sinks.h"

#include "support/test.h"

#include <string.h>

/* ---- deaf ---- */

ps_code deaf_alloc(void *context, uint32_t buffer, uint64_t bytes, ps_role role, ps_error *err)
{
    (void)context;
    (void)buffer;
    (void)bytes;
    (void)role;
    (void)err;
    return PS_OK;
}

ps_code deaf_free(void *context, uint32_t buffer, ps_error *err)
{
    (void)context;
    (void)buffer;
    (void)err;
    return PS_OK;
}

ps_code deaf_kernel(void *context, const ps_eager_kernel *kernel, ps_error *err)
{
    (void)context;
    (void)kernel;
    (void)err;
    return PS_OK;
}

void deaf_rename(void *context, uint32_t buffer, ps_role role)
{
    (void)context;
    (void)buffer;
    (void)role;
}

ps_eager_sink deaf_sink(void)
{
    return (ps_eager_sink){
        .alloc = deaf_alloc, .free = deaf_free, .kernel = deaf_kernel, .rename = deaf_rename};
}

/* ---- failing ---- */

/* Fails at the event with this number. */
typedef struct failing {
    size_t at, seen;
} failing;

static ps_code count(failing *self, ps_error *err)
{
    return self->seen++ == self->at ? ps_fail(err, PS_IO, "the sink is full") : PS_OK;
}

static ps_code on_alloc(void *context, uint32_t buffer, uint64_t bytes, ps_role role, ps_error *err)
{
    (void)buffer;
    (void)bytes;
    (void)role;
    return count(context, err);
}

static ps_code on_free(void *context, uint32_t buffer, ps_error *err)
{
    (void)buffer;
    return count(context, err);
}

static ps_code on_kernel(void *context, const ps_eager_kernel *kernel, ps_error *err)
{
    (void)kernel;
    return count(context, err);
}

static ps_eager_sink sink_of(failing *self)
{
    return (ps_eager_sink){.context = self,
                           .alloc = on_alloc,
                           .free = on_free,
                           .kernel = on_kernel,
                           .rename = deaf_rename};
}

void assert_every_failure_ends(failing_run run, const void *what, size_t stride)
{
    ps_error err = {0};
    failing whole = {.at = SIZE_MAX};
    ps_eager_sink sink = sink_of(&whole);
    assert_ok(&err, run(what, &sink, &err));
    assert_true(whole.seen > 100);
    for (size_t at = 0; at < whole.seen; at += stride) {
        failing one = {.at = at};
        sink = sink_of(&one);
        err = (ps_error){0};
        assert_int_equal(run(what, &sink, &err), PS_IO);
        assert_string_equal(err.message, "the sink is full");
        assert_int_equal(one.seen, at + 1); /* nothing is told after a failure */
    }
}
