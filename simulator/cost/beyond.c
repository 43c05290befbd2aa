/* SPDX-License-Identifier: MIT
 *
 * Memory beyond tensors.
 *
 *   context     context-memory of the GPU, plus eager-modules of software that loads all code first
 *   loaded      loaded-memory of the GPU; nothing where the code is loaded already
 *   collectives groups x (collective-pair for two ranks, collective-group for more)
 *   tables      pages of pinned host memory x page-entry
 */
#include "cost/beyond.h"

#include <string.h>

#include "base/checked.h"

/* PyTorch's own defaults: ":4096:2:16:8" in KiB x count, and 32 MiB on newer parts. */
#define WORKSPACE_BYTES ((2u * 4096 + 8u * 16) * 1024)
#define LARGE_WORKSPACE_BYTES (32u << 20)

/* The program's thread and backward's. */
enum { TRAINING_HANDLES = 2 };

static const char default_software[] = "cuda-12";

static bool gets_large(const char *capability, bool is_wide_rule)
{
    if (!is_wide_rule) {
        return strcmp(capability, "9.0") == 0;
    }
    return strncmp(capability, "9.", 2) == 0 || strncmp(capability, "10.", 3) == 0 ||
           strncmp(capability, "12.", 3) == 0;
}

/* Reads ":NUMBER" and moves on; false when it is something else. */
static bool read_number(const char **at, uint64_t *out)
{
    const char *p = *at;
    uint64_t value = 0;
    if (*p != ':' || p[1] < '0' || p[1] > '9') {
        return false;
    }
    for (p++; *p >= '0' && *p <= '9'; p++) {
        if (!ps_mul_u64(value, 10, &value) || !ps_add_u64(value, (uint64_t)(*p - '0'), &value)) {
            return false;
        }
    }
    *out = value;
    *at = p;
    return true;
}

ps_code ps_blas_workspace(const char *capability, bool is_wide_rule, const char *config,
                          uint64_t *bytes, ps_error *err)
{
    if (config == NULL || config[0] == '\0') {
        *bytes = gets_large(capability, is_wide_rule) ? LARGE_WORKSPACE_BYTES : WORKSPACE_BYTES;
        return PS_OK;
    }
    uint64_t total = 0, kib, count, part;
    for (const char *at = config; *at != '\0';) {
        if (!read_number(&at, &kib) || !read_number(&at, &count) ||
            !ps_mul_u64(kib, count, &part) || !ps_mul_u64(part, 1024, &part) ||
            !ps_add_u64(total, part, &total)) {
            return ps_fail(err, PS_USAGE,
                           "CUBLAS_WORKSPACE_CONFIG \"%.60s\" is not pairs of :SIZE:COUNT", config);
        }
    }
    *bytes = total;
    return PS_OK;
}

/* A figure, or 0 when nobody states it. */
static ps_figure get_or_none(const ps_catalogue *catalogue, ps_hardware_id id, ps_figure_id figure)
{
    ps_figure found = {.quality = PS_QUALITY_GIVEN};
    (void)ps_catalogue_get(catalogue, id, figure, &found);
    return found;
}

static uint64_t sum(uint64_t a, uint64_t b)
{
    uint64_t out;
    return ps_add_u64(a, b, &out) ? out : UINT64_MAX;
}

/* Figures of a software generation; all 0 in a catalogue without any. */
typedef struct software {
    uint64_t eager_bytes, pair_bytes, group_bytes, page_bytes, entry_bytes;
    bool is_wide_rule;
} software;

static ps_code read_software(const ps_catalogue *catalogue, const char *name, software *out,
                             ps_error *err)
{
    ps_hardware_id id;
    const char *wanted = name != NULL ? name : default_software;
    const ps_code code = ps_catalogue_find(catalogue, PS_HARDWARE_SOFTWARE, wanted, &id, err);
    *out = (software){0};
    if (code != PS_OK) {
        return name != NULL ? code : PS_OK;
    }
    out->eager_bytes = get_or_none(catalogue, id, PS_FIGURE_EAGER_MODULES).value;
    out->pair_bytes = get_or_none(catalogue, id, PS_FIGURE_COLLECTIVE_PAIR).value;
    out->group_bytes = get_or_none(catalogue, id, PS_FIGURE_COLLECTIVE_GROUP).value;
    out->page_bytes = get_or_none(catalogue, id, PS_FIGURE_HOST_PAGE).value;
    out->entry_bytes = get_or_none(catalogue, id, PS_FIGURE_PAGE_ENTRY).value;
    out->is_wide_rule = get_or_none(catalogue, id, PS_FIGURE_WIDE_WORKSPACE).value > 0;
    return PS_OK;
}

ps_code ps_beyond_memory(const ps_catalogue *catalogue, ps_hardware_id gpu,
                         const ps_beyond_setup *setup, ps_beyond *out, ps_error *err)
{
    static const ps_beyond_setup plain;
    const ps_beyond_setup *given = setup != NULL ? setup : &plain;
    ps_error ignored = {0};
    ps_figure context;
    software code;
    ps_beyond found = {0};
    PS_TRY(
        read_software(catalogue, given->software, &code, given->software != NULL ? err : &ignored));
    PS_TRY(ps_catalogue_need(catalogue, gpu, PS_FIGURE_CONTEXT_MEMORY, &context, err));
    const ps_figure loaded = get_or_none(catalogue, gpu, PS_FIGURE_LOADED_MEMORY);
    PS_TRY(ps_blas_workspace(ps_catalogue_compute_capability(catalogue, gpu), code.is_wide_rule,
                             given->blas_config, &found.workspace_bytes, err));
    found.host_page_bytes = code.page_bytes;
    found.page_entry_bytes = code.entry_bytes;
    found.context_bytes = sum(context.value, code.eager_bytes);
    found.loaded_bytes = code.eager_bytes > 0 ? 0 : loaded.value;
    if (given->group_ranks > 1) {
        const uint64_t one = given->group_ranks == 2 ? code.pair_bytes : code.group_bytes;
        found.collective_bytes = ps_mul_div_u64(one, given->groups, 1);
    }
    found.workspaces = found.workspace_bytes == 0 ? 0
                       : given->blas_handles > 0  ? given->blas_handles
                                                  : TRAINING_HANDLES;
    found.basis = context.quality == PS_QUALITY_MEASURED && code.eager_bytes == 0
                      ? PS_BASIS_MEASURED
                      : PS_BASIS_GUESSED;
    *out = found;
    return PS_OK;
}

uint64_t ps_beyond_outside(const ps_beyond *self)
{
    return sum(sum(self->context_bytes, self->loaded_bytes), self->collective_bytes);
}

uint64_t ps_beyond_tables(const ps_beyond *self, uint64_t pinned_bytes)
{
    if (self->host_page_bytes == 0) {
        return 0;
    }
    const uint64_t page = self->host_page_bytes;
    const uint64_t pages = pinned_bytes / page + (pinned_bytes % page > 0 ? 1 : 0);
    return ps_mul_div_u64(pages, self->page_entry_bytes, 1);
}
