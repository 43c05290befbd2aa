/* SPDX-License-Identifier: MIT
 *
 * Files that lie beside traces and are no traces we read: said by name, so
 * that nobody wonders why.
 */
#include <string.h>

#include "import/import.h"
#include "import/json_head.h"

/* Beginnings of files that are not text. */
static const struct {
    const char *magic;
    size_t bytes;
    const char *phrase;
} magics[] = {
    {"\x89PSK\r\n\x1a\n", 8, "a peakstep file already"},
    {"SQLite format 3", 16, "an SQLite database (an Nsight Systems export?)"},
    {"PK\x03\x04", 4, "a zip archive; unpack it first"},
    {"\x28\xb5\x2f\xfd", 4, "compressed by zstd; unpack it first"},
    {"\xfd\x37zXZ", 6, "compressed by xz; unpack it first"},
    {"BZh", 3, "compressed by bzip2; unpack it first"},
};

static const char *recognise_object(const unsigned char *head, size_t bytes)
{
    if (ps_json_head_has(head, bytes, "workload_graph")) {
        return "a Chakra graph as JSON";
    }
    if (ps_json_head_has(head, bytes, "schema") && ps_json_head_has(head, bytes, "nodes")) {
        return "a PyTorch execution trace, which has no device times; import the profiler's trace "
               "of the same run";
    }
    return ps_json_head_has(head, bytes, "model_type") ? "a model description, not a recording"
                                                       : NULL;
}

static const char *recognise_list(const unsigned char *head, size_t bytes)
{
    return ps_json_head_char(head, bytes, 1) == '['
               ? "a PyTorch memory timeline, which has sizes by category but no blocks; import the "
                 "memory snapshot of the same run"
               : NULL;
}

/* A Chakra file is messages with their lengths in front; the first one names its schema. */
static bool is_chakra(const unsigned char *head, size_t bytes)
{
    static const char *const versions[] = {"chakra", "schema", "0.0.4"};
    const size_t shown = bytes < 40 ? bytes : 40;
    if (bytes < 8 || head[0] == 0 || (head[1] != 0x0a && head[1] != 0x12)) {
        return false;
    }
    for (size_t i = 0; i < sizeof versions / sizeof versions[0]; i++) {
        const size_t wanted = strlen(versions[i]);
        for (size_t at = 0; at + wanted <= shown; at++) {
            if (memcmp(head + at, versions[i], wanted) == 0) {
                return true;
            }
        }
    }
    return false;
}

const char *ps_import_recognise(const unsigned char *head, size_t head_bytes)
{
    for (size_t i = 0; i < sizeof magics / sizeof magics[0]; i++) {
        if (head_bytes >= magics[i].bytes && memcmp(head, magics[i].magic, magics[i].bytes) == 0) {
            return magics[i].phrase;
        }
    }
    /* text first: a brace and a newline could also be the length and the tag of a message */
    const char first = ps_json_head_char(head, head_bytes, 0);
    const char *phrase = first == '{'   ? recognise_object(head, head_bytes)
                         : first == '[' ? recognise_list(head, head_bytes)
                                        : NULL;
    if (phrase == NULL && is_chakra(head, head_bytes)) {
        phrase = "a Chakra graph (.et)";
    }
    return phrase;
}
