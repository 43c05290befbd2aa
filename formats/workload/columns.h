/* SPDX-License-Identifier: MIT
 *
 * The columns of a workload: what one device does in its training steps,
 * before any hardware or policy is chosen.
 *
 *   block    a part of the model that repeats or has a name: a layer, a module
 *   tensor   one allocation as the program asks for it
 *   op       one operation: what it computes and moves
 *   event    program order of the host: a tensor is allocated, freed, an op runs
 *   step     a range of events
 *   finding  how a piece of the workload is known, and with what confidence
 *   axis     a direction of the grid of ranks that train together
 *   access   which operations read and write which tensors, where that is told
 *
 * Rows refer to rows of other tables by index.
 */
#ifndef PS_WORKLOAD_COLUMNS_H
#define PS_WORKLOAD_COLUMNS_H

/* Parents before their children. */
#define PS_WORKLOAD_BLOCK_COLUMNS(X)                                                            \
    X(1, name, STR, PLAIN, "module path, or the name a recovered block was given")              \
    X(2, kind, STR, PLAIN, "class of the module, or what repeats; empty unknown")               \
    X(3, parent, U32, PLAIN, "row of the block that holds it + 1; 0 none")

#define PS_WORKLOAD_TENSOR_COLUMNS(X)                                                           \
    X(1, bytes, U64, PLAIN, "[bytes] as the program asks for them")                             \
    X(2, role, U8, PLAIN, "ps_role")                                                            \
    X(3, dtype, U8, PLAIN, "ps_element of its elements")                                        \
    X(4, block, U32, PLAIN, "block row + 1; 0 none")                                            \
    X(5, label, STR, PLAIN, "operator that made it; empty unknown")                             \
    X(6, is_saved, U8, PLAIN, "1: kept for the backward pass")                                  \
    X(7, scaling, U8, PLAIN, "ps_scaling: what its size grows with")                            \
    X(8, lane, U8, PLAIN, "ps_workload_lane its memory is asked for in")                        \
    X(9, memory, U8, PLAIN, "ps_memory_kind it lies in; unknown: the device's")                 \
    X(10, users, U32, PLAIN, "ps_workload_lanes, one bit each, that freed memory waits for too") \
    X(11, user_mark, U32, PLAIN, "... and the mark whose last run it waits for; 0 none")

#define PS_WORKLOAD_OP_COLUMNS(X)                                                               \
    X(1, name, STR, PLAIN, "operator, kernel or collective")                                    \
    X(2, kind, U8, PLAIN, "ps_op_kind: what bounds it")                                         \
    X(3, phase, U8, PLAIN, "ps_phase")                                                          \
    X(4, block, U32, PLAIN, "block row + 1; 0 none")                                            \
    X(5, dtype, U8, PLAIN, "ps_element of its arithmetic")                                      \
    X(6, flop, U64, PLAIN, "[flop] a multiplication and an addition are two")                   \
    X(7, moved_bytes, U64, PLAIN, "[bytes] read and written in device memory, of CPU, READ and WRITE in host memory")                  \
    X(8, m, U64, PLAIN, "rows of a matrix product's result; 0 none")                            \
    X(9, n, U64, PLAIN, "columns of the result; 0 none")                                        \
    X(10, k, U64, PLAIN, "length of the sums; 0 none")                                          \
    X(11, batch, U64, PLAIN, "products of this shape in one call; 0 none")                      \
    X(12, launches, U32, PLAIN, "kernels the host launches for it; of CPU: hooks of modules that run")                             \
    X(13, dur_ns, I64, PLAIN, "[ns] length; 0 unknown")                                         \
    X(14, basis, U8, PLAIN, "ps_basis of the figures")                                          \
    X(15, lane, U8, PLAIN, "ps_workload_lane it runs in; of HOST: the lane the host waits for") \
    X(16, awaited, U8, PLAIN, "ps_workload_lane whose work so far the lane of a JOIN waits for") \
    X(17, collective, U8, PLAIN, "ps_collective_op of a COLLECTIVE")                            \
    X(18, axes, U32, PLAIN, "axis rows that its group spans, one bit each")                     \
    X(19, peer, U32, PLAIN, "of SEND and RECV: the other's place on the axis")                  \
    X(20, layout, U8, PLAIN, "ps_operand_layout of a matrix product")                           \
    X(21, copy_kind, U8, PLAIN, "ps_copy_kind of a COPY; unknown: by its lane")                 \
    X(22, memory, U8, PLAIN, "ps_memory_kind of the host side of a COPY, of what a CPU works on, storage for READ and WRITE")                       \
    X(23, is_blocking, U8, PLAIN, "1: the host goes on when it is done")                        \
    X(24, mark, U32, PLAIN, "name of this run; of JOIN and HOST: of the run that is waited for; 0 none") \
    X(25, access, U8, PLAIN, "ps_access of what multiplies nothing")                              \
    X(26, dispatches, U32, PLAIN, "Python of a tensor subclass before it, in calls of one operation")     \
    X(27, elements, U64, PLAIN, "that ROWS and REDUCTION read; 0: half as many as the bytes hold")

