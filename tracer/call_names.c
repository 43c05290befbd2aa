/* SPDX-License-Identifier: MIT
 *
 * Names of calls.
 */
#include "call_names.h"

#include <stdio.h>
#include <string.h>

static bool cut_suffix(char *text, const char *suffix)
{
    const size_t bytes = strlen(text), cut = strlen(suffix);
    if (bytes <= cut || strcmp(text + bytes - cut, suffix) != 0) {
        return false;
    }
    text[bytes - cut] = '\0';
    return true;
}

/* cudaMalloc_v3020, but cuMemAlloc_v2 too: v and digits to the end. */
static void cut_version(char *text)
{
    char *version = strrchr(text, '_');
    if (version != NULL && version[1] == 'v' && version[2] != '\0' &&
        strspn(version + 2, "0123456789") == strlen(version + 2)) {
        *version = '\0';
    }
}

void ps_call_name_strip(const char *name, char out[PS_CALL_NAME_BYTES])
{
    (void)snprintf(out, PS_CALL_NAME_BYTES, "%s", name);
    cut_version(out);
    /* the runtime names the version last, the driver first: cuMemcpyHtoDAsync_v2_ptsz */
    if (cut_suffix(out, "_ptsz") || cut_suffix(out, "_ptds")) {
        cut_version(out);
    }
}

const char *ps_call_names_get(ps_call_names *self, ps_call_api api, uint32_t id)
{
    if (id >= PS_CALL_NAME_IDS) {
        return "unknown call";
    }
    char *text = self->text[api][id];
    if (text[0] == '\0') {
        const char *name = NULL;
        const uint32_t domain =
            api == PS_API_RUNTIME ? PS_CUPTI_DOMAIN_RUNTIME : PS_CUPTI_DOMAIN_DRIVER;
        if (self->cupti->get_callback_name != NULL) {
            (void)self->cupti->get_callback_name(domain, id, &name);
        }
        if (name != NULL) {
            ps_call_name_strip(name, text);
        } else {
            (void)snprintf(text, PS_CALL_NAME_BYTES, "%s call %u",
                           api == PS_API_RUNTIME ? "runtime" : "driver", id);
        }
    }
    return text;
}
