/* SPDX-License-Identifier: MIT
 *
 * Watching the virtual memory calls of the driver.
 */
#include "virtual_memory.h"

#include <string.h>
#include <time.h>

/* CUpti_driver_api_trace_cbid */
#define CALL_CREATE 549u
#define CALL_RELEASE 550u
#define CALL_MAP 551u
#define CALL_UNMAP 552u

/* CUpti_CallbackData, as far as it is read; the layout is part of CUPTI's binary interface. */
typedef struct callback_data {
    uint32_t site; /* 0 enter, 1 exit */
    const char *function_name;
    const void *parameters;
    const void *return_value;
} callback_data;

/* Parameters as in generated_cuda_meta.h. */
typedef struct create_parameters {
    const uint64_t *handle;
    uint64_t bytes;
    const void *properties;
} create_parameters;

typedef struct map_parameters {
    uint64_t address, bytes, offset, handle;
} map_parameters;

typedef struct unmap_parameters {
    uint64_t address, bytes;
} unmap_parameters;

/* CUmemAllocationProp: type, handle types, then CUmemLocation {type, id}; type 1 is a device */
#define LOCATION_TYPE_AT 8
#define LOCATION_ID_AT 12
#define LOCATION_DEVICE 1u

void ps_virtual_memory_init(ps_virtual_memory *self, ps_ns base_ns)
{
    self->base_ns = base_ns;
}

void ps_virtual_memory_enable(ps_virtual_memory *self, const ps_cupti_api *cupti, void *subscriber)
{
    (void)self;
    for (uint32_t id = CALL_CREATE; cupti->enable_callback != NULL && id <= CALL_UNMAP; id++) {
        (void)cupti->enable_callback(1, subscriber, PS_CUPTI_DOMAIN_DRIVER, id);
    }
}

static ps_ns now_ns(const ps_virtual_memory *self)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (ps_ns)now.tv_sec * 1000000000 + now.tv_nsec - self->base_ns;
}

static uint32_t device_of(const void *properties)
{
    uint32_t type, id;
    memcpy(&type, (const char *)properties + LOCATION_TYPE_AT, sizeof type);
    memcpy(&id, (const char *)properties + LOCATION_ID_AT, sizeof id);
    return type == LOCATION_DEVICE ? id : 0;
}

void ps_virtual_memory_call(const ps_virtual_memory *self, ps_marks *marks, uint32_t id,
                            const void *data)
{
    const callback_data *call = data;
    uint32_t result;
    if (call->site != 1 || call->return_value == NULL || call->parameters == NULL) {
        return;
    }
    memcpy(&result, call->return_value, sizeof result);
    if (result != 0) {
        return;
    }
    const ps_ns time_ns = now_ns(self);
    if (id == CALL_CREATE) {
        const create_parameters *create = call->parameters;
        ps_marks_driver_memory(marks, time_ns, PS_DRIVER_CREATE, device_of(create->properties),
                               *create->handle, create->bytes);
    } else if (id == CALL_RELEASE) {
        uint64_t handle;
        memcpy(&handle, call->parameters, sizeof handle);
        ps_marks_driver_memory(marks, time_ns, PS_DRIVER_RELEASE, 0, handle, 0);
    } else if (id == CALL_MAP) {
        const map_parameters *map = call->parameters;
        ps_marks_driver_memory(marks, time_ns, PS_DRIVER_MAP, 0, map->address, map->bytes);
    } else if (id == CALL_UNMAP) {
        const unmap_parameters *unmap = call->parameters;
        ps_marks_driver_memory(marks, time_ns, PS_DRIVER_UNMAP, 0, unmap->address, unmap->bytes);
    }
}
