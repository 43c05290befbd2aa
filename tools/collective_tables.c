/* SPDX-License-Identifier: MIT
 *
 * --collectives FILE and --collectives KIND=FILE.
 */
#include "collective_tables.h"

#include <string.h>

#include "base/memory.h"
#include "base/source.h"

#define MAX_TEXT ((size_t)16 << 20)
#define READ_BYTES ((size_t)1 << 16)

ps_code ps_read_text(const char *path, char **out, size_t *bytes, ps_error *err)
{
    ps_source *source;
    size_t capacity = 0, got = 1;
    *out = NULL;
    *bytes = 0;
    PS_TRY(ps_source_open(path, &source, err));
    ps_code code = PS_OK;
    while (code == PS_OK && got > 0) {
        code = ps_grow((void **)out, &capacity, *bytes + READ_BYTES, MAX_TEXT, 1, err);
        if (code == PS_OK) {
            code = ps_source_read(source, *out + *bytes, READ_BYTES, &got, err);
            *bytes += code == PS_OK ? got : 0;
        }
    }
    ps_source_close(source);
    return code;
}

/* The kind before an equals sign, as nccl-tests names its programs by; none: the file is CSV. */
static ps_collective_op kind_of(const char *text, const char **path)
{
    const char *equals = strchr(text, '=');
    *path = text;
    for (int kind = PS_COLLECTIVE_ALL_REDUCE; equals != NULL && kind < PS_COLLECTIVE_OP_COUNT;
         kind++) {
        const char *name = ps_collective_kind_name((ps_collective_op)kind);
        if (strlen(name) == (size_t)(equals - text) && strncmp(name, text, strlen(name)) == 0) {
            *path = equals + 1;
            return (ps_collective_op)kind;
        }
    }
    return PS_COLLECTIVE_NONE;
}

static ps_code add_table(const char *given, ps_collective_model *model, ps_error *err)
{
    const char *path;
    const ps_collective_op kind = kind_of(given, &path);
    char *text;
    size_t bytes;
    ps_code code = ps_read_text(path, &text, &bytes, err);
    if (code == PS_OK) {
        code = ps_collective_add_measured(model, path, text, bytes, kind, err);
    }
    ps_free(text);
    return code;
}

ps_code ps_collective_tables_read(const ps_args *args, const ps_catalogue *catalogue,
                                  const ps_cluster *cluster, ps_collective_model **out,
                                  ps_error *err)
{
    ps_collective_model *model;
    PS_TRY(ps_collective_create(catalogue, cluster, NULL, &model, err));
    for (size_t i = 0; i < ps_args_count(args, "collectives"); i++) {
        const ps_code code = add_table(ps_args_at(args, "collectives", i), model, err);
        if (code != PS_OK) {
            ps_collective_destroy(model);
            return code;
        }
    }
    *out = model;
    return PS_OK;
}
