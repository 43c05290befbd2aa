/* SPDX-License-Identifier: MIT
 *
 * Mangled names become readable ones, each text once.
 */
#include <string.h>

#include "base/memory.h"
#include "demangle.h"
#include "join_parts.h"

/* Names longer than this, of deeply nested templates, stay as they are. */
#define NAME_BYTES 16384

static ps_code readable(ps_trace *trace, ps_str name, ps_str *out, ps_error *err)
{
    char plain[NAME_BYTES];
    *out = name;
    return ps_demangle(ps_strings_text(trace->strings, name), plain, sizeof plain)
               ? ps_strings_put_z(trace->strings, plain, out, err)
               : PS_OK;
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
