/* SPDX-License-Identifier: MIT
 *
 * Links of the network as rows of the plan, made when something first crosses
 * them.
 */
#include "base/memory.h"
#include "job/job_parts.h"

ps_code ps__job_links(const ps_network *network, const ps_job_classes *classes, ps_plan *plan,
                      ps_job_links *out, ps_error *err)
{
    *out = (ps_job_links){.network = network,
                          .classes = classes,
                          .plan = plan,
                          .row = ps_calloc(classes->link_count, sizeof *out->row)};
    if (out->row == NULL) {
        return ps_fail_nomem(err);
    }
    for (uint32_t i = 0; i < classes->link_count; i++) {
        out->row[i] = PS_JOB_NONE;
    }
    return PS_OK;
}

void ps__job_links_fini(ps_job_links *self)
{
    ps_free(self->row);
    *self = (ps_job_links){0};
}

ps_code ps__job_link_row(ps_job_links *self, uint32_t class_of_link, uint32_t *out, ps_error *err)
{
    const ps_network *network = self->network;
    const uint32_t link = self->classes->link_first[class_of_link];
    if (self->row[class_of_link] == PS_JOB_NONE) {
        size_t row;
        PS_TRY(ps_plan_add(self->plan, PS_PLAN_LINK, &row, err));
        self->plan->link.bytes_per_s[row] = network->link_bytes_per_s(network->context, link);
        PS_TRY(ps_strings_put_z(self->plan->strings, network->link_name(network->context, link),
                                &self->plan->link.name[row], err));
        self->row[class_of_link] = (uint32_t)row;
    }
    *out = self->row[class_of_link];
    return PS_OK;
}
