/* SPDX-License-Identifier: MIT
 *
 * CUPTI as a source of records.
 *
 * CUPTI's buffer callbacks carry no context, so the one instance is static.
 */
#include "device_level.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "chosen_calls.h"
#include "cupti_records.h"
#include "virtual_memory.h"

/* Records of work, which a pause turns off; X(kind) in the order they are enabled. */
#define WORK_KINDS(X)    \
    X(RUNTIME)           \
    X(DRIVER)            \
    X(CONCURRENT_KERNEL) \
    X(MEMCPY)            \
    X(MEMCPY2)           \
    X(MEMSET)            \
    X(CUDA_EVENT)        \
    X(SYNCHRONIZATION)   \
    X(MARKER)            \
    X(OVERHEAD)          \
    X(EXTERNAL_CORRELATION)

/* CUpti_ActivityAttribute: timestamps buffers in pinned host memory, so that tracing takes no device memory */
#define ATTRIBUTE_HOST_PINNED 8
/* CUpti_ActivityThreadIdType: gettid */
#define THREAD_ID_SYSTEM 1
/* cuptiActivityFlushAll: also records that are not complete yet */
#define FLUSH_FORCED 1u
/* CUpti_DeviceAttribute */
#define ATTRIBUTE_PCIE_LINK_RATE 7
#define ATTRIBUTE_PCIE_LINK_WIDTH 8
#define ATTRIBUTE_PCIE_GEN 9
#define MAX_DEVICES 64

struct ps_device_level {
    ps_cupti_api cupti;
    ps_call_names names;
    ps_recorder *recorder;
    ps_virtual_memory memory;
    void *subscriber;
    bool (*is_wanted)(void);
    pthread_mutex_t pausing; /* is_paused and the kinds that go with it */
    bool is_paused, has_stopped, has_link_facts;
};

static ps_device_level *the_level;

/* ---- callbacks of CUPTI ---- */

static void request_buffer(uint8_t **buffer, size_t *size, size_t *max_records)
{
    *max_records = 0; /* as many as fit */
    *buffer = ps_buffers_lend(ps_recorder_buffers(the_level->recorder), size);
}

static uint64_t count_records(uint8_t *buffer, size_t valid_size)
{
    uint64_t count = 0;
    uint8_t *record = NULL;
    while (the_level->cupti.next_record(buffer, valid_size, &record) == PS_CUPTI_SUCCESS) {
        count++;
    }
    return count;
}

static void complete_buffer(void *context, uint32_t stream, uint8_t *buffer, size_t size,
                            size_t valid_size)
{
    (void)context;
    (void)stream;
    (void)size;
    ps_buffers *buffers = ps_recorder_buffers(the_level->recorder);
    if (buffer != NULL && !ps_buffers_hand_in(buffers, buffer, valid_size)) {
        ps_buffers_drop(buffers, buffer, count_records(buffer, valid_size));
    }
}

static void on_driver_call(void *user, uint32_t domain, uint32_t id, const void *data)
{
    ps_device_level *self = user;
    if (domain == PS_CUPTI_DOMAIN_DRIVER && !self->has_stopped) {
        ps_virtual_memory_call(&self->memory, ps_recorder_marks(self->recorder), id, data);
    }
}

/* ---- source of the recorder ---- */

static bool next_record(void *context, unsigned char *data, size_t valid_bytes,
                        unsigned char **record)
{
    const ps_device_level *self = context;
    return self->cupti.next_record(data, valid_bytes, record) == PS_CUPTI_SUCCESS;
}

/* The links of the devices, which CUPTI tells once the driver is up. */
static void note_links(ps_device_level *self)
{
    static const struct {
        int attribute;
        const char *fact;
    } facts[] = {{ATTRIBUTE_PCIE_GEN, "pcie-generation"},
                 {ATTRIBUTE_PCIE_LINK_WIDTH, "pcie-lanes"},
                 {ATTRIBUTE_PCIE_LINK_RATE, "pcie-link-rate-mega-transfers-per-s"}};
    for (int device = 0; self->cupti.device_attribute != NULL && device < MAX_DEVICES; device++) {
        for (size_t i = 0; i < sizeof facts / sizeof facts[0]; i++) {
            char key[64], text[24];
            uint64_t value = 0;
            size_t bytes = sizeof value;
            if (self->cupti.device_attribute(device, facts[i].attribute, &bytes, &value) !=
                PS_CUPTI_SUCCESS) {
                return;
            }
            (void)snprintf(key, sizeof key, "device-%d-%s", device, facts[i].fact);
            (void)snprintf(text, sizeof text, "%llu", (unsigned long long)(uint32_t)value);
            ps_marks_fact(ps_recorder_marks(self->recorder), key, text);
        }
    }
}

static void flush_records(void *context, bool is_final)
{
    ps_device_level *self = context;
    if (!self->has_link_facts) {
        self->has_link_facts = true;
        note_links(self);
    }
    if (!is_final) {
        ps_device_level_pause(self, !self->is_wanted());
    }
    (void)self->cupti.flush_all(is_final ? FLUSH_FORCED : 0);
}

static uint64_t dropped_records(void *context)
{
    const ps_device_level *self = context;
    size_t count = 0;
    return self->cupti.dropped(NULL, 0, &count) == PS_CUPTI_SUCCESS ? count : 0;
}

static const char *name_of(void *context, ps_call_api api, uint32_t id)
{
    ps_device_level *self = context;
    return ps_call_names_get(&self->names, api, id);
}

/* ---- start ---- */

