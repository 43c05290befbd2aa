/* SPDX-License-Identifier: MIT
 *
 * Standard output with a memory for failures; sentences on standard error.
 */
#include "cli/output.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#define TALK_BYTES 2048

void ps_output_init(ps_output *self, FILE *file)
{
    *self = (ps_output){.file = file};
}

static void note_failure(ps_output *self)
{
    if (self->first_errno == 0) {
        self->first_errno = errno != 0 ? errno : EIO;
    }
}

void ps_output_write(ps_output *self, const char *text, size_t bytes)
{
    if (self->first_errno == 0 && bytes > 0 && fwrite(text, 1, bytes, self->file) != bytes) {
        note_failure(self);
    }
}

void ps_output_print(ps_output *self, const char *fmt, ...)
{
    if (self->first_errno != 0) {
        return;
    }
    va_list args;
    va_start(args, fmt);
    if (vfprintf(self->file, fmt, args) < 0) {
        note_failure(self);
    }
    va_end(args);
}

static bool is_control(char c)
{
    return (unsigned char)c < 0x20 || c == 0x7f;
}

void ps_output_quote(ps_output *self, const char *text)
{
    while (*text != '\0') {
        size_t plain = 0;
        while (text[plain] != '\0' && !is_control(text[plain])) {
            plain++;
        }
        ps_output_write(self, text, plain);
        text += plain;
        if (*text != '\0') {
            ps_output_write(self, "?", 1);
            text++;
        }
    }
}

bool ps_output_failed(const ps_output *self)
{
    return self->first_errno != 0;
}

static ps_code fail_write(const ps_output *self, ps_error *err)
{
    return ps_fail_errno(err, self->first_errno, "cannot write to standard output");
}

ps_code ps_output_text(void *output, const char *text, size_t bytes, ps_error *err)
{
    ps_output *self = output;
    ps_output_write(self, text, bytes);
    return ps_output_failed(self) ? fail_write(self, err) : PS_OK;
}

ps_code ps_output_finish(ps_output *self, ps_error *err)
{
    if (self->first_errno == 0 && fflush(self->file) != 0) {
        note_failure(self);
    }
    return self->first_errno == 0 ? PS_OK : fail_write(self, err);
}

/* Names and values in messages come from files: they must not drive the terminal. */
static void disarm(char *text)
{
    for (; *text != '\0'; text++) {
        *text = is_control(*text) ? '?' : *text;
    }
}

void ps_talk(const char *fmt, ...)
{
    char text[TALK_BYTES];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    disarm(text);
    (void)fprintf(stderr, "peakstep: %s\n", text);
}
