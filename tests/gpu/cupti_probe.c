/* SPDX-License-Identifier: MIT
 *
 * A small client of the activity API of CUPTI for questions.py, independent of the tracer: what
 * it finds is what the tracer is judged by. It counts records by kind and keeps the rows of memory
 * operations. It links nothing of CUDA; libcupti is found at run time.
 *
 * Two ways in: the probe_ functions, called through ctypes; or as CUDA_INJECTION64_PATH, then it
 * records everything and writes the counts to $PEAKSTEP_PROBE_REPORT when the process ends.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

enum {
    KIND_COUNT = 64,
    KIND_MEMCPY = 1,
    KIND_MEMSET = 2,
    KIND_DRIVER = 4,
    KIND_RUNTIME = 5,
    KIND_CONCURRENT_KERNEL = 10,
    KIND_MEMORY2 = 49,
    ATTRIBUTE_HOST_PINNED = 8,
    MEMORY_ROWS = 4096,
    NO_LIBRARY = -1,
    ALIGNMENT = 8
};
#define BUFFER_BYTES ((size_t)4 << 20)

/* Offsets are the same in all versions of the record since CUDA 11. */
typedef struct memory_record {
    uint32_t kind;
    uint32_t operation; /* 1 allocation, 2 release */
    uint32_t memory_kind;
    uint32_t correlation;
    uint64_t address;
    uint64_t bytes;
    uint64_t time_ns;
} memory_record;

typedef void (*request_function)(uint8_t **buffer, size_t *size, size_t *max_records);
typedef void (*callback_function)(void *data, int domain, uint32_t id, const void *call);
typedef void (*complete_function)(void *context, uint32_t stream, uint8_t *buffer, size_t size,
                                  size_t valid);

static struct {
    int (*enable)(int kind);
    int (*disable)(int kind);
    int (*register_callbacks)(request_function request, complete_function complete);
    int (*next_record)(uint8_t *buffer, size_t valid, void **record);
    int (*dropped)(void *context, uint32_t stream, size_t *count);
    int (*flush)(uint32_t flags);
    int (*timestamp)(uint64_t *time_ns);
    int (*version)(uint32_t *version);
    int (*set_attribute)(int attribute, size_t *size, void *value);
    int (*subscribe)(void **subscriber, callback_function callback, void *data);
    int (*unsubscribe)(void *subscriber);
} cupti;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t counts[KIND_COUNT];
static uint64_t buffers_requested;
static uint64_t buffers_completed;
static memory_record memory_rows[MEMORY_ROWS];
static uint64_t memory_row_count;
static void *subscriber;
static pid_t owner;

static void request(uint8_t **buffer, size_t *size, size_t *max_records)
{
    void *memory = NULL;
    *max_records = 0;
    *size = BUFFER_BYTES;
    if (posix_memalign(&memory, ALIGNMENT, BUFFER_BYTES) != 0) {
        *size = 0;
    }
    *buffer = memory;
    pthread_mutex_lock(&lock);
    buffers_requested++;
    pthread_mutex_unlock(&lock);
}

static void complete(void *context, uint32_t stream, uint8_t *buffer, size_t size, size_t valid)
{
    (void)context;
    (void)stream;
    (void)size;
    void *record = NULL;
    pthread_mutex_lock(&lock);
    buffers_completed++;
    while (valid > 0 && cupti.next_record(buffer, valid, &record) == 0) {
        uint32_t kind;
        memcpy(&kind, record, sizeof kind);
        counts[kind < KIND_COUNT ? kind : 0]++;
        if (kind == KIND_MEMORY2 && memory_row_count < MEMORY_ROWS) {
            memcpy(&memory_rows[memory_row_count++], record, sizeof memory_rows[0]);
        }
    }
    pthread_mutex_unlock(&lock);
    free(buffer);
}

static void *find_library(void)
{
    static const char *const names[] = {"libcupti.so.13", "libcupti.so.12", "libcupti.so"};
    const size_t count = sizeof names / sizeof names[0];
    for (size_t i = 0; i < count; i++) {
        void *loaded = dlopen(names[i], RTLD_NOW | RTLD_NOLOAD);
        if (loaded) {
            return loaded;
        }
    }
    const char *path = getenv("PEAKSTEP_LIBCUPTI");
    void *library = path ? dlopen(path, RTLD_NOW) : NULL;
    for (size_t i = 0; i < count && !library; i++) {
        library = dlopen(names[i], RTLD_NOW);
    }
    return library;
}

/* A data pointer of dlsym as a function pointer, without the cast that C17 does not define. */
static int find(void *library, const char *name, void *function)
{
    void *symbol = dlsym(library, name);
    memcpy(function, &symbol, sizeof symbol);
    return symbol != NULL;
}

/* 0, or NO_LIBRARY */
EXPORT int probe_load(void)
{
    if (cupti.flush) {
        return 0;
    }
    void *library = find_library();
    if (!library) {
        return NO_LIBRARY;
    }
    find(library, "cuptiSubscribe", &cupti.subscribe);
    find(library, "cuptiUnsubscribe", &cupti.unsubscribe);
    find(library, "cuptiGetVersion", &cupti.version);
    find(library, "cuptiGetTimestamp", &cupti.timestamp);
    find(library, "cuptiActivitySetAttribute", &cupti.set_attribute);
    find(library, "cuptiActivityGetNumDroppedRecords", &cupti.dropped);
    find(library, "cuptiActivityDisable", &cupti.disable);
    return find(library, "cuptiActivityEnable", &cupti.enable) &&
                   find(library, "cuptiActivityRegisterCallbacks", &cupti.register_callbacks) &&
                   find(library, "cuptiActivityGetNextRecord", &cupti.next_record) &&
                   find(library, "cuptiActivityFlushAll", &cupti.flush)
               ? 0
               : NO_LIBRARY;
}

