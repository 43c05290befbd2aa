/* SPDX-License-Identifier: MIT
 *
 * How close is the identity? For each recording given, the plan as recorded
 * is simulated and compared with the recording; the tables go to standard
 * output as Markdown. Nothing is fitted: the rows are what the program says.
 *
 *   accuracy FOLDER FILE...   FILE relative to FOLDER
 */
#include <stdio.h>
#include <string.h>

#include "alloc/history.h"
#include "import/import.h"
#include "lower/lower.h"
#include "policy/whatif.h"
#include "run/run.h"
#include "trace/file.h"

#define GIB 1073741824.0

/* One recording, run as recorded. */
typedef struct subject {
    const char *name;
    ps_trace *trace;
    ps_plan *plan;
    ps_result result;
} subject;

static ps_code load(const char *folder, const char *name, subject *out, ps_error *err)
{
    char path[4096];
    ps_trace_builder *builder;
    ps_catalogue *catalogue;
    const ps_whatif nothing = {0};
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    out->name = name;
    PS_TRY(ps_trace_builder_open_memory(&builder, err));
    const ps_code code = ps_import_file(path, NULL, builder, NULL, err);
    if (code != PS_OK) {
        ps_trace_builder_abandon(builder);
        return code;
    }
    PS_TRY(ps_trace_builder_take(builder, &out->trace, err));
    PS_TRY(ps_lower_trace(out->trace, &out->plan, err));
    PS_TRY(ps_catalogue_create(&catalogue, err));
    PS_TRY(ps_whatif_apply(out->plan, catalogue, &nothing, err));
    ps_catalogue_destroy(catalogue);
    return ps_run_plan(out->plan, &out->result, err);
}

static void unload(subject *s)
{
    if (s->result.plan != NULL) {
        ps_result_fini(&s->result);
    }
    ps_plan_destroy(s->plan);
    ps_trace_destroy(s->trace);
    *s = (subject){0};
}

/* The file and the folder it lies in: several recordings share a name. */
static const char *short_name(const char *name)
{
    const char *at = name + strlen(name);
    for (int slashes = 0; at > name; at--) {
        slashes += at[-1] == '/';
        if (slashes == 2) {
            break;
        }
    }
    return at;
}

static bool is_snapshot(const subject *s)
{
    const char *source = ps_trace_meta(s->trace, PS_META_SOURCE);
    return source != NULL && strcmp(source, "memory-snapshot") == 0;
}

/* ---- tables ---- */

static void print_steps(const subject *s)
{
    double worst = 0;
    if (is_snapshot(s) || s->result.step_count == 0) {
        return;
    }
    for (size_t i = 0; i < s->result.step_count; i++) {
        const ps_result_step *step = &s->result.step[i];
        const double off =
            step->recorded_ns == 0
                ? 0
                : 100.0 * (double)(step->time_ns - step->recorded_ns) / (double)step->recorded_ns;
        worst = (off < 0 ? -off : off) > worst ? (off < 0 ? -off : off) : worst;
    }
    printf("| %s | %zu | %.2f | %.3f %% |\n", short_name(s->name), s->result.step_count,
           (double)s->result.step_time_ns * 1e-6, worst);
}

static void print_allocated(const subject *s)
{
    for (size_t i = 0; i < s->result.device_count; i++) {
        const ps_result_device *device = &s->result.device[i];
        if (device->allocated_check.compared > 0) {
            printf("| %s | %llu | %llu | %llu |\n", short_name(s->name),
                   (unsigned long long)device->allocated_check.compared,
                   (unsigned long long)device->allocated_check.equal,
                   (unsigned long long)device->peak_allocated_bytes);
        }
    }
}

static uint64_t recorded_peak_reserved(const ps_trace *trace, uint32_t ordinal)
{
    uint64_t peak = 0;
    for (size_t i = 0; i < trace->memory.head.count; i++) {
        if (trace->memory.device_kind[i] != PS_DEVICE_HOST && trace->memory.device[i] == ordinal &&
            trace->memory.total_reserved[i] > peak) {
            peak = trace->memory.total_reserved[i];
        }
    }
    return peak == 0 ? 0 : peak - 1;
}

static void print_reserved(const subject *s)
{
    for (size_t i = 0; i < s->result.device_count; i++) {
        const ps_result_device *device = &s->result.device[i];
        const uint64_t recorded = recorded_peak_reserved(s->trace, device->ordinal);
        if (!is_snapshot(s) && recorded > 0) {
            printf("| %s | %.3f | %.3f | %+.2f %% |\n", short_name(s->name), (double)recorded / GIB,
                   (double)device->peak_reserved_bytes / GIB,
                   100.0 * ((double)device->peak_reserved_bytes / (double)recorded - 1.0));
        }
    }
}

static void score(const ps_history_score *s)
{
    printf(" %llu / %llu |", (unsigned long long)s->equal, (unsigned long long)s->compared);
}

