/* SPDX-License-Identifier: MIT
 *
 * Settings of the client: what it wants to be told.
 */
#include "standin/cupti.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "standin/door.h"

enum { CALLS = 1024, DEFAULT_DEVICES = 1 };

/* What the link of every device is said to be. */
enum { LINK_RATE = 32000, LINK_LANES = 16, LINK_GENERATION = 5 };
enum { ATTRIBUTE_LINK_RATE = 7, ATTRIBUTE_LINK_LANES = 8, ATTRIBUTE_LINK_GENERATION = 9 };

enum choice { AS_KIND = 0, WANTED = 1, UNWANTED = 2 };

static struct {
    _Atomic bool wanted[CUPTI_KINDS];
    _Atomic uint8_t driver_call[CALLS], runtime_call[CALLS]; /* enum choice */
    _Atomic bool calls_back[CALLS];                          /* driver */
    _Atomic int thread_id_type;
    _Atomic(void *) subscriber;
    cupti_callback callback;
    void *user;
} client;

static unsigned long setting(const char *name, unsigned long otherwise)
{
    const char *text = getenv(name);
    return text == NULL || text[0] == '\0' ? otherwise : strtoul(text, NULL, 10);
}

unsigned cupti_layout(void)
{
    static _Atomic unsigned known;
    if (known == 0) {
        known = (unsigned)setting("STANDIN_CUPTI_LAYOUT", 13);
    }
    return known;
}

bool cupti_wants(unsigned kind)
{
    return client.wanted[kind];
}

bool cupti_wants_call(int domain, uint32_t id)
{
    const uint8_t choice =
        domain == CUPTI_DRIVER_DOMAIN ? client.driver_call[id] : client.runtime_call[id];
    const unsigned kind = domain == CUPTI_DRIVER_DOMAIN ? CUPTI_DRIVER : CUPTI_RUNTIME;
    return choice == WANTED || (choice == AS_KIND && client.wanted[kind]);
}

uint32_t cupti_thread(void)
{
    return client.thread_id_type == 1 ? (uint32_t)syscall(SYS_gettid)
                                      : (uint32_t)(uintptr_t)pthread_self();
}

void cupti_call_back(uint32_t id, const void *data)
{
    if (client.calls_back[id] && client.subscriber != NULL) {
        client.callback(client.user, CUPTI_DRIVER_DOMAIN, id, data);
    }
}

/* ---- facts ---- */

int cuptiGetVersion(uint32_t *version)
{
    const unsigned long usual = cupti_layout() == 11 ? 18 : cupti_layout() == 12 ? 24 : 130001;
    *version = (uint32_t)setting("STANDIN_CUPTI_VERSION", usual);
    return CUPTI_OK;
}

int cuptiGetTimestamp(uint64_t *ns)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    *ns = (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
    return CUPTI_OK;
}

int cuptiGetResultString(int result, const char **text)
{
    switch (result) {
    case CUPTI_OK:
        *text = "CUPTI_SUCCESS";
        break;
    case CUPTI_MULTIPLE_SUBSCRIBERS:
        *text = "CUPTI_ERROR_MULTIPLE_SUBSCRIBERS_NOT_SUPPORTED";
        break;
    default:
        *text = "CUPTI_ERROR_UNKNOWN";
        break;
    }
    return CUPTI_OK;
}

static const struct {
    int domain;
    uint32_t id;
    const char *name;
} NAMES[] = {
#define STANDIN_RUNTIME_CALL(name, version, id) {CUPTI_RUNTIME_DOMAIN, id, #name "_" #version},
#include "standin/calls.def"
#undef STANDIN_RUNTIME_CALL
#define STANDIN_DRIVER_CALL(name, id) {CUPTI_DRIVER_DOMAIN, id, #name},
#include "standin/calls.def"
#undef STANDIN_DRIVER_CALL
};

int cuptiGetCallbackName(int domain, uint32_t id, const char **name)
{
    for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++) {
        if (NAMES[i].domain == domain && NAMES[i].id == id) {
            *name = NAMES[i].name;
            return CUPTI_OK;
        }
    }
    return CUPTI_INVALID_PARAMETER;
}

int cuptiDeviceGetAttribute(int device, int attribute, size_t *bytes, void *value)
{
    uint64_t number;
    if (device < 0 || (unsigned long)device >= setting("STANDIN_DEVICES", DEFAULT_DEVICES)) {
        return CUPTI_INVALID_DEVICE;
    }
    switch (attribute) {
    case ATTRIBUTE_LINK_RATE:
        number = LINK_RATE;
        break;
    case ATTRIBUTE_LINK_LANES:
        number = LINK_LANES;
        break;
    case ATTRIBUTE_LINK_GENERATION:
        number = LINK_GENERATION;
        break;
    default:
        return CUPTI_INVALID_PARAMETER;
    }
    memcpy(value, &number, *bytes < sizeof number ? *bytes : sizeof number);
    return CUPTI_OK;
}

