/* SPDX-License-Identifier: MIT
 *
 * Recorded shapes of operators, and which of them are of parameters (private
 * to this folder).
 */
#ifndef PS_POLICY_SHAPES_H
#define PS_POLICY_SHAPES_H

#include <stdbool.h>
#include <stdint.h>

#define PS_SHAPE_DIMS 8u
#define PS_SHAPE_TENSORS 16u

/** One tensor an operator was given. */
typedef struct ps_shape {
    uint32_t argument; /* position among the operator's arguments */
    uint32_t dim_count;
    uint64_t dim[PS_SHAPE_DIMS];
    uint64_t element_bytes; /* 0 unknown */
} ps_shape;

/** The tensors of one operator's arguments. */
typedef struct ps_shapes {
    uint32_t count;
    ps_shape tensor[PS_SHAPE_TENSORS];
} ps_shapes;

/**
 * Reads "[[16,1,128],[]];[\"float\",\"Scalar\"]". Tensors of a list count as tensors of one
 * argument. What does not parse gives no tensors; more than PS_SHAPE_TENSORS are left out.
 */
void ps__shapes_read(const char *text, ps_shapes *out);

/** Elements of a tensor; saturates. */
uint64_t ps__shape_elements(const ps_shape *shape);

/** Of the dimensions; an equal one of two shapes would mix their evidence, no more. */
uint64_t ps__shape_hash(const ps_shape *shape);

/** True for an argument of a forward operator, "aten::linear", that is a parameter of a layer. */
bool ps__is_weight(const char *name, uint32_t argument);

#endif
