/* SPDX-License-Identifier: MIT
 *
 * How long an operation takes on one GPU when nothing was recorded: from what
 * it does and from the catalogue's figures of the GPU.
 *
 *   matrix product   tiles in waves over the multiprocessors   cost_matmul.c
 *   attention        blocks of query rows in waves             cost_attention.c
 *   everything else  bytes over a bandwidth                    cost_memory.c
 *   any of them      measured shares of the same shape first   cost_shapes.c
 *
 * docs/MODEL.md has the equations. All arithmetic is on integers, so the same
 * operation costs the same everywhere.
 */
#ifndef PS_COST_COST_H
#define PS_COST_COST_H

#include "base/checked.h"
#include "cluster/catalogue.h"
#include "plan/plan.h"

/* X(symbol, name in files) */
#define PS_COST_KINDS(X)                        \
    X(MEMORY, "memory")                         \
    X(MATMUL, "matmul")                         \
    X(ATTENTION_FORWARD, "attention-forward")   \
    X(ATTENTION_BACKWARD, "attention-backward") \
    X(COPY, "copy")                             \
    X(FILL, "fill")

/** What an operation is bound by in principle. COPY stays on the device; FILL only writes. */
typedef enum ps_cost_kind {
#define PS_COST_KIND_ENUM(sym, name) PS_COST_##sym,
    PS_COST_KINDS(PS_COST_KIND_ENUM)
#undef PS_COST_KIND_ENUM
        PS_COST_KIND_COUNT
} ps_cost_kind;

/* X(symbol, name in files, bytes, figure of its matrix units, or fp32-rate) */
#define PS_COST_ELEMENTS(X)       \
    X(F32, "f32", 4, FP32_RATE)   \
    X(TF32, "tf32", 4, TF32_RATE) \
    X(F16, "f16", 2, FP16_RATE)   \
    X(BF16, "bf16", 2, BF16_RATE) \
    X(FP8, "fp8", 1, FP8_RATE)

/** Number format of the arithmetic; 32-bit operands multiplied in TF32 are TF32. */
typedef enum ps_cost_element {
#define PS_COST_ELEMENT_ENUM(sym, name, bytes, figure) PS_COST_##sym,
    PS_COST_ELEMENTS(PS_COST_ELEMENT_ENUM)
#undef PS_COST_ELEMENT_ENUM
        PS_COST_ELEMENT_COUNT
} ps_cost_element;

/* X(symbol, name in files) */
#define PS_COST_LAYOUTS(X) \
    X(ANY, "")             \
    X(TN, "TN")            \
    X(NN, "NN")            \
    X(NT, "NT")            \
    X(NT_WIDE, "NT-wide")

/**
 * Which operand of a matrix product is transposed, as BLAS says it of columns:
 * TN is a linear layer's forward pass, NN the gradient of its input, NT that of
 * its weight; NT-wide is NT whose results are added to sums of 32 bits, which
 * are read and written. Beyond that only measured shares tell them apart.
 */
typedef enum ps_cost_layout {
#define PS_COST_LAYOUT_ENUM(sym, name) PS_COST_##sym,
    PS_COST_LAYOUTS(PS_COST_LAYOUT_ENUM)
#undef PS_COST_LAYOUT_ENUM
        PS_COST_LAYOUT_COUNT
} ps_cost_layout;

/* X(symbol, name in files) */
#define PS_COST_ACCESSES(X)     \
    X(CONTIGUOUS, "contiguous") \
    X(STRIDED, "strided")       \
    X(ROWS, "rows")             \
    X(REDUCTION, "reduction")

/**
 * How a memory-bound operation goes through its operands: one after another; working out each
 * element's place (broadcast, transposed, mixed formats); a row at a time (softmax, norms); summing
 * over many threads (mean, gradient of a bias).
 */
typedef enum ps_cost_access {
#define PS_COST_ACCESS_ENUM(sym, name) PS_COST_##sym,
    PS_COST_ACCESSES(PS_COST_ACCESS_ENUM)
#undef PS_COST_ACCESS_ENUM
        PS_COST_ACCESS_COUNT
} ps_cost_access;

/**
 * One operation; zero-initialise.
 *
 *                 batch          m            n             k
 * MATMUL          products       rows         columns       contraction
 * ATTENTION_*     batch x heads  query rows   key rows      head dimension
 */
typedef struct ps_cost_op {
    ps_cost_kind kind;
    ps_cost_element element;
    ps_cost_layout layout;
    ps_cost_access access;
    uint64_t flop; /* of attention: those really done (causal: half); MATMUL: 0 = 2 b m n k */
    uint64_t moved_bytes; /* read and written; MATMUL: 0 = every operand once, wide sums twice */
    uint64_t
        elements; /* of memory-bound ones: computed, or read by ROWS and REDUCTION; 0: moved_bytes
                             over twice the element's size */
    uint64_t batch, m, n, k;
    uint32_t launches; /* kernels it is made of; 0 counts as 1 */
} ps_cost_op;

/** What the time is made of. */
typedef enum ps_cost_bound {
    PS_COST_BY_ARITHMETIC,
    PS_COST_BY_MEMORY,
    PS_COST_BY_LATENCY, /* start, end and dependent steps: more multiprocessors would not help */
} ps_cost_bound;

typedef struct ps_cost_time {
    ps_ns dur_ns;   /* all launches, one after another, without gaps */
    ps_basis basis; /* measured: this shape on this GPU; scaled: a shape near it; analytic */
    ps_cost_bound bound;
} ps_cost_time;

typedef struct ps_cost_options {
    bool without_shapes;    /* leave the built-in measured shares out */
    bool is_short;          /* a benchmark of seconds: sustained-share does not apply */
    const char *shapes_csv; /* text in the form of shapes.csv, which it adds to; NULL: none */
    size_t shapes_bytes;
} ps_cost_options;

typedef struct ps_cost_model ps_cost_model;

/**
 * Model of one GPU.
 *
 * @param catalogue  read during the call alone
 * @param options    NULL: all zero
 * @param out        to be given to ps_cost_destroy; untouched on failure
 * @return PS_OK · PS_NOMEM · PS_NOT_FOUND a figure the GPU lacks, with how to supply it ·
 *         PS_BAD_INPUT shapes that do not parse, with name and line
 */
ps_code ps_cost_create(const ps_catalogue *catalogue, ps_hardware_id gpu,
                       const ps_cost_options *options, ps_cost_model **out,
                       ps_error *err) PS_MUST_USE;

void ps_cost_destroy(ps_cost_model *self);

/**
 * Device time of one operation. Never below flop over the peak of its number
 * format, nor below the time of its bytes at the speed of the last cache.
 *
 * @return PS_OK · PS_USAGE a matrix product or attention without shape, more than 2^62 flop or bytes
 */
ps_code ps_cost_op_time(const ps_cost_model *self, const ps_cost_op *op, ps_cost_time *out,
                        ps_error *err) PS_MUST_USE;

/** Names in files. Static storage. */
const char *ps_cost_kind_name(ps_cost_kind kind);
const char *ps_cost_element_name(ps_cost_element element);

/** True and *out set when the name is one of the list. */
bool ps_cost_kind_find(const char *name, ps_cost_kind *out);
bool ps_cost_element_find(const char *name, ps_cost_element *out);
bool ps_cost_layout_find(const char *name, ps_cost_layout *out);
bool ps_cost_access_find(const char *name, ps_cost_access *out);

#endif