/* Registers the buffers and enables the kinds; pinned: CUPTI's own buffers in host memory. The
 * first result that is not success is returned. */
EXPORT int probe_start(const int *kinds, int kind_count, int pinned)
{
    int result = probe_load();
    if (result != 0) {
        return result;
    }
    owner = getpid();
    if (pinned >= 0 && cupti.set_attribute) {
        uint8_t value = pinned != 0;
        size_t size = sizeof value;
        result = cupti.set_attribute(ATTRIBUTE_HOST_PINNED, &size, &value);
        if (result != 0) {
            return result;
        }
    }
    result = cupti.register_callbacks(request, complete);
    for (int i = 0; i < kind_count && result == 0; i++) {
        result = cupti.enable(kinds[i]);
    }
    return result;
}

EXPORT int probe_stop(const int *kinds, int kind_count)
{
    int result = cupti.disable ? 0 : NO_LIBRARY;
    for (int i = 0; i < kind_count && result == 0; i++) {
        result = cupti.disable(kinds[i]);
    }
    return result;
}

/* Nothing is enabled for it, so it is never called. */
static void on_call(void *data, int domain, uint32_t id, const void *call)
{
    (void)data;
    (void)domain;
    (void)id;
    (void)call;
}

EXPORT int probe_subscribe(void)
{
    const int result = probe_load();
    if (result != 0 || !cupti.subscribe) {
        return NO_LIBRARY;
    }
    return cupti.subscribe(&subscriber, on_call, NULL);
}

EXPORT int probe_unsubscribe(void)
{
    return cupti.unsubscribe && subscriber ? cupti.unsubscribe(subscriber) : NO_LIBRARY;
}

EXPORT int probe_flush(int forced)
{
    return cupti.flush ? cupti.flush(forced ? 1 : 0) : NO_LIBRARY;
}

static uint64_t realtime_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* CLOCK_REALTIME, CUPTI's clock, CLOCK_REALTIME, one right after the other */
EXPORT int probe_clocks(uint64_t readings[3])
{
    if (!cupti.timestamp) {
        return NO_LIBRARY;
    }
    readings[0] = realtime_ns();
    const int result = cupti.timestamp(&readings[1]);
    readings[2] = realtime_ns();
    return result;
}

EXPORT uint32_t probe_version(void)
{
    uint32_t version = 0;
    if (cupti.version) {
        (void)cupti.version(&version);
    }
    return version;
}

EXPORT uint64_t probe_count(int kind)
{
    pthread_mutex_lock(&lock);
    const uint64_t count = kind >= 0 && kind < KIND_COUNT ? counts[kind] : buffers_completed;
    pthread_mutex_unlock(&lock);
    return count;
}

EXPORT uint64_t probe_dropped(void)
{
    size_t count = 0;
    return cupti.dropped && cupti.dropped(NULL, 0, &count) == 0 ? (uint64_t)count : UINT64_MAX;
}

/* Copies at most `limit` memory operations to `rows` and returns how many there were. */
EXPORT uint64_t probe_memory_rows(memory_record *rows, uint64_t limit)
{
    pthread_mutex_lock(&lock);
    const uint64_t count = memory_row_count;
    memcpy(rows, memory_rows, (count < limit ? count : limit) * sizeof *rows);
    pthread_mutex_unlock(&lock);
    return count;
}

static void report(void)
{
    const char *path = getenv("PEAKSTEP_PROBE_REPORT");
    if (!path || getpid() != owner) {
        return;
    }
    const int flushed = probe_flush(1);
    FILE *file = fopen(path, "w");
    if (!file) {
        return;
    }
    pthread_mutex_lock(&lock);
    fprintf(file, "{\"flush\": %d, \"memset\": %llu, \"memcpy\": %llu, \"kernel\": %llu,", flushed,
            (unsigned long long)counts[KIND_MEMSET], (unsigned long long)counts[KIND_MEMCPY],
            (unsigned long long)counts[KIND_CONCURRENT_KERNEL]);
    fprintf(file, " \"runtime\": %llu, \"buffers\": %llu, \"requested\": %llu}\n",
            (unsigned long long)counts[KIND_RUNTIME], (unsigned long long)buffers_completed,
            (unsigned long long)buffers_requested);
    pthread_mutex_unlock(&lock);
    (void)fclose(file);
}

/* What the driver calls when it is initialised. */
EXPORT int InitializeInjection(void)
{
    static const int kinds[] = {KIND_CONCURRENT_KERNEL, KIND_MEMCPY, KIND_MEMSET, KIND_RUNTIME,
                                KIND_MEMORY2};
    static int done;
    if (done) {
        return 1;
    }
    done = 1;
    const int result = probe_start(kinds, (int)(sizeof kinds / sizeof kinds[0]), -1);
    if (result != 0) {
        (void)fprintf(stderr, "probe: CUPTI said %d\n", result);
        return 0;
    }
    (void)atexit(report);
    return 1;
}
