/* SPDX-License-Identifier: MIT
 *
 * Collectives: NCCL's kernels, and what NCCL's flight recorder in PyTorch
 * kept of each: sizes, element type, group, sequence.
 *
 * An entry of the list is made right before its kernel is launched, and
 * several entries may share one kernel (a coalesced group). So each kernel
 * gets the entries made since the kernel before it was launched.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yajl/yajl_tree.h>

#include "base/idmap.h"
#include "base/memory.h"
#include "join_parts.h"
#include "trace/collective.h"

#define LIST_MAX_BYTES ((size_t)256 << 20)

/* A kernel that communicates, and when its launch began. */
typedef struct comm_kernel {
    ps_ns launched_ns;
    uint32_t row;
    const char *kind;
} comm_kernel;

/* One entry of the flight recorder. */
typedef struct entry {
    ps_ns created_ns; /* row time */
    uint64_t elements_in, elements_out, sequence;
    const char *dtype, *group; /* texts of the tree */
    const char *name;
} entry;

typedef struct list {
    yajl_val tree;
    entry *entry;
    size_t count;
} list;

/* ---- the list ---- */

static ps_code read_text(const char *path, char **out, ps_error *err)
{
    FILE *file = fopen(path, "rb");
    *out = NULL;
    if (file == NULL) {
        return PS_OK; /* none: not distributed, or killed before */
    }
    (void)fseek(file, 0, SEEK_END);
    const long bytes = ftell(file);
    rewind(file);
    ps_code code = PS_OK;
    if (bytes > 0 && (size_t)bytes <= LIST_MAX_BYTES) {
        *out = ps_calloc((size_t)bytes + 1, 1);
        code = *out == NULL ? ps_fail_nomem(err) : PS_OK;
        if (code == PS_OK && fread(*out, 1, (size_t)bytes, file) != (size_t)bytes) {
            (*out)[0] = '\0';
        }
    }
    (void)fclose(file);
    return code;
}

static uint64_t number_of(yajl_val object, const char *key)
{
    const char *path[] = {key, NULL};
    const yajl_val value = yajl_tree_get(object, path, yajl_t_number);
    return value != NULL && YAJL_IS_INTEGER(value) && YAJL_GET_INTEGER(value) > 0
               ? (uint64_t)YAJL_GET_INTEGER(value)
               : 0;
}

static const char *first_text(yajl_val object, const char *key)
{
    const char *path[] = {key, NULL};
    const yajl_val value = yajl_tree_get(object, path, yajl_t_any);
    if (YAJL_IS_STRING(value)) {
        return YAJL_GET_STRING(value);
    }
    const bool has_one = YAJL_IS_ARRAY(value) && YAJL_GET_ARRAY(value)->len > 0 &&
                         YAJL_IS_STRING(YAJL_GET_ARRAY(value)->values[0]);
    return has_one ? YAJL_GET_STRING(YAJL_GET_ARRAY(value)->values[0]) : "";
}

/* Elements of all tensors of a list of shapes. */
static uint64_t elements_of(yajl_val object, const char *key)
{
    const char *path[] = {key, NULL};
    const yajl_val shapes = yajl_tree_get(object, path, yajl_t_array);
    uint64_t total = 0;
    for (size_t i = 0; shapes != NULL && i < YAJL_GET_ARRAY(shapes)->len; i++) {
        const yajl_val shape = YAJL_GET_ARRAY(shapes)->values[i];
        uint64_t elements = YAJL_IS_ARRAY(shape) ? 1 : 0;
        for (size_t d = 0; elements > 0 && d < YAJL_GET_ARRAY(shape)->len; d++) {
            const yajl_val extent = YAJL_GET_ARRAY(shape)->values[d];
            const bool is_sound = YAJL_IS_INTEGER(extent) && YAJL_GET_INTEGER(extent) >= 0;
            elements = is_sound ? elements * (uint64_t)YAJL_GET_INTEGER(extent) : 0;
        }
        total += elements;
    }
    return total;
}

static entry read_entry(yajl_val object, ps_ns base_ns)
{
    const char *name = first_text(object, "profiling_name");
    const char *colon = strchr(name, ':');
    return (entry){
        .created_ns = (ps_ns)number_of(object, "time_created_ns") - base_ns,
        .elements_in = elements_of(object, "input_sizes"),
        .elements_out = elements_of(object, "output_sizes"),
        .sequence = number_of(object, "collective_seq_id"),
        .dtype = first_text(object, "input_dtypes"),
        .group = first_text(object, "process_group"),
        .name = colon != NULL ? colon + 1 : name,
    };
}

static int compare_entries(const void *left, const void *right)
{
    const entry *a = left, *b = right;
    if (a->created_ns != b->created_ns) {
        return a->created_ns < b->created_ns ? -1 : 1;
    }
    return (a->sequence > b->sequence) - (a->sequence < b->sequence);
}

