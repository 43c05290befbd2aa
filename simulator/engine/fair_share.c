/* SPDX-License-Identifier: MIT
 *
 * Progressive filling over one connected part of the links.
 */
#include "engine/fair_share.h"

/* Gives a flow its share and takes that from every link it crosses. */
static void settle(ps_links *self, ps_flow *flow, ps_u128 share)
{
    flow->share = share;
    for (uint32_t row = flow->first_row; row < flow->end_row; row++) {
        ps_link *link = &self->link[self->input->transfer_link[row]];
        link->free -= share < link->free ? share : link->free;
        link->open--;
    }
}

/* The least share a link offers, never below `floor`; ties do not matter, see fair_share.h. */
static ps_u128 least_offer(const ps_links *self, size_t link_count, ps_u128 floor,
                           uint32_t *narrowest)
{
    ps_u128 least = ~(ps_u128)0;
    for (size_t i = 0; i < link_count; i++) {
        const ps_link *link = &self->link[self->part_link[i]];
        if (link->open == 0) {
            continue;
        }
        const ps_u128 exact = (link->free + link->open - 1) / link->open;
        const ps_u128 offer = exact > floor ? exact : floor;
        if (offer < least) {
            least = offer;
            *narrowest = self->part_link[i];
        }
    }
    return least;
}

/* Settles the flows that want no more than is offered and drops them from the list. */
static size_t settle_limited(ps_links *self, size_t flow_count, ps_u128 offer)
{
    size_t kept = 0;
    for (size_t i = 0; i < flow_count; i++) {
        ps_flow *flow = &self->flow[self->part_flow[i]];
        if (flow->cap <= offer) {
            settle(self, flow, flow->cap);
        } else {
            self->part_flow[kept] = self->part_flow[i];
            kept++;
        }
    }
    return kept;
}

/* Settles the open flows of a link and drops them from the list. */
static size_t settle_link(ps_links *self, size_t flow_count, uint32_t narrowest, ps_u128 offer)
{
    for (uint32_t row = self->link[narrowest].head; row != PS_LINKS_NONE; row = self->next[row]) {
        ps_flow *flow = &self->flow[self->flow_of_row[row]];
        if (flow->share == 0) {
            settle(self, flow, offer);
        }
    }
    size_t kept = 0;
    for (size_t i = 0; i < flow_count; i++) {
        if (self->flow[self->part_flow[i]].share == 0) {
            self->part_flow[kept] = self->part_flow[i];
            kept++;
        }
    }
    return kept;
}

void ps_fair_share(ps_links *self, size_t link_count, size_t flow_count)
{
    for (size_t i = 0; i < link_count; i++) {
        ps_link *link = &self->link[self->part_link[i]];
        link->free = link->capacity;
        link->open = 0;
    }
    for (size_t i = 0; i < flow_count; i++) {
        ps_flow *flow = &self->flow[self->part_flow[i]];
        flow->share = 0;
        for (uint32_t row = flow->first_row; row < flow->end_row; row++) {
            self->link[self->input->transfer_link[row]].open++;
        }
    }
    ps_u128 level = 1; /* every flow moves, or it would never end */
    while (flow_count > 0) {
        uint32_t narrowest = PS_LINKS_NONE;
        const ps_u128 offer = least_offer(self, link_count, level, &narrowest);
        const size_t kept = settle_limited(self, flow_count, offer);
        if (kept == flow_count) {
            flow_count = settle_link(self, flow_count, narrowest, offer);
            level = offer;
        } else {
            flow_count = kept;
        }
    }
}
