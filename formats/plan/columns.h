/* SPDX-License-Identifier: MIT
 *
 * The columns of a plan: what every device of a cluster does.
 *
 *   lane   a queue that runs its tasks in row order, one at a time:
 *          a host thread, a stream, a communicator of several ranks
 *   task   one piece of work on a lane
 *   dep    "this task's start (or end) not before that task's start (or end) + lag"
 *   memop  one allocator request, in program order of its device, at a moment
 *          of a host task
 *   link   a shared resource; transfer rows say which tasks load it
 *   node   a host with its memory, which devices share
 *   access which tasks read and write which buffers, where that is told
 *   hold   which tasks a freed buffer still waits for, before its memory is used again
 *
 * Times are integer nanoseconds from the plan's own origin. Rows refer to
 * rows of other tables by index.
 */
#ifndef PS_PLAN_COLUMNS_H
#define PS_PLAN_COLUMNS_H

#define PS_PLAN_DEVICE_COLUMNS(X)                                                               \
    X(1, rank, U32, PLAIN, "global rank of the process that drives it")                         \
    X(2, ordinal, U32, PLAIN, "device ordinal in its process")                                  \
    X(3, name, STR, PLAIN, "hardware name; empty unknown")                                      \
    X(4, capacity_bytes, U64, PLAIN, "[bytes] total memory; 0 unknown")                         \
    X(5, base_bytes, U64, PLAIN, "[bytes] taken outside the allocator: context, libraries")     \
    X(6, limit_bytes, U64, PLAIN, "[bytes] most the allocator may reserve; 0 no limit")         \
    X(7, allocator, STR, PLAIN, "allocator model: native, expandable, exact")                   \
    X(8, allocator_conf, STR, PLAIN, "PyTorch's own setting string")                            \
    X(9, sizes_are_blocks, U8, PLAIN, "1: buffer bytes are block sizes; 0: requested sizes")    \
    X(10, base_live_bytes, U64, PLAIN, "[bytes] allocated before the plan by buffers it never names") \
    X(11, base_basis, U8, PLAIN, "ps_basis of base_bytes")                                      \
    X(12, private_pools_expand, U8, PLAIN, "1: private pools use expandable segments too")      \
    X(13, limit_basis, U8, PLAIN, "ps_basis of limit_bytes; guessed: the most that was ever granted") \
    X(14, stands_for, U32, PLAIN, "ranks that do the same at the same times, itself one of them; 0: itself alone") \
    X(15, node, U32, PLAIN, "node row + 1; 0 unknown")                                          \
    X(16, node_ranks, U32, PLAIN, "ranks of that node that it stands for; 0: itself alone")

#define PS_PLAN_LANE_COLUMNS(X)                                                                 \
    X(1, kind, U8, PLAIN, "ps_lane_kind")                                                       \
    X(2, device, U32, PLAIN, "device row + 1; 0 for lanes of hosts and groups")                                \
    X(3, name, STR, PLAIN, "shown to people")                                                   \
    X(4, number, U64, PLAIN, "stream or thread id in the source")

#define PS_PLAN_TASK_COLUMNS(X)                                                                 \
    X(1, lane, U32, PLAIN, "lane row")                                                          \
    X(2, kind, U8, PLAIN, "ps_task_kind")                                                       \
    X(3, gap_ns, I64, PLAIN, "[ns] start not before the end of the lane's previous task + gap, >= 0") \
    X(4, dur_ns, I64, PLAIN, "[ns] own length, transfers on links excluded, >= 0")              \
    X(5, name, STR, PLAIN, "kernel, call or collective")                                        \
    X(6, bytes, U64, PLAIN, "[bytes] moved; 0 none")                                            \
    X(7, copy_kind, U8, PLAIN, "ps_copy_kind of a copy")                                        \
    X(8, basis, U8, PLAIN, "ps_basis of dur_ns")                                                \
    X(9, phase, U8, PLAIN, "ps_phase")                                                          \
    X(10, rate_bytes_per_s, U64, PLAIN, "most a transfer can take of its links; 0 no own limit") \
    X(11, memory_kind, U8, PLAIN, "ps_memory_kind of the host side of a copy; storage of a CPU that reads or writes disks")

/* Sorted by `task`. */
#define PS_PLAN_DEP_COLUMNS(X)                                                                  \
    X(1, task, U32, DELTA, "the task that waits")                                               \
    X(2, before, U32, DELTA, "the task it waits for")                                           \
    X(3, kind, U8, PLAIN, "ps_dep_kind: which edge waits for which edge")                       \
    X(4, lag_ns, I64, PLAIN, "[ns] added to the awaited edge, >= 0")                            \
    X(5, origin, U8, PLAIN, "ps_dep_origin: how the dependency is known")