static ps_code read_list(list *self, const char *path, ps_ns base_ns, ps_error *err)
{
    char *text;
    static const char *const entries_path[] = {"entries", NULL};
    PS_TRY(read_text(path, &text, err));
    if (text == NULL) {
        return PS_OK;
    }
    self->tree = yajl_tree_parse(text, NULL, 0);
    ps_free(text);
    const yajl_val entries =
        self->tree == NULL
            ? NULL
            : yajl_tree_get(self->tree, (const char **)(uintptr_t)entries_path, yajl_t_array);
    if (entries == NULL) {
        return PS_OK;
    }
    self->entry = ps_calloc(YAJL_GET_ARRAY(entries)->len, sizeof *self->entry);
    if (self->entry == NULL) {
        return ps_fail_nomem(err);
    }
    for (size_t i = 0; i < YAJL_GET_ARRAY(entries)->len; i++) {
        if (YAJL_IS_OBJECT(YAJL_GET_ARRAY(entries)->values[i])) {
            self->entry[self->count++] = read_entry(YAJL_GET_ARRAY(entries)->values[i], base_ns);
        }
    }
    qsort(self->entry, self->count, sizeof *self->entry, compare_entries);
    return PS_OK;
}

/* ---- kernels ---- */

static int compare_kernels(const void *left, const void *right)
{
    const comm_kernel *a = left, *b = right;
    if (a->launched_ns != b->launched_ns) {
        return a->launched_ns < b->launched_ns ? -1 : 1;
    }
    return (a->row > b->row) - (a->row < b->row);
}

/* Kernels that communicate, in the order of their launches. */
static ps_code find_kernels(const ps_trace *trace, comm_kernel **out, size_t *count, ps_error *err)
{
    size_t capacity = 0;
    ps_idmap calls;
    ps_idmap_init(&calls);
    ps_code code = PS_OK;
    for (size_t i = 0; i < trace->kernel.head.count && code == PS_OK; i++) {
        const ps_str name = trace->kernel.name[i];
        const char *kind = ps_collective_of_kernel(ps_strings_text(trace->strings, name),
                                                   ps_strings_bytes(trace->strings, name));
        if (kind != NULL) {
            code =
                ps_grow((void **)out, &capacity, *count + 1, PS_TABLE_MAX_ROWS, sizeof **out, err);
        }
        if (kind != NULL && code == PS_OK) {
            (*out)[(*count)++] = (comm_kernel){trace->kernel.start_ns[i], (uint32_t)i, kind};
            code = ps_idmap_put(&calls, trace->kernel.correlation[i], (uint32_t)(*count - 1), err);
        }
    }
    for (size_t i = 0; i<trace->call.head.count && * count> 0; i++) {
        const uint32_t at = ps_idmap_get(&calls, trace->call.correlation[i]);
        if (at != PS_IDMAP_NONE && trace->call.start_ns[i] < (*out)[at].launched_ns) {
            (*out)[at].launched_ns = trace->call.start_ns[i];
        }
    }
    ps_idmap_fini(&calls);
    if (code == PS_OK && *count > 1) {
        qsort(*out, *count, sizeof **out, compare_kernels);
    }
    return code;
}

static ps_code add_row(ps_trace *trace, const comm_kernel *from, const entry *first, size_t entries,
                       ps_error *err)
{
    size_t row;
    ps_str kind, dtype = 0, group = 0;
    const char *listed = entries > 0 ? ps_collective_kind(first->name, strlen(first->name)) : NULL;
    PS_TRY(ps_strings_put_z(trace->strings, listed != NULL ? listed : from->kind, &kind, err));
    if (entries > 0) {
        PS_TRY(ps_strings_put_z(trace->strings, first->dtype, &dtype, err));
        PS_TRY(ps_strings_put_z(trace->strings, first->group, &group, err));
    }
    PS_TRY(ps_trace_add(trace, PS_TABLE_COLLECTIVE, &row, err));
    ps_collective_table *collective = &trace->collective;
    collective->start_ns[row] = trace->kernel.start_ns[from->row];
    collective->dur_ns[row] = trace->kernel.dur_ns[from->row];
    collective->device[row] = trace->kernel.device[from->row];
    collective->stream[row] = trace->kernel.stream[from->row];
    collective->correlation[row] = trace->kernel.correlation[from->row];
    collective->kind[row] = kind;
    collective->dtype[row] = dtype;
    collective->group[row] = group;
    for (size_t i = 0; i < entries; i++) {
        collective->elements_in[row] += first[i].elements_in;
        collective->elements_out[row] += first[i].elements_out;
    }
    collective->sequence[row] = entries > 0 ? first->sequence + 1 : 0;
    return PS_OK;
}

static ps_code add_rows(ps_trace *trace, const comm_kernel *kernels, size_t count,
                        const list *known, ps_error *err)
{
    size_t next = 0;
    for (size_t i = 0; i < count; i++) {
        const size_t first = next;
        while (next < known->count && known->entry[next].created_ns <= kernels[i].launched_ns) {
            next++;
        }
        PS_TRY(add_row(trace, &kernels[i], known->entry == NULL ? NULL : &known->entry[first],
                       next - first, err));
    }
    return PS_OK;
}

ps_code ps_join_collectives(ps_trace *trace, const char *folder, pid_t pid, ps_error *err)
{
    char path[PS_JOIN_PATH_BYTES];
    list known = {0};
    comm_kernel *kernels = NULL;
    size_t count = 0;
    (void)snprintf(path, sizeof path, "%s/%ld.collectives.json", folder, (long)pid);
    ps_code code = find_kernels(trace, &kernels, &count, err);
    if (code == PS_OK && count > 0) {
        code = read_list(&known, path, ps_join_fact(trace, PS_META_BASE_TIME, 0), err);
    }
    if (code == PS_OK) {
        code = add_rows(trace, kernels, count, &known, err);
    }
    yajl_tree_free(known.tree);
    ps_free(known.entry);
    ps_free(kernels);
    return code;
}
