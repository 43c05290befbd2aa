/* SPDX-License-Identifier: MIT
 *
 * How ranks reach their host: the links of their copies and of their threads,
 * and the node whose memory they share.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "job/job_parts.h"

#define NODE_NAME_BYTES 32
#define MAX_PATH ((size_t)1 << 24)

/* Copies of a batch alone come from pageable memory and nobody waits in line for them. */
static bool uses_host(const ps_workload *from)
{
    const ps_workload_op_table *op = &from->op;
    for (size_t i = 0; i < op->head.count; i++) {
        if (ps_op_is_of_thread(op->kind[i]) ||
            (op->kind[i] == PS_OP_COPY &&
             (op->lane[i] != PS_WORKLOAD_MAIN || op->copy_kind[i] != PS_COPY_UNKNOWN))) {
            return true;
        }
    }
    for (size_t i = 0; i < from->tensor.head.count; i++) {
        if (ps_memory_is_host(from->tensor.memory[i])) {
            return true;
        }
    }
    return false;
}

bool ps__job_uses_hosts(const ps_job *job, const ps_job_target *target)
{
    if (target->network == NULL || target->network->host == NULL) {
        return false;
    }
    for (size_t i = 0; i < job->workload_count; i++) {
        if (uses_host(job->workload[i])) {
            return true;
        }
    }
    return false;
}

static ps_code find_node(ps_job_links *links, uint32_t number, uint64_t bytes, uint32_t *out,
                         ps_error *err)
{
    ps_plan *plan = links->plan;
    char name[NODE_NAME_BYTES];
    size_t row;
    (void)snprintf(name, sizeof name, "node%" PRIu32, number);
    for (size_t i = 0; i < plan->node.head.count; i++) {
        if (strcmp(ps_strings_text(plan->strings, plan->node.name[i]), name) == 0) {
            *out = (uint32_t)i;
            return PS_OK;
        }
    }
    PS_TRY(ps_plan_add(plan, PS_PLAN_NODE, &row, err));
    plan->node.capacity_bytes[row] = bytes;
    *out = (uint32_t)row;
    return ps_strings_put_z(plan->strings, name, &plan->node.name[row], err);
}

static ps_code cross(ps_job_links *links, const ps_network_path *of_rank, ps_network_path *out,
                     ps_error *err)
{
    const ps_job_classes *c = links->classes;
    for (size_t i = 0; i < of_rank->count; i++) {
        const uint32_t link = of_rank->link[i], class_of_link = c->link[link];
        uint32_t row;
        if (link != c->link_first[class_of_link]) {
            continue;
        }
        PS_TRY(ps__job_link_row(links, class_of_link, &row, err));
        PS_TRY(ps_grow((void **)&out->link, &out->capacity, out->count + 1, MAX_PATH,
                       sizeof *out->link, err));
        out->link[out->count++] = row;
    }
    return PS_OK;
}

static ps_code add_rank(ps_job_links *links, uint32_t rank, ps_network_path *scratch,
                        ps_job_host *out, ps_error *err)
{
    const ps_network *network = links->network;
    ps_network_host host;
    PS_TRY(network->host(network->context, rank, &host, err));
    out->node_ranks += host.node == out->about.node;
    for (int traffic = 0; traffic < PS_HOST_TRAFFIC_COUNT; traffic++) {
        PS_TRY(network->host_path(network->context, rank, (ps_host_traffic)traffic, scratch, err));
        PS_TRY(cross(links, scratch, &out->path[traffic], err));
    }
    return PS_OK;
}

ps_code ps__job_host(const ps_job_classes *classes, uint32_t class_of_rank, ps_job_links *links,
                     ps_job_host *out, ps_error *err)
{
    const ps_network *network = links->network;
    const uint32_t first = classes->rank_first[class_of_rank];
    ps_network_path scratch = {0};
    *out = (ps_job_host){.is_known = classes->has_hosts};
    if (!classes->has_hosts) {
        return PS_OK;
    }
    PS_TRY(network->host(network->context, first, &out->about, err));
    PS_TRY(find_node(links, out->about.node, out->about.node_bytes, &out->node, err));
    ps_code code = PS_OK;
    for (uint32_t rank = first; rank < classes->ranks && code == PS_OK; rank++) {
        if (classes->rank[rank] == class_of_rank) {
            code = add_rank(links, rank, &scratch, out, err);
        }
    }
    ps_free(scratch.link);
    return code;
}

void ps__job_host_fini(ps_job_host *self)
{
    for (int traffic = 0; traffic < PS_HOST_TRAFFIC_COUNT; traffic++) {
        ps_free(self->path[traffic].link);
    }
    *self = (ps_job_host){0};
}
