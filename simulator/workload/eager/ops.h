/* SPDX-License-Identifier: MIT
 *
 * Operations of the eager model, named and behaving as PyTorch's: what they
 * allocate, what they keep for backward, what backward allocates, in order.
 * Every result is owned by the caller; arguments are borrowed.
 */
#ifndef PS_WORKLOAD_OPS_H
#define PS_WORKLOAD_OPS_H

#include "workload/eager/eager.h"

/* ---- element by element ---- */

/** a + b, broadcast to the larger. */
ps_tensor ps_op_add(ps_eager *self, ps_tensor a, ps_tensor b);

/** a + b, both broadcast to `elements`, which neither may have. */
ps_tensor ps_op_add_spread(ps_eager *self, ps_tensor a, ps_tensor b, int64_t elements);

/** a += b: a tensor on the storage of `a`, in its type. */
ps_tensor ps_op_add_in_place(ps_eager *self, ps_tensor a, ps_tensor b);

/** a += b, where b wants no gradient and a's passes: nothing is allocated. */
void ps_op_add_into(ps_eager *self, ps_tensor a, ps_tensor b);

/** a + number. */
ps_tensor ps_op_add_number(ps_eager *self, ps_tensor a);

/** a * b, broadcast to the larger. */
ps_tensor ps_op_mul(ps_eager *self, ps_tensor a, ps_tensor b);

/** a / b, where b is one number on the device that wants no gradient; kept for backward. */
ps_tensor ps_op_div(ps_eager *self, ps_tensor a, ps_tensor b);

/** a / number. */
ps_tensor ps_op_div_number(ps_eager *self, ps_tensor a);
/** a / b, a number for each row; both want gradients and are kept. */
ps_tensor ps_op_div_rows(ps_eager *self, ps_tensor a, ps_tensor b);
/** a /= b, with a graph: the same storage, and a copy of what it held for backward. */
ps_tensor ps_op_div_in_place(ps_eager *self, ps_tensor a, ps_tensor b);

/** where(condition, a, one number): keeps the condition. */
ps_tensor ps_op_where(ps_eager *self, ps_tensor condition, ps_tensor a);

/** max(a, one number of the host's): keeps `a`. */
ps_tensor ps_op_maximum_number(ps_eager *self, ps_tensor a);

/**
 * where(condition, a * number, one number) inside a TorchScript function, which makes one kernel of
 * it, and one of its gradient's; keeps the condition.
 */
ps_tensor ps_op_scale_where(ps_eager *self, ps_tensor condition, ps_tensor a);

ps_tensor ps_op_neg(ps_eager *self, ps_tensor a);

/** a ** number, from 2 on; under autocast in 32 bits. */
ps_tensor ps_op_power(ps_eager *self, ps_tensor a);

/** ps_op_power of 2: backward copies where others take a power. */
ps_tensor ps_op_square(ps_eager *self, ps_tensor a);

/** a * number. */
ps_tensor ps_op_mul_number(ps_eager *self, ps_tensor a);

ps_tensor ps_op_rsqrt(ps_eager *self, ps_tensor a);

ps_tensor ps_op_silu(ps_eager *self, ps_tensor a);
ps_tensor ps_op_gelu(ps_eager *self, ps_tensor a);
ps_tensor ps_op_relu(ps_eager *self, ps_tensor a);
ps_tensor ps_op_tanh(ps_eager *self, ps_tensor a);
ps_tensor ps_op_sigmoid(ps_eager *self, ps_tensor a);
ps_tensor ps_op_softmax(ps_eager *self, ps_tensor a);
/** softmax(a, dtype=float32): of float16 in one kernel, of bfloat16 after a copy. */
ps_tensor ps_op_softmax_wide(ps_eager *self, ps_tensor a);

/** native_dropout: keeps a mask of one byte an element. */
ps_tensor ps_op_dropout(ps_eager *self, ps_tensor a);

/**
 * Layer norm of rows of `width` elements; keeps its input, means and spreads.
 *
 * @param is_strided  x does not lie in rows: the kernels are given a copy
 */
