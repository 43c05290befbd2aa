/* SPDX-License-Identifier: MIT
 *
 * An eager framework in model: tensors with owners, operations that allocate
 * their results, and an autograd graph that keeps what backward needs.
 *
 *   family code ──operations──► tensors, graph ──► every request to the allocator, every kernel,
 *                                                  in the order PyTorch makes them
 *
 * Nothing is computed. What matters is who owns a storage and until when: a
 * tensor owns its storage, a saved variable owns its tensor, a variable of
 * the program owns its tensor, and the storage is freed with its last owner.
 *
 * The first failure is kept (ps_eager_code); every call after it does nothing,
 * so that model code can be read without a check behind each line.
 */
#ifndef PS_WORKLOAD_EAGER_H
#define PS_WORKLOAD_EAGER_H

#include "workload/workload.h"

/** A tensor: an owner of a storage. 0 is none, e.g. after a failure. */
typedef uint32_t ps_tensor;

typedef enum ps_dtype {
    PS_DTYPE_F32 = 0,
    PS_DTYPE_F16 = 1,
    PS_DTYPE_BF16 = 2,
    PS_DTYPE_I64 = 3,
    PS_DTYPE_BOOL = 4,
} ps_dtype;

/** [bytes] of one element. */
uint64_t ps_dtype_bytes(ps_dtype dtype);

/** What bounds a kernel. */
typedef enum ps_kernel_kind {
    PS_KERNEL_MEMORY = 0, /* element by element, reductions: by the bytes it moves */
    PS_KERNEL_MATMUL = 1, /* by its arithmetic, if that takes longer */
    PS_KERNEL_ATTENTION = 2,
    PS_KERNEL_COPY = 3,    /* from the host or to it, which waits */
    PS_KERNEL_UPLOAD = 4,  /* from the host, beside the computation */
    PS_KERNEL_OFFLOAD = 5, /* to the host, beside the computation */
    PS_KERNEL_WAIT = 6,    /* none: the host waits for the lane */
    PS_KERNEL_JOIN = 7,    /* none: the lane waits for the work that another has so far */
    PS_KERNEL_COLLECTIVE = 8,
    PS_KERNEL_CPU = 9,    /* none: the host computes, in its own thread or a worker's */
    PS_KERNEL_READ = 10,  /* likewise: it reads the node's disks ... */
    PS_KERNEL_WRITE = 11, /* ... or writes them */
    PS_KERNEL_MARK = 12,  /* none: an event recorded in the lane, known by its mark */
} ps_kernel_kind;

/** One kernel. */
typedef struct ps_eager_kernel {
    const char *name; /* of the operation; static storage */
    ps_kernel_kind kind;
    ps_dtype dtype; /* of the arithmetic */
    uint64_t flop;
    uint64_t moved_bytes;
    ps_ns dur_ns;            /* of CPU: before it moves anything */
    uint64_t m, n, k, batch; /* of a matrix product; 0 otherwise */
    uint32_t launches;
    uint32_t
        dispatches; /* 1: a function in Python has it, in backward too: ps_eager_set_subclass */
    ps_operand_layout layout;    /* of a matrix product, where it is known */
    ps_access access;            /* of MEMORY */
    uint64_t elements;           /* of MEMORY: that ROWS and REDUCTION read; 0: as the bytes tell */
    uint8_t awaited;             /* of JOIN: a ps_eager_lane */
    ps_collective_op collective; /* of COLLECTIVE; moved_bytes is the whole message */
    uint32_t axes;               /* of COLLECTIVE: axes of the grid that the group spans, bits */
    uint32_t peer;               /* of SEND and RECV: the other's place on that axis */
    ps_copy_kind copy_kind;      /* of copies; unknown: by the kind of kernel */
    ps_memory_kind memory;       /* of copies: the host side */
    bool is_blocking;            /* the host goes on when it is done */
    uint32_t mark; /* name of this run; of WAIT and JOIN: of the run awaited; 0 none */
} ps_eager_kernel;

/** Queue that kernels and requests go to. */
typedef enum ps_eager_lane {
    PS_EAGER_MAIN = 0,
    PS_EAGER_UPLOAD = 1,
    PS_EAGER_OFFLOAD = 2,
    PS_EAGER_COMPUTE = 3,
    PS_EAGER_GROUP = 4, /* and on: one for each communicator, PS_EAGER_GROUPS of them */
    PS_EAGER_WORKER = PS_WORKLOAD_WORKER, /* and on: threads of the host beside its own */
    PS_EAGER_STREAM = PS_WORKLOAD_STREAM, /* and on: further streams */
} ps_eager_lane;

