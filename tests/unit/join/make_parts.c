/* SPDX-License-Identifier: MIT
 *
 * Parts of a recording made by hand.
 */
#include "make_parts.h"

#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/test.h"

#include "base/container.h"
#include "trace/file.h"

#define PATH_BYTES 512

const char *parts_folder(void)
{
    static char folder[PATH_BYTES];
    static unsigned count;
    (void)snprintf(folder, sizeof folder, "%s/join_parts.%ld.%u", PS_TEST_BINARY_DIR,
                   (long)getpid(), count++);
    assert_int_equal(mkdir(folder, 0700), 0);
    return folder;
}

ps_trace *parts_device(pid_t pid)
{
    ps_error err = {0};
    char text[32];
    ps_trace *trace = ps_trace_create();
    assert_non_null(trace);
    (void)snprintf(text, sizeof text, "%ld", (long)pid);
    assert_ok(&err, ps_trace_set_meta(trace, PS_META_BASE_TIME, "1000000000000000000", &err));
    assert_ok(&err, ps_trace_set_meta(trace, "pid", text, &err));
    assert_ok(&err, ps_trace_set_meta(trace, PS_META_SOURCE, "tracer", &err));
    return trace;
}

void parts_driver_alloc(ps_trace *device, ps_ns start_ns, ps_ns dur_ns, uint64_t addr,
                        uint64_t bytes, uint64_t correlation)
{
    ps_error err = {0};
    size_t call, row;
    assert_ok(&err, ps_trace_add(device, PS_TABLE_CALL, &call, &err));
    device->call.start_ns[call] = start_ns;
    device->call.dur_ns[call] = dur_ns;
    device->call.tid[call] = 77;
    device->call.correlation[call] = correlation;
    assert_ok(&err, ps_trace_add(device, PS_TABLE_DRIVER_MEMORY, &row, &err));
    device->driver_memory.time_ns[row] = start_ns + dur_ns / 2;
    device->driver_memory.action[row] = PS_DRIVER_ALLOC;
    device->driver_memory.kind[row] = PS_MEMORY_DEVICE;
    device->driver_memory.addr[row] = addr;
    device->driver_memory.bytes[row] = bytes;
    device->driver_memory.stream[row] = UINT64_MAX;
    device->driver_memory.correlation[row] = correlation;
}

void parts_write_device(const char *folder, pid_t pid, ps_trace *device, bool is_finished)
{
    ps_error err = {0};
    char path[PATH_BYTES];
    ps_container_writer *writer;
    (void)snprintf(path, sizeof path, "%s/%ld.device.pstrace", folder, (long)pid);
    assert_ok(&err, ps_container_create_live(path, PS_ARTEFACT_TRACE, 1, &writer, &err));
    assert_ok(&err, ps_trace_write_chunk(writer, device, &err));
    if (is_finished) {
        assert_ok(&err, ps_container_finish(writer, &err));
    } else {
        ps_container_abandon(writer);
    }
    ps_trace_destroy(device);
}

/* ---- pickles ---- */

static void put_text(FILE *file, const char *text)
{
    (void)fputc('X', file);
    const uint32_t bytes = (uint32_t)strlen(text);
    for (int i = 0; i < 4; i++) {
        (void)fputc((int)(bytes >> (8 * i) & 0xff), file);
    }
    (void)fputs(text, file);
}

static void put_number(FILE *file, uint64_t value)
{
    (void)fputs("\x8a\x08", file); /* LONG1 of eight bytes; the sign is never set */
    for (int i = 0; i < 8; i++) {
        (void)fputc((int)(value >> (8 * i) & 0xff), file);
    }
}

static void put_pair(FILE *file, const char *key, uint64_t value)
{
    put_text(file, key);
    put_number(file, value);
}

static void put_entry(FILE *file, const history_entry *entry)
{
    (void)fputs("}(", file);
    put_text(file, "action");
    put_text(file, entry->action);
    put_pair(file, "addr", entry->addr);
    put_pair(file, "size", entry->size);
    put_pair(file, "stream", 0);
    put_pair(file, "time_us", entry->time_us);
    (void)fputc('u', file);
}

static void put_segment(FILE *file, uint64_t bytes)
{
    (void)fputs("}(", file);
    put_pair(file, "device", 0);
    put_pair(file, "address", 0x7f0000000000);
    put_pair(file, "total_size", bytes);
    put_pair(file, "stream", 0);
    put_text(file, "segment_type");
    put_text(file, "small");
    put_pair(file, "allocated_size", 0);
    put_pair(file, "active_size", 0);
    put_pair(file, "requested_size", 0);
    put_text(file, "blocks");
    (void)fputs("](}(", file);
    put_pair(file, "address", 0x7f0000000000);
    put_pair(file, "size", bytes);
    put_pair(file, "requested_size", 0);
    put_text(file, "state");
    put_text(file, "inactive");
    (void)fputs("ueu", file);
}

void parts_write_history(const char *folder, pid_t pid, unsigned sequence,
                         const history_entry *entries, size_t count)
{
    char path[PATH_BYTES];
    (void)snprintf(path, sizeof path, "%s/%ld.history.%06u.pickle", folder, (long)pid, sequence);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    (void)fputs("\x80\x02}(", file);
    put_text(file, "segments");
    (void)fputs("](", file);
    put_segment(file, (uint64_t)2 << 20);
    (void)fputc('e', file);
    put_text(file, "device_traces");
    (void)fputs("](](", file);
    for (size_t i = 0; i < count; i++) {
        put_entry(file, &entries[i]);
    }
    (void)fputs("eeu.", file);
    assert_int_equal(fclose(file), 0);
}

void parts_write_text(const char *folder, const char *name, const char *text)
{
    char path[PATH_BYTES];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    (void)fputs(text, file);
    assert_int_equal(fclose(file), 0);
}
