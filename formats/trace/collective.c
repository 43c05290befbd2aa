/* SPDX-License-Identifier: MIT
 *
 * Words of collectives.
 */
#include "trace/collective.h"

#include <stdbool.h>
#include <string.h>

/* Beginnings in letters; a longer one stands before its own beginning. */
static const struct {
    const char *letters;
    const char *kind;
} kinds[] = {
    {"allreduce", "all-reduce"},
    {"allgather", "all-gather"},
    {"alltoall", "all-to-all"},
    {"reducescatter", "reduce-scatter"},
    {"broadcast", "broadcast"},
    {"sendrecv", "send-recv"},
    {"reduce", "reduce"},
    {"gather", "gather"},
    {"scatter", "scatter"},
    {"barrier", "barrier"},
    {"send", "send"},
    {"recv", "recv"},
};

/* Beginnings of kernel names of communication libraries. */
static const char *const libraries[] = {"ncclDevKernel",     "ncclKernel",    "ncclSymDevKernel",
                                        "ncclSymkDevKernel", "rcclDevKernel", "rcclKernel",
                                        "mscclKernel",       "nccl",          "rccl"};

/* Kernels that move the tokens of a mixture of experts between ranks, outside any library. */
static const char *const exchanges[] = {"ep::internode::dispatch",    "ep::internode::combine",
                                        "ep::intranode::dispatch",    "ep::intranode::combine",
                                        "ep::internode_ll::dispatch", "ep::internode_ll::combine"};

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool is_letter(char c)
{
    return lower(c) >= 'a' && lower(c) <= 'z';
}

/* True when the letters of the text begin like this. */
static bool letters_begin(const char *text, size_t bytes, const char *beginning)
{
    for (size_t i = 0; *beginning != '\0' && i < bytes; i++) {
        if (!is_letter(text[i])) {
            continue;
        }
        if (lower(text[i]) != *beginning) {
            return false;
        }
        beginning++;
    }
    return *beginning == '\0';
}

const char *ps_collective_kind(const char *text, size_t bytes)
{
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (letters_begin(text, bytes, kinds[i].letters)) {
            return kinds[i].kind;
        }
    }
    return NULL;
}

static bool begins(const char *text, size_t bytes, const char *beginning)
{
    const size_t wanted = strlen(beginning);
    return bytes >= wanted && memcmp(text, beginning, wanted) == 0;
}

const char *ps_collective_of_kernel(const char *name, size_t bytes)
{
    if (begins(name, bytes, "void ")) {
        name += 5;
        bytes -= 5;
    }
    for (size_t i = 0; i < sizeof libraries / sizeof libraries[0]; i++) {
        if (begins(name, bytes, libraries[i])) {
            const size_t prefix = strlen(libraries[i]);
            const char *kind = ps_collective_kind(name + prefix, bytes - prefix);
            return kind == NULL ? "unknown" : kind;
        }
    }
    /* the namespace in front differs from project to project */
    const char *ep = bytes > 0 ? memchr(name, 'e', bytes) : NULL;
    while (ep != NULL && ep - name < 64) {
        const size_t left = bytes - (size_t)(ep - name);
        for (size_t i = 0; i < sizeof exchanges / sizeof exchanges[0]; i++) {
            if (begins(ep, left, exchanges[i])) {
                return "all-to-all";
            }
        }
        ep = memchr(ep + 1, 'e', left - 1);
    }
    return NULL;
}

/* Element types as PyTorch and NCCL name them; a longer name stands before its own beginning. */
static const struct {
    const char *name;
    uint32_t bytes;
} dtypes[] = {
    {"float8", 1}, {"float16", 2},  {"float64", 8},     {"float", 4},        {"double", 8},
    {"half", 2},   {"bfloat16", 2}, {"long", 8},        {"int8", 1},         {"int16", 2},
    {"int64", 8},  {"int", 4},      {"short", 2},       {"char", 1},         {"byte", 1},
    {"bool", 1},   {"uint8", 1},    {"complexhalf", 4}, {"complexfloat", 8}, {"complexdouble", 16},
};

uint32_t ps_collective_dtype_bytes(const char *dtype, size_t bytes)
{
    for (size_t i = 0; i < sizeof dtypes / sizeof dtypes[0]; i++) {
        const char *name = dtypes[i].name;
        size_t at = 0;
        while (name[at] != '\0' && at < bytes && lower(dtype[at]) == name[at]) {
            at++;
        }
        if (name[at] == '\0') {
            return dtypes[i].bytes;
        }
    }
    return 0;
}