ps_tensor ps_op_layer_norm(ps_eager *self, ps_tensor x, ps_tensor weight, ps_tensor bias,
                           int64_t width, bool is_strided);

/** One more owner when the type is already right, as Tensor.to does. */
ps_tensor ps_op_to(ps_eager *self, ps_tensor a, ps_dtype dtype);

/** The tensor as autocast hands it to a matrix product, or as it is. */
ps_tensor ps_op_narrow(ps_eager *self, ps_tensor tensor);

/** The tensor as autocast hands it to an operation that needs 32 bits, or as it is. */
ps_tensor ps_op_widen(ps_eager *self, ps_tensor tensor);

/** Sum of each of `rows` rows. */
ps_tensor ps_op_sum(ps_eager *self, ps_tensor a, int64_t rows);

/** Mean over rows: `rows` elements remain. */
ps_tensor ps_op_mean(ps_eager *self, ps_tensor a, int64_t rows);

/** A result without a graph: cos, sin and the like of things that need no gradient. */
ps_tensor ps_op_plain(ps_eager *self, const char *name, int64_t elements, ps_dtype dtype);

/** A kernel that changes a tensor in place and that backward need not know. */
void ps_op_in_place(ps_eager *self, const char *name, ps_tensor tensor);

/** A number of that type comes to the host, which waits for it: item(), bool(), a count. */
void ps_op_read_back(ps_eager *self, ps_dtype dtype);

/** ps_op_plain of numbers that come from the host. */
ps_tensor ps_op_from_host(ps_eager *self, int64_t elements, ps_dtype dtype);

/** ps_op_plain of a.masked_fill(...): a copy of a, filled in place. */
ps_tensor ps_op_masked_fill(ps_eager *self, int64_t elements, ps_dtype dtype);

/** ps_op_plain of a matrix product. */
ps_tensor ps_op_plain_product(ps_eager *self, int64_t elements, ps_dtype dtype);

/* ---- between ranks ---- */

/** One collective; it allocates nothing. */
typedef struct ps_collective {
    const char *name; /* static storage */
    ps_collective_op op;
    ps_eager_lane lane; /* of its communicator */
    uint32_t axes;      /* of the grid that the group spans, one bit each */
    uint32_t peer;      /* of SEND and RECV: the other's place on the axis */
    bool is_called;     /* by a function of Python, in backward too: ps_eager_set_subclass */
    ps_dtype dtype;
    uint64_t bytes; /* the whole message: see ps_collective_op */
    uint32_t mark;  /* name of this run; 0 none */
} ps_collective;

/**
 * Ranks exchange something in the communicator's lane, behind all that the lane of this moment has
 * been given so far. Nothing waits for it.
 */
void ps_op_collective(ps_eager *self, const ps_collective *what);

/**
 * The tensor itself, through a node of the graph that is marked: backward comes there when all that
 * was made of the result has its gradients.
 */
ps_tensor ps_op_boundary(ps_eager *self, ps_tensor a, uint32_t mark);

/** `lane` goes on when `awaited` has done all it has been given so far. */
void ps_op_join(ps_eager *self, ps_eager_lane lane, ps_eager_lane awaited);

/* ---- with the host's memory ---- */

/** A copy between host and device. It allocates nothing. */
typedef struct ps_host_copy {
    const char *name; /* static storage */
    ps_copy_kind kind;
    ps_memory_kind memory; /* of the host side: pageable or pinned */
    ps_eager_lane lane;
    uint64_t bytes;
    bool is_blocking;   /* the host goes on when it is done */
    uint32_t mark;      /* by which this copy can be waited for; 0 none */
    ps_tensor from, to; /* what it reads and writes, as far as they are tensors */
} ps_host_copy;

void ps_op_host_copy(ps_eager *self, const ps_host_copy *what);

