/* SPDX-License-Identifier: MIT
 *
 * Finding libcupti in a running process.
 */
#include "cupti_api.h"

#include <dlfcn.h>
#include <string.h>

#include "cupti_records.h"

/* Newest first. */
static const char *const sonames[] = {"libcupti.so.13",   "libcupti.so.12",   "libcupti.so.11.8",
                                      "libcupti.so.11.7", "libcupti.so.11.6", "libcupti.so.11.5",
                                      "libcupti.so.11.4", "libcupti.so.11.3", "libcupti.so.11.2",
                                      "libcupti.so.11.1", "libcupti.so.11.0", "libcupti.so"};

static void *find_loaded(void)
{
    for (size_t i = 0; i < sizeof sonames / sizeof sonames[0]; i++) {
        void *library = dlopen(sonames[i], RTLD_NOW | RTLD_NOLOAD);
        if (library != NULL) {
            return library;
        }
    }
    return NULL;
}

static void *find_installed(void)
{
    for (size_t i = 0; i < sizeof sonames / sizeof sonames[0]; i++) {
        void *library = dlopen(sonames[i], RTLD_NOW | RTLD_LOCAL);
        if (library != NULL) {
            return library;
        }
    }
    return NULL;
}

static ps_code resolve(ps_cupti_api *self, ps_error *err)
{
/* a function pointer cannot be converted from dlsym's void pointer in ISO C; its bytes can be copied */
#define X(member, symbol, required, parameters)                                                \
    {                                                                                          \
        void *address = dlsym(self->library, #symbol);                                         \
        memcpy(&self->member, &address, sizeof self->member);                                  \
        if (address == NULL && (required)) {                                                   \
            return ps_fail(err, PS_UNSUPPORTED, "libcupti has no %s: it is too old", #symbol); \
        }                                                                                      \
    }
    PS_CUPTI_FUNCTIONS(X)
#undef X
    return PS_OK;
}

ps_code ps_cupti_load(const char *path, ps_cupti_api *out, ps_error *err)
{
    ps_cupti_api self = {.library = find_loaded()};
    if (self.library == NULL && path != NULL) {
        self.library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
        if (self.library == NULL) {
            return ps_fail(err, PS_NOT_FOUND, "cannot load %s: %s", path, dlerror());
        }
    }
    if (self.library == NULL) {
        self.library = find_installed();
    }
    if (self.library == NULL) {
        return ps_fail(err, PS_NOT_FOUND,
                       "libcupti was not found: device records are missing (it comes with the CUDA "
                       "toolkit and with PyTorch)");
    }
    PS_TRY(resolve(&self, err));
    if (self.get_version(&self.version) != PS_CUPTI_SUCCESS ||
        self.version < PS_CUPTI_LEAST_VERSION) {
        return ps_fail(err, PS_UNSUPPORTED,
                       "libcupti has API version %u, expected %u (CUDA 11.0) or newer: device "
                       "records are missing",
                       self.version, PS_CUPTI_LEAST_VERSION);
    }
    *out = self;
    return PS_OK;
}

const char *ps_cupti_result_text(const ps_cupti_api *self, int result)
{
    const char *text = NULL;
    if (self->get_result_string != NULL) {
        (void)self->get_result_string(result, &text);
    }
    return text != NULL ? text : "unknown result";
}
