/* SPDX-License-Identifier: MIT
 *
 * Error records: formatting only, no allocation, no output.
 */
#include "base/status.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void set_message(ps_error *err, ps_code code, const char *fmt, va_list args)
{
    err->code = code;
    err->os_errno = 0;
    err->has_offset = false;
    err->offset_bytes = 0;
    err->frame_count = 0;
    (void)vsnprintf(err->message, sizeof err->message, fmt, args);
}

ps_code ps_fail(ps_error *err, ps_code code, const char *fmt, ...)
{
    if (err != NULL) {
        va_list args;
        va_start(args, fmt);
        set_message(err, code, fmt, args);
        va_end(args);
    }
    return code;
}

ps_code ps_fail_at(ps_error *err, ps_code code, uint64_t offset_bytes, const char *fmt, ...)
{
    if (err != NULL) {
        va_list args;
        va_start(args, fmt);
        set_message(err, code, fmt, args);
        va_end(args);
        err->has_offset = true;
        err->offset_bytes = offset_bytes;
    }
    return code;
}

ps_code ps_fail_errno(ps_error *err, int os_errno, const char *fmt, ...)
{
    const ps_code code = os_errno == ENOMEM ? PS_NOMEM : PS_IO;
    if (err != NULL) {
        va_list args;
        va_start(args, fmt);
        set_message(err, code, fmt, args);
        va_end(args);
        err->os_errno = os_errno;
        const size_t used = strlen(err->message);
        (void)snprintf(err->message + used, sizeof err->message - used, ": %s", strerror(os_errno));
    }
    return code;
}

ps_code ps_fail_nomem(ps_error *err)
{
    return ps_fail(err, PS_NOMEM, "out of memory");
}

void ps_error_note(ps_error *err, const char *fmt, ...)
{
    if (err == NULL || err->frame_count >= PS_ERROR_FRAMES) {
        return;
    }
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(err->frame[err->frame_count], PS_ERROR_FRAME_BYTES, fmt, args);
    va_end(args);
    err->frame_count++;
}

const char *ps_code_name(ps_code code)
{
    switch (code) {
#define PS_CODE_NAME(sym, num, name, status) \
    case sym:                                \
        return name;
        PS_CODE_MAP(PS_CODE_NAME)
#undef PS_CODE_NAME
    }
    return "unknown";
}

int ps_code_exit_status(ps_code code)
{
    switch (code) {
#define PS_CODE_STATUS(sym, num, name, status) \
    case sym:                                  \
        return status;
        PS_CODE_MAP(PS_CODE_STATUS)
#undef PS_CODE_STATUS
    }
    return 5;
}

void ps_error_format(const ps_error *err, char *buf, unsigned long buf_bytes)
{
    size_t used = 0;
    if (buf_bytes == 0) {
        return;
    }
    buf[0] = '\0';
    for (unsigned i = err->frame_count; i > 0 && used < buf_bytes; i--) {
        const int n = snprintf(buf + used, buf_bytes - used, "%s: ", err->frame[i - 1]);
        used += n > 0 ? (size_t)n : 0;
    }
    if (used < buf_bytes) {
        const int n = snprintf(buf + used, buf_bytes - used, "%s", err->message);
        used += n > 0 ? (size_t)n : 0;
    }
    if (err->has_offset && used < buf_bytes) {
        (void)snprintf(buf + used, buf_bytes - used, " (at byte %llu)",
                       (unsigned long long)err->offset_bytes);
    }
}