#define PS_EAGER_GROUPS 8

/** Which part of a step runs. */
typedef enum ps_eager_phase {
    PS_EAGER_LOAD = 0, /* before the first step */
    PS_EAGER_FORWARD,
    PS_EAGER_BACKWARD,
    PS_EAGER_OPTIMIZER,
    PS_EAGER_ZERO, /* zero_grad */
} ps_eager_phase;

/** Where the sequence goes. Buffers are numbered from 0 in order of allocation. */
typedef struct ps_eager_sink {
    void *context;
    ps_code (*alloc)(void *context, uint32_t buffer, uint64_t bytes, ps_role role, ps_error *err);
    ps_code (*free)(void *context, uint32_t buffer, ps_error *err);
    ps_code (*kernel)(void *context, const ps_eager_kernel *kernel, ps_error *err);
    /** A buffer turned out to be something else: a temporary result that became a gradient. */
    void (*rename)(void *context, uint32_t buffer, ps_role role);
    /** Backward will need a buffer. NULL: not interested. */
    void (*saved)(void *context, uint32_t buffer);
    /** The kernel that was told last reads a buffer, or writes it. NULL: not interested. */
    ps_code (*access)(void *context, uint32_t buffer, bool is_write, ps_error *err);
    /** The framework's allocator gives back what is free. NULL: not interested. */
    ps_code (*release_cache)(void *context, ps_error *err);
    /**
     * Freed, a buffer's memory waits for what a lane was given until then, or where a mark is named for
     * its last run. NULL: not interested.
     */
    void (*shared)(void *context, uint32_t buffer, uint8_t lane, uint32_t mark);
} ps_eager_sink;

typedef struct ps_eager ps_eager;

/** @return NULL when out of memory */
ps_eager *ps_eager_create(const ps_eager_sink *sink) PS_MUST_USE;

/** Drops everything without a word to the sink. NULL is fine. */
void ps_eager_destroy(ps_eager *self);

/** The first failure, PS_OK when there was none; *err receives its words. */
ps_code ps_eager_code(const ps_eager *self, ps_error *err);

/* ---- tensors ---- */

/** Allocates a tensor that nobody computed: a parameter, an input, a state. Owned by the caller. */
ps_tensor ps_eager_make(ps_eager *self, int64_t elements, ps_dtype dtype, ps_role role);

/** A tensor without a storage on the device: a parameter that lies on the host. */
ps_tensor ps_eager_make_away(ps_eager *self, int64_t elements, ps_dtype dtype);

/** The tensor's storage comes to the device (allocated now), or goes (freed, if no other owns it). */
void ps_eager_bring(ps_eager *self, ps_tensor tensor, ps_role role);
void ps_eager_send_away(ps_eager *self, ps_tensor tensor);

/** ... or gets one without memory: see ps_eager_empty. */
void ps_eager_bring_empty(ps_eager *self, ps_tensor tensor);

/** A tensor that has no storage becomes part of another's: a slice of a larger buffer. */
void ps_eager_lay_into(ps_eager *self, ps_tensor tensor, ps_tensor whole);

bool ps_eager_is_away(const ps_eager *self, ps_tensor tensor);

/**
 * storage.resize_(0) and back: the memory goes, and comes again as `bytes` (at least those of the
 * tensors on it), while every tensor on the storage stays what it is.
 */
void ps_eager_empty(ps_eager *self, ps_tensor tensor);
void ps_eager_refill(ps_eager *self, ps_tensor tensor, uint64_t bytes, ps_role role);

/** The memory alone, as a tensor of bytes; the storage it was in is empty then. Owned by the caller. */
ps_tensor ps_eager_take_out(ps_eager *self, ps_tensor tensor);

/** True when a tensor has a storage without memory. */
bool ps_eager_is_empty(const ps_eager *self, ps_tensor tensor);

/** A tensor whose storage is empty or away takes another type. */
void ps_eager_retype(ps_eager *self, ps_tensor tensor, ps_dtype dtype);

/** One more owner; returns the tensor. */
ps_tensor ps_eager_hold(ps_eager *self, ps_tensor tensor);

/** One owner less; 0 is fine. */
void ps_eager_drop(ps_eager *self, ps_tensor tensor);

/** Drops a variable and clears it. */
void ps_eager_clear(ps_eager *self, ps_tensor *tensor);

