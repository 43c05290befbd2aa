/* SPDX-License-Identifier: MIT
 *
 * Files beside a table, files in a folder given apart, names of models.
 */
#include "validate_input.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static bool ends_with(const char *text, const char *end)
{
    const size_t bytes = strlen(text);
    const size_t end_bytes = strlen(end);
    return bytes > end_bytes && strcmp(text + bytes - end_bytes, end) == 0;
}

static bool is_file_name(const char *input)
{
    static const char *const ends[] = {".pstrace", ".psplan", ".pswork", ".json",   ".pickle",
                                       ".pkl",     ".gz",     ".zip",    ".sqlite", ".csv"};
    bool is_one = input[0] == '/' || input[0] == '.';
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        is_one = is_one || ends_with(input, ends[i]);
    }
    return is_one;
}

/* True when folder/input is there; its path is then in `path`. A folder may be empty. */
static bool is_in(const char *folder, size_t folder_bytes, const char *input,
                  char path[PS_INPUT_PATH_BYTES])
{
    const size_t input_bytes = strlen(input);
    size_t used = folder_bytes;
    if (folder_bytes + input_bytes + 2 > PS_INPUT_PATH_BYTES) {
        return false;
    }
    memcpy(path, folder, folder_bytes);
    if (used > 0 && path[used - 1] != '/') {
        path[used++] = '/';
    }
    memcpy(path + used, input, input_bytes + 1);
    return access(path, F_OK) == 0;
}

ps_input_kind ps_input_find(const ps_input_folders *folders, const char *input,
                            char path[PS_INPUT_PATH_BYTES])
{
    const char *slash = strrchr(folders->table, '/');
    const size_t table_bytes = slash == NULL ? 0 : (size_t)(slash + 1 - folders->table);
    if (input[0] == '/' ? is_in("", 0, input, path)
                        : is_in(folders->table, table_bytes, input, path) ||
                              (folders->root != NULL &&
                               is_in(folders->root, strlen(folders->root), input, path))) {
        return PS_INPUT_FILE;
    }
    (void)snprintf(path, PS_INPUT_PATH_BYTES, "%s", input);
    return is_file_name(input) ? PS_INPUT_MISSING : PS_INPUT_MODEL;
}