/* In program order of the host. */
#define PS_WORKLOAD_EVENT_COLUMNS(X)                                                            \
    X(1, kind, U8, PLAIN, "ps_workload_event")                                                  \
    X(2, ref, U32, DELTA, "tensor row of ALLOC and FREE, op row of OP; else 0")

/* In order, not overlapping. */
#define PS_WORKLOAD_STEP_COLUMNS(X)                                                             \
    X(1, name, STR, PLAIN, "shown to people")                                                   \
    X(2, begin_event, U32, PLAIN, "event row it begins with")                                   \
    X(3, end_event, U32, PLAIN, "event row behind its last")                                    \
    X(4, is_first, U8, PLAIN, "1: makes state that later steps find, such as the optimizer's")

#define PS_WORKLOAD_FINDING_COLUMNS(X)                                                          \
    X(1, what, STR, PLAIN, "steps, phases, blocks, roles, saved, scaling, ...")                 \
    X(2, how, STR, PLAIN, "ranges, annotations, lifetimes, periodicity, description, ...")      \
    X(3, confidence_permille, U32, PLAIN, "[permille] 0 a guess, 1000 certain")                 \
    X(4, detail, STR, PLAIN, "one sentence; empty none")

/* The first axis varies fastest over ranks. No rows: one rank. */
#define PS_WORKLOAD_AXIS_COLUMNS(X)                                                             \
    X(1, name, STR, PLAIN, "tensor, context, expert, data, pipeline, ...")                      \
    X(2, size, U32, PLAIN, "ranks along it, > 0")                                               \
    X(3, place, U32, PLAIN, "where on it this workload's ranks are; PS_WORKLOAD_ANYWHERE: all")

/* Sorted by `event`. Memory whose accesses are not told is taken to be in order. */
#define PS_WORKLOAD_ACCESS_COLUMNS(X)                                                           \
    X(1, event, U32, DELTA, "event row of the run of an op")                                    \
    X(2, tensor, U32, DELTA, "tensor row")                                                      \
    X(3, is_write, U8, PLAIN, "1: written, also in part; 0: read")

#define PS_WORKLOAD_META_COLUMNS(X)                                                             \
    X(1, key, STR, PLAIN, "kebab-case")                                                         \
    X(2, value, STR, PLAIN, "text")

#define PS_WORKLOAD_LOSS_COLUMNS(X)                                                             \
    X(1, name, STR, PLAIN, "loss name, kebab-case")                                             \
    X(2, severity, U8, PLAIN, "ps_severity")                                                    \
    X(3, count, U64, PLAIN, "how often")

/* X(symbol, id, name, struct, COLUMNS, doc) */
#define PS_WORKLOAD_TABLES(X)                                                                   \
    X(BLOCK, 1, block, ps_workload_block_table, PS_WORKLOAD_BLOCK_COLUMNS, "parts of the model") \
    X(TENSOR, 2, tensor, ps_workload_tensor_table, PS_WORKLOAD_TENSOR_COLUMNS, "allocations")   \
    X(OP, 3, op, ps_workload_op_table, PS_WORKLOAD_OP_COLUMNS, "operations")                    \
    X(EVENT, 4, event, ps_workload_event_table, PS_WORKLOAD_EVENT_COLUMNS, "program order")     \
    X(STEP, 5, step, ps_workload_step_table, PS_WORKLOAD_STEP_COLUMNS, "training steps")        \
    X(FINDING, 6, finding, ps_workload_finding_table, PS_WORKLOAD_FINDING_COLUMNS,              \
      "how things are known")                                                                   \
    X(META, 7, meta, ps_workload_meta_table, PS_WORKLOAD_META_COLUMNS, "facts about the workload") \
    X(LOSS, 8, loss, ps_workload_loss_table, PS_WORKLOAD_LOSS_COLUMNS, "what was lost on the way") \
    X(AXIS, 9, axis, ps_workload_axis_table, PS_WORKLOAD_AXIS_COLUMNS, "axes of the grid of ranks") \
    X(ACCESS, 10, access, ps_workload_access_table, PS_WORKLOAD_ACCESS_COLUMNS, "reads and writes")

#endif
