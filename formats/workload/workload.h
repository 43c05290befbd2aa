/* SPDX-License-Identifier: MIT
 *
 * A workload in memory: the training steps of one device, recovered from a
 * trace or built from a model description, read by policies.
 *
 * It says what is computed and which memory is held, in program order. It
 * says nothing of hardware: no stream, no address, no time of day.
 */
#ifndef PS_WORKLOAD_WORKLOAD_H
#define PS_WORKLOAD_WORKLOAD_H

#include "plan/plan.h"
#include "workload/columns.h"

/** Type of the elements of a tensor or of an operation's arithmetic. */
typedef enum ps_element {
    PS_ELEMENT_UNKNOWN = 0,
    PS_ELEMENT_F32 = 1,
    PS_ELEMENT_F16 = 2,
    PS_ELEMENT_BF16 = 3,
    PS_ELEMENT_I64 = 4,
    PS_ELEMENT_BOOL = 5,
    PS_ELEMENT_I32 = 6,
    PS_ELEMENT_U8 = 7,
    PS_ELEMENT_I8 = 8,
    PS_ELEMENT_I16 = 9,
    PS_ELEMENT_F64 = 10,
    PS_ELEMENT_F8_E4M3 = 11,
    PS_ELEMENT_F8_E5M2 = 12,
    PS_ELEMENT_TF32 = 13, /* arithmetic on 32-bit elements rounded to 19 bits; never stored */
    PS_ELEMENT_COUNT
} ps_element;

/** [bytes] of one stored element; 0 for unknown. */
uint64_t ps_element_bytes(ps_element element);

/** What the bytes of a tensor grow with, all else equal. */
typedef enum ps_scaling {
    PS_SCALING_UNKNOWN = 0,
    PS_SCALING_FIXED = 1, /* parameters and what has their shape */
    PS_SCALING_BATCH = 2,
    PS_SCALING_SEQUENCE = 3,
    PS_SCALING_BATCH_SEQUENCE = 4,         /* tokens */
    PS_SCALING_BATCH_SEQUENCE_SQUARED = 5, /* attention scores */
    PS_SCALING_COUNT
} ps_scaling;

/** What bounds an operation. */
typedef enum ps_op_kind {
    PS_OP_MEMORY = 0, /* element by element, reductions: by the bytes it moves */
    PS_OP_MATMUL = 1, /* by its arithmetic, if that takes longer */
    PS_OP_ATTENTION = 2,
    PS_OP_COPY = 3, /* between host and device, or inside the device */
    PS_OP_COLLECTIVE = 4,
    PS_OP_HOST = 5, /* no device work */
    PS_OP_JOIN = 6, /* no work: one lane goes on when another has done what it was given */
    PS_OP_CPU = 7,  /* computation of the host: by the bytes it moves in host memory */
    PS_OP_READ = 8, /* the node's disks to host memory */
    PS_OP_WRITE = 9,
    PS_OP_MARK = 10, /* no work: its mark names what the lane was given last */
    PS_OP_KIND_COUNT
} ps_op_kind;

/** True for what a thread of the host does, its own or a worker's. */
static inline bool ps_op_is_of_thread(uint8_t kind)
{
    return kind == PS_OP_CPU || kind == PS_OP_READ || kind == PS_OP_WRITE;
}

/**
 * What ranks do together. `moved_bytes` of the op is the whole message of one rank: what it
 * reduces, or all ranks' parts together of a gather, a scatter, an all-to-all.
 */
typedef enum ps_collective_op {
    PS_COLLECTIVE_NONE = 0,
    PS_COLLECTIVE_ALL_REDUCE = 1,
    PS_COLLECTIVE_REDUCE_SCATTER = 2,
    PS_COLLECTIVE_ALL_GATHER = 3,
    PS_COLLECTIVE_BROADCAST = 4,
    PS_COLLECTIVE_REDUCE = 5,
    PS_COLLECTIVE_ALL_TO_ALL = 6,
    PS_COLLECTIVE_SEND = 7, /* to one other rank along one axis; begins when that one is there */
    PS_COLLECTIVE_RECV = 8,
    PS_COLLECTIVE_OP_COUNT
} ps_collective_op;

/** Which operand of a matrix product is transposed, as BLAS says it of columns. */
typedef enum ps_operand_layout {
    PS_OPERANDS_UNKNOWN = 0,
    PS_OPERANDS_TN = 1,      /* a linear layer's forward pass */
    PS_OPERANDS_NN = 2,      /* gradient of its input */
    PS_OPERANDS_NT = 3,      /* gradient of its weight */
    PS_OPERANDS_NT_WIDE = 4, /* the same, added to sums of 32 bits */
    PS_OPERANDS_COUNT
} ps_operand_layout;

/** How a kernel that multiplies nothing goes through its operands. */
typedef enum ps_access {
    PS_ACCESS_CONTIGUOUS = 0, /* one element after another */
    PS_ACCESS_STRIDED = 1,    /* each element's place is worked out: transposed, by an index */
    PS_ACCESS_ROWS = 2,       /* a row at a time: softmax, selection of the largest */
    PS_ACCESS_REDUCTION = 3,  /* sums over many threads */
    PS_ACCESS_COUNT
} ps_access;

#define PS_WORKLOAD_MAX_AXES 8

/** Stands in an axis's place for every place along it. */
#define PS_WORKLOAD_ANYWHERE UINT32_MAX

