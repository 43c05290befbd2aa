/* SPDX-License-Identifier: MIT
 *
 * Products of matrices, as operations of the eager model (ops.h).
 */
#ifndef PS_WORKLOAD_OPS_MATRIX_H
#define PS_WORKLOAD_OPS_MATRIX_H

#include "workload/eager/eager.h"

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

/** ps_op_plain of a matrix product. */
ps_tensor ps_op_plain_product(ps_eager *self, int64_t elements, ps_dtype dtype);

#endif
