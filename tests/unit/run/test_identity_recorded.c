/* SPDX-License-Identifier: MIT
 *
 * The identity what-if over real recordings: what was recorded comes out
 * again. Step times of every profile, the allocated total after every event,
 * the address of every allocation of every memory snapshot; and a plan that
 * went through a file gives the same result.
 */
#include "make_trace.h"

#include <dirent.h>
#include <string.h>
#include <unistd.h>

#include "import/import.h"
#include "lower/lower.h"

#define PATH_BYTES 2048u
#define MOST_STEP_ERROR 0.02

static const char *const plan_path = PS_TEST_BINARY_DIR "/test_identity_recorded.psplan";

/* What the whole walk came to; differences are collected, so that one run shows them all. */
typedef struct tally {
    unsigned files, refused, steps, allocations, snapshots, differences;
    double worst_step;
    char worst_file[PATH_BYTES];
} tally;

static void differ(tally *sum, const char *path, const char *what, uint64_t got, uint64_t want)
{
    sum->differences++;
    print_message("%s: %s %llu, recorded %llu\n", path, what, (unsigned long long)got,
                  (unsigned long long)want);
}

static const char *shared_or_skip(void)
{
    const char *shared = ps_test_shared();
    if (shared == NULL) {
        skip();
    }
    return shared;
}

static bool ends_with(const char *text, const char *end)
{
    const size_t text_bytes = strlen(text), end_bytes = strlen(end);
    return text_bytes >= end_bytes && strcmp(text + text_bytes - end_bytes, end) == 0;
}

/* NULL when no importer takes the file. */
static ps_trace *import_or_null(const char *path)
{
    ps_error err = {0};
    ps_trace_builder *builder;
    ps_trace *trace;
    assert_ok(&err, ps_trace_builder_open_memory(&builder, &err));
    if (ps_import_file(path, NULL, builder, NULL, &err) != PS_OK) {
        ps_trace_builder_abandon(builder);
        return NULL;
    }
    assert_ok(&err, ps_trace_builder_take(builder, &trace, &err));
    return trace;
}

/* Highest allocated total of a device that the recording states; 0 when it states none. */
static uint64_t recorded_peak(const ps_trace *trace, uint32_t ordinal)
{
    const ps_memory_table *memory = &trace->memory;
    uint64_t peak = 0;
    bool is_first = true;
    for (size_t row = 0; row < memory->head.count; row++) {
        if (memory->device_kind[row] == PS_DEVICE_HOST || memory->device[row] != ordinal ||
            memory->total_allocated[row] == 0) {
            continue;
        }
        uint64_t total = memory->total_allocated[row] - 1;
        if (is_first && memory->action[row] != PS_ACTION_ALLOC) {
            total += memory->bytes[row]; /* what it was before */
        }
        is_first = false;
        peak = total > peak ? total : peak;
    }
    return peak;
}

static void check_steps(const ps_result *result, const char *path, tally *sum)
{
    for (size_t i = 0; i < result->step_count; i++) {
        const ps_result_step *step = &result->step[i];
        if (step->recorded_ns <= 0) {
            continue;
        }
        const double off = (double)(step->time_ns - step->recorded_ns) / (double)step->recorded_ns;
        const double size = off < 0 ? -off : off;
        sum->steps++;
        if (size > sum->worst_step) {
            sum->worst_step = size;
            (void)snprintf(sum->worst_file, sizeof sum->worst_file, "%s", path);
        }
        if (size > MOST_STEP_ERROR) {
            differ(sum, path, "step [ns]", (uint64_t)step->time_ns, (uint64_t)step->recorded_ns);
        }
    }
}

static void check_memory(const ps_trace *trace, const ps_plan *plan, const ps_result *result,
                         const char *path, tally *sum)
{
    for (size_t i = 0; i < result->device_count; i++) {
        const ps_result_device *device = &result->device[i];
        const uint64_t peak = recorded_peak(trace, device->ordinal);
        sum->allocations += device->allocated_check.compared > 0;
        if (device->allocated_check.equal != device->allocated_check.compared) {
            differ(sum, path, "equal totals", device->allocated_check.equal,
                   device->allocated_check.compared);
        }
        if (peak > 0 && plan->device.sizes_are_blocks[i] != 0 &&
            device->peak_allocated_bytes != peak) {
            differ(sum, path, "peak", device->peak_allocated_bytes, peak);
        }
        if (device->address_check.equal != device->address_check.compared) {
            differ(sum, path, "equal addresses", device->address_check.equal,
                   device->address_check.compared);
        }
        if (device->unmatched_free_count != 0) {
            differ(sum, path, "unmatched frees", device->unmatched_free_count, 0);
        }
        uint64_t groups = 0;
        for (size_t g = 0; g < device->group_count; g++) {
            groups += device->group[g].bytes;
        }
        if (groups != device->peak_allocated_bytes) {
            differ(sum, path, "sum of groups", groups, device->peak_allocated_bytes);
        }
    }
}

