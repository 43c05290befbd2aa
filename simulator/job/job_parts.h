/* SPDX-License-Identifier: MIT
 *
 * Stages of lowering a job (private to this folder).
 *
 *   groups.c     which communicators there are, and who is in them
 *   symmetry.c   which ranks do the same
 *   costs.c      what an exchange takes while a job trains
 *   links.c      links of the network as rows of the plan
 *   hosts.c      how a class of ranks reaches its host
 *   rank*.c      host thread, streams and requests of one rank: rank_parts.h
 *   exchanges.c  what the ranks do together
 */
#ifndef PS_JOB_JOB_PARTS_H
#define PS_JOB_JOB_PARTS_H

#include "job/job.h"
#include "workload/grid.h"

#define PS_JOB_NONE UINT32_MAX

/* ---- costs ---- */

/** What training makes of benchmarks. */
typedef struct ps_job_costs {
    const ps_network *network;
    ps_ns collective_delay_ns; /* the GPU's and the host's */
    uint64_t overlap_cost;     /* a ratio, the GPU's */
} ps_job_costs;

/** PS_OK · PS_NOT_FOUND a figure that the GPU lacks */
ps_code ps__job_costs(const ps_job_target *target, ps_job_costs *out, ps_error *err) PS_MUST_USE;

/** ps_network.cost while the ranks' devices compute. */
ps_code ps__job_exchange_cost(const ps_job_costs *self, const ps_exchange *what,
                              ps_exchange_cost *out, ps_error *err) PS_MUST_USE;

/** How long an exchange takes by itself. */
ps_ns ps__job_exchange_ns(const ps_exchange_cost *cost);

/* ---- links ---- */

/** Links of the network, one row of the plan for each class of them that is used. */
typedef struct ps_job_links {
    const ps_network *network;
    const struct ps_job_classes *classes;
    ps_plan *plan;
    uint32_t *row; /* per class of links, or PS_JOB_NONE */
} ps_job_links;

/** Release with ps__job_links_fini, also after a failure. PS_OK · PS_NOMEM */
ps_code ps__job_links(const ps_network *network, const struct ps_job_classes *classes,
                      ps_plan *plan, ps_job_links *out, ps_error *err) PS_MUST_USE;
void ps__job_links_fini(ps_job_links *self);

/** Row of a class of links, made when it is first asked for. */
ps_code ps__job_link_row(ps_job_links *self, uint32_t class_of_link, uint32_t *out,
                         ps_error *err) PS_MUST_USE;

/* ---- hosts ---- */

/** How ranks of one class reach their host: rows of the plan's links, as often as they stand. */
typedef struct ps_job_host {
    bool is_known;
    ps_network_host about;
    ps_network_path path[PS_HOST_TRAFFIC_COUNT];
    uint32_t node;       /* row of the plan */
    uint32_t node_ranks; /* of the class that are in that node */
} ps_job_host;

/** True when workloads copy or compute beside what a batch takes: their hosts matter. */
bool ps__job_uses_hosts(const ps_job *job, const ps_job_target *target);

/**
 * One transfer stands for those of all ranks of the class: it crosses the one link of each class
 * of links that is left as often as they do together.
 *
 * @param out  release with ps__job_host_fini, also after a failure
 */
ps_code ps__job_host(const struct ps_job_classes *classes, uint32_t class_of_rank,
                     ps_job_links *links, ps_job_host *out, ps_error *err) PS_MUST_USE;
void ps__job_host_fini(ps_job_host *self);

/* ---- one rank ---- */

/** How long the operations of a workload take on the device at full speed, per op row. */
typedef struct ps_op_times {
    ps_ns *dur_ns;
    uint8_t *basis; /* ps_basis */
} ps_op_times;

/** @param out  arrays owned by the caller, also after a failure: ps_free */
ps_code ps__job_op_times(const ps_workload *workload, const ps_job_target *target, ps_op_times *out,
                         ps_error *err) PS_MUST_USE;

/** A rank's part in a collective. */
typedef struct ps_job_part {
    uint32_t op;   /* row of its workload */
    uint32_t task; /* row of the plan */
} ps_job_part;

