/* SPDX-License-Identifier: MIT
 *
 * Available memory from /proc/meminfo and the limits of control groups
 * (version 2, from the process's own group up to the root).
 */
#include "replay/host_memory.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GROUP_ROOT "/sys/fs/cgroup"
#define MAX_PATH_BYTES 1024

/* A decimal number after blanks; false when there is none. */
static bool parse_number(const char *text, uint64_t *value)
{
    char *end;
    const uint64_t parsed = strtoull(text, &end, 10);
    if (end == text) {
        return false;
    }
    *value = parsed;
    return true;
}

static ps_code read_available(uint64_t *bytes, ps_error *err)
{
    static const char label[] = "MemAvailable:";
    FILE *file = fopen("/proc/meminfo", "r");
    if (file == NULL) {
        return ps_fail_errno(err, errno, "cannot read /proc/meminfo");
    }
    char line[128];
    uint64_t kib = 0;
    bool found = false;
    while (!found && fgets(line, sizeof line, file) != NULL) {
        found =
            strncmp(line, label, strlen(label)) == 0 && parse_number(line + strlen(label), &kib);
    }
    (void)fclose(file);
    if (!found) {
        return ps_fail(err, PS_UNSUPPORTED, "/proc/meminfo does not state MemAvailable");
    }
    *bytes = kib * 1024;
    return PS_OK;
}

/* False when the file is missing or holds "max". */
static bool read_number(const char *folder, const char *name, uint64_t *value)
{
    char path[MAX_PATH_BYTES + 64], line[64];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        return false;
    }
    const bool found = fgets(line, sizeof line, file) != NULL && parse_number(line, value);
    (void)fclose(file);
    return found;
}

/* The process's group, as a folder; false without version 2 groups. */
static bool find_group(char *folder, size_t bytes)
{
    FILE *file = fopen("/proc/self/cgroup", "r");
    if (file == NULL) {
        return false;
    }
    char line[MAX_PATH_BYTES];
    bool found = false;
    while (!found && fgets(line, sizeof line, file) != NULL) {
        found = strncmp(line, "0::/", 4) == 0;
    }
    (void)fclose(file);
    if (found) {
        line[strcspn(line, "\n")] = '\0';
        (void)snprintf(folder, bytes, GROUP_ROOT "%s", line + 3);
    }
    return found;
}

ps_code ps_replay_host_memory(uint64_t *bytes, ps_error *err)
{
    char folder[MAX_PATH_BYTES + sizeof GROUP_ROOT];
    uint64_t available = 0;
    PS_TRY(read_available(&available, err));
    bool goes_on = find_group(folder, sizeof folder);
    while (goes_on) {
        uint64_t limit, used;
        if (read_number(folder, "memory.max", &limit) &&
            read_number(folder, "memory.current", &used)) {
            const uint64_t left = limit > used ? limit - used : 0;
            available = left < available ? left : available;
        }
        char *slash = strrchr(folder, '/');
        goes_on = slash != NULL && slash >= folder + strlen(GROUP_ROOT);
        if (goes_on) {
            *slash = '\0';
        }
    }
    *bytes = available;
    return PS_OK;
}