#define PS_PLAN_LINK_COLUMNS(X)                                                                 \
    X(1, name, STR, PLAIN, "shown to people")                                                   \
    X(2, bytes_per_s, U64, PLAIN, "[bytes/s] capacity, > 0, shared max-min fair")

/* Sorted by `task`. */
#define PS_PLAN_TRANSFER_COLUMNS(X)                                                             \
    X(1, task, U32, DELTA, "task whose bytes cross the link after its dur_ns")                  \
    X(2, link, U32, PLAIN, "link row")

#define PS_PLAN_BUFFER_COLUMNS(X)                                                               \
    X(1, device, U32, PLAIN, "device row")                                                      \
    X(2, bytes, U64, PLAIN, "[bytes] as asked for, or the block: see sizes_are_blocks")         \
    X(3, stream, U64, PLAIN, "stream handle of the allocation")                                 \
    X(4, pool_owner, U64, PLAIN, "private pool; 0,0 the default pool")                          \
    X(5, pool_serial, U64, PLAIN, "private pool")                                               \
    X(6, role, U8, PLAIN, "ps_role")                                                            \
    X(7, label, STR, PLAIN, "operator or place that allocated it; empty unknown")               \
    X(8, addr, U64, DELTA, "recorded address; 0 unknown")                                       \
    X(9, growth, U8, PLAIN, "ps_growth: what its size was taken to grow with; 0 not asked")     \
    X(10, memory, U8, PLAIN, "ps_memory_kind it lies in; unknown: the device's")

/* In program order of each device. */
#define PS_PLAN_MEMOP_COLUMNS(X)                                                                \
    X(1, device, U32, PLAIN, "device row")                                                      \
    X(2, op, U8, PLAIN, "ps_memop")                                                             \
    X(3, buffer, U32, DELTA, "buffer row of ALLOC, FREE*, OOM")                                    \
    X(4, task, U32, DELTA, "host task in whose course it happens")                              \
    X(5, offset_ns, I64, PLAIN, "[ns] after that task's start, at most its end; negative: before it, in the gap") \
    X(6, bytes, U64, PLAIN, "[bytes] PLACE*: size; POOL_DEAD: second half of the pool id")       \
    X(7, addr, U64, DELTA, "PLACE*: address the driver gave; POOL_DEAD: first half of the pool id") \
    X(8, expect, U64, DELTA, "[bytes] recorded allocated total after the request + 1; 0 unknown") \
    X(9, stream, U64, PLAIN, "PLACE*: stream handle")                                           \
    X(10, is_capturing, U8, PLAIN, "1: a graph capture was under way, the cache could not be released")

/* The allocator's holdings at the origin: segments and, in address order, the blocks that tile them. */
#define PS_PLAN_SEGMENT_COLUMNS(X)                                                              \
    X(1, device, U32, PLAIN, "device row")                                                      \
    X(2, addr, U64, DELTA, "address")                                                           \
    X(3, bytes, U64, PLAIN, "[bytes]")                                                          \
    X(4, stream, U64, PLAIN, "stream handle")                                                   \
    X(5, is_large, U8, PLAIN, "1: large pool, 0: small pool")                                   \
    X(6, is_expandable, U8, PLAIN, "1: mapped pages of an expandable segment")                  \
    X(7, pool_owner, U64, PLAIN, "private pool; 0,0 the default pool")                          \
    X(8, pool_serial, U64, PLAIN, "private pool")                                               \
    X(9, range_addr, U64, DELTA, "expandable: lowest known address of its range; 0 otherwise")

#define PS_PLAN_BLOCK_COLUMNS(X)                                                                \
    X(1, device, U32, PLAIN, "device row")                                                      \
    X(2, addr, U64, DELTA, "address")                                                           \
    X(3, bytes, U64, PLAIN, "[bytes]")                                                          \
    X(4, requested_bytes, U64, PLAIN, "[bytes]")                                                \
    X(5, state, U8, PLAIN, "ps_block_state")                                                    \
    X(6, buffer, U32, PLAIN, "buffer row + 1 of a live block; 0 free")