/** Parts of one rank, in program order. */
typedef struct ps_job_parts {
    ps_job_part *part; /* owned: ps_free */
    size_t count, capacity;
} ps_job_parts;

struct ps_job_groups;

/** What to lower as which rank. All borrowed during the call. */
typedef struct ps_job_rank {
    const ps_workload *workload;
    const ps_job_target *target;
    const struct ps_job_groups *groups;
    const ps_job_costs *costs;
    const ps_op_times *times;
    const ps_job_host *host;
    const char *prefix; /* of the names of its lanes */
    uint32_t rank, stands_for;
    uint32_t speed_permille;
    bool marks_steps; /* the plan's steps are those of this rank */
    bool is_alone;    /* there is no other rank */
} ps_job_rank;

/** Appends device, lanes, buffers and tasks of a rank to the plan; dependencies need not be sorted. */
ps_code ps__job_rank(const ps_job_rank *what, ps_plan *plan, ps_job_parts *parts,
                     ps_error *err) PS_MUST_USE;

/* ---- communicators ---- */

/**
 * Kind of communicator: a span of axes in one lane, or messages from one place of an axis to
 * another.
 */
typedef struct ps_job_span {
    uint32_t axes;
    uint8_t lane;      /* of collectives */
    bool is_direct;    /* everyone sends to everyone, not around: other links are loaded */
    bool is_message;   /* one axis, two places */
    uint32_t from, to; /* places of a message */
} ps_job_span;

/** One communicator: the ranks of a span that share all other places. */
typedef struct ps_job_group {
    uint32_t span, base; /* base: lowest rank with the span's places set to 0 */
    uint32_t first,
        count; /* its members among ps_job_groups.member; of messages: sender, receiver */
} ps_job_group;

typedef struct ps_job_groups {
    ps_grid grid;
    ps_job_span *span;
    size_t span_count, span_capacity;
    ps_job_group *group;
    size_t group_count, group_capacity;
    uint32_t *member;
    size_t member_count, member_capacity;
    uint32_t *group_of; /* span_count x ranks: the group of a rank in a span, or PS_JOB_NONE */
} ps_job_groups;

/** All communicators that the workloads of a job use. Release with ps__job_groups_fini, also after a failure. */
ps_code ps__job_groups(const ps_job *job, ps_job_groups *out, ps_error *err) PS_MUST_USE;
void ps__job_groups_fini(ps_job_groups *self);

/** The span of a collective op of a rank; PS_JOB_NONE: the rank is alone in it. */
uint32_t ps__job_span_of(const ps_job_groups *self, const ps_workload *workload, uint32_t op,
                         uint32_t rank);

/** The op as its group's ranks do it together: a SEND for both ends of a message. */
ps_exchange ps__job_exchange(const ps_job_groups *self, uint32_t group, const ps_workload *workload,
                             uint32_t op);

/* ---- who stands for whom ---- */

/** Classes of ranks, groups and links that cannot be told apart, numbered from 0. */
typedef struct ps_job_classes {
    bool has_hosts; /* links to hosts count */
    uint32_t ranks;
    uint32_t *rank, *group, *link;                   /* class of each */
    uint32_t *rank_first, *group_first, *link_first; /* lowest member of each class */
    uint32_t *rank_size;                             /* members of each class */
    uint32_t rank_count, group_count, link_count;    /* classes */
    ps_network_path *path;                           /* per group */
} ps_job_classes;

/** Release with ps__job_classes_fini, also after a failure. */
ps_code ps__job_classes(const ps_job *job, const ps_job_target *target, const ps_job_groups *groups,
                        ps_job_classes *out, ps_error *err) PS_MUST_USE;
void ps__job_classes_fini(ps_job_classes *self, const ps_job_groups *groups);

/* ---- what they do together ---- */

/**
 * Makes the exchanges of all parts, one lane a class of groups.
 *
 * @param links  of the plan that they are made in
 * @param parts  per class of ranks
 */
ps_code ps__job_exchanges(const ps_job *job, const ps_job_costs *costs, const ps_job_groups *groups,
                          const ps_job_classes *classes, ps_job_links *links,
                          const ps_job_parts *parts, ps_error *err) PS_MUST_USE;

#endif