static void enable_chosen(const ps_cupti_api *cupti, uint32_t kind)
{
    if (kind == PS_CUPTI_DRIVER && cupti->enable_driver_api != NULL) {
        for (size_t i = 0; i < ps_work_driver_call_count; i++) {
            (void)cupti->enable_driver_api(ps_work_driver_calls[i], 1);
        }
        return;
    }
    (void)cupti->enable(kind);
    if (kind == PS_CUPTI_RUNTIME && cupti->enable_runtime_api != NULL) {
        for (size_t i = 0; i < ps_quiet_runtime_call_count; i++) {
            (void)cupti->enable_runtime_api(ps_quiet_runtime_calls[i], 0);
        }
    }
}

static void disable_chosen(const ps_cupti_api *cupti, uint32_t kind)
{
    if (kind == PS_CUPTI_DRIVER && cupti->enable_driver_api != NULL) {
        for (size_t i = 0; i < ps_work_driver_call_count; i++) {
            (void)cupti->enable_driver_api(ps_work_driver_calls[i], 0);
        }
        return;
    }
    (void)cupti->disable(kind);
}

static void enable_work(const ps_cupti_api *cupti)
{
#define X(kind) enable_chosen(cupti, PS_CUPTI_##kind);
    WORK_KINDS(X)
#undef X
}

static void disable_work(const ps_cupti_api *cupti)
{
#define X(kind) disable_chosen(cupti, PS_CUPTI_##kind);
    WORK_KINDS(X)
#undef X
}

static void set_attributes(const ps_cupti_api *cupti)
{
    uint8_t pinned = 1;
    size_t bytes = sizeof pinned;
    if (cupti->set_thread_id_type != NULL) {
        (void)cupti->set_thread_id_type(THREAD_ID_SYSTEM);
    }
    if (cupti->set_attribute != NULL) {
        (void)cupti->set_attribute(ATTRIBUTE_HOST_PINNED, &bytes, &pinned);
    }
    if (cupti->enable_all_syncs != NULL) {
        (void)cupti->enable_all_syncs(0);
    }
}

static ps_code subscribe(ps_device_level *self, ps_error *err)
{
    const int result = self->cupti.subscribe(&self->subscriber, on_driver_call, self);
    if (result == PS_CUPTI_ERROR_MULTIPLE_SUBSCRIBERS) {
        return ps_fail(err, PS_NO_DEVICE,
                       "another CUPTI client (a profiler or debugger) is active in this process: "
                       "device records are missing");
    }
    if (result != PS_CUPTI_SUCCESS) {
        return ps_fail(err, PS_NO_DEVICE, "CUPTI refuses (%s): device records are missing",
                       ps_cupti_result_text(&self->cupti, result));
    }
    ps_virtual_memory_enable(&self->memory, &self->cupti, self->subscriber);
    return PS_OK;
}

static ps_code start(ps_device_level *self, ps_error *err)
{
    PS_TRY(subscribe(self, err));
    the_level = self;
    set_attributes(&self->cupti);
    const int result = self->cupti.register_callbacks(request_buffer, complete_buffer);
    if (result != PS_CUPTI_SUCCESS) {
        return ps_fail(err, PS_NO_DEVICE, "CUPTI refuses (%s): device records are missing",
                       ps_cupti_result_text(&self->cupti, result));
    }
    const ps_record_source source = {.next = next_record,
                                     .flush = flush_records,
                                     .dropped = dropped_records,
                                     .name_of = name_of,
                                     .context = self};
    ps_recorder_connect(self->recorder, &source);
    (void)self->cupti.enable(PS_CUPTI_DEVICE);
    const int memory = self->cupti.enable(PS_CUPTI_MEMORY2);
    if (memory != PS_CUPTI_SUCCESS) {
        return ps_fail(err, PS_NO_DEVICE, "CUPTI refuses (%s): device records are missing",
                       ps_cupti_result_text(&self->cupti, memory));
    }
    enable_work(&self->cupti);
    return PS_OK;
}

ps_code ps_device_level_start(ps_recorder *recorder, ps_ns base_ns, bool (*is_wanted)(void),
                              const char *path, ps_device_level **out, ps_error *err)
{
    ps_device_level *self = ps_calloc(1, sizeof *self);
    if (self == NULL) {
        return ps_fail_nomem(err);
    }
    self->recorder = recorder;
    self->is_wanted = is_wanted;
    (void)pthread_mutex_init(&self->pausing, NULL);
    ps_virtual_memory_init(&self->memory, base_ns);
    ps_code code = ps_cupti_load(path, &self->cupti, err);
    if (code == PS_OK) {
        self->names.cupti = &self->cupti;
        code = start(self, err);
    }
    if (code != PS_OK && the_level != self) {
        ps_free(self); /* CUPTI has seen nothing of it */
        return code;
    }
    *out = self;
    return code;
}

void ps_device_level_pause(ps_device_level *self, bool is_paused)
{
    (void)pthread_mutex_lock(&self->pausing);
    if (self->is_paused != is_paused && !self->has_stopped) {
        self->is_paused = is_paused;
        if (is_paused) {
            disable_work(&self->cupti);
        } else {
            enable_work(&self->cupti);
        }
    }
    (void)pthread_mutex_unlock(&self->pausing);
}

void ps_device_level_stop(ps_device_level *self)
{
    (void)pthread_mutex_lock(&self->pausing);
    self->has_stopped = true;
    (void)pthread_mutex_unlock(&self->pausing);
    disable_work(&self->cupti);
    (void)self->cupti.disable(PS_CUPTI_MEMORY2);
}
