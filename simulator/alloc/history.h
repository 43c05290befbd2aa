/* SPDX-License-Identifier: MIT
 *
 * Replays the recorded allocation history of one device through a model.
 *
 * Proof mode (PS_HISTORY_RECORDED): the model gets the requests and frees,
 * and from the record only what lies outside an allocator: the addresses the
 * driver chose, when the program emptied the cache or dropped a private pool,
 * when deferred frees completed, and one capacity. Everything else must come
 * out by itself and is compared: every segment event, the address of every
 * allocation, content and order of releases, the final map.
 *
 * What-if modes (PS_HISTORY_RECOVERED, PS_HISTORY_COLD): only requests and
 * frees; invented addresses, any model and settings. What counts is the peak.
 */
#ifndef PS_ALLOC_HISTORY_H
#define PS_ALLOC_HISTORY_H

#include "alloc/start_state.h"

typedef enum ps_history_mode {
    PS_HISTORY_RECORDED = 0,  /* recovered start, recorded addresses and releases, all compared */
    PS_HISTORY_RECOVERED = 1, /* recovered start, invented addresses */
    /* live blocks of the start placed into an empty cache, invented addresses */
    PS_HISTORY_COLD = 2,
} ps_history_mode;

/** Something the record says that lies outside the allocator; see on_input. */
typedef enum ps_history_input_kind {
    PS_HISTORY_INPUT_EMPTY_CACHE = 0, /* the program emptied the cache before this row */
    PS_HISTORY_INPUT_POOL_DEAD = 1,   /* a private pool had lost its last user before this row */
    /* this completion (or FREE: its completion) was waited for inside the next request */
    PS_HISTORY_INPUT_LATE_FREE = 2,
    PS_HISTORY_INPUT_CAPTURE = 3, /* this refused request came from under a graph capture */
} ps_history_input_kind;

typedef struct ps_history_input {
    ps_history_input_kind kind;
    size_t row;      /* of the memory table */
    ps_pool_id pool; /* POOL_DEAD only */
} ps_history_input;

/** Called in row order before a recorded-mode replay returns PS_OK. */
typedef void (*ps_history_input_fn)(void *ctx, const ps_history_input *input);

/** What to replay and how; ps_history_options_init gives the defaults. */
typedef struct ps_history_options {
    ps_history_mode mode;
    ps_alloc_device device;            /* default: CUDA device 0 */
    const char *model;                 /* NULL: what the settings in force call for */
    const ps_alloc_settings *settings; /* in force in the replay; NULL: the recorded ones */
    /* of the recorded run; NULL: from the trace's allocator-conf */
    const ps_alloc_settings *recorded;
    uint64_t device_memory_bytes; /* 0: from the trace's device table, else unknown */
    uint64_t limit_bytes;         /* 0: recorded mode derives it, what-if modes have none */
    ps_history_input_fn on_input; /* NULL: nobody asks; recorded mode only */
    void *input_ctx;
} ps_history_options;

/** How many of what was recorded came out equal. */
typedef struct ps_history_score {
    uint64_t compared;
    uint64_t equal;
} ps_history_score;

/** Text of the first difference, "" when there is none. */
#define PS_HISTORY_NOTE_BYTES 320

typedef struct ps_history_report {
    uint64_t event_count;     /* rows of the device */
    ps_history_score address; /* allocations: address */
    ps_history_score segment; /* segment events: position, kind, address, size, order */
    /* whole-cache releases and those of failed calls: content and order */
    ps_history_score release;
    /* final map: address, size, state, requested size of blocks in use */
    ps_history_score block;
    ps_history_score total;                /* final map: recorded totals of each segment */
    ps_history_score oom;                  /* recorded refusals that the model refused too */
    uint64_t unmatched_free_count;         /* frees of blocks the model does not hold */
    bool is_exact;                         /* every score is full and nothing was unmatched */
    bool is_limited;                       /* limit_bytes was in force */
    bool private_pools_expand;             /* recorded: expandable segments in private pools */
    uint64_t limit_bytes;                  /* as derived or given */
    uint64_t recorded_peak_reserved_bytes; /* from the recorded segment events */
    ps_alloc_stats stats;                  /* the model's at the end, peaks included */
    /* blocks of the start whose size stayed unknown, see ps_start_state */
    size_t doubt_count;
    uint64_t refused_count;           /* requests that did not fit (what-if modes) */
    ps_alloc_shortage first_shortage; /* of the first of them */
    size_t first_difference_row;      /* row of the memory table; SIZE_MAX none, or the final map */
    char first_difference[PS_HISTORY_NOTE_BYTES];
} ps_history_report;

void ps_history_options_init(ps_history_options *options);

/**
 * Replays one device's history.
 *
 * @param out  written only on PS_OK. A difference is not an error: see is_exact
 * @return PS_OK · PS_BAD_INPUT the recording contradicts itself · PS_UNSUPPORTED block sizes
 *         recorded instead of requested ones in recorded mode · PS_USAGE bad settings,
 *         unknown model · PS_NOMEM
 */
ps_code ps_history_replay(const ps_trace *trace, const ps_history_options *options,
                          ps_history_report *out, ps_error *err) PS_MUST_USE;

/**
 * ps_history_replay that also hands over the start state it began from. In
 * recorded mode that state is better than ps_start_state_recover's: where a
 * doubtful block size contradicts a later placement, it has been settled.
 *
 * @param start  written only on PS_OK; release with ps_start_state_fini
 */
ps_code ps_history_replay_from(const ps_trace *trace, const ps_history_options *options,
                               ps_history_report *out, ps_start_state *start,
                               ps_error *err) PS_MUST_USE;

#endif