static void print_history(const subject *s, ps_error *err)
{
    for (size_t i = 0; is_snapshot(s) && i < s->result.device_count; i++) {
        ps_history_options options;
        ps_history_report report;
        ps_history_options_init(&options);
        options.device.ordinal = s->result.device[i].ordinal;
        if (ps_history_replay(s->trace, &options, &report, err) != PS_OK ||
            report.event_count == 0) {
            continue;
        }
        printf("| %s |", short_name(s->name));
        score(&report.address);
        score(&report.segment);
        score(&report.release);
        score(&report.block);
        const ps_result_device *device = &s->result.device[i];
        printf(" %llu / %llu | %.4f | %s |\n", (unsigned long long)device->address_check.equal,
               (unsigned long long)device->address_check.compared,
               (double)report.stats.reserved_bytes.peak / GIB,
               report.is_exact && device->peak_reserved_bytes == report.stats.reserved_bytes.peak
                   ? "yes"
                   : report.first_difference);
    }
}

static double deviation(const subject *s, uint32_t ordinal, ps_history_mode mode, uint64_t recorded,
                        ps_error *err)
{
    ps_history_options options;
    ps_history_report report;
    ps_history_options_init(&options);
    options.device.ordinal = ordinal;
    options.mode = mode;
    if (ps_history_replay(s->trace, &options, &report, err) != PS_OK || recorded == 0) {
        return 0;
    }
    return 100.0 * ((double)report.stats.reserved_bytes.peak / (double)recorded - 1.0);
}

/* As `simulate --cache empty` predicts: no addresses, no cache, releases where they were recognised. */
static double cold_deviation(const subject *s, size_t device, uint64_t recorded, ps_error *err)
{
    ps_plan *plan;
    ps_catalogue *catalogue;
    ps_result result;
    const ps_whatif change = {.cache = "empty"};
    double off = 0;
    if (ps_lower_trace(s->trace, &plan, err) != PS_OK) {
        return 0;
    }
    if (ps_catalogue_create(&catalogue, err) == PS_OK) {
        if (ps_whatif_apply(plan, catalogue, &change, err) == PS_OK &&
            ps_run_plan(plan, &result, err) == PS_OK) {
            off = 100.0 *
                  ((double)result.device[device].peak_reserved_bytes / (double)recorded - 1.0);
            ps_result_fini(&result);
        }
        ps_catalogue_destroy(catalogue);
    }
    ps_plan_destroy(plan);
    return off;
}

static void print_what_if(const subject *s, ps_error *err)
{
    for (size_t i = 0; is_snapshot(s) && i < s->result.device_count; i++) {
        const ps_result_device *device = &s->result.device[i];
        const uint64_t recorded = device->peak_reserved_bytes;
        if (device->request_count < 2) {
            continue;
        }
        printf("| %s | %.4f | %+.3f %% | %+.3f %% | %+.3f %% |\n", short_name(s->name),
               (double)recorded / GIB,
               deviation(s, device->ordinal, PS_HISTORY_RECOVERED, recorded, err),
               deviation(s, device->ordinal, PS_HISTORY_COLD, recorded, err),
               cold_deviation(s, i, recorded, err));
    }
}

static void print_row(int table, const subject *s, ps_error *err)
{
    switch (table) {
    case 0:
        print_steps(s);
        break;
    case 1:
        print_allocated(s);
        break;
    case 2:
        print_reserved(s);
        break;
    case 3:
        print_history(s, err);
        break;
    default:
        print_what_if(s, err);
        break;
    }
}

static const char *const titles[] = {
    "\n### Step time as recorded\n\n"
    "The identity plan keeps every recorded delay on the edge that was binding, so these errors\n"
    "show whether order, waits and full launch queues were understood, not how well a model\n"
    "predicts.\n\n"
    "| recording | steps | steady step [ms] | worst step error |\n| --- | ---: | ---: | ---: |\n",
    "\n### Allocated bytes after every event\n\n"
    "| recording | events with a recorded total | equal | peak allocated [bytes] |\n"
    "| --- | ---: | ---: | ---: |\n",
    "\n### Reserved bytes of profiler traces\n\n"
    "These recordings hold block sizes without streams. Of the allocator's holdings at their "
    "start\n"
    "only the total is known, so the prediction starts with one unfragmented piece of that "
    "size.\n\n"
    "| recording | recorded peak [GiB] | predicted [GiB] | deviation |\n| --- | ---: | ---: | ---: "
    "|\n",
    "\n### Allocator histories, every decision compared\n\n"
    "Given: requests and frees, and from the record the addresses of new segments, when the\n"
    "program emptied its cache, and when deferred frees completed. `plan` is the same through a\n"
    "saved plan.\n\n"
    "| history | addresses | segment events | releases | final blocks | plan addresses | peak "
    "reserved [GiB] | exact |\n| --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |\n",
    "\n### Peak reserved without those inputs\n\n"
    "The first two columns know requests and frees alone: addresses are invented, the capacity is\n"
    "endless, and the only releases known are those a recorded stack names. The last is what\n"
    "`simulate --cache empty` predicts: releases stand where they were recognised, and a recorded\n"
    "capacity counts.\n\n"
    "| history | recorded peak [GiB] | recovered cache | empty cache | simulate --cache empty |\n"
    "| --- | ---: | ---: | ---: | ---: |\n",
};

int main(int argc, char **argv)
{
    ps_error err = {0};
    if (argc < 3) {
        (void)fputs("usage: accuracy FOLDER FILE...\n", stderr);
        return 2;
    }
    for (int table = 0; table < 5; table++) {
        (void)fputs(titles[table], stdout);
        for (int i = 2; i < argc; i++) {
            subject s = {0};
            if (load(argv[1], argv[i], &s, &err) == PS_OK) {
                print_row(table, &s, &err);
            }
            unload(&s);
        }
    }
    return 0;
}
