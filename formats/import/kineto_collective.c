/* SPDX-License-Identifier: MIT
 *
 * Communication kernels of a Kineto file:
 *
 *   Collective name, else the kernel's name   collective.kind
 *   In/Out msg nelems (2023: msg size)        elements_in, elements_out
 *   dtype, Group size                         dtype, group_size
 *   Process Group Name, Ranks; Seq            group, ranks, sequence - 1
 *
 * Older builds give nothing but the kernel's name, and RCCL's name says not
 * even which collective it is: the kind is then "unknown". A name is compared
 * by its letters only, so "_allgather_base", "allgather_into_tensor" and
 * "AllGather_RING_LL" mean the same.
 */
#include <string.h>

#include "import/kineto_map.h"

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

static const char *kind_of(const char *text, size_t bytes)
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

/* Kind of a kernel by its name; NULL when it does not communicate. */
static const char *kind_of_kernel(const char *name, size_t bytes)
{
    if (begins(name, bytes, "void ")) {
        name += 5;
        bytes -= 5;
    }
    for (size_t i = 0; i < sizeof libraries / sizeof libraries[0]; i++) {
        if (begins(name, bytes, libraries[i])) {
            const size_t prefix = strlen(libraries[i]);
            const char *kind = kind_of(name + prefix, bytes - prefix);
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

static ps_code intern_kind(ps_kineto_map *self, const ps_kineto_event *event, const char *by_name,
                           ps_str *out, ps_error *err)
{
    const ps_json_field *recorded = event->field[PS_KINETO_COLLECTIVE];
    if (recorded == NULL || recorded->kind != PS_JSON_STRING || recorded->text_bytes == 0) {
        return ps_kineto_map_intern(self, by_name, strlen(by_name), out, err);
    }
    const char *kind = kind_of(recorded->text, recorded->text_bytes);
    return kind == NULL ? ps_kineto_map_string(self, recorded, out, err)
                        : ps_kineto_map_intern(self, kind, strlen(kind), out, err);
}

static ps_code add_row(ps_kineto_map *self, const ps_kineto_event *event, size_t kernel_row,
                       const char *by_name, ps_error *err)
{
    ps_str kind = 0, dtype = 0, group = 0, ranks = 0;
    size_t row = 0;
    PS_TRY(intern_kind(self, event, by_name, &kind, err));
    PS_TRY(ps_kineto_map_string(self, event->field[PS_KINETO_DTYPE], &dtype, err));
    PS_TRY(ps_kineto_map_string(self, event->field[PS_KINETO_GROUP], &group, err));
    PS_TRY(ps_kineto_map_string(self, event->field[PS_KINETO_RANKS], &ranks, err));
    PS_TRY(ps_kineto_map_row(self, PS_TABLE_COLLECTIVE, &row, err));
    const ps_kernel_table *kernel = &ps_kineto_map_chunk(self)->kernel;
    ps_collective_table *collective = &ps_kineto_map_chunk(self)->collective;
    collective->start_ns[row] = kernel->start_ns[kernel_row];
    collective->dur_ns[row] = kernel->dur_ns[kernel_row];
    collective->device[row] = kernel->device[kernel_row];
    collective->stream[row] = kernel->stream[kernel_row];
    collective->correlation[row] = kernel->correlation[kernel_row];
    collective->kind[row] = kind;
    collective->elements_in[row] = ps_kineto_event_u64(event, PS_KINETO_ELEMENTS_IN, 0);
    collective->elements_out[row] = ps_kineto_event_u64(event, PS_KINETO_ELEMENTS_OUT, 0);
    collective->dtype[row] = dtype;
    collective->group_size[row] = (uint32_t)ps_kineto_event_u64(event, PS_KINETO_GROUP_SIZE, 0);
    collective->group[row] = group;
    collective->ranks[row] = ranks;
    collective->sequence[row] =
        ps_kineto_event_u64(event, PS_KINETO_GROUP_SEQUENCE, UINT64_MAX) + 1;
    return PS_OK;
}

ps_code ps_kineto_map_collective(ps_kineto_map *self, const ps_kineto_event *event, size_t kernel,
                                 ps_error *err)
{
    const ps_json_field *name = event->field[PS_KINETO_NAME];
    const char *by_name = kind_of_kernel(name->text, name->text_bytes);
    if (by_name == NULL && event->field[PS_KINETO_COLLECTIVE] == NULL) {
        return PS_OK;
    }
    return add_row(self, event, kernel, by_name == NULL ? "unknown" : by_name, err);
}
