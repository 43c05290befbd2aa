/* SPDX-License-Identifier: MIT
 *
 * Mangled names become readable ones, each text once.
 */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "join_parts.h"

/* Of the C++ runtime, by its binary interface. */
extern char *__cxa_demangle(const char *mangled, char *buffer, size_t *bytes, int *status);

static ps_code readable(ps_trace *trace, ps_str name, ps_str *out, ps_error *err)
{
    int status = 0;
    *out = name;
    const char *text = ps_strings_text(trace->strings, name);
    if (strncmp(text, "_Z", 2) != 0) {
        return PS_OK;
    }
    char *plain = __cxa_demangle(text, NULL, NULL, &status);
    ps_code code = PS_OK;
    if (plain != NULL && status == 0 && strlen(plain) < PS_STRING_MAX_BYTES) {
        code = ps_strings_put_z(trace->strings, plain, out, err);
    }
    free(plain);
    return code;
}

ps_code ps_join_names(ps_trace *trace, ps_error *err)
{
    const uint32_t count = ps_strings_count(trace->strings);
    ps_str *plain = ps_calloc(count, sizeof *plain); /* 0: not asked yet */
    if (plain == NULL) {
        return ps_fail_nomem(err);
    }
    ps_code code = PS_OK;
    for (size_t i = 0; i < trace->kernel.head.count && code == PS_OK; i++) {
        const ps_str name = trace->kernel.name[i];
        if (name < count && plain[name] == 0) {
            code = readable(trace, name, &plain[name], err);
        }
        trace->kernel.name[i] = name < count ? plain[name] : name;
    }
    ps_free(plain);
    return code;
}