/** Computation of the host. It allocates nothing. */
typedef struct ps_cpu_work {
    const char *name;      /* static storage */
    ps_eager_lane lane;    /* PS_EAGER_MAIN: in the host's own thread; or a worker's */
    uint64_t bytes;        /* read and written in host memory */
    ps_memory_kind memory; /* most of which is so */
    ps_ns dur_ns;          /* before that */
    uint32_t hooks;        /* of modules that run: what each takes is the host's figure */
    uint32_t mark;         /* by which it can be waited for; 0 none */
    ps_tensor read, written;
} ps_cpu_work;

void ps_op_cpu(ps_eager *self, const ps_cpu_work *what);

/** Bytes between the node's disks and host memory, in the host's own thread or a worker's. */
typedef struct ps_storage_io {
    const char *name; /* static storage */
    bool is_write;
    ps_eager_lane lane;
    uint64_t bytes;
    uint32_t mark; /* by which it can be waited for; 0 none */
} ps_storage_io;

void ps_op_storage(ps_eager *self, const ps_storage_io *what);

/** The host waits for all a lane has been given so far; for a worker: until it has done its work. */
void ps_op_wait(ps_eager *self, ps_eager_lane lane);

/** An event: the mark is that of what the lane has been given last, none where it has nothing yet. */
void ps_op_mark(ps_eager *self, ps_eager_lane lane, uint32_t mark);

/** The host waits for the last run that has the mark; nothing where none has it yet. */
void ps_op_wait_mark(ps_eager *self, uint32_t mark);

/** `lane` goes on when the last run that has the mark is done; at once where none has it yet. */
void ps_op_join_mark(ps_eager *self, ps_eager_lane lane, uint32_t mark);

/* ---- a group of ranks that share the columns of matrices, on the lane of this moment ---- */

/** The ranks along some axes of the grid (bits), each with one share of the columns. */
typedef struct ps_op_group {
    int64_t ranks; /* > 0 */
    uint32_t axes;
} ps_op_group;

/** This rank's columns of a, which all ranks have whole: a copy. Backward gathers their gradients. */
ps_tensor ps_op_take_share(ps_eager *self, ps_tensor a, ps_op_group group);

/** All columns of what each rank has a share of. Backward takes this rank's share. */
ps_tensor ps_op_gather_shares(ps_eager *self, ps_tensor a, ps_op_group group);

/** The sum of what the ranks have, in the place of a; its gradient passes. */
ps_tensor ps_op_sum_shares(ps_eager *self, ps_tensor a, ps_op_group group);

/* ---- shapes ---- */

/** view, transpose, split: the same storage. `is_strided`: backward has to copy its gradient first. */
ps_tensor ps_op_view(ps_eager *self, ps_tensor a, int64_t elements, bool is_strided);

/** The tensor under another name, as a slice of all that is there: its gradient passes. */
ps_tensor ps_op_alias(ps_eager *self, ps_tensor a);

/** A part of a tensor; backward fills a whole gradient. */
ps_tensor ps_op_slice(ps_eager *self, ps_tensor a, int64_t elements);

/** Zeros beside a tensor (F.pad), `elements` in all; backward cuts them off, in a tensor of its own. */
ps_tensor ps_op_pad(ps_eager *self, ps_tensor a, int64_t elements);

/** Concatenation of up to two tensors; b may be 0: an empty one. */
ps_tensor ps_op_cat(ps_eager *self, ps_tensor a, ps_tensor b);

/** contiguous() or clone() of a tensor that does not lie in rows: a copy; its gradient passes. */
ps_tensor ps_op_copy(ps_eager *self, ps_tensor a);

/**
 * Equal parts of a tensor, as views: split or chunk; backward puts their gradients together again.
 *
 * @param part  receives `count` (at most PS_NODE_OUTPUTS, 4) tensors
 */
void ps_op_split(ps_eager *self, ps_tensor a, ps_tensor *part, uint32_t count);

/** As ps_op_split, in parts of given numbers of elements. */
void ps_op_split_sizes(ps_eager *self, ps_tensor a, const int64_t *elements, ps_tensor *part,
                       uint32_t count);

