/* SPDX-License-Identifier: MIT
 *
 * Stages of moving a recorded job's tensors to the host (private to this
 * folder).
 */
#ifndef PS_POLICY_OFFLOAD_PARTS_H
#define PS_POLICY_OFFLOAD_PARTS_H

#include "cluster/catalogue.h"
#include "job/network.h"
#include "policy/offload.h"
#include "policy/plan_insert.h"
#include "policy/recorded_times.h"

#define PS_OFFLOAD_NONE UINT32_MAX

/** A place between two tasks of the stream that computes. */
typedef struct ps_offload_place {
    uint32_t before, behind; /* tasks of the stream that end there and begin there, or NONE */
    uint32_t host;           /* host task behind which the place is, on the thread that launches
                                what follows, or on the one that launched what was before */
    uint32_t resumes; /* host task + 1 of another thread, which goes on behind the place, or 0 */
    size_t memop;     /* first row of memop behind it */
} ps_offload_place;

/** A tensor that waits in the host. */
typedef struct ps_offload_tensor {
    uint32_t buffer;
    size_t free;          /* row of memop */
    uint32_t last_reader; /* newest task of the stream when it was freed */
} ps_offload_tensor;

/** What one block keeps in one step. */
typedef struct ps_offload_group {
    size_t first, count;  /* of the tensors */
    ps_offload_place out; /* its forward pass has been launched */
    ps_offload_place go;  /* that of the next block has, too: memory goes */
    ps_offload_place in;  /* the block above begins its backward pass */
    ps_offload_place use; /* the block's own begins */
} ps_offload_group;

typedef struct ps_offload_places {
    ps_offload_group *group;
    size_t group_count, group_capacity;
    ps_offload_tensor *tensor;
    size_t tensor_count, tensor_capacity;
    uint32_t compute; /* lane */
} ps_offload_places;

/** The stream that computes, as recorded. */
typedef struct ps_offload_stream {
    const ps_plan *plan;
    ps_recorded_times times;
    uint32_t lane;
    uint32_t *task;   /* in order */
    uint32_t *launch; /* of each: the host task that launches it */
    size_t count;
    uint32_t *previous; /* per task of the plan: the one before it on its lane, or NONE */
} ps_offload_stream;

/**
 * @param out  release with ps__offload_stream_fini, also after a failure
 * @return PS_OK · PS_USAGE no kernels are recorded, or in another order than they were launched in ·
 *         PS_NOMEM
 */
ps_code ps__offload_stream(const ps_plan *plan, ps_offload_stream *out, ps_error *err) PS_MUST_USE;

void ps__offload_stream_fini(ps_offload_stream *self);

/** [ns] When a request was made. */
ps_ns ps__offload_memop_ns(const ps_offload_stream *self, size_t row);

/** First row of a request made after a moment. */
size_t ps__offload_first_memop_after(const ps_offload_stream *self, ps_ns at_ns);

/** How many tasks of the stream were launched before a moment. */
size_t ps__offload_launched_by(const ps_offload_stream *self, ps_ns at_ns);

/** Is a request over when a task of the stream is launched? */
bool ps__offload_is_over(const ps_offload_stream *self, size_t memop, uint32_t task);

/**
 * Which host task of another thread than `host` goes on behind a moment: the first one before the
 * launch of the stream's `next`, row + 1. 0: the same thread does, or `host` is not over by then.
 */
uint32_t ps__offload_resumes(const ps_offload_stream *self, size_t next, uint32_t host,
                             ps_ns at_ns);

/**
 * Between what was launched before a moment and what is launched next, by the thread of the latter
 * where it is at work then, else by that of the former, for which the latter then waits: what is put
 * there comes before that in program order. False: there is no such place.
 */
bool ps__offload_place(const ps_offload_stream *self, ps_ns at_ns, ps_offload_place *out);

/** Likewise; before all launches `before` is NONE, and behind them `behind`. */
bool ps__offload_any_place(const ps_offload_stream *self, ps_ns at_ns, ps_offload_place *out);

/**
 * Finds what can go, in the plan as recorded.
 *
 * @param out  release with ps__offload_places_fini; written only on PS_OK
 * @return PS_OK · PS_USAGE a recording that cannot be changed so, with the reason · PS_NOMEM
 */
ps_code ps__offload_find(const ps_plan *plan, const ps_offload *change, ps_offload_places *out,
                         ps_error *err) PS_MUST_USE;

void ps__offload_places_fini(ps_offload_places *self);

/** A request that is added: before which row it goes. */
typedef struct ps_offload_moved {
    size_t row, before;
} ps_offload_moved;

/** A plan whose tensors are being moved. */
typedef struct ps_offload_building {
    ps_plan *plan;
    const ps_offload *change;
    const ps_offload_places *places;
    ps_insertion insertion;
    ps_network_host host;
    uint32_t node_ranks;     /* of the job, in its node; 0: one */
    ps_network_path path[2]; /* of uploads and offloads; links of the network */
    uint32_t *link;          /* per link of the network: row of the plan, or NONE */
    uint32_t compute;        /* lane */
    uint32_t lane[2];        /* of uploads and offloads */
    ps_ns launch_ns, copy_ns;
    uint32_t *pinned; /* per tensor: buffer in host memory */
    uint32_t *copy;   /* per tensor: its copy to there */
    ps_offload_moved *move;
    size_t move_count, move_capacity;
    size_t old_memops;
    uint32_t *update; /* tasks of the host that write parameters, in order */
    size_t update_count, update_capacity;
    uint32_t moved_free; /* a buffer without memory, to which requests go that are made elsewhere */
} ps_offload_building;

