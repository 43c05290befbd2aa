/* SPDX-License-Identifier: MIT
 *
 * Joining the parts of a process.
 */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/idmap.h"
#include "base/memory.h"
#include "control.h"
#include "join_parts.h"
#include "trace/file.h"
#include "trace/rows.h"

/* [bytes] of the beginning of every trace file. */
#define LEAST_BYTES 32

int64_t ps_join_fact(const ps_trace *trace, const char *key, int64_t fallback)
{
    const char *text = ps_trace_meta(trace, key);
    char *end;
    if (text == NULL) {
        return fallback;
    }
    const long long value = strtoll(text, &end, 10);
    return end != text && *end == '\0' ? value : fallback;
}

ps_code ps_join_set_fact(ps_trace *trace, const char *key, int64_t value, ps_error *err)
{
    char text[32];
    (void)snprintf(text, sizeof text, "%" PRId64, value);
    return ps_trace_set_meta(trace, key, text, err);
}

/* ---- tidying what came in chunks ---- */

/* Facts and losses stand in the chunk they were known in: the last value of a fact counts, losses add up. */
static ps_code tidy_facts(ps_trace *trace, ps_error *err)
{
    ps_meta_table facts = trace->meta;
    ps_loss_table losses = trace->loss;
    const ps_table_spec *specs = ps_trace_specs();
    memset(&trace->meta, 0, sizeof trace->meta);
    memset(&trace->loss, 0, sizeof trace->loss);
    ps_code code = PS_OK;
    for (size_t i = 0; i < facts.head.count && code == PS_OK; i++) {
        code = ps_trace_set_meta(trace, ps_strings_text(trace->strings, facts.key[i]),
                                 ps_strings_text(trace->strings, facts.value[i]), err);
    }
    for (size_t i = 0; i < losses.head.count && code == PS_OK; i++) {
        code = ps_trace_add_loss(trace, ps_strings_text(trace->strings, losses.name[i]),
                                 losses.count[i], err);
    }
    ps_table_fini(&specs[PS_TABLE_META], &facts.head);
    ps_table_fini(&specs[PS_TABLE_LOSS], &losses.head);
    return code;
}

/* Ranges have no process of their own: they are this one's. */
static void name_process(ps_trace *trace, pid_t pid)
{
    for (size_t i = 0; i < trace->range.head.count; i++) {
        trace->range.pid[i] = (uint32_t)pid;
    }
}

/* Device of a wait: that of the work on its stream. CUPTI's record has none. */
static ps_code name_waiting_devices(ps_trace *trace, ps_error *err)
{
    ps_idmap device_of;
    ps_idmap_init(&device_of);
    ps_code code = PS_OK;
    for (size_t i = 0; i < trace->kernel.head.count && code == PS_OK; i++) {
        code = ps_idmap_put(&device_of, trace->kernel.stream[i], trace->kernel.device[i], err);
    }
    for (size_t i = 0; i < trace->sync.head.count; i++) {
        const uint32_t device = ps_idmap_get(&device_of, trace->sync.stream[i]);
        trace->sync.device[i] = device == PS_IDMAP_NONE ? 0 : device;
    }
    ps_idmap_fini(&device_of);
    return code;
}

/* ---- the device part ---- */

static ps_code read_device_part(const char *folder, pid_t pid, ps_trace **out, ps_error *err)
{
    char path[PS_JOIN_PATH_BYTES];
    ps_container_state state;
    (void)snprintf(path, sizeof path, "%s/%ld.device.pstrace", folder, (long)pid);
    PS_TRY(ps_trace_read(path, out, &state, err));
    ps_code code = tidy_facts(*out, err);
    if (code == PS_OK) {
        code =
            ps_trace_set_meta(*out, PS_META_ENDED, state.is_finished ? "by-itself" : "killed", err);
    }
    if (code != PS_OK) {
        ps_trace_destroy(*out);
    }
    return code;
}

static ps_code complete(ps_trace *trace, const char *folder, pid_t pid, ps_error *err)
{
    /* CUPTI describes a device again whenever its records are asked for again */
    ps_trace_keep_first_devices(trace, 0);
    name_process(trace, pid);
    PS_TRY(name_waiting_devices(trace, err));
    PS_TRY(ps_join_names(trace, err));
    PS_TRY(ps_join_history(trace, folder, pid, err));
    PS_TRY(ps_join_clock(trace, err));
    PS_TRY(ps_join_collectives(trace, folder, pid, err));
    return ps_trace_sort(trace, err);
}

ps_code ps_join_process(const char *folder, pid_t pid, ps_trace **out, ps_error *err)
{
    ps_trace *trace;
    PS_TRY(read_device_part(folder, pid, &trace, err));
    const ps_code code = complete(trace, folder, pid, err);
    if (code != PS_OK) {
        ps_trace_destroy(trace);
        return code;
    }
    *out = trace;
    return PS_OK;
}

/* ---- the folder ---- */

/* A process killed at its very start leaves a file without even a beginning. */
static bool has_begun(const char *folder, const char *name)
{
    char path[PS_JOIN_PATH_BYTES];
    struct stat file;
    const int length = snprintf(path, sizeof path, "%s/%s", folder, name);
    return length < (int)sizeof path && stat(path, &file) == 0 && file.st_size >= LEAST_BYTES;
}

static int compare_pids(const void *left, const void *right)
{
    const pid_t a = *(const pid_t *)left, b = *(const pid_t *)right;
    return (a > b) - (a < b);
}

ps_code ps_join_list(const char *folder, pid_t **out, size_t *count, ps_error *err)
{
    size_t capacity = 0;
    DIR *entries = opendir(folder);
    if (entries == NULL) {
        return ps_fail_errno(err, errno, "cannot read the folder %s", folder);
    }
    *out = NULL;
    *count = 0;
    ps_code code = PS_OK;
    for (struct dirent *entry = readdir(entries); entry != NULL && code == PS_OK;
         entry = readdir(entries)) {
        char *end;
        const long pid = strtol(entry->d_name, &end, 10);
        if (end == entry->d_name || strcmp(end, ".device.pstrace") != 0 ||
            !has_begun(folder, entry->d_name)) {
            continue;
        }
        code = ps_grow((void **)out, &capacity, *count + 1, 1 << 20, sizeof **out, err);
        if (code == PS_OK) {
            (*out)[(*count)++] = (pid_t)pid;
        }
    }
    (void)closedir(entries);
    if (code != PS_OK) {
        ps_free(*out);
    } else if (*count > 1) {
        qsort(*out, *count, sizeof **out, compare_pids);
    }
    return code;
}

static bool is_ours(const char *name)
{
    char *end;
    (void)strtol(name, &end, 10);
    return strcmp(name, PS_CONTROL_FILE) == 0 ||
           (end != name &&
            (strcmp(end, ".device.pstrace") == 0 || strncmp(end, ".history.", 9) == 0 ||
             strcmp(end, ".collectives.json") == 0));
}

void ps_join_remove(const char *folder)
{
    DIR *entries = opendir(folder);
    if (entries == NULL) {
        return;
    }
    for (struct dirent *entry = readdir(entries); entry != NULL; entry = readdir(entries)) {
        char path[PS_JOIN_PATH_BYTES];
        const int length = snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        if (is_ours(entry->d_name) && length < (int)sizeof path) {
            (void)unlink(path);
        }
    }
    (void)closedir(entries);
    (void)rmdir(folder);
}
