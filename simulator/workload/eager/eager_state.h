/* SPDX-License-Identifier: MIT
 *
 * What the eager model holds, for the files that are the model: eager*.c.
 */
#ifndef PS_WORKLOAD_EAGER_STATE_H
#define PS_WORKLOAD_EAGER_STATE_H

#include "workload/eager/eager_parts.h"
#include "workload/eager/reduce.h"

#define PS_EAGER_MAX_ITEMS ((size_t)1 << 26)
#define PS_EAGER_NO_SLOT UINT32_MAX
#define PS_EAGER_NO_BUFFER UINT32_MAX /* nothing is allocated for no elements */

typedef struct ps__storage {
    uint32_t owners; /* tensors; while free: the next free slot */
    uint32_t buffer; /* PS_EAGER_NO_SLOT: it is empty and has none */
} ps__storage;

typedef struct ps__tensor {
    uint32_t owners; /* 0: the slot is free */
    uint32_t storage;
    int64_t elements;
    uint32_t node, output; /* whose output it is; node number + 1, 0 none */
    uint32_t accumulator;  /* of a leaf: node number + 1 while a graph refers to it */
    ps_tensor grad;
    uint32_t next_free;
    uint8_t dtype;
    bool requires_grad, is_view;
} ps__tensor;

struct ps_eager {
    ps_eager_sink sink;
    ps_code code;
    ps_error err;
    ps__tensor *tensor;
    size_t tensor_count, tensor_capacity;
    uint32_t free_tensor;
    ps__storage *storage;
    size_t storage_count, storage_capacity;
    uint32_t free_storage;
    ps_node **node; /* nodes do not move */
    size_t node_count, node_capacity;
    uint32_t *free_node;
    size_t free_node_count, free_node_capacity;
    uint64_t sequence;
    uint32_t buffer_count;
    bool is_recording, inputs_first, is_subclass, is_reentrant;
    ps_eager_python python;
    uint32_t owed_calls;    /* of Python, that the next kernel's host waits for */
    bool enters_parameters; /* the next node is of an operation on parameters */
    ps_reduce_device device;
    int64_t capability, release;
    uint64_t workspace_bytes;
    ps_eager_phase phase;
    uint32_t block;
    const ps_eager_keeper *keeper; /* NULL: nodes keep their tensors themselves */
    ps_eager_lane lane;
    ps_memory_kind memory; /* of what is made */
    uint32_t last_mark;
    ps_dtype autocast; /* PS_DTYPE_F32: off */
    ps_tensor *cast;   /* pairs: a parameter and its narrow copy */
    size_t cast_count, cast_capacity;
    struct ps_checkpoint *checkpoints;  /* all that are alive */
    struct ps_checkpoint *checkpoint;   /* whose block runs */
    bool is_skipping;                   /* a recomputation has all it needs */
    bool is_backward, has_workspace[2]; /* of the program's thread, of backward's */
    void (*leaf_hook)(void *context);
    void *leaf_hook_context;
    void (*mark_hook)(void *context, uint32_t mark);
    void *mark_hook_context;
    void (*end_hook)(void *context);
    void *end_hook_context;
    void (*grad_hook)(void *context, ps_tensor leaf);
    void *grad_hook_context;
    void (*grad_taker)(void *context, ps_tensor leaf, ps_tensor owned);
    void *grad_taker_context;
};

/** Keeps the first failure. */
void ps_eager_note(ps_eager *self, ps_code code);

/** A storage that nobody owns yet; PS_EAGER_NO_SLOT after a failure. No memory for 0 bytes. */
uint32_t ps_eager_new_storage(ps_eager *self, uint64_t bytes, ps_role role);
/** One owner less; PS_EAGER_NO_SLOT is fine. */
void ps_eager_disown_storage(ps_eager *self, uint32_t slot);

/** A tensor on a storage, or on none (PS_EAGER_NO_SLOT). Owned by the caller. */
ps_tensor ps_eager_new_tensor(ps_eager *self, uint32_t storage_slot, int64_t elements,
                              ps_dtype dtype);

#endif