/** The same numbers seen several times (expand); backward sums them. */
ps_tensor ps_op_expand(ps_eager *self, ps_tensor a, int64_t elements);

/* ---- rows by number ---- */

/** The `kept` best of all rows of a, and their numbers. */
ps_tensor ps_op_topk(ps_eager *self, ps_tensor a, int64_t kept, ps_tensor *index);

/** Numbers that say where a row is: tensors of them lie in one, as where(condition) returns them. */
#define PS_OP_INDEX_DIMENSIONS 2

/**
 * where(condition) of whole numbers: `found` of `elements` are set. The host waits for the count.
 *
 * @param is_strided  the condition does not lie in rows and is copied
 */
ps_tensor ps_op_nonzero(ps_eager *self, int64_t elements, int64_t dimensions, int64_t found,
                        bool is_strided);

/** a[index]: a row of `width` elements for each; `index_count` of the index's dimensions are used. */
ps_tensor ps_op_index(ps_eager *self, ps_tensor a, ps_tensor index, int64_t index_count,
                      int64_t width);

/**
 * a[mask]: the `found` rows of `width` elements that a mask of one byte a row marks. The host waits
 * for their count, in backward too.
 */
ps_tensor ps_op_take_marked(ps_eager *self, ps_tensor a, ps_tensor mask, int64_t found,
                            int64_t width);

/** into[mask] = source, of `found` rows: the same storage, with the source's graph. */
ps_tensor ps_op_put_marked(ps_eager *self, ps_tensor into, ps_tensor mask, ps_tensor source,
                           int64_t found);

/** into.index_add_(0, index, source): the same storage, with the source's graph. */
ps_tensor ps_op_index_add(ps_eager *self, ps_tensor into, ps_tensor index, ps_tensor source);

/* ---- matrices ---- */

/** x @ weight.T, without bias. `rows` rows of `in` to `out`. */
ps_tensor ps_op_linear(ps_eager *self, ps_tensor x, ps_tensor weight, int64_t rows, int64_t in,
                       int64_t out);

/** ps_op_linear of an x of two dimensions: no views lie around its gradient, which can be added to. */
ps_tensor ps_op_linear_flat(ps_eager *self, ps_tensor x, ps_tensor weight, int64_t rows, int64_t in,
                            int64_t out);

/** bias + x @ weight.T: rows of `in` to `out`. */
ps_tensor ps_op_linear_bias(ps_eager *self, ps_tensor x, ps_tensor weight, ps_tensor bias,
                            int64_t rows, int64_t in, int64_t out);

/**
 * A matrix product of size[0] x size[1] results over size[2], without a graph.
 *
 * @param layout  of the factors in memory; PS_OPERANDS_UNKNOWN where callers do not know
 */
ps_tensor ps_op_multiply(ps_eager *self, ps_dtype dtype, ps_operand_layout layout,
                         const int64_t size[3]);

/** A library's own autograd function for linear modules; they are numbered by their maker. */
typedef struct ps_linear_function {
    void *context;
    bool enters_first; /* before the product, not after it */
    /** A module computes, not in a recomputation. */
    void (*enter)(void *context, uint32_t number);
    /** What backward needs of x besides the weight; owned by the caller. */
    ps_tensor (*keep)(void *context, uint32_t number, ps_tensor x);
    /**
     * Backward has the gradient of the result, and of the input where one is wanted. Takes `kept`,
     * borrows `grad`.
     */
    void (*take)(void *context, uint32_t number, ps_tensor kept, ps_tensor grad);
} ps_linear_function;

/** x @ weight.T by such a function: rows of `in` to `out`. */
typedef struct ps_linear_call {
    const ps_linear_function *function; /* outlives the graph */
    uint32_t number;
    ps_tensor x, weight;
    int64_t rows, in, out;
} ps_linear_call;

ps_tensor ps_op_linear_function(ps_eager *self, const ps_linear_call *call);

/** Shape of a batch of products: m x k by k x n. */
typedef struct ps_bmm_shape {
    int64_t batch, m, n, k;
} ps_bmm_shape;