static void check_file_round_trip(const ps_plan *plan, const char *path, tally *sum)
{
    ps_error err = {0};
    ps_plan *read;
    char *before = json_of(plan);
    assert_ok(&err, ps_plan_write(plan, plan_path, &err));
    assert_ok(&err, ps_plan_read(plan_path, &read, &err));
    char *after = json_of(read);
    if (strcmp(before, after) != 0) {
        differ(sum, path, "bytes of JSON after a file", strlen(after), strlen(before));
    }
    free(before);
    free(after);
    ps_plan_destroy(read);
    (void)unlink(plan_path);
}

/* Lowers and runs; *plan and *result belong to the caller when true. */
static bool run_trace(ps_trace *trace, const char *path, tally *sum, ps_plan **plan,
                      ps_result *result)
{
    ps_error err = {0};
    const ps_code code = ps_lower_trace(trace, plan, &err);
    if (code == PS_BAD_INPUT) {
        sum->refused++;
        return false;
    }
    if (code != PS_OK) {
        fail_msg("%s: %s", path, err.message);
    }
    assert_ok(&err, ps_plan_check(*plan, &err));
    *result = run_plan(*plan);
    return true;
}

static void check_recording(const char *path, tally *sum)
{
    ps_trace *trace = import_or_null(path);
    ps_plan *plan;
    ps_result result;
    if (trace == NULL) {
        return;
    }
    sum->files++;
    if (run_trace(trace, path, sum, &plan, &result)) {
        check_steps(&result, path, sum);
        check_memory(trace, plan, &result, path, sum);
        check_file_round_trip(plan, path, sum);
        sum->snapshots += result.device_count > 0 && result.device[0].address_check.compared > 0;
        ps_result_fini(&result);
        ps_plan_destroy(plan);
    }
    ps_trace_destroy(trace);
}

static void check_folder(const char *folder, bool snapshots, tally *sum)
{
    DIR *dir = opendir(folder);
    if (dir == NULL) {
        if (ends_with(folder, ".pickle") == snapshots) {
            check_recording(folder, sum); /* a file */
        }
        return;
    }
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        char path[PATH_BYTES];
        if (entry->d_name[0] != '.') {
            (void)snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
            check_folder(path, snapshots, sum);
        }
    }
    (void)closedir(dir);
}

static void check_real(bool snapshots, tally *sum)
{
    char folder[PATH_BYTES];
    (void)snprintf(folder, sizeof folder, "%s/traces/real", shared_or_skip());
    check_folder(folder, snapshots, sum);
    print_message("%u files, %u without anything to simulate\n", sum->files, sum->refused);
}

static void real_profiles_come_out_as_recorded(void **state)
{
    (void)state;
    tally sum = {0};
    check_real(false, &sum);
    print_message("%u steps, the worst %.3f %% off: %s\n", sum.steps, sum.worst_step * 100,
                  sum.worst_file);
    assert_int_equal(sum.differences, 0);
    assert_true(sum.steps >= 50);
    assert_true(sum.allocations >= 2);
}

static void real_snapshots_come_out_as_recorded(void **state)
{
    (void)state;
    tally sum = {0};
    check_real(true, &sum);
    assert_int_equal(sum.differences, 0);
    assert_true(sum.snapshots >= 5);
}

/* ---- histories of PyTorch's allocator under many settings ---- */

/* One row of truth.csv. */
typedef struct truth {
    char file[128], conf[128];
    uint64_t device_memory, limit, events, peak_reserved, peak_active, peak_allocated;
    uint64_t peak_requested, ooms, retries;
} truth;

