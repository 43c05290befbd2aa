/* SPDX-License-Identifier: MIT
 *
 * A plan in memory: what every device of a cluster does, made by lowering a
 * trace or by policies, read by the simulator and by replay. Simulator and
 * replay share this file format and no code.
 */
#ifndef PS_PLAN_PLAN_H
#define PS_PLAN_PLAN_H

#include "base/checked.h"
#include "base/container.h"
#include "base/strings.h"
#include "base/table.h"
#include "plan/columns.h"
#include "trace/trace.h"

typedef enum ps_lane_kind {
    PS_LANE_HOST = 0,   /* a host thread */
    PS_LANE_STREAM = 1, /* a device stream: kernels, copies, collectives in order */
    PS_LANE_GROUP = 2,  /* a communicator of several ranks: its exchanges in order */
    PS_LANE_KIND_COUNT
} ps_lane_kind;

typedef enum ps_task_kind {
    PS_TASK_HOST = 0, /* host work, calls that launch included */
    PS_TASK_WAIT = 1, /* host call that returns when device work is done */
    PS_TASK_KERNEL = 2,
    PS_TASK_MEMCPY = 3,
    PS_TASK_MEMSET = 4,
    PS_TASK_COLLECTIVE = 5, /* one rank's part: waits for the others, then exchanges */
    PS_TASK_EXCHANGE = 6, /* what the ranks of a collective do from the moment the last one comes */
    PS_TASK_CPU = 7,      /* computation of a host lane, such as an optimizer on the host */
    PS_TASK_KIND_COUNT
} ps_task_kind;

/** Where a duration comes from. */
typedef enum ps_basis {
    PS_BASIS_MEASURED = 0, /* as recorded */
    PS_BASIS_SCALED = 1,   /* recorded, rescaled to other hardware */
    PS_BASIS_ANALYTIC = 2, /* from a formula and a catalogue */
    PS_BASIS_GUESSED = 3,  /* a default nobody measured */
    PS_BASIS_COUNT
} ps_basis;

/** `task`'s first edge waits for `before`'s second edge. */
typedef enum ps_dep_kind {
    PS_DEP_START_AFTER_END = 0,
    PS_DEP_START_AFTER_START = 1,
    PS_DEP_END_AFTER_END = 2,
    PS_DEP_END_AFTER_START = 3,
} ps_dep_kind;

typedef enum ps_dep_origin {
    PS_DEP_RECORDED = 0, /* correlation or synchronisation record */
    PS_DEP_RULE = 1,     /* follows from the runtime's rules */
    PS_DEP_INFERRED = 2, /* recognised by timing */
} ps_dep_origin;

typedef enum ps_phase {
    PS_PHASE_UNKNOWN = 0,
    PS_PHASE_FORWARD = 1,
    PS_PHASE_BACKWARD = 2,
    PS_PHASE_OPTIMIZER = 3,
} ps_phase;

typedef enum ps_role {
    PS_ROLE_UNKNOWN = 0,
    PS_ROLE_PARAMETER = 1,
    PS_ROLE_GRADIENT = 2,
    PS_ROLE_OPTIMIZER_STATE = 3,
    PS_ROLE_ACTIVATION = 4,
    PS_ROLE_TEMPORARY = 5,
    PS_ROLE_INPUT = 6,
    PS_ROLE_WORKSPACE = 7,
    PS_ROLE_BEFORE = 8, /* live at the origin: allocated there, never by a memop */
    PS_ROLE_COUNT
} ps_role;

/** What the size of a buffer grows with, as a change of batch or sequence found it. */
typedef enum ps_growth {
    PS_GROWTH_UNKNOWN = 0, /* nobody asked */
    PS_GROWTH_FIXED = 1,
    PS_GROWTH_BATCH = 2,
    PS_GROWTH_SEQUENCE = 3,
    PS_GROWTH_BATCH_SEQUENCE = 4,
    PS_GROWTH_BATCH_SEQUENCE_SQUARED = 5,
    PS_GROWTH_SEQUENCE_SQUARED = 6,
    PS_GROWTH_UNDECIDED = 7, /* asked, and not decided: kept as recorded */
    PS_GROWTH_COUNT
} ps_growth;

typedef enum ps_memop {
    PS_MEMOP_ALLOC = 0,
    PS_MEMOP_FREE = 1,          /* requested and completed at once */
    PS_MEMOP_FREE_REQUEST = 2,  /* another stream still uses it */
    PS_MEMOP_FREE_COMPLETE = 3, /* nothing to do when the allocator had to wait for it before */
    PS_MEMOP_RELEASE_CACHE = 4, /* the program emptied the cache */
    PS_MEMOP_PLACE = 5,         /* address of the next new segment, as recorded */
    PS_MEMOP_PLACE_PAGES = 6,   /* address of pages mapped next, as recorded */
    PS_MEMOP_OOM = 7,           /* a request that was refused when recorded */
    PS_MEMOP_POOL_DEAD = 8,     /* the last user of a private pool is gone */
    PS_MEMOP_COUNT
} ps_memop;