/** Drops the old value of a variable after it got a new one: x = f(x). */
void ps_eager_assign(ps_eager *self, ps_tensor *variable, ps_tensor value);

int64_t ps_eager_elements(const ps_eager *self, ps_tensor tensor);
ps_dtype ps_eager_dtype(const ps_eager *self, ps_tensor tensor);

/** [bytes] of its elements; its storage may be larger. */
uint64_t ps_eager_bytes(const ps_eager *self, ps_tensor tensor);

/** Who keeps what backward needs somewhere else: torch.autograd.graph.saved_tensors_hooks. */
typedef struct ps_eager_keeper {
    void *context;
    /** A tensor is about to be kept. Returns a ticket by which it comes back; 0: it stays. */
    uint32_t (*pack)(void *context, ps_tensor tensor);
    /** Backward needs the tensor of a ticket, once: it is owned by the caller. */
    ps_tensor (*unpack)(void *context, uint32_t ticket);
    /** Nobody will ask for it any more. */
    void (*forget)(void *context, uint32_t ticket);
} ps_eager_keeper;

/** From now on tensors go to a keeper, which is borrowed. NULL: nodes keep them. */
void ps_eager_set_keeper(ps_eager *self, const ps_eager_keeper *keeper);

/** True when two tensors lie in one storage. */
bool ps_eager_shares(const ps_eager *self, ps_tensor a, ps_tensor b);

/** True for a narrow copy of a parameter that autocast keeps. */
bool ps_eager_is_cast(const ps_eager *self, ps_tensor tensor);

/** A tensor of `elements` on the storage of another, without a graph. Owned by the caller. */
ps_tensor ps_eager_alias(ps_eager *self, ps_tensor tensor, int64_t elements);

/** Asks for a gradient of a parameter. */
void ps_eager_require_grad(ps_eager *self, ps_tensor leaf);

/** requires_grad_(False): no graph that is recorded from now on reaches the parameter. */
void ps_eager_refuse_grad(ps_eager *self, ps_tensor leaf);

/**
 * Asks for a gradient of a result: it becomes the beginning of a graph, which keeps it and, after
 * backward, its gradient. Nothing happens where it has a graph already.
 */
void ps_eager_begin_graph(ps_eager *self, ps_tensor result);

bool ps_eager_requires_grad(const ps_eager *self, ps_tensor tensor);

/** Gradient of a parameter, borrowed; 0 none. */
ps_tensor ps_eager_grad(const ps_eager *self, ps_tensor leaf);

/** zero_grad(set_to_none=True) of one parameter. */
void ps_eager_forget_grad(ps_eager *self, ps_tensor leaf);

/** Operations record a graph or not (torch.no_grad). Returns what it was. */
bool ps_eager_set_grad_mode(ps_eager *self, bool is_on);

/**
 * Products without a bias find the gradient of their input before that of their weight: a library
 * has put a function of its own in the place of PyTorch's.
 */
void ps_eager_set_inputs_first(ps_eager *self, bool is_so);

/** Begins or (PS_DTYPE_F32) ends torch.autocast; the end drops the narrow copies of parameters. */
void ps_eager_set_autocast(ps_eager *self, ps_dtype dtype);
ps_dtype ps_eager_autocast(const ps_eager *self);

/** Blocks that are recomputed run to their end, as checkpoint() with use_reentrant=True does it. */
void ps_eager_set_reentrant(ps_eager *self, bool is_so);

/**
 * Parameters are of a Python subclass of tensors, and so is what is made of them: every operation of
 * the program passes through the subclass's Python (__torch_function__), but of backward's those of
 * functions that are written in Python alone. Returns what it was.
 */
bool ps_eager_set_subclass(ps_eager *self, bool is_so);

/** Python that a library runs beside operations on its subclass, in calls of a plain operation. */
typedef struct ps_eager_python {
    uint32_t parameters; /* before and after an operation on parameters */
    uint32_t backward;   /* around its backward, with what takes its parameters' gradients */
    uint32_t function;   /* of a function written in Python, forward or backward */
} ps_eager_python;

/** ... from now on; all 0 (the default): a call each of the program's operations, and no more. */
void ps_eager_set_python(ps_eager *self, const ps_eager_python *python);

/** The program calls an operation on parameters: the next kernel's dispatches have its Python. */
void ps_eager_enter_parameters(ps_eager *self);

/**
 * cuBLAS works in memory of the framework's allocator: the first matrix product of the program's
 * thread takes it, and the first of the thread that runs backward takes its own.
 *
 * @param bytes  8519680, or 33554432 from compute capability 9.0 on; 0 none (the default)
 */
