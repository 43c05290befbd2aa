/* SPDX-License-Identifier: MIT
 *
 * Setting a recording up.
 */
#include "record_setup.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "settings.h"

/* Relative to the program's folder: as installed, as built. */
static const char *const libraries[] = {"../lib/peakstep/libpeakstep_tracer.so",
                                        "../lib/libpeakstep_tracer.so",
                                        "../tracer/libpeakstep_tracer.so"};
static const char *const hooks[] = {"../share/peakstep/hook", "../tracer/hook"};

static ps_code find(const char *what, const char *folder, const char *const *places, size_t count,
                    char out[PS_RECORD_PATH_BYTES], ps_error *err)
{
    for (size_t i = 0; i < count; i++) {
        char path[2 * PS_RECORD_PATH_BYTES];
        (void)snprintf(path, sizeof path, "%s/%s", folder, places[i]);
        if (realpath(path, out) != NULL) {
            return PS_OK;
        }
    }
    return ps_fail(err, PS_NOT_FOUND,
                   "the tracer's %s is not beside the program: nothing is recorded", what);
}

ps_code ps_record_find_tracer(ps_record_tracer *out, ps_error *err)
{
    char folder[PS_RECORD_PATH_BYTES];
    const ssize_t length = readlink("/proc/self/exe", folder, sizeof folder - 1);
    if (length < 0) {
        return ps_fail_errno(err, errno, "cannot find the program's own folder");
    }
    folder[length] = '\0';
    char *slash = strrchr(folder, '/');
    if (slash != NULL) {
        *slash = '\0';
    }
    PS_TRY(find("library", folder, libraries, sizeof libraries / sizeof libraries[0], out->library,
                err));
    return find("start-up hook", folder, hooks, sizeof hooks / sizeof hooks[0], out->hook, err);
}

ps_code ps_record_make_folder(const char *output, char folder[PS_RECORD_PATH_BYTES], ps_error *err)
{
    const char *slash = strrchr(output, '/');
    char above[PS_RECORD_PATH_BYTES] = ".", parent[PS_RECORD_PATH_BYTES];
    if (slash != NULL) {
        (void)snprintf(above, sizeof above, "%.*s", (int)(slash - output) + 1, output);
    }
    if (realpath(above, parent) == NULL) {
        return ps_fail_errno(err, errno, "cannot write %s", output);
    }
    const int length = snprintf(folder, PS_RECORD_PATH_BYTES, "%s/%s.parts.XXXXXX", parent,
                                slash == NULL ? output : slash + 1);
    if (length >= PS_RECORD_PATH_BYTES) {
        return ps_fail(err, PS_LIMIT, "the path %.64s... is too long", output);
    }
    return mkdtemp(folder) != NULL
               ? PS_OK
               : ps_fail_errno(err, errno, "cannot make a folder beside %s", output);
}

static ps_code set(const char *name, const char *value, ps_error *err)
{
    if (value == NULL) {
        return PS_OK;
    }
    return setenv(name, value, 1) == 0 ? PS_OK : ps_fail_nomem(err);
}

static ps_code set_bytes(const char *name, uint64_t bytes, ps_error *err)
{
    char text[32];
    (void)snprintf(text, sizeof text, "%" PRIu64, bytes);
    return bytes == 0 ? PS_OK : set(name, text, err);
}

/* Puts a path before what a list already holds. */
static ps_code prepend(const char *name, const char *path, ps_error *err)
{
    const char *old = getenv(name);
    if (old == NULL || old[0] == '\0') {
        return set(name, path, err);
    }
    const size_t bytes = strlen(path) + strlen(old) + 2;
    char *joined = ps_calloc(bytes, 1);
    if (joined == NULL) {
        return ps_fail_nomem(err);
    }
    (void)snprintf(joined, bytes, "%s:%s", path, old);
    const ps_code code = set(name, joined, err);
    ps_free(joined);
    return code;
}

static ps_code set_injection(const char *library, bool is_preloaded, ps_error *err)
{
    if (is_preloaded) {
        PS_TRY(set(PS_ENV_WATCH, "1", err));
        return prepend("LD_PRELOAD", library, err);
    }
    const char *other = getenv("CUDA_INJECTION64_PATH");
    if (other != NULL && other[0] != '\0') {
        return ps_fail(err, PS_UNSUPPORTED,
                       "CUDA_INJECTION64_PATH is already set, another tool's library is injected: "
                       "device records are missing");
    }
    if (getenv("NVTX_INJECTION64_PATH") == NULL) {
        PS_TRY(set("NVTX_INJECTION64_PATH", library, err));
    }
    return set("CUDA_INJECTION64_PATH", library, err);
}

ps_code ps_record_set_environment(const ps_record_tracer *tracer, const ps_record_choices *choices,
                                  ps_error *err)
{
    PS_TRY(set(PS_ENV_FOLDER, choices->folder, err));
    PS_TRY(set(PS_ENV_LIBRARY, tracer->library, err));
    PS_TRY(set(PS_ENV_MODULES, choices->modules, err));
    PS_TRY(set(PS_ENV_STACKS, choices->stacks, err));
    PS_TRY(set(PS_ENV_STEPS, choices->steps, err));
    PS_TRY(set(PS_ENV_CUPTI, choices->cupti, err));
    PS_TRY(set(PS_ENV_HISTORY, choices->without_history ? "0" : "1", err));
    PS_TRY(set(PS_ENV_DEVICE, choices->without_device ? "0" : "1", err));
    PS_TRY(set_bytes(PS_ENV_BUDGET, choices->budget_bytes, err));
    PS_TRY(set_bytes(PS_ENV_MAX_BYTES, choices->max_bytes, err));
    PS_TRY(prepend("PYTHONPATH", tracer->hook, err));
    return choices->without_device ? PS_OK
                                   : set_injection(tracer->library, choices->is_preloaded, err);
}
