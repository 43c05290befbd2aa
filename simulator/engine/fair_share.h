/* SPDX-License-Identifier: MIT
 *
 * Max-min fairness by progressive filling.
 *
 *   repeat: s = the least of (free capacity / flows without a share) over links
 *           flows whose own limit is at most s get their limit, if any;
 *           else every flow without a share on that link gets s
 *
 * Shares are rounded up in their last fraction bit (2^-32 bytes/s or less) and
 * never fall from one round to the next, so a link may be overdrawn by less
 * than that a flow; in return flows that are equal stay equal and end when the
 * exact quotient says, and the result does not depend on the order of links or
 * flows.
 */
#ifndef PS_ENGINE_FAIR_SHARE_H
#define PS_ENGINE_FAIR_SHARE_H

#include "engine/links_state.h"

/**
 * Decides `share` of the flows in self->part_flow, which cross only the links
 * in self->part_link, and no other flow crosses those. Reorders part_flow.
 * Cost: O(rounds * (links + crossings)), rounds at most links + limits.
 */
void ps_fair_share(ps_links *self, size_t link_count, size_t flow_count);

#endif
