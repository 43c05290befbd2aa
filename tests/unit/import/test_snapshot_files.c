/* SPDX-License-Identifier: MIT
 *
 * The memory snapshot importer on the recordings that lie beside the
 * checkout: numbers of events, baseline and peaks must be those that were
 * found independently (MANIFEST.csv, truth.csv). Skipped where there are none.
 */
#include "snapshot_writer.h"

#define GIB 1073741824.0

/* ---- CSV ---- */

#define COLUMNS_MAX 40

/* Splits a line of comma separated, possibly quoted values in place. */
static size_t split(char *line, char *column[COLUMNS_MAX])
{
    size_t count = 0;
    char *at = line;
    while (count < COLUMNS_MAX) {
        const bool is_quoted = *at == '"';
        at += is_quoted;
        column[count++] = at;
        char *end = is_quoted ? strchr(at, '"') : at + strcspn(at, ",\r\n");
        if (end == NULL) {
            return count;
        }
        at = is_quoted ? end + 1 : end;
        const bool is_last = *at != ',';
        *end = '\0';
        at++;
        if (is_last) {
            return count;
        }
    }
    return count;
}

static size_t find_column(char *column[COLUMNS_MAX], size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(column[i], name) == 0) {
            return i;
        }
    }
    fail_msg("no column %s", name);
    return 0;
}

static ps_trace *import_file(const char *path)
{
    ps_error err = {0};
    ps_source *source;
    ps_trace_builder *builder;
    ps_trace *trace;
    assert_ok(&err, ps_source_open(path, &source, &err));
    assert_ok(&err, ps_trace_builder_open_memory(&builder, &err));
    assert_ok(&err, ps_importer_snapshot.import(source, builder, &err));
    assert_ok(&err, ps_trace_builder_take(builder, &trace, &err));
    ps_source_close(source);
    return trace;
}

/* ---- what a trace says ---- */

typedef struct tally {
    uint64_t by_action[PS_ACTION_SNAPSHOT + 1];
    uint64_t events; /* as recorded: a merged free counts twice */
} tally;

static tally count_events(const ps_trace *trace, uint32_t device)
{
    tally found = {0};
    for (size_t i = 0; i < trace->memory.head.count; i++) {
        if (trace->memory.device[i] != device) {
            continue;
        }
        const uint8_t action = trace->memory.action[i];
        found.by_action[action]++;
        found.events += action == PS_ACTION_FREE ? 2 : 1;
    }
    return found;
}

typedef struct levels {
    double baseline_gib, active_gib, reserved_gib; /* before the first event; largest */
} levels;

/* Walks back from the final state: what is there now less what the events added was there before. */
static levels find_levels(const ps_trace *trace, uint32_t device)
{
    int64_t active = 0, reserved = 0;
    for (size_t i = 0; i < trace->segment.head.count; i++) {
        if (trace->segment.device[i] == device) {
            active += (int64_t)trace->segment.active_bytes[i];
            reserved += (int64_t)trace->segment.bytes[i];
        }
    }
    int64_t peak_active = active, peak_reserved = reserved;
    for (size_t i = trace->memory.head.count; i-- > 0;) {
        const int64_t bytes = (int64_t)trace->memory.bytes[i];
        if (trace->memory.device[i] != device) {
            continue;
        }
        switch ((ps_memory_action)trace->memory.action[i]) {
        case PS_ACTION_ALLOC:
            active -= bytes;
            break;
        case PS_ACTION_FREE:
        case PS_ACTION_FREE_COMPLETED:
            active += bytes;
            break;
        case PS_ACTION_SEGMENT_ALLOC:
        case PS_ACTION_SEGMENT_MAP:
            reserved -= bytes;
            break;
        case PS_ACTION_SEGMENT_FREE:
        case PS_ACTION_SEGMENT_UNMAP:
            reserved += bytes;
            break;
        case PS_ACTION_FREE_REQUESTED:
        case PS_ACTION_OOM:
        case PS_ACTION_SNAPSHOT:
            break;
        }
        peak_active = active > peak_active ? active : peak_active;
        peak_reserved = reserved > peak_reserved ? reserved : peak_reserved;
    }
    return (levels){(double)active / GIB, (double)peak_active / GIB, (double)peak_reserved / GIB};
}

/* ---- against the lists ---- */