ps_tensor ps_op_bmm(ps_eager *self, ps_tensor a, ps_tensor b, const ps_bmm_shape *shape);

/** a @ b in memory that the caller made before, scaled or not; backward scales too. */
ps_tensor ps_op_baddbmm(ps_eager *self, ps_tensor a, ps_tensor b, const ps_bmm_shape *shape,
                        bool is_scaled);

/** Which factors of a product do not lie in rows and are copied first. */
typedef enum ps_matmul_copies {
    PS_MATMUL_COPIES_NONE = 0,
    PS_MATMUL_COPIES_FIRST = 1,
    PS_MATMUL_COPIES_SECOND = 2,
    PS_MATMUL_COPIES_BOTH = 3,
} ps_matmul_copies;

/** Tensor.matmul of more than two dimensions, under autocast too. */
ps_tensor ps_op_matmul(ps_eager *self, ps_tensor a, ps_tensor b, const ps_bmm_shape *shape,
                       ps_matmul_copies copies);

/* ---- models ---- */

ps_tensor ps_op_embedding(ps_eager *self, ps_tensor weight, ps_tensor ids, int64_t width);

/**
 * The same for `count` indices that are one row of `ids` seen again and again: forward and
 * backward copy them first.
 */
ps_tensor ps_op_embedding_repeated(ps_eager *self, ps_tensor weight, ps_tensor ids, int64_t count,
                                   int64_t width);

/** The same where the result is used transposed: backward copies its gradient first. */
ps_tensor ps_op_embedding_transposed(ps_eager *self, ps_tensor weight, ps_tensor ids,
                                     int64_t width);

/** Shape of attention. */
typedef struct ps_attention_shape {
    int64_t batch, heads, kv_heads, queries, keys, head_width;
    bool sees_all;    /* not causal: every query sees every key, or a mask says which */
    bool has_dropout; /* of the shares */
    bool is_by_heads; /* query lies as (batch, heads, length, width), not with the length outside */
    bool lies_by_tokens;    /* key and value too: nothing was made contiguous */
    bool has_expanded_keys; /* one for all heads: arithmetic makes it dense, by heads */
    bool is_padded;         /* width was padded to a multiple of 8 */
} ps_attention_shape;

/** Flash attention. The result lies as the query does. */
ps_tensor ps_op_flash_attention(ps_eager *self, ps_tensor query, ps_tensor key, ps_tensor value,
                                const ps_attention_shape *shape);

/** The memory-efficient kernel, in any type; mask 0: none. The result lies with the length outside. */
ps_tensor ps_op_efficient_attention(ps_eager *self, ps_tensor query, ps_tensor key, ps_tensor value,
                                    ps_tensor mask, const ps_attention_shape *shape);

/** scaled_dot_product_attention written out by PyTorch. The result lies by heads. */
ps_tensor ps_op_math_attention(ps_eager *self, ps_tensor query, ps_tensor key, ps_tensor value,
                               ps_tensor mask, const ps_attention_shape *shape);

/** Cross entropy of `rows` rows over `classes`, reduced to its mean. */
ps_tensor ps_op_cross_entropy(ps_eager *self, ps_tensor logits, ps_tensor labels, int64_t rows,
                              int64_t classes);

/** The tensor itself, whose backward gives `loss` a gradient of one: a loss beside the model's. */
ps_tensor ps_op_attach_loss(ps_eager *self, ps_tensor a, ps_tensor loss);

/* ---- reductions, without a graph ---- */

/** One number of a whole tensor, in its type: norm, mean. */
ps_tensor ps_op_reduce_all(ps_eager *self, const char *name, ps_tensor a);

/** One number of each row: reduced along the last dimension. */
ps_tensor ps_op_reduce_last(ps_eager *self, const char *name, ps_tensor a, int64_t rows);

/** One number of each column. */
ps_tensor ps_op_reduce_first(ps_eager *self, const char *name, ps_tensor a, int64_t columns);

#endif
