/* SPDX-License-Identifier: MIT
 *
 * Naming and writing the traces of a recording.
 */
#include "record_output.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "artefact.h"
#include "base/memory.h"
#include "join.h"
#include "trace/rows.h"

#define PATH_BYTES 4096

/* ---- names ---- */

static const char *rank_of(const ps_trace *trace, pid_t pid, char text[24])
{
    const char *rank = ps_trace_meta(trace, PS_META_RANK);
    if (rank == NULL) {
        (void)snprintf(text, 24, "%ld", (long)pid);
        return text;
    }
    return rank;
}

static bool has_placeholder(const char *path)
{
    return strstr(path, "{rank}") != NULL || strstr(path, "{pid}") != NULL;
}

static void append(char out[PATH_BYTES], const char *text, size_t bytes)
{
    const size_t used = strlen(out);
    (void)snprintf(out + used, PATH_BYTES - used, "%.*s", (int)bytes, text);
}

static void replace(const char *path, const char *rank, const char *pid, char out[PATH_BYTES])
{
    out[0] = '\0';
    while (*path != '\0') {
        if (strncmp(path, "{rank}", 6) == 0) {
            append(out, rank, strlen(rank));
            path += 6;
        } else if (strncmp(path, "{pid}", 5) == 0) {
            append(out, pid, strlen(pid));
            path += 5;
        } else {
            append(out, path++, 1);
        }
    }
}

/* run.pstrace -> run-rank0.pstrace, or run-4711.pstrace */
static void distinguish(const char *path, const char *mark, const char *by, char out[PATH_BYTES])
{
    const char *slash = strrchr(path, '/'), *dot = strrchr(path, '.');
    const char *end = dot != NULL && (slash == NULL || dot > slash) ? dot : path + strlen(path);
    out[0] = '\0';
    append(out, path, (size_t)(end - path));
    append(out, mark, strlen(mark));
    append(out, by, strlen(by));
    append(out, end, strlen(end));
}

/* Names given so far: two processes of one rank, as when a job starts over, must not share one. */
static ps_code name_trace(const char *path, const ps_trace *trace, pid_t pid, bool is_only,
                          ps_strings *names, char out[PATH_BYTES], ps_error *err)
{
    ps_str name;
    char rank_text[24], pid_text[24];
    const char *rank = rank_of(trace, pid, rank_text);
    (void)snprintf(pid_text, sizeof pid_text, "%ld", (long)pid);
    if (has_placeholder(path)) {
        replace(path, rank, pid_text, out);
    } else if (is_only) {
        (void)snprintf(out, PATH_BYTES, "%s", path);
    } else {
        distinguish(path, ps_trace_meta(trace, PS_META_RANK) != NULL ? "-rank" : "-", rank, out);
    }
    if (ps_strings_find(names, out, strlen(out)) >= 0) {
        char shared[PATH_BYTES];
        (void)snprintf(shared, sizeof shared, "%s", out);
        distinguish(shared, "-", pid_text, out);
    }
    return ps_strings_put_z(names, out, &name, err);
}

/* ---- reports ---- */

static uint64_t losses_of(const ps_trace *trace)
{
    uint64_t count = 0;
    for (size_t i = 0; i < trace->loss.head.count; i++) {
        /* the cut end of a killed process is told by "ended", and counted in bytes */
        const bool is_cut =
            strcmp(ps_strings_text(trace->strings, trace->loss.name[i]), "cut-bytes") == 0;
        count += trace->loss.severity[i] >= PS_SEVERITY_LOSS && !is_cut ? trace->loss.count[i] : 0;
    }
    return count;
}

static void report(const ps_record_output *output, const char *path, const ps_trace *trace)
{
    struct stat file = {0};
    const uint64_t events = ps_trace_event_count(trace) + trace->driver_memory.head.count;
    (void)stat(path, &file);
    if (output->json != NULL) {
        ps_json_object(output->json, NULL);
        ps_json_text(output->json, "output", path);
        ps_json_u64(output->json, "event_count", events);
        ps_json_u64(output->json, "file_bytes", (uint64_t)file.st_size);
        ps_json_text(output->json, "rank", ps_trace_meta(trace, PS_META_RANK));
        ps_json_text(output->json, "ended", ps_trace_meta(trace, PS_META_ENDED));
        ps_losses_json(PS_LOSS_VIEW(trace), output->json);
        ps_json_end(output->json);
    }
    if (!output->is_quiet) {
        ps_talk("wrote %s: %" PRIu64 " events, %" PRIu64 " bytes", path, events,
                (uint64_t)file.st_size);
    }
    if (losses_of(trace) > 0) {
        ps_talk("%s: records lost or not understood: %" PRIu64 " (\"peakstep check\" names them)",
                path, losses_of(trace));
    }
}

/* ---- writing ---- */

/* Did the process do anything worth a trace? Launchers only count devices. */
static bool is_worth_writing(const ps_trace *trace)
{
    for (size_t i = 0; i < trace->range.head.count; i++) {
        if (trace->range.category[i] != PS_RANGE_OVERHEAD) {
            return true;
        }
    }
    return trace->kernel.head.count + trace->memcpy.head.count + trace->memset.head.count +
               trace->memory.head.count + trace->driver_memory.head.count >
           0;
}

static ps_code count_worthy(const char *folder, const pid_t *pids, size_t count, size_t *worthy,
                            ps_error *err)
{
    *worthy = 0;
    for (size_t i = 0; i < count; i++) {
        ps_trace *trace;
        PS_TRY(ps_join_process(folder, pids[i], &trace, err));
        *worthy += is_worth_writing(trace);
        ps_trace_destroy(trace);
    }
    return PS_OK;
}

static ps_code write_one(const char *folder, pid_t pid, const ps_record_output *output,
                         bool is_only, ps_strings *names, size_t *written, ps_error *err)
{
    ps_trace *trace;
    char path[PATH_BYTES];
    PS_TRY(ps_join_process(folder, pid, &trace, err));
    ps_code code = PS_OK;
    if (is_worth_writing(trace)) {
        code = name_trace(output->path, trace, pid, is_only, names, path, err);
        if (code == PS_OK) {
            code = ps_trace_save(path, trace, err);
        }
        if (code == PS_OK) {
            (*written)++;
            report(output, path, trace);
        }
    }
    ps_trace_destroy(trace);
    return code;
}

static ps_code write_all(const char *folder, const pid_t *pids, size_t count,
                         const ps_record_output *output, size_t *written, ps_error *err)
{
    size_t worthy = count;
    if (count > 1 && !has_placeholder(output->path)) {
        PS_TRY(count_worthy(folder, pids, count, &worthy, err));
    }
    ps_strings *names = ps_strings_create();
    ps_code code = names == NULL ? ps_fail_nomem(err) : PS_OK;
    for (size_t i = 0; i < count && code == PS_OK; i++) {
        code = write_one(folder, pids[i], output, worthy <= 1, names, written, err);
    }
    ps_strings_destroy(names);
    return code;
}

ps_code ps_record_write_traces(const char *folder, const ps_record_output *output, size_t *written,
                               ps_error *err)
{
    pid_t *pids;
    size_t count;
    *written = 0;
    PS_TRY(ps_join_list(folder, &pids, &count, err));
    const ps_code code = write_all(folder, pids, count, output, written, err);
    ps_free(pids);
    return code;
}