/** Reads the host and its links. PS_OK · PS_NOT_FOUND · PS_NOMEM */
ps_code ps__offload_open(ps_offload_building *b, ps_error *err) PS_MUST_USE;

/** The host of the recorded rank, and how many ranks are in it. PS_OK · PS_NOT_FOUND · PS_NOMEM */
ps_code ps__offload_open_ranks(ps_offload_building *b, ps_error *err) PS_MUST_USE;

/**
 * The links of the recorded rank's traffic. Other ranks do the same at the same time: a link that
 * they cross, too, stands there once for each of them.
 *
 * @param out  its links are the caller's. PS_OK · PS_NOMEM
 */
ps_code ps__offload_path(const ps_offload_building *b, ps_host_traffic traffic,
                         ps_network_path *out, ps_error *err) PS_MUST_USE;

/**
 * Ranks that gather or scatter may divide parameters among them: what a rank has then, its
 * operators do not tell.
 *
 * @return PS_OK · PS_USAGE they do
 */
ps_code ps__offload_check_ranks(const ps_trace *trace, ps_error *err) PS_MUST_USE;

/** Another stream of the device. */
ps_code ps__offload_lane(ps_offload_building *b, const char *name, uint32_t *out,
                         ps_error *err) PS_MUST_USE;

/** A call of the host at a place. */
ps_code ps__offload_call(ps_offload_building *b, const ps_offload_place *at, const char *name,
                         ps_phase phase, uint32_t *out, ps_error *err) PS_MUST_USE;

/** A copy that a call launches; `traffic` is PS_HOST_UPLOAD or PS_HOST_OFFLOAD. */
ps_code ps__offload_copy(ps_offload_building *b, int traffic, uint64_t bytes, uint32_t launch,
                         uint32_t *out, ps_error *err) PS_MUST_USE;

/** A task of a stream waits for one of another. */
ps_code ps__offload_wait(ps_offload_building *b, uint32_t task, uint32_t before,
                         ps_error *err) PS_MUST_USE;

/** Another buffer for the same tensor. */
ps_code ps__offload_buffer(ps_offload_building *b, uint32_t like, ps_memory_kind memory,
                           uint32_t *out, ps_error *err) PS_MUST_USE;

/** A request when a host task begins, before a row of the old requests. */
ps_code ps__offload_request(ps_offload_building *b, ps_memop op, uint32_t buffer, uint32_t task,
                            size_t before, ps_error *err) PS_MUST_USE;

/** A task reads a buffer or writes it. */
ps_code ps__offload_tell(ps_offload_building *b, uint32_t task, uint32_t buffer, bool is_write,
                         ps_error *err) PS_MUST_USE;

/** A new row of the plan's links for one of the network's, or the row it has. */
ps_code ps__offload_link(ps_offload_building *b, uint32_t link, uint32_t *out,
                         ps_error *err) PS_MUST_USE;

/** The node of the host, with its memory, where the plan has none. */
ps_code ps__offload_name_node(ps_offload_building *b, ps_error *err) PS_MUST_USE;

/** New requests go to their places; recorded totals no longer hold. */
ps_code ps__offload_sort_requests(ps_offload_building *b, ps_error *err) PS_MUST_USE;

/** Rows that move activations, of an insertion that the caller finishes. */
ps_code ps__offload_activations(ps_offload_building *b, ps_error *err) PS_MUST_USE;

struct ps_offload_optimizer;
struct ps_offload_parameters;

/** What was found to move. */
typedef struct ps_offload_plan {
    ps_offload_places *activations;           /* NULL: they stay */
    struct ps_offload_optimizer *optimizer;   /* NULL: it stays */
    struct ps_offload_parameters *parameters; /* NULL: they stay */
} ps_offload_plan;

/**
 * Finds all that is asked for, in the plan as recorded.
 *
 * @param out  release with ps__offload_plan_fini; written only on PS_OK
 * @return PS_OK · PS_USAGE · PS_BAD_INPUT · PS_NOMEM
 */
ps_code ps__offload_plan(const ps_plan *plan, const ps_offload *change, ps_offload_plan *out,
                         ps_error *err) PS_MUST_USE;

void ps__offload_plan_fini(ps_offload_plan *self);

/**
 * Moves it.
 *
 * @param plan   its tasks and requests are still those that were found; unusable after a failure
 * @param gpu    whose figures say what a launch and the start of a copy take
 * @return PS_OK the plan is proved (plan/hazards.h) · PS_USAGE a recording whose events contradict
 *         each other, so that no proof can be given · PS_NOT_FOUND a host that is not described, a
 *         figure that is missing · PS_NOMEM
 */
ps_code ps__offload_apply(ps_plan *plan, const ps_catalogue *catalogue, ps_hardware_id gpu,
                          const ps_offload *change, const ps_offload_plan *what,
                          ps_error *err) PS_MUST_USE;

#endif
