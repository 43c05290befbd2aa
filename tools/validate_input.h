/* SPDX-License-Identifier: MIT
 *
 * What the `input` of a table of measured runs names: a file, which may lie
 * beside the table or in another folder, or a model.
 */
#ifndef PS_TOOLS_VALIDATE_INPUT_H
#define PS_TOOLS_VALIDATE_INPUT_H

#include <stdbool.h>
#include <stddef.h>

/** [bytes] of a path, its end included. */
#define PS_INPUT_PATH_BYTES 4096

typedef enum ps_input_kind {
    PS_INPUT_FILE,    /* there is one */
    PS_INPUT_MODEL,   /* no file, and no name of one: a model's name */
    PS_INPUT_MISSING, /* a file's name, and no such file */
} ps_input_kind;

/** Where files are looked for, in this order. */
typedef struct ps_input_folders {
    const char *table; /* path of the table: its folder comes first */
    const char *root;  /* NULL: none */
} ps_input_folders;

/**
 * Finds an input.
 *
 * A name is a file's when it begins with / or . or ends as files of traces,
 * plans and descriptions do; else it is a model's, unless there is such a file.
 *
 * @param path  receives the file's path; of anything else the name as it is
 */
ps_input_kind ps_input_find(const ps_input_folders *folders, const char *input,
                            char path[PS_INPUT_PATH_BYTES]);

#endif
