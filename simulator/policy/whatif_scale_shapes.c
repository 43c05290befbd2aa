/* SPDX-License-Identifier: MIT
 *
 * Recorded shapes: "[[16,1,128],[],[[2,3],[4]]];[\"float\",\"Scalar\",\"TensorList\"]".
 */
#include <string.h>

#include "policy/whatif_scale_parts.h"

static uint64_t bytes_of_type(const char *name, size_t bytes)
{
    static const struct {
        const char *name;
        uint64_t bytes;
    } types[] = {
        {"float", 4},
        {"c10::Half", 2},
        {"c10::BFloat16", 2},
        {"double", 8},
        {"long int", 8},
        {"long", 8},
        {"int", 4},
        {"bool", 1},
        {"short", 2},
        {"short int", 2},
        {"signed char", 1},
        {"unsigned char", 1},
        {"c10::Float8_e4m3fn", 1},
        {"c10::Float8_e5m2", 1},
    };
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (strlen(types[i].name) == bytes && memcmp(types[i].name, name, bytes) == 0) {
            return types[i].bytes;
        }
    }
    return 0;
}

static const char *skip_blanks(const char *at)
{
    return at + strspn(at, " ,");
}

/* Digits and commas up to the closing bracket; NULL when there is something else. */
static const char *read_dims(const char *at, ps_shape *out)
{
    for (at = skip_blanks(at); *at >= '0' && *at <= '9'; at = skip_blanks(at)) {
        uint64_t value = 0;
        for (; *at >= '0' && *at <= '9'; at++) {
            if (__builtin_mul_overflow(value, 10, &value) ||
                __builtin_add_overflow(value, (uint64_t)(*at - '0'), &value)) {
                return NULL;
            }
        }
        if (out->dim_count == PS_SHAPE_DIMS) {
            return NULL;
        }
        out->dim[out->dim_count++] = value;
    }
    return *at == ']' ? at + 1 : NULL;
}

static void keep(ps_shapes *out, const ps_shape *shape, uint32_t argument)
{
    if (shape->dim_count > 0 && out->count < PS_SHAPE_TENSORS) {
        out->tensor[out->count] = *shape;
        out->tensor[out->count++].argument = argument;
    }
}

/* One argument: the dimensions of a tensor, or a list of such. */
static const char *read_argument(const char *at, uint32_t argument, ps_shapes *out)
{
    ps_shape shape = {0};
    if (*at != '[') {
        return NULL;
    }
    at = skip_blanks(at + 1);
    if (*at != '[') {
        at = read_dims(at, &shape);
        keep(out, &shape, argument);
        return at;
    }
    while (at != NULL && *at == '[') {
        shape = (ps_shape){0};
        at = read_dims(at + 1, &shape);
        keep(out, &shape, argument);
        at = at == NULL ? NULL : skip_blanks(at);
    }
    return at != NULL && *at == ']' ? at + 1 : NULL;
}

static void read_types(const char *at, ps_shapes *out)
{
    uint32_t argument = 0;
    for (at = strchr(at, '"'); at != NULL; at = strchr(at, '"'), argument++) {
        const char *name = at + 1;
        const char *end = strchr(name, '"');
        if (end == NULL) {
            return;
        }
        for (uint32_t i = 0; i < out->count; i++) {
            if (out->tensor[i].argument == argument) {
                out->tensor[i].element_bytes = bytes_of_type(name, (size_t)(end - name));
            }
        }
        at = end + 1;
    }
}

void ps__shapes_read(const char *text, ps_shapes *out)
{
    const char *types = strchr(text, ';');
    uint32_t argument = 0;
    out->count = 0;
    if (*text != '[') {
        return;
    }
    for (const char *at = skip_blanks(text + 1); at != NULL && *at == '[';
         at = at == NULL ? NULL : skip_blanks(at), argument++) {
        at = read_argument(at, argument, out);
    }
    if (types != NULL) {
        read_types(types, out);
    }
}

uint64_t ps__shape_elements(const ps_shape *shape)
{
    uint64_t product = 1;
    for (uint32_t i = 0; i < shape->dim_count; i++) {
        if (!ps_mul_u64(product, shape->dim[i], &product)) {
            return UINT64_MAX;
        }
    }
    return product;
}

uint64_t ps__shape_hash(const ps_shape *shape)
{
    uint64_t hash = 0xcbf29ce484222325u; /* FNV-1a */
    for (uint32_t i = 0; i < shape->dim_count; i++) {
        hash = (hash ^ shape->dim[i]) * 0x100000001b3u;
    }
    return hash;
}
