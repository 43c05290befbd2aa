/* SPDX-License-Identifier: MIT
 *
 * The state that links.c moves through time and fair_share.c gives rates.
 * A transfer row is the node that puts its flow on the list of its link:
 *
 *   flow ──first_row──► rows (contiguous, sorted by task)
 *   link ──head──► row ⇄ row ⇄ row     flows moving over the link, newest first
 */
#ifndef PS_ENGINE_LINKS_STATE_H
#define PS_ENGINE_LINKS_STATE_H

#include "engine/event_queue.h"
#include "engine/links.h"

__extension__ typedef unsigned __int128 ps_u128;

#define PS_LINKS_NONE UINT32_MAX

typedef struct ps_flow {
    ps_u128 left;  /* [bytes * 10^9 * 2^fraction_bits] at `since` */
    ps_u128 rate;  /* [bytes/s * 2^fraction_bits]; 0 before the first share */
    ps_u128 share; /* as rate: what the filling has decided */
    ps_u128 cap;   /* as rate: own limit, all ones when none */
    ps_ns since;
    uint32_t task;
    uint32_t first_row, end_row; /* transfer rows */
    uint32_t mark;               /* round that last visited it */
} ps_flow;

typedef struct ps_link {
    ps_u128 capacity; /* as rates */
    ps_u128 free;     /* during filling: not yet given away */
    uint32_t open;    /* during filling: crossings without a share */
    uint32_t head;    /* first row moving over it */
    uint32_t mark;    /* round that last visited it */
    bool is_dirty;    /* its flows changed since the last filling */
} ps_link;

struct ps_links {
    const ps_engine_input *input;
    ps_flow *flow;
    size_t flow_count;
    uint32_t *flow_of_task; /* PS_LINKS_NONE: none; NULL without flows */
    ps_link *link;
    uint32_t *next, *prev; /* per transfer row: neighbours on the link's list */
    uint32_t *flow_of_row;
    uint32_t *dirty; /* links to fill again */
    size_t dirty_count;
    uint32_t *part_link; /* scratch: links and flows of one connected part */
    uint32_t *part_flow;
    uint32_t round;
    unsigned fraction_bits; /* of rates and of work */
    ps_event_queue queue;   /* ids are flows */
    ps_ns now;
};

#endif
