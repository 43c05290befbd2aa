/* SPDX-License-Identifier: MIT
 *
 * Stages of scaling (private to this folder).
 *
 *   shapes ────► what operators were given        whatif_scale_shapes.c
 *   operators ─► which of them multiply           whatif_scale_operators.c
 *   evidence ──► which dimensions are features    whatif_scale_evidence.c
 *   dims ──────► what a tensor grows with         whatif_scale_dims.c
 *   chains ────► which operators were open        whatif_scale_chains.c
 *   sizes ─────► buffers                          whatif_scale_buffers.c
 *   work ──────► kernels, copies                  whatif_scale_work.c
 *   host ──────► searches for algorithms          whatif_scale_host.c
 */
#ifndef PS_POLICY_WHATIF_SCALE_PARTS_H
#define PS_POLICY_WHATIF_SCALE_PARTS_H

#include "base/idmap.h"
#include "cluster/catalogue.h"
#include "policy/shapes.h"
#include "policy/whatif_scale.h"

/* What operators tell about tensors of one shape. */
enum {
    PS_EVIDENCE_WEIGHT = 1,       /* a parameter of a layer */
    PS_EVIDENCE_DATA = 2,         /* what a layer works on */
    PS_EVIDENCE_FEATURE_LAST = 4, /* the last dimension is a width of the model */
    PS_EVIDENCE_FEATURE_1 = 8,    /* dimension 1 is: channels */
    PS_EVIDENCE_BATCHED = 16,     /* operand of a batched product: dimension 0 is the batch */
    PS_EVIDENCE_SCORES = 32,      /* goes through a softmax inside the model */
};

/** What a tensor grows with, and its dimensions after the change. */
typedef struct ps_scaled_shape {
    ps_growth growth;
    uint64_t old_elements, new_elements;
    uint64_t new_dim[PS_SHAPE_DIMS];
} ps_scaled_shape;

/** Everything the stages share. */
typedef struct ps_scaling {
    const ps_whatif_scale *change;
    uint64_t old_batch, new_batch;       /* equal: the batch stays; 0, 0: unknown and unchanged */
    uint64_t old_sequence, new_sequence; /* likewise */
    ps_plan *plan;
    const ps_trace *trace;
    bool has_shapes;
    ps_shapes *shapes; /* of every distinct text */
    size_t shapes_count, shapes_capacity;
    ps_idmap shapes_of_text;
    ps_idmap evidence;    /* hash of dimensions -> PS_EVIDENCE_ flags */
    uint32_t *parent;     /* per range: the operator around it, or NONE */
    uint32_t *last_range; /* rows of ranges by thread, ascending */
    ps_idmap thread_of_tid;
    uint32_t *thread_begin; /* by thread slot: first place in last_range; one more than threads */
    size_t thread_count;
    uint64_t *born_old, *born_new; /* per range: bytes allocated under it, before and after */
    uint64_t counts_by_shape, counts_by_size, counts_by_role, counts_by_person;
    uint64_t searches;
    ps_ns searches_ns; /* host time taken out with them */
    uint64_t work_by_bytes, work_by_arithmetic, work_same, work_unknown;
} ps_scaling;

#define PS_SCALING_NO_RANGE UINT32_MAX

/** The operands of a matrix product. */
typedef struct ps_product {
    const ps_shape *left, *right;
    uint32_t column_dim; /* dimension of the right one that counts columns of the product */
} ps_product;

/** Name of an operator without its library: "aten::mm" is "mm". */
const char *ps__bare_operator(const char *name);

/** Bare name of a range's operator. */
const char *ps__scaling_operator_name(const ps_scaling *self, uint32_t range);

/** true where a range's operator multiplies two matrices, or batches of them, of known shapes. */
bool ps__scaling_product(const ps_scaling *self, uint32_t range, ps_product *out);

/** Reads all shapes and what operators tell about them. */
ps_code ps__scaling_read_evidence(ps_scaling *self, ps_error *err) PS_MUST_USE;

/** The tensors of a range's operator, or NULL. */
const ps_shapes *ps__scaling_shapes_of(const ps_scaling *self, uint32_t range);

/** Flags of a shape. */
uint32_t ps__scaling_evidence_of(const ps_scaling *self, const ps_shape *shape);

/** What a tensor of that shape grows with. */
ps_scaled_shape ps__scaling_shape(const ps_scaling *self, const ps_shape *shape);

/** Nesting of operators by thread. */
ps_code ps__scaling_read_chains(ps_scaling *self, ps_error *err) PS_MUST_USE;

/** Innermost operator open on a thread at a moment, or NONE; *next is the first that starts later. */
uint32_t ps__scaling_open_at(const ps_scaling *self, uint64_t tid, ps_ns at, size_t *next);

/** The operator a request or launch under `open` is credited to: the innermost that was given
 * tensors; without any shapes in the trace the outermost. NONE when there is none. */
uint32_t ps__scaling_maker_of(const ps_scaling *self, uint32_t open);

/** The operator that requests or launches of a thread at a moment are credited to, or NONE. */
uint32_t ps__scaling_maker_at(const ps_scaling *self, uint64_t tid, ps_ns at);

/** The range at a place of a thread's list, or NONE behind its end. */
uint32_t ps__scaling_range_of(const ps_scaling *self, uint64_t tid, size_t place);

/** New sizes of buffers and their growth. */
ps_code ps__scaling_buffers(ps_scaling *self, ps_error *err) PS_MUST_USE;

/** New lengths of kernels, copies and fills. */
ps_code ps__scaling_work(ps_scaling *self, const ps_catalogue *catalogue,
                         ps_error *err) PS_MUST_USE;

/** Takes out the host's searches for algorithms of the recorded shapes. */
ps_code ps__scaling_host(ps_scaling *self, ps_error *err) PS_MUST_USE;

#endif
