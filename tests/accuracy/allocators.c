/* SPDX-License-Identifier: MIT
 *
 * One stream of requests under several allocator settings: each recording of
 * the stream is replayed cold under the settings of each other recording, and
 * must give that one's recorded peak.
 *
 *   allocators FOLDER CONF_A FILE_A PEAK_A CONF_B FILE_B PEAK_B ...
 *
 * Prints one Markdown row a pair; exit status 1 when one is not equal.
 */
#include <stdio.h>
#include <stdlib.h>

#include "import/import.h"
#include "lower/lower.h"
#include "policy/whatif.h"
#include "run/run.h"

static ps_code load(const char *folder, const char *name, ps_trace **out, ps_error *err)
{
    char path[4096];
    ps_trace_builder *builder;
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    PS_TRY(ps_trace_builder_open_memory(&builder, err));
    const ps_code code = ps_import_file(path, NULL, builder, NULL, err);
    if (code != PS_OK) {
        ps_trace_builder_abandon(builder);
        return code;
    }
    return ps_trace_builder_take(builder, out, err);
}

static ps_code apply(ps_plan *plan, const char *conf, uint64_t *peak, ps_error *err)
{
    ps_catalogue *catalogue;
    ps_result result;
    const ps_whatif change = {.allocator_conf = conf, .cache = "empty"};
    PS_TRY(ps_catalogue_create(&catalogue, err));
    const ps_code code = ps_whatif_apply(plan, catalogue, &change, err);
    ps_catalogue_destroy(catalogue);
    PS_TRY(code);
    PS_TRY(ps_run_plan(plan, &result, err));
    *peak = result.device[0].peak_reserved_bytes;
    ps_result_fini(&result);
    return PS_OK;
}

static ps_code predict(ps_trace *trace, const char *conf, uint64_t *peak, ps_error *err)
{
    ps_plan *plan;
    PS_TRY(ps_lower_trace(trace, &plan, err));
    const ps_code code = apply(plan, conf, peak, err);
    ps_plan_destroy(plan);
    return code;
}

int main(int argc, char **argv)
{
    ps_error err = {0};
    int different = 0;
    for (int a = 2; a + 2 < argc; a += 3) {
        ps_trace *trace;
        if (load(argv[1], argv[a + 1], &trace, &err) != PS_OK) {
            (void)fprintf(stderr, "%s: %s\n", argv[a + 1], err.message);
            return 3;
        }
        for (int b = 2; b + 2 < argc; b += 3) {
            const uint64_t recorded = strtoull(argv[b + 2], NULL, 10);
            uint64_t peak = 0;
            if (a == b) {
                continue;
            }
            if (predict(trace, argv[b], &peak, &err) != PS_OK) {
                (void)fprintf(stderr, "%s: %s\n", argv[b], err.message);
                return 3;
            }
            different += peak != recorded;
            printf("| %s | %s | %llu | %llu | %s |\n", argv[a + 1],
                   argv[b][0] == '\0' ? "default" : argv[b], (unsigned long long)recorded,
                   (unsigned long long)peak, peak == recorded ? "equal" : "**different**");
        }
        ps_trace_destroy(trace);
    }
    return different > 0;
}
