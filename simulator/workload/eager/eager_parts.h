/* SPDX-License-Identifier: MIT
 *
 * The eager model from inside: what operations are made of. For the files of
 * this folder that define operations; families use ops.h.
 *
 *   eager.c           the model's life, its failure, its settings
 *   eager_tensor.c    tensors and their owners
 *   eager_storage.c   the memory of tensors
 *   eager_graph.c     graph nodes and their owners
 *   eager_kernel.c    what is told of kernels
 *   eager_backward.c  the engine that walks the graph
 *   ops_*.c           operations with their backward
 */
#ifndef PS_WORKLOAD_EAGER_PARTS_H
#define PS_WORKLOAD_EAGER_PARTS_H

#include "workload/eager/eager.h"

#define PS_NODE_EDGES 6
#define PS_NODE_SAVED 10
#define PS_NODE_NUMBERS 8
#define PS_NODE_OUTPUTS 4 /* of the forward operation */

typedef struct ps_node ps_node;

/** Kinds of graph nodes. */
typedef struct ps_node_ops {
    const char *name; /* as torch calls it: "MmBackward0" */
    /**
     * Computes the gradients of the inputs.
     *
     * @param grads  of the outputs, one each, 0 where none came; owned by the engine
     * @param out    receives an owned tensor for each edge that wants one, 0 otherwise
     */
    void (*apply)(ps_eager *self, ps_node *node, const ps_tensor *grads, ps_tensor *out);
} ps_node_ops;

/** Where a gradient goes. */
typedef struct ps_edge {
    uint32_t node;    /* number of a node + 1; 0: nobody wants it */
    uint32_t input;   /* which of that node's outputs it is the gradient of */
    int64_t elements; /* of the forward input: a larger gradient is summed to it */
    ps_dtype dtype;
    bool is_parameter; /* broadcast over rows, not along them */
} ps_edge;

struct ps_node {
    const ps_node_ops *ops; /* NULL: the slot is free */
    uint64_t sequence;      /* order of creation; accumulation of gradients comes before all */
    uint32_t owners;
    uint32_t edge_count, saved_count;
    ps_edge edge[PS_NODE_EDGES];
    ps_tensor saved[PS_NODE_SAVED]; /* released in this order */
    uint32_t ticket[PS_NODE_SAVED]; /* of what was given to a keeper; 0: it is in `saved` */
    int64_t number[PS_NODE_NUMBERS];
    ps_tensor leaf;                   /* of an accumulation, owned */
    bool is_hooked;                   /* by a library, as an operation on parameters */
    bool has_views;                   /* it sees its inputs, but for parameters, through views */
    uint32_t block;                   /* that made it */
    uint32_t mark;                    /* told before it runs in backward; 0: none */
    struct ps_checkpoint *checkpoint; /* its saved tensors are recomputed */
    const struct ps_linear_function *function; /* of ps_op_linear_function */
    uint32_t first_saved;                      /* their number among those of the checkpoint */
    /* while backward runs */
    uint32_t waiting_for;
    bool is_visited;
    ps_tensor grad[PS_NODE_OUTPUTS];
};

/* ---- results and records, for forward ---- */

/** Allocates a result. */
ps_tensor ps_op_result(ps_eager *self, int64_t elements, ps_dtype dtype);

/** Another tensor on the same storage. */
ps_tensor ps_op_view_of(ps_eager *self, ps_tensor tensor, int64_t elements);

/** Notes the kernel that made something. */
void ps_op_kernel(ps_eager *self, const char *name, uint64_t moved_bytes);
/**
 * The same of one that does not go through its operands one element after another.
 *
 * @param elements  of the result; of ROWS and REDUCTION those read
 */
void ps_op_kernel_by(ps_eager *self, const char *name, ps_access access, uint64_t moved_bytes,
                     int64_t elements);
/**
 * A matrix product of m x n results over k, size = {m, n, k}, `batch` times.
 *
 * @param layout  of the factors in memory; PS_OPERANDS_UNKNOWN where callers do not know
 */
void ps_op_product(ps_eager *self, const char *name, ps_dtype dtype, ps_operand_layout layout,
                   const int64_t size[3], int64_t batch);
/** Any kernel; nothing while a recomputation skips. */
void ps_op_tell(ps_eager *self, const ps_eager_kernel *kernel);

/**
 * Makes the graph node of an operation whose inputs want gradients.
 *
 * @param inputs  0 for those that are no tensors
 * @return NULL when no input wants a gradient, or the mode is off
 */
ps_node *ps_op_record(ps_eager *self, const ps_node_ops *ops, const ps_tensor *inputs,
                      uint32_t count);