/* Next cell of a CSV line, unquoted; advances *line. */
static void take_cell(char **line, char *out, size_t out_bytes)
{
    const bool is_quoted = **line == '"';
    char *begin = *line + is_quoted;
    char *end = begin + strcspn(begin, is_quoted ? "\"" : ",\r\n");
    assert_true((size_t)(end - begin) < out_bytes);
    memcpy(out, begin, (size_t)(end - begin));
    out[end - begin] = '\0';
    end += is_quoted;
    *line = *end == ',' ? end + 1 : end;
}

static bool read_truth(FILE *file, truth *out)
{
    char text[1024], cell[32];
    char *line = text;
    uint64_t *const numbers[] = {&out->device_memory,  &out->limit,       &out->events,
                                 &out->peak_reserved,  &out->peak_active, &out->peak_allocated,
                                 &out->peak_requested, &out->ooms,        &out->retries};
    if (fgets(text, sizeof text, file) == NULL) {
        return false;
    }
    take_cell(&line, out->file, sizeof out->file);
    take_cell(&line, out->conf, sizeof out->conf);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        take_cell(&line, cell, sizeof cell);
        *numbers[i] = strtoull(cell, NULL, 10);
    }
    return true;
}

/* What the snapshot does not tell: the settings and the device. */
static void state_conditions(ps_trace *trace, const truth *row)
{
    char conf[256];
    (void)snprintf(conf, sizeof conf, "%s", row->conf);
    if (row->limit < row->device_memory) {
        (void)snprintf(conf, sizeof conf, "%s%sper_process_memory_fraction:%.17g", row->conf,
                       row->conf[0] == '\0' ? "" : ",",
                       (double)row->limit / (double)row->device_memory);
    }
    put_fact(trace, PS_META_ALLOCATOR_CONF, conf);
    trace->device.head.count = 0;
    put_device(trace, 0, "", row->device_memory);
}

static void check_history(const char *folder, const truth *row, tally *sum)
{
    char path[PATH_BYTES];
    ps_plan *plan;
    ps_result result;
    const int length = snprintf(path, sizeof path, "%s/%s", folder, row->file);
    assert_in_range(length, 1, sizeof path - 1);
    ps_trace *trace = import_or_null(path);
    assert_non_null(trace);
    state_conditions(trace, row);
    assert_true(run_trace(trace, path, sum, &plan, &result));
    const ps_result_device *device = &result.device[0];
    const struct {
        const char *what;
        uint64_t got, want;
    } figures[] = {
        {"equal addresses", device->address_check.equal, device->address_check.compared},
        {"peak reserved", device->peak_reserved_bytes, row->peak_reserved},
        {"peak active", device->peak_active_bytes, row->peak_active},
        {"peak allocated", device->peak_allocated_bytes, row->peak_allocated},
        {"peak requested", device->peak_requested_bytes, row->peak_requested},
        {"retries", device->retry_count, row->retries},
        {"unmatched frees", device->unmatched_free_count, 0},
        {"refusals", device->oom.happened, row->ooms > 0},
    };
    for (size_t i = 0; i < sizeof figures / sizeof figures[0]; i++) {
        if (figures[i].got != figures[i].want) {
            differ(sum, row->file, figures[i].what, figures[i].got, figures[i].want);
        }
    }
    assert_true(device->address_check.compared > 100);
    check_file_round_trip(plan, path, sum);
    ps_result_fini(&result);
    ps_plan_destroy(plan);
    ps_trace_destroy(trace);
}

static void histories_under_many_settings_come_out_as_recorded(void **state)
{
    (void)state;
    char folder[PATH_BYTES], path[PATH_BYTES + 16];
    truth row;
    tally sum = {0};
    unsigned rows = 0;
    (void)snprintf(folder, sizeof folder, "%s/truth/allocator-fuzz", shared_or_skip());
    (void)snprintf(path, sizeof path, "%s/truth.csv", folder);
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        skip();
        return;
    }
    assert_true(read_truth(file, &row)); /* the head */
    for (; read_truth(file, &row); rows++) {
        check_history(folder, &row, &sum);
    }
    (void)fclose(file);
    assert_int_equal(sum.differences, 0);
    assert_true(rows >= 30);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(real_profiles_come_out_as_recorded),
        cmocka_unit_test(real_snapshots_come_out_as_recorded),
        cmocka_unit_test(histories_under_many_settings_come_out_as_recorded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