/** True for memory of the host, pinned or not, and for its disks. */
static inline bool ps_memory_is_host(uint8_t kind)
{
    return kind == PS_MEMORY_PAGEABLE || kind == PS_MEMORY_PINNED || kind == PS_MEMORY_STORAGE;
}

/** Stands in a step's begin_task for the origin, in its end_task for the end of everything. */
#define PS_PLAN_WHOLE UINT32_MAX

typedef enum ps_plan_table_id {
#define PS_PLAN_TABLE_ENUM(sym, id, name, type, columns, doc) PS_PLAN_##sym,
    PS_PLAN_TABLES(PS_PLAN_TABLE_ENUM)
#undef PS_PLAN_TABLE_ENUM
        PS_PLAN_TABLE_COUNT
} ps_plan_table_id;

#define PS_PLAN_TABLE_STRUCT(sym, id, name, type, columns, doc) PS_TABLE_STRUCT(type, columns);
PS_PLAN_TABLES(PS_PLAN_TABLE_STRUCT)
#undef PS_PLAN_TABLE_STRUCT

/** One plan. Every ps_str in its tables is an id of `strings`. */
typedef struct ps_plan {
    ps_strings *strings;
#define PS_PLAN_TABLE_MEMBER(sym, id, name, type, columns, doc) type name;
    PS_PLAN_TABLES(PS_PLAN_TABLE_MEMBER)
#undef PS_PLAN_TABLE_MEMBER
} ps_plan;

/** Descriptions of all tables, PS_PLAN_TABLE_COUNT of them, in file-id order. */
const ps_table_spec *ps_plan_specs(void);

ps_table_head *ps_plan_table(ps_plan *plan, ps_plan_table_id id);
const ps_table_head *ps_plan_table_const(const ps_plan *plan, ps_plan_table_id id);

/** Empty plan; NULL when out of memory. */
ps_plan *ps_plan_create(void) PS_MUST_USE;

void ps_plan_destroy(ps_plan *plan);

/** Appends one zeroed row; see ps_table_add. */
ps_code ps_plan_add(ps_plan *plan, ps_plan_table_id id, size_t *row, ps_error *err) PS_MUST_USE;

/**
 * Sorts the rows of dependencies, transfers or accesses by their task; those of one task keep their order.
 *
 * @param id  PS_PLAN_DEP, PS_PLAN_TRANSFER or PS_PLAN_ACCESS, all of whose tasks exist
 * Cost: O(tasks + rows)
 */
ps_code ps_plan_sort_by_task(ps_plan *plan, ps_plan_table_id id, ps_error *err) PS_MUST_USE;

/** Sets a fact, replacing an earlier value. */
ps_code ps_plan_set_meta(ps_plan *plan, const char *key, const char *value,
                         ps_error *err) PS_MUST_USE;

/** Value of a fact, or NULL. Borrowed until the plan changes. */
const char *ps_plan_meta(const ps_plan *plan, const char *key);

/** True for an allocator request that takes host memory, or gives it back. */
bool ps_plan_memop_is_of_host(const ps_plan *plan, size_t memop);

/** Whether a task computes in host memory: its speed is that of threads, not of disks. */
bool ps_plan_task_is_of_threads(const ps_plan *plan, size_t task);

/** Writes the plan as a .psplan file, atomically. */
ps_code ps_plan_write(const ps_plan *plan, const char *path, ps_error *err) PS_MUST_USE;

/**
 * Reads a plan file and checks it (ps_plan_check). A damaged or unfinished
 * plan is refused: half a plan is no plan.
 */
ps_code ps_plan_read(const char *path, ps_plan **out, ps_error *err) PS_MUST_USE;

/** ps_plan_read over borrowed memory. */
ps_code ps_plan_read_memory(const void *bytes, size_t count, ps_plan **out,
                            ps_error *err) PS_MUST_USE;

/**
 * Verifies every invariant of columns.h: indices in range, times and lags
 * not negative, tasks' lanes exist, deps, transfers and accesses sorted by task, memops
 * on host tasks, buffers allocated once and freed at most once after that,
 * blocks tile segments, steps in order.
 *
 * @return PS_OK · PS_CHECK_FAILED with the first violation in words
 */
ps_code ps_plan_check(const ps_plan *plan, ps_error *err) PS_MUST_USE;

#endif