/** The output's gradient goes to the node. */
void ps_op_output(ps_eager *self, ps_node *node, ps_tensor output, uint32_t number);

/** Keeps a tensor for backward. NULL node: nothing. */
void ps_op_save(ps_eager *self, ps_node *node, ps_tensor tensor);

/** True when an input of a node wants its gradient. */
static inline bool ps_op_wants(const ps_node *node, uint32_t edge)
{
    return node->edge[edge].node != 0;
}

/** Rows of a matrix added up, with the buffers that takes. */
ps_tensor ps_op_sum_rows(ps_eager *self, ps_tensor matrix, int64_t columns);

/** Gradient of an embedding's weight of rows x width. Borrows the gradient of its result. */
ps_tensor ps_op_embedding_gradient(ps_eager *self, ps_tensor grad, int64_t rows, int64_t width);

/** Before a matrix product's result or after it is the operation's choice: cuBLAS takes its memory now. */
void ps_op_workspace(ps_eager *self);

/** Another type, in a tensor of its own; with a graph. */
ps_tensor ps_op_copy_to(ps_eager *self, ps_tensor a, ps_dtype dtype);

/* ---- for the engine ---- */

/** Gives a tensor to the keeper; 0: it keeps nothing of it. */
uint32_t ps_eager_pack(ps_eager *self, ps_tensor tensor);
/** Fetches it; owned by the caller. */
ps_tensor ps_eager_unpack(ps_eager *self, uint32_t ticket);
void ps_eager_forget(ps_eager *self, uint32_t ticket);

/** Computes again what a node keeps, when that is how it keeps it. */
void ps_checkpoint_fill(ps_eager *self, ps_node *node);
/** A node lets go of its checkpoint. */
void ps_checkpoint_leave(ps_eager *self, ps_node *node);
/** Releases what a failed run left behind, without a word to the sink. */
void ps_checkpoint_free_all(ps_eager *self);
/** ps_op_save in a checkpointed block. */
void ps_checkpoint_save(ps_eager *self, ps_node *node, ps_tensor tensor);

/** What the device and the library are: see ps_eager_set_device, _capability, _release. */
int64_t ps_eager_multiprocessors(const ps_eager *self);
int64_t ps_eager_capability(const ps_eager *self);
int64_t ps_eager_release(const ps_eager *self);

/** What a tensor was made for turns out to be something else. 0 is fine. */
void ps_eager_set_role(ps_eager *self, ps_tensor tensor, ps_role role);
void ps_eager_set_backward(ps_eager *self, bool is_backward);
/** Backward runs, which may run blocks again; and of one that does, all that was asked for is there. */
bool ps_eager_is_backward(const ps_eager *self);
/** See ps_eager_set_inputs_first. */
bool ps_eager_inputs_first(const ps_eager *self);
bool ps_eager_is_skipping(const ps_eager *self);

/** See ps_eager_set_reentrant. */
bool ps_eager_is_reentrant(const ps_eager *self);
void ps_eager_call_leaf_hook(ps_eager *self);
void ps_eager_call_end_hook(ps_eager *self);
void ps_eager_call_mark_hook(ps_eager *self, uint32_t mark);
void ps_eager_call_grad_hook(ps_eager *self, ps_tensor leaf);

/** A node is about to run: its hooks' Python goes to the next kernel's dispatches. */
void ps_eager_owe_backward(ps_eager *self, const ps_node *node);
/** Does something take gradients in place of storing them? */
bool ps_eager_takes_grads(const ps_eager *self);
/** Hands a gradient over; false: nobody takes it. */
bool ps_eager_give_grad(ps_eager *self, ps_tensor leaf, ps_tensor owned);

ps_node *ps_eager_node(ps_eager *self, uint32_t number);
uint32_t ps_eager_node_of(const ps_eager *self, ps_tensor tensor, uint32_t *output);
/** Lets go of what a node keeps ... */
void ps_eager_clear_saved(ps_eager *self, ps_node *node);
/** ... and of its checkpoint. */
void ps_eager_release_saved(ps_eager *self, ps_node *node);
uint32_t ps_eager_owners(const ps_eager *self, ps_tensor tensor);
/** True when nobody but this one owner can see the tensor or its storage. */
bool ps_eager_is_sole(const ps_eager *self, ps_tensor tensor);
void ps_eager_set_grad(ps_eager *self, ps_tensor leaf, ps_tensor grad);
bool ps_eager_has_failed(const ps_eager *self);
void ps_eager_fail(ps_eager *self, ps_code code, const char *text);
void ps_eager_own_node(ps_eager *self, uint32_t number);
void ps_eager_disown_node(ps_eager *self, uint32_t number);

#endif