/** Queues of work, each in order, beside one another. In MAIN the host computes by itself. */
typedef enum ps_workload_lane {
    PS_WORKLOAD_MAIN = 0,
    PS_WORKLOAD_UPLOAD = 1,                     /* copies from the host */
    PS_WORKLOAD_OFFLOAD = 2,                    /* copies to the host */
    PS_WORKLOAD_COMPUTE = 3,                    /* computation beside the main queue */
    PS_WORKLOAD_GROUP = 4,                      /* and on: one queue for each communicator */
    PS_WORKLOAD_WORKER = PS_WORKLOAD_GROUP + 8, /* and on: threads that compute beside the host's */
    PS_WORKLOAD_STREAM = PS_WORKLOAD_WORKER + 2, /* and on: further queues of device work */
    PS_WORKLOAD_LANE_COUNT = PS_WORKLOAD_STREAM + 4
} ps_workload_lane;

/** Largest name of a run: readers keep something for each. */
#define PS_WORKLOAD_MAX_MARK (UINT32_C(1) << 24)

typedef enum ps_workload_event {
    PS_WORKLOAD_EVENT_ALLOC = 0,         /* a tensor begins */
    PS_WORKLOAD_EVENT_FREE = 1,          /* a tensor ends */
    PS_WORKLOAD_EVENT_OP = 2,            /* the host launches an op; it may do so again later */
    PS_WORKLOAD_EVENT_RELEASE_CACHE = 3, /* the framework's allocator gives back what is free */
    PS_WORKLOAD_EVENT_KIND_COUNT
} ps_workload_event;

/* Facts that makers of workloads set and `info` shows first. */
#define PS_WORKLOAD_META_SOURCE "source" /* trace, model */
#define PS_WORKLOAD_META_MODEL "model"   /* catalogue name, or as the recording tells */

typedef enum ps_workload_table_id {
#define PS_WORKLOAD_TABLE_ENUM(sym, id, name, type, columns, doc) PS_WORKLOAD_##sym,
    PS_WORKLOAD_TABLES(PS_WORKLOAD_TABLE_ENUM)
#undef PS_WORKLOAD_TABLE_ENUM
        PS_WORKLOAD_TABLE_COUNT
} ps_workload_table_id;

#define PS_WORKLOAD_TABLE_STRUCT(sym, id, name, type, columns, doc) PS_TABLE_STRUCT(type, columns);
PS_WORKLOAD_TABLES(PS_WORKLOAD_TABLE_STRUCT)
#undef PS_WORKLOAD_TABLE_STRUCT

/** One workload. Every ps_str in its tables is an id of `strings`. */
typedef struct ps_workload {
    ps_strings *strings;
#define PS_WORKLOAD_TABLE_MEMBER(sym, id, name, type, columns, doc) type name;
    PS_WORKLOAD_TABLES(PS_WORKLOAD_TABLE_MEMBER)
#undef PS_WORKLOAD_TABLE_MEMBER
} ps_workload;

/** Descriptions of all tables, PS_WORKLOAD_TABLE_COUNT of them, in file-id order. */
const ps_table_spec *ps_workload_specs(void);

ps_table_head *ps_workload_table(ps_workload *workload, ps_workload_table_id id);
const ps_table_head *ps_workload_table_const(const ps_workload *workload, ps_workload_table_id id);

/** Empty workload; NULL when out of memory. */
ps_workload *ps_workload_create(void) PS_MUST_USE;

/** NULL is fine. */
void ps_workload_destroy(ps_workload *workload);

/** Appends one zeroed row; see ps_table_add. */
ps_code ps_workload_add(ps_workload *workload, ps_workload_table_id id, size_t *row,
                        ps_error *err) PS_MUST_USE;

/** Appends one event. `ref` need not exist yet. */
ps_code ps_workload_add_event(ps_workload *workload, ps_workload_event kind, uint32_t ref,
                              ps_error *err) PS_MUST_USE;

/**
 * Appends how a piece of the workload is known.
 *
 * @param what, how            words of columns.h
 * @param confidence_permille  0 a guess .. 1000 certain
 * @param detail               one sentence, or ""
 */
ps_code ps_workload_add_finding(ps_workload *workload, const char *what, const char *how,
                                uint32_t confidence_permille, const char *detail,
                                ps_error *err) PS_MUST_USE;

/** Sets a fact, replacing an earlier value. */
ps_code ps_workload_set_meta(ps_workload *workload, const char *key, const char *value,
                             ps_error *err) PS_MUST_USE;

/** Value of a fact, or NULL. Borrowed until the workload changes. */
const char *ps_workload_meta(const ps_workload *workload, const char *key);

/** Writes the workload as a .pswork file, atomically. */
ps_code ps_workload_write(const ps_workload *workload, const char *path, ps_error *err) PS_MUST_USE;

/**
 * Reads a workload file and checks it (ps_workload_check). A damaged or
 * unfinished workload is refused: half a workload is no workload.
 */
ps_code ps_workload_read(const char *path, ps_workload **out, ps_error *err) PS_MUST_USE;

/** ps_workload_read over borrowed memory. */
ps_code ps_workload_read_memory(const void *bytes, size_t count, ps_workload **out,
                                ps_error *err) PS_MUST_USE;

/**
 * Verifies every invariant of columns.h:
 *
 *   - strings exist, rows and enumerations are in range, lengths not negative
 *   - blocks' parents stand before them
 *   - each tensor is allocated once, and freed at most once after that; the
 *     bytes live at a time can be counted in 64 bits
 *   - a matrix product tells m, n, k and batch, all > 0; only a measured one
 *     may tell none of them
 *   - steps begin before they end, in order, not overlapping
 *   - confidences are at most 1000, facts have distinct keys
 *   - the host computes in its own lane or a worker's, and workers do nothing else
 *   - accesses are sorted by event, of runs of ops, to tensors that live then
 *
 * @return PS_OK · PS_CHECK_FAILED with the first violation in words · PS_NOMEM
 */
ps_code ps_workload_check(const ps_workload *workload, ps_error *err) PS_MUST_USE;

#endif