/* ---- the subscriber ---- */

int cuptiSubscribe(void **subscriber, cupti_callback callback, void *user)
{
    static char handle;
    void *none = NULL;
    if (setting("STANDIN_CUPTI_BUSY", 0) != 0 ||
        !atomic_compare_exchange_strong(&client.subscriber, &none, (void *)&handle)) {
        return CUPTI_MULTIPLE_SUBSCRIBERS;
    }
    client.callback = callback;
    client.user = user;
    *subscriber = &handle;
    return CUPTI_OK;
}

int cuptiUnsubscribe(void *subscriber)
{
    if (subscriber == NULL || subscriber != client.subscriber) {
        return CUPTI_INVALID_PARAMETER;
    }
    for (size_t id = 0; id < CALLS; id++) {
        client.calls_back[id] = false;
    }
    client.subscriber = NULL;
    return CUPTI_OK;
}

int cuptiEnableCallback(uint32_t enable, void *subscriber, int domain, uint32_t id)
{
    if (subscriber == NULL || subscriber != client.subscriber || id >= CALLS) {
        return CUPTI_INVALID_PARAMETER;
    }
    if (domain == CUPTI_DRIVER_DOMAIN) {
        client.calls_back[id] = enable != 0;
    }
    return CUPTI_OK;
}

int cuptiEnableDomain(uint32_t enable, void *subscriber, int domain)
{
    for (uint32_t id = 0; id < CALLS; id++) {
        if (cuptiEnableCallback(enable, subscriber, domain, id) != CUPTI_OK) {
            return CUPTI_INVALID_PARAMETER;
        }
    }
    return CUPTI_OK;
}

int cuptiSetThreadIdType(int type)
{
    client.thread_id_type = type;
    return CUPTI_OK;
}

int cuptiGetThreadIdType(int *type)
{
    *type = client.thread_id_type;
    return CUPTI_OK;
}

/* ---- activities ---- */

static int want(int kind, bool is_wanted)
{
    if (kind <= 0 || kind >= CUPTI_KINDS) {
        return CUPTI_INVALID_KIND;
    }
    client.wanted[kind] = is_wanted;
    return CUPTI_OK;
}

int cuptiActivityEnable(int kind)
{
    return want(kind, true);
}

int cuptiActivityEnableAndDump(int kind)
{
    return want(kind, true);
}

int cuptiActivityDisable(int kind)
{
    return want(kind, false);
}

int cuptiActivityEnableDriverApi(uint32_t id, uint8_t enable)
{
    if (id >= CALLS) {
        return CUPTI_INVALID_PARAMETER;
    }
    client.driver_call[id] = enable != 0 ? WANTED : UNWANTED;
    return CUPTI_OK;
}

int cuptiActivityEnableRuntimeApi(uint32_t id, uint8_t enable)
{
    if (id >= CALLS) {
        return CUPTI_INVALID_PARAMETER;
    }
    client.runtime_call[id] = enable != 0 ? WANTED : UNWANTED;
    return CUPTI_OK;
}

int cuptiActivityEnableAllSyncRecords(uint8_t enable)
{
    (void)enable; /* queries make no records here */
    return CUPTI_OK;
}

int cuptiActivityEnableCudaEventDeviceTimestamps(uint8_t enable)
{
    (void)enable;
    return CUPTI_OK;
}

int cuptiActivityPushExternalCorrelationId(int kind, uint64_t id)
{
    (void)kind;
    (void)id;
    return CUPTI_OK;
}

int cuptiActivityPopExternalCorrelationId(int kind, uint64_t *last)
{
    (void)kind;
    if (last != NULL) {
        *last = 0;
    }
    return CUPTI_OK;
}

int cuptiActivityRegisterTimestampCallback(uint64_t (*callback)(void))
{
    (void)callback;
    return CUPTI_NOT_SUPPORTED;
}

int cuptiActivitySetAttribute(int attribute, size_t *bytes, void *value)
{
    (void)attribute;
    (void)bytes;
    (void)value;
    return CUPTI_OK;
}

int cuptiFinalize(void)
{
    for (size_t kind = 0; kind < CUPTI_KINDS; kind++) {
        client.wanted[kind] = false;
    }
    return CUPTI_OK;
}
