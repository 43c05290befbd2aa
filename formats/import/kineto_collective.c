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
 * even which collective it is: the kind is then "unknown" (trace/collective.h).
 */
#include <string.h>

#include "import/kineto_map.h"
#include "trace/collective.h"

static ps_code intern_kind(ps_kineto_map *self, const ps_kineto_event *event, const char *by_name,
                           ps_str *out, ps_error *err)
{
    const ps_json_field *recorded = event->field[PS_KINETO_COLLECTIVE];
    if (recorded == NULL || recorded->kind != PS_JSON_STRING || recorded->text_bytes == 0) {
        return ps_kineto_map_intern(self, by_name, strlen(by_name), out, err);
    }
    const char *kind = ps_collective_kind(recorded->text, recorded->text_bytes);
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
    const char *by_name = ps_collective_of_kernel(name->text, name->text_bytes);
    if (by_name == NULL && event->field[PS_KINETO_COLLECTIVE] == NULL) {
        return PS_OK;
    }
    return add_row(self, event, kernel, by_name == NULL ? "unknown" : by_name, err);
}
