/* SPDX-License-Identifier: MIT
 *
 * Made-up activity records.
 */
#include "support/cupti_stream.h"

#include <string.h>

#include "cupti_records.h"

/* Sizes by layout: the oldest with these records, a middle one, the newest. */
static const struct {
    uint32_t kind;
    uint16_t bytes[3];
} sizes[] = {
    {PS_CUPTI_MEMORY2, {112, 120, 128}},
    {PS_CUPTI_MEMCPY, {64, 88, 96}},
    {PS_CUPTI_MEMCPY2, {72, 80, 96}},
    {PS_CUPTI_MEMSET, {64, 80, 88}},
    {PS_CUPTI_CONCURRENT_KERNEL, {144, 208, 216}},
    {PS_CUPTI_RUNTIME, {40, 40, 40}},
    {PS_CUPTI_DRIVER, {40, 40, 40}},
    {PS_CUPTI_EXTERNAL_CORRELATION, {24, 24, 24}},
    {PS_CUPTI_MARKER, {56, 56, 56}},
    {PS_CUPTI_SYNCHRONIZATION, {40, 40, 56}},
    {PS_CUPTI_CUDA_EVENT, {24, 24, 56}},
    {PS_CUPTI_OVERHEAD, {40, 48, 56}},
    {PS_CUPTI_DEVICE, {176, 176, 184}},
};

size_t cupti_record_bytes(cupti_layout layout, uint32_t kind)
{
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        if (sizes[i].kind == kind) {
            return sizes[i].bytes[layout];
        }
    }
    return 0;
}

unsigned char *cupti_add(cupti_layout layout, unsigned char *buffer, size_t bytes, size_t *at,
                         uint32_t kind)
{
    const size_t need = cupti_record_bytes(layout, kind);
    if (need > bytes - *at) {
        return NULL;
    }
    unsigned char *record = buffer + *at;
    memset(record, 0, need);
    cupti_put_u32(record, 0, kind);
    *at += need;
    return record;
}

void cupti_put_u8(unsigned char *record, unsigned at, uint8_t value)
{
    record[at] = value;
}

void cupti_put_u32(unsigned char *record, unsigned at, uint32_t value)
{
    memcpy(record + at, &value, sizeof value);
}

void cupti_put_u64(unsigned char *record, unsigned at, uint64_t value)
{
    memcpy(record + at, &value, sizeof value);
}

void cupti_put_text(unsigned char *record, unsigned at, const char *text)
{
    memcpy(record + at, &text, sizeof text);
}

unsigned char *cupti_add_call(cupti_layout layout, unsigned char *buffer, size_t bytes, size_t *at,
                              uint32_t cbid, uint64_t start_ns, uint64_t end_ns,
                              uint32_t correlation)
{
    unsigned char *record = cupti_add(layout, buffer, bytes, at, PS_CUPTI_RUNTIME);
    if (record != NULL) {
        cupti_put_u32(record, 4, cbid);
        cupti_put_u64(record, 8, start_ns);
        cupti_put_u64(record, 16, end_ns);
        cupti_put_u32(record, 24, 4711);
        cupti_put_u32(record, 28, 4712);
        cupti_put_u32(record, 32, correlation);
    }
    return record;
}

unsigned char *cupti_add_kernel(cupti_layout layout, unsigned char *buffer, size_t bytes,
                                size_t *at, const char *name, uint64_t start_ns, uint64_t end_ns,
                                uint32_t correlation)
{
    unsigned char *record = cupti_add(layout, buffer, bytes, at, PS_CUPTI_CONCURRENT_KERNEL);
    if (record != NULL) {
        record[6] = 32;
        cupti_put_u64(record, 16, start_ns);
        cupti_put_u64(record, 24, end_ns);
        cupti_put_u32(record, 48, 7);
        cupti_put_u32(record, 52, 128);
        cupti_put_u32(record, 56, 1);
        cupti_put_u32(record, 60, 1);
        cupti_put_u32(record, 64, 256);
        cupti_put_u32(record, 68, 1);
        cupti_put_u32(record, 72, 1);
        cupti_put_u32(record, 92, correlation);
        cupti_put_text(record, 104, name);
    }
    return record;
}

bool cupti_next(void *context, unsigned char *data, size_t valid_bytes, unsigned char **record)
{
    const cupti_layout layout = *(const cupti_layout *)context;
    size_t at = 0;
    if (*record != NULL) {
        uint32_t kind;
        memcpy(&kind, *record, sizeof kind);
        const size_t bytes = cupti_record_bytes(layout, kind);
        at = (size_t)(*record - data) + (bytes == 0 ? valid_bytes : bytes);
    }
    if (at + 8 > valid_bytes) {
        return false;
    }
    *record = data + at;
    return true;
}