#define PS_PLAN_STEP_COLUMNS(X)                                                                 \
    X(1, name, STR, PLAIN, "as recorded, or \"step\" for a whole recording")                    \
    X(2, begin_task, U32, PLAIN, "host task in whose course the step begins; PS_PLAN_WHOLE: the origin")                   \
    X(3, begin_offset_ns, I64, PLAIN, "[ns] after that task's start")                           \
    X(4, end_task, U32, PLAIN, "host task in whose course the step ends; PS_PLAN_WHOLE: the end of everything")                       \
    X(5, end_offset_ns, I64, PLAIN, "[ns] after that task's start")                             \
    X(6, recorded_ns, I64, PLAIN, "[ns] recorded length; 0 unknown")

#define PS_PLAN_NODE_COLUMNS(X)                                                                 \
    X(1, name, STR, PLAIN, "shown to people")                                                   \
    X(2, capacity_bytes, U64, PLAIN, "[bytes] host memory; 0 unknown")                          \
    X(3, base_bytes, U64, PLAIN, "[bytes] of it taken outside buffers, of one process")

/* Sorted by `task`. Memory whose accesses are not told is taken to be in order. */
#define PS_PLAN_ACCESS_COLUMNS(X)                                                               \
    X(1, task, U32, DELTA, "the task that reads or writes")                                     \
    X(2, buffer, U32, DELTA, "buffer row")                                                      \
    X(3, is_write, U8, PLAIN, "1: written, also in part; 0: read")

/* Of buffers that a FREE_REQUEST gives back and no FREE_COMPLETE ends: it is over at the first ALLOC,
 * OOM or RELEASE_CACHE behind the ends of all the buffer's tasks here. */
#define PS_PLAN_HOLD_COLUMNS(X)                                                                 \
    X(1, buffer, U32, DELTA, "buffer row")                                                      \
    X(2, task, U32, DELTA, "task of another stream that was handed over before the free")

#define PS_PLAN_META_COLUMNS(X)                                                                 \
    X(1, key, STR, PLAIN, "kebab-case")                                                         \
    X(2, value, STR, PLAIN, "text")

#define PS_PLAN_LOSS_COLUMNS(X)                                                                 \
    X(1, name, STR, PLAIN, "loss name, kebab-case")                                             \
    X(2, severity, U8, PLAIN, "ps_severity")                                                    \
    X(3, count, U64, PLAIN, "how often")

/* X(symbol, id, name, struct, COLUMNS, doc) */
#define PS_PLAN_TABLES(X)                                                                       \
    X(DEVICE, 1, device, ps_plan_device_table, PS_PLAN_DEVICE_COLUMNS, "devices")               \
    X(LANE, 2, lane, ps_plan_lane_table, PS_PLAN_LANE_COLUMNS, "queues of tasks")               \
    X(TASK, 3, task, ps_plan_task_table, PS_PLAN_TASK_COLUMNS, "work")                          \
    X(DEP, 4, dep, ps_plan_dep_table, PS_PLAN_DEP_COLUMNS, "what waits for what")               \
    X(LINK, 5, link, ps_plan_link_table, PS_PLAN_LINK_COLUMNS, "shared resources")              \
    X(TRANSFER, 6, transfer, ps_plan_transfer_table, PS_PLAN_TRANSFER_COLUMNS, "use of links")  \
    X(BUFFER, 7, buffer, ps_plan_buffer_table, PS_PLAN_BUFFER_COLUMNS, "memory")                \
    X(MEMOP, 8, memop, ps_plan_memop_table, PS_PLAN_MEMOP_COLUMNS, "allocator requests")        \
    X(SEGMENT, 9, segment, ps_plan_segment_table, PS_PLAN_SEGMENT_COLUMNS, "cache at the origin") \
    X(BLOCK, 10, block, ps_plan_block_table, PS_PLAN_BLOCK_COLUMNS, "blocks at the origin")     \
    X(STEP, 11, step, ps_plan_step_table, PS_PLAN_STEP_COLUMNS, "training steps")               \
    X(META, 12, meta, ps_plan_meta_table, PS_PLAN_META_COLUMNS, "facts about the plan")         \
    X(LOSS, 13, loss, ps_plan_loss_table, PS_PLAN_LOSS_COLUMNS, "what was lost on the way")     \
    X(NODE, 14, node, ps_plan_node_table, PS_PLAN_NODE_COLUMNS, "hosts")                        \
    X(ACCESS, 15, access, ps_plan_access_table, PS_PLAN_ACCESS_COLUMNS, "reads and writes") \
    X(HOLD, 16, hold, ps_plan_hold_table, PS_PLAN_HOLD_COLUMNS, "what freed memory waits for")

#endif
