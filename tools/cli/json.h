/* SPDX-License-Identifier: MIT
 *
 * JSON on an output as it is made, nothing kept: a thin layer over yajl's
 * generator that writes 64-bit integers exactly and never invalid UTF-8.
 *
 *   ps_json_open(&json, out)
 *   ps_json_object(&json)
 *   ps_json_u64(&json, "bytes", 4096)      a member of the object
 *   ps_json_array(&json, "steps")          an array as a member
 *   ps_json_i64(&json, NULL, -1)           an item of the array
 *   ps_json_end(&json) .. ps_json_close(&json, err)
 *
 * Calls after a failure do nothing; ps_json_close tells.
 */
#ifndef PS_TOOLS_CLI_JSON_H
#define PS_TOOLS_CLI_JSON_H

#include <stddef.h>

#include "cli/output.h"

typedef struct ps_json {
    void *generator; /* yajl_gen */
    ps_code code;    /* first failure */
    uint64_t opened; /* bit by depth: 1 an object, 0 an array */
    unsigned depth;
} ps_json;

typedef enum ps_json_style {
    PS_JSON_LINES, /* indented, for documents */
    PS_JSON_DENSE, /* no blanks, for one document a line */
} ps_json_style;

/** Starts a document. `out` is borrowed until close. Never fails at once: ps_json_close tells. */
void ps_json_open(ps_json *self, ps_output *out, ps_json_style style);

/* `key` names a member of the object that is open, and is NULL in an array and at the top. */

/** Begins an object. */
void ps_json_object(ps_json *self, const char *key);

/** Begins an array. */
void ps_json_array(ps_json *self, const char *key);

/** Ends the innermost object or array. */
void ps_json_end(ps_json *self);

void ps_json_u64(ps_json *self, const char *key, uint64_t value);
void ps_json_i64(ps_json *self, const char *key, int64_t value);
void ps_json_bool(ps_json *self, const char *key, bool value);
void ps_json_null(ps_json *self, const char *key);

/** A terminated text, or null for NULL. Bytes that are not UTF-8 become U+FFFD. */
void ps_json_text(ps_json *self, const char *key, const char *text);

/** A ratio with three decimals. */
void ps_json_thousandths(ps_json *self, const char *key, uint64_t thousandths);

/** Ends the line of a complete document so that the next one may begin (PS_JSON_DENSE). */
void ps_json_next(ps_json *self);

/** Frees everything. PS_NOMEM, or PS_INTERNAL when calls did not make a document. */
ps_code ps_json_close(ps_json *self, ps_error *err) PS_MUST_USE;

#endif