void ps_eager_set_workspace(ps_eager *self, uint64_t bytes);

/** Multiprocessors and threads on each: some kernels choose their buffers by them. */
void ps_eager_set_device(ps_eager *self, int64_t sm_count, int64_t threads_per_sm);

/**
 * The device's compute capability, 10 * major + minor (86 is 8.6), 90 by default: attention kernels
 * cut their work by it.
 */
void ps_eager_set_capability(ps_eager *self, int64_t capability);

/** PyTorch's release, 100 * major + minor (206 is 2.6); the newest known, 211, by default. */
void ps_eager_set_release(ps_eager *self, int64_t release);

/** What the sink is told applies to this phase and block; 0: no block. */
void ps_eager_set_phase(ps_eager *self, ps_eager_phase phase);
ps_eager_phase ps_eager_phase_now(const ps_eager *self);
void ps_eager_set_block(ps_eager *self, uint32_t block);
uint32_t ps_eager_block_now(const ps_eager *self);

/** ... and goes to this lane; PS_EAGER_MAIN by default. Returns what it was. */
ps_eager_lane ps_eager_set_lane(ps_eager *self, ps_eager_lane lane);
ps_eager_lane ps_eager_lane_now(const ps_eager *self);

/**
 * ... and tensors made from now on lie in this memory: PS_MEMORY_UNKNOWN, the device's, by default.
 * Returns what it was.
 */
ps_memory_kind ps_eager_set_memory(ps_eager *self, ps_memory_kind memory);
ps_memory_kind ps_eager_memory_now(const ps_eager *self);

/**
 * The kernel that was told last reads a tensor or writes it. Needed where memory is shared between
 * lanes: what offloads and brings back tells its accesses, and plans are checked by them.
 */
void ps_eager_touch(ps_eager *self, ps_tensor tensor, bool is_write);

/**
 * Tensor.record_stream(): a lane other than that of its memory uses a tensor too. When the memory is
 * freed, the framework's allocator keeps it until the lane has done what it had been given by then,
 * which it notices when it is asked for memory next.
 */
void ps_eager_share(ps_eager *self, ps_tensor tensor, ps_eager_lane lane);

/** ... as what runs under a mark does: the exchanges of one communicator, whatever their lanes. */
void ps_eager_share_with_runs(ps_eager *self, ps_tensor tensor, uint32_t mark);

/** torch.cuda.empty_cache(): what the framework's allocator has and nobody uses goes back. */
void ps_eager_release_cache(ps_eager *self);

/** A mark that nothing has yet, from 1. */
uint32_t ps_eager_new_mark(ps_eager *self);

/** Runs backward from a scalar; the graph's saved tensors are released as it goes. */
void ps_eager_backward(ps_eager *self, ps_tensor loss);

/** backward(retain_graph=True): the graph keeps its saved tensors as long as the loss lives. */
void ps_eager_backward_retaining(ps_eager *self, ps_tensor loss);

/**
 * Calls something just before backward runs the node that made a marked tensor. NULL: nothing more.
 */
void ps_eager_set_mark_hook(ps_eager *self, void (*hook)(void *context, uint32_t mark),
                            void *context);

/** Marks the node that made a tensor, if there is one; a node has one mark, not 0. */
void ps_eager_mark(ps_eager *self, ps_tensor tensor, uint32_t mark);

/** Calls something when backward has run all nodes, before it is over. NULL: nothing more. */
void ps_eager_set_end_hook(ps_eager *self, void (*hook)(void *context), void *context);

/** Calls something when a parameter's gradient has been stored or added. NULL: nothing more. */
void ps_eager_set_grad_hook(ps_eager *self, void (*hook)(void *context, ps_tensor leaf),
                            void *context);

/** Calls something whenever a parameter's gradient is about to be stored. NULL: nothing more. */
void ps_eager_set_leaf_hook(ps_eager *self, void (*hook)(void *context), void *context);

/**
 * Hands gradients to something in place of storing them: it owns `owned` from then on. NULL: they
 * are stored.
 */
void ps_eager_set_grad_taker(ps_eager *self,
                             void (*take)(void *context, ps_tensor leaf, ps_tensor owned),
                             void *context);

/** parameter.data = value: the parameter gets the storage and type of `value`, which is given away. */
void ps_eager_set_data(ps_eager *self, ps_tensor parameter, ps_tensor value);

#endif
