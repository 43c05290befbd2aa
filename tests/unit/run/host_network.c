/* SPDX-License-Identifier: MIT
 *
 * A host behind one link a direction.
 */
#include "host_network.h"

#include "base/memory.h"

static const char *link_name(const void *context, uint32_t link)
{
    (void)context;
    return link == 0 ? "to the GPU" : "from the GPU";
}

static uint64_t link_rate(const void *context, uint32_t link)
{
    (void)link;
    return *(const uint64_t *)context;
}

static ps_code host_of(void *context, uint32_t rank, ps_network_host *out, ps_error *err)
{
    (void)rank;
    (void)err;
    *out = (ps_network_host){0};
    for (int i = 0; i < PS_HOST_TRAFFIC_COUNT; i++) {
        out->rate_bytes_per_s[i] = *(const uint64_t *)context;
        out->basis[i] = PS_BASIS_ANALYTIC;
    }
    return PS_OK;
}

static ps_code host_path(void *context, uint32_t rank, ps_host_traffic traffic,
                         ps_network_path *out, ps_error *err)
{
    (void)context;
    (void)rank;
    PS_TRY(ps_grow((void **)&out->link, &out->capacity, 1, 1, sizeof *out->link, err));
    out->link[0] = traffic == PS_HOST_UPLOAD ? 0 : 1;
    out->count = 1;
    return PS_OK;
}

ps_network host_network(uint64_t *rate)
{
    return (ps_network){.context = rate,
                        .link_count = 2,
                        .link_name = link_name,
                        .link_bytes_per_s = link_rate,
                        .host = host_of,
                        .host_path = host_path};
}