/* "dev0: 11300 (segment_alloc 65, alloc 3853, ...)"; no such text: no events. */
static void check_events(const ps_trace *trace, const char *listed, const char *file)
{
    static const struct {
        const char *name;
        ps_memory_action action;
    } names[] = {
        {"alloc", PS_ACTION_ALLOC},
        {"free_requested", PS_ACTION_FREE},
        {"free_completed", PS_ACTION_FREE},
        {"segment_alloc", PS_ACTION_SEGMENT_ALLOC},
        {"segment_free", PS_ACTION_SEGMENT_FREE},
        {"segment_map", PS_ACTION_SEGMENT_MAP},
        {"segment_unmap", PS_ACTION_SEGMENT_UNMAP},
        {"oom", PS_ACTION_OOM},
        {"snapshot", PS_ACTION_SNAPSHOT},
    };
    const tally found = count_events(trace, 0);
    unsigned long total = 0;
    if (sscanf(listed, "dev0: %lu", &total) != 1) {
        assert_int_equal(trace->memory.head.count, 0);
        return;
    }
    assert_int_equal(found.events, total);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char before[32], after[32];
        unsigned long wanted = 0;
        (void)snprintf(before, sizeof before, "(%s ", names[i].name);
        (void)snprintf(after, sizeof after, ", %s ", names[i].name);
        const char *at = strstr(listed, before);
        at = at != NULL ? at : strstr(listed, after);
        if (at != NULL) {
            wanted = strtoul(strpbrk(at, "0123456789"), NULL, 10);
        }
        if (found.by_action[names[i].action] != wanted) {
            fail_msg("%s: %s: found %lu, listed %lu", file, names[i].name,
                     (unsigned long)found.by_action[names[i].action], wanted);
        }
    }
}

static void check_near(double found, double listed, const char *what, const char *file)
{
    if (found < listed - 0.0006 || found > listed + 0.0006) {
        fail_msg("%s: %s: found %.4f GiB, listed %.4f", file, what, found, listed);
    }
}

static void check_peaks(const ps_trace *trace, const char *listed, const char *file)
{
    levels wanted;
    const levels found = find_levels(trace, 0);
    if (sscanf(listed, "dev0: active %lf resv %lf GiB (baseline %lf)", &wanted.active_gib,
               &wanted.reserved_gib, &wanted.baseline_gib) == 3) {
        check_near(found.baseline_gib, wanted.baseline_gib, "baseline", file);
        check_near(found.active_gib, wanted.active_gib, "peak active", file);
        check_near(found.reserved_gib, wanted.reserved_gib, "peak reserved", file);
    } else {
        assert_int_equal(sscanf(listed, "dev0: final alloc %*f resv %lf", &wanted.reserved_gib), 1);
        check_near(found.reserved_gib, wanted.reserved_gib, "reserved", file);
    }
}

static void recordings_hold_what_is_listed(void **state)
{
    (void)state;
    const char *shared = ps_test_shared();
    static char line[16384], path[2048];
    char *column[COLUMNS_MAX];
    size_t checked = 0;
    if (shared == NULL) {
        skip();
    }
    (void)snprintf(path, sizeof path, "%s/traces/real/MANIFEST.csv", shared);
    FILE *list = fopen(path, "r");
    assert_non_null(list);
    assert_non_null(fgets(line, sizeof line, list));
    size_t count = split(line, column);
    const size_t events = find_column(column, count, "events");
    const size_t peak = find_column(column, count, "peak");
    const size_t format = find_column(column, count, "format");
    while (fgets(line, sizeof line, list) != NULL) {
        count = split(line, column);
        if (count <= peak || strstr(column[format], "memory snapshot pickle") == NULL) {
            continue;
        }
        (void)snprintf(path, sizeof path, "%s/traces/real/%s", shared, column[0]);
        ps_trace *trace = import_file(path);
        check_events(trace, column[events], column[0]);
        check_peaks(trace, column[peak], column[0]);
        assert_int_equal(trace->loss.head.count, 0);
        ps_trace_destroy(trace);
        checked++;
    }
    (void)fclose(list);
    assert_true(checked >= 11);
}

static void made_up_histories_hold_what_is_listed(void **state)
{
    (void)state;
    const char *shared = ps_test_shared();
    static char line[4096], path[2048];
    char *column[COLUMNS_MAX];
    size_t checked = 0;
    if (shared == NULL) {
        skip();
    }
    (void)snprintf(path, sizeof path, "%s/truth/allocator-fuzz/truth.csv", shared);
    FILE *list = fopen(path, "r");
    if (list == NULL) {
        skip();
        return;
    }
    assert_non_null(fgets(line, sizeof line, list));
    size_t count = split(line, column);
    const size_t events = find_column(column, count, "events");
    const size_t conf = find_column(column, count, "conf");
    const size_t reserved = find_column(column, count, "peak_reserved");
    const size_t ooms = find_column(column, count, "ooms");
    while (fgets(line, sizeof line, list) != NULL) {
        count = split(line, column);
        assert_true(count > ooms);
        (void)snprintf(path, sizeof path, "%s/truth/allocator-fuzz/%s", shared, column[0]);
        ps_trace *trace = import_file(path);
        const tally found = count_events(trace, 0);
        assert_int_equal(found.events, strtoul(column[events], NULL, 10));
        assert_int_equal(found.by_action[PS_ACTION_OOM], strtoul(column[ooms], NULL, 10));
        check_near(find_levels(trace, 0).reserved_gib, strtod(column[reserved], NULL) / GIB,
                   "peak reserved", column[0]);
        assert_string_equal(ps_trace_meta(trace, PS_META_ALLOCATOR_CONF), column[conf]);
        assert_int_equal(trace->loss.head.count, 0);
        ps_trace_destroy(trace);
        checked++;
    }
    (void)fclose(list);
    assert_int_equal(checked, 30);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recordings_hold_what_is_listed),
        cmocka_unit_test(made_up_histories_hold_what_is_listed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
