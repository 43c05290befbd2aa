/* SPDX-License-Identifier: MIT
 *
 * The columns of a trace: what one process did on its devices.
 *
 * X(id, name, type, coding, doc). Times are nanoseconds since the trace's
 * `base-time-ns` (Unix time; 0 when absent), or positions where the trace says
 * `clock = order`. Sizes are bytes. A
 * correlation joins a host call with the device work it caused; 0 is none. An
 * op_id joins anything with the operator range that caused it; 0 is none.
 */
#ifndef PS_TRACE_COLUMNS_H
#define PS_TRACE_COLUMNS_H

/* Named, nested intervals on a host thread (or mirrored on a stream): operators, annotations, Python. */
#define PS_RANGE_COLUMNS(X)                                                                     \
    X(1, start_ns, I64, DELTA, "[ns] begin")                                                    \
    X(2, dur_ns, I64, PLAIN, "[ns] length, >= 0")                                               \
    X(3, pid, U32, PLAIN, "process id; for gpu-annotation the device ordinal")                  \
    X(4, tid, U64, DELTA, "thread id; for gpu-annotation the stream")                           \
    X(5, category, U8, PLAIN, "ps_range_category")                                              \
    X(6, name, STR, PLAIN, "as recorded")                                                       \
    X(7, op_id, U64, DELTA, "identity of the operator; 0 none")                                 \
    X(8, sequence, I64, DELTA, "autograd sequence number + 1, shared by forward and backward; 0 none") \
    X(9, shapes, STR, PLAIN, "input dimensions and types as recorded; empty when not recorded")

/* Host calls into the device runtime or driver. */
#define PS_CALL_COLUMNS(X)                                                                      \
    X(1, start_ns, I64, DELTA, "[ns] begin")                                                    \
    X(2, dur_ns, I64, PLAIN, "[ns] length, >= 0")                                               \
    X(3, pid, U32, PLAIN, "process id")                                                         \
    X(4, tid, U64, DELTA, "thread id")                                                          \
    X(5, api, U8, PLAIN, "ps_call_api")                                                         \
    X(6, name, STR, PLAIN, "function name without version suffix")                              \
    X(7, correlation, U64, DELTA, "joins with device work; 0 none")                             \
    X(8, op_id, U64, DELTA, "operator that made the call; 0 none")

#define PS_KERNEL_COLUMNS(X)                                                                    \
    X(1, start_ns, I64, DELTA, "[ns] begin on the device")                                      \
    X(2, dur_ns, I64, PLAIN, "[ns] length, >= 0")                                               \
    X(3, device, U32, PLAIN, "device ordinal")                                                  \
    X(4, stream, U64, DELTA, "stream id")                                                       \
    X(5, name, STR, PLAIN, "demangled name as recorded")                                        \
    X(6, correlation, U64, DELTA, "joins with the launching call; 0 none")                      \
    X(7, op_id, U64, DELTA, "operator that launched it; 0 none")                                \
    X(8, launch, STR, PLAIN, "\"gx,gy,gz|bx,by,bz|registers|shared bytes\"; empty when unknown") \
    X(9, graph_node, U64, PLAIN, "CUDA graph node id; 0 none")

#define PS_MEMCPY_COLUMNS(X)                                                                    \
    X(1, start_ns, I64, DELTA, "[ns] begin on the device")                                      \
    X(2, dur_ns, I64, PLAIN, "[ns] length, >= 0")                                               \
    X(3, device, U32, PLAIN, "device ordinal")                                                  \
    X(4, stream, U64, DELTA, "stream id")                                                       \
    X(5, correlation, U64, DELTA, "joins with the copying call; 0 none")                        \
    X(6, op_id, U64, DELTA, "operator that copied; 0 none")                                     \
    X(7, bytes, U64, PLAIN, "[bytes] moved")                                                    \
    X(8, kind, U8, PLAIN, "ps_copy_kind")                                                       \
    X(9, src, U8, PLAIN, "ps_memory_kind of the source")                                        \
    X(10, dst, U8, PLAIN, "ps_memory_kind of the destination")                                  \
    X(11, peer, U32, PLAIN, "other device of a peer copy + 1; 0 none")

#define PS_MEMSET_COLUMNS(X)                                                                    \
    X(1, start_ns, I64, DELTA, "[ns] begin on the device")                                      \
    X(2, dur_ns, I64, PLAIN, "[ns] length, >= 0")                                               \
    X(3, device, U32, PLAIN, "device ordinal")                                                  \
    X(4, stream, U64, DELTA, "stream id")                                                       \
    X(5, correlation, U64, DELTA, "joins with the calling host call; 0 none")                   \
    X(6, op_id, U64, DELTA, "operator; 0 none")                                                 \
    X(7, bytes, U64, PLAIN, "[bytes] written")

/* Collective communication: one row per communication kernel (which also has its kernel row). */
#define PS_COLLECTIVE_COLUMNS(X)                                                                \
    X(1, start_ns, I64, DELTA, "[ns] begin on the device")                                      \
    X(2, dur_ns, I64, PLAIN, "[ns] length, waiting for other ranks included")                   \
    X(3, device, U32, PLAIN, "device ordinal")                                                  \
    X(4, stream, U64, DELTA, "stream id")                                                       \
    X(5, correlation, U64, DELTA, "joins with the launching call and the kernel row")           \
    X(6, kind, STR, PLAIN, "all-reduce, all-gather, ...; from arguments, else from the kernel name") \
    X(7, elements_in, U64, PLAIN, "elements each rank contributes; 0 unknown")                  \
    X(8, elements_out, U64, PLAIN, "elements each rank receives; 0 unknown")                    \
    X(9, dtype, STR, PLAIN, "element type; empty unknown")                                      \
    X(10, group_size, U32, PLAIN, "ranks in the group; 0 unknown")                              \
    X(11, group, STR, PLAIN, "process group name; empty unknown")                               \
    X(12, ranks, STR, PLAIN, "ranks of the group as recorded; empty unknown")                   \
    X(13, sequence, U64, DELTA, "sequence number in the group + 1; 0 unknown")

/* Waits between host, streams and events, where the recorder saw them. */
#define PS_SYNC_COLUMNS(X)                                                                      \
    X(1, start_ns, I64, DELTA, "[ns] begin")                                                    \
    X(2, dur_ns, I64, PLAIN, "[ns] length, >= 0")                                               \
    X(3, device, U32, PLAIN, "device ordinal")                                                  \
    X(4, stream, U64, PLAIN, "waiting or awaited stream; UINT64_MAX none")                      \
    X(5, correlation, U64, DELTA, "joins with the host call; 0 none")                           \
    X(6, kind, U8, PLAIN, "ps_sync_kind")                                                       \
    X(7, event_id, U64, PLAIN, "CUDA event; 0 unknown")                                         \
    X(8, record_correlation, U64, DELTA, "correlation of the awaited event's record call; 0 unknown") \
    X(9, record_stream, U64, PLAIN, "stream the awaited event was recorded on; UINT64_MAX unknown")

/* Allocator events in program order: the order of rows is the truth, also where times are equal. */
#define PS_MEMORY_COLUMNS(X)                                                                    \
    X(1, time_ns, I64, DELTA, "[ns] when, or the position when the clock is `order`")           \
    X(2, action, U8, PLAIN, "ps_memory_action")                                                 \
    X(3, device_kind, U8, PLAIN, "ps_device_kind")                                              \
    X(4, device, U32, PLAIN, "device ordinal; 0 for the host")                                  \
    X(5, bytes, U64, PLAIN, "[bytes] size; see `memory_sizes` of the trace")                    \
    X(6, addr, U64, DELTA, "address; 0 unknown")                                                \
    X(7, stream, U64, PLAIN, "stream handle; 0 default or unknown")                             \
    X(8, tid, U64, DELTA, "thread id; 0 unknown")                                               \
    X(9, op_id, U64, DELTA, "operator; 0 unknown")                                              \
    X(10, total_allocated, U64, DELTA, "[bytes] allocated after the event + 1; 0 unknown")      \
    X(11, total_reserved, U64, DELTA, "[bytes] reserved after the event + 1; 0 unknown")        \
    X(12, device_free, U64, PLAIN, "[bytes] free on the device + 1, oom only; 0 unknown")       \
    X(13, stack, STR, PLAIN, "innermost frames, \"file:line function; ...\"; empty unknown")    \
    X(14, pool_owner, U64, PLAIN, "first half of the private pool id; 0,0 the default pool")    \
    X(15, pool_serial, U64, PLAIN, "second half of the private pool id")

/* What the allocator held when the recording ended. */
#define PS_SEGMENT_COLUMNS(X)                                                                   \
    X(1, device, U32, PLAIN, "device ordinal")                                                  \
    X(2, addr, U64, DELTA, "address")                                                           \
    X(3, bytes, U64, PLAIN, "[bytes] whole segment")                                            \
    X(4, stream, U64, PLAIN, "stream handle")                                                   \
    X(5, is_large, U8, PLAIN, "1: large pool, 0: small pool")                                   \
    X(6, is_expandable, U8, PLAIN, "1: mapped pages of an expandable segment")                  \
    X(7, pool_owner, U64, PLAIN, "first half of the private pool id; 0,0 the default pool")     \
    X(8, pool_serial, U64, PLAIN, "second half of the private pool id")                         \
    X(9, allocated_bytes, U64, PLAIN, "[bytes] recorded total of allocated blocks")             \
    X(10, active_bytes, U64, PLAIN, "[bytes] recorded total of allocated and pending blocks")   \
    X(11, requested_bytes, U64, PLAIN, "[bytes] recorded total of requested sizes")

#define PS_BLOCK_COLUMNS(X)                                                                     \
    X(1, device, U32, PLAIN, "device ordinal")                                                  \
    X(2, addr, U64, DELTA, "address; blocks follow their segments' order and tile them")        \
    X(3, bytes, U64, PLAIN, "[bytes] block size, multiple of 512")                              \
    X(4, requested_bytes, U64, PLAIN, "[bytes] what the program asked for")                     \
    X(5, state, U8, PLAIN, "ps_block_state")                                                    \
    X(6, stack, STR, PLAIN, "innermost frames of the allocation; empty unknown")

#define PS_DEVICE_COLUMNS(X)                                                                    \
    X(1, device, U32, PLAIN, "device ordinal")                                                  \
    X(2, kind, U8, PLAIN, "ps_device_kind")                                                     \
    X(3, name, STR, PLAIN, "marketing name as reported; empty unknown")                         \
    X(4, memory_bytes, U64, PLAIN, "[bytes] total memory; 0 unknown")                           \
    X(5, sm_count, U32, PLAIN, "multiprocessors; 0 unknown")                                    \
    X(6, cc_major, U32, PLAIN, "compute capability")                                            \
    X(7, cc_minor, U32, PLAIN, "compute capability")

#define PS_THREAD_COLUMNS(X)                                                                    \
    X(1, pid, U32, PLAIN, "process id")                                                         \
    X(2, tid, U64, PLAIN, "thread id")                                                          \
    X(3, name, STR, PLAIN, "as recorded")

/* Memory that the driver gave the process, whatever asked for it: framework, libraries, context. */
#define PS_DRIVER_MEMORY_COLUMNS(X)                                                             \
    X(1, time_ns, I64, DELTA, "[ns] when the call returned")                                    \
    X(2, action, U8, PLAIN, "ps_driver_action")                                                 \
    X(3, kind, U8, PLAIN, "ps_memory_kind")                                                     \
    X(4, device, U32, PLAIN, "device ordinal")                                                  \
    X(5, bytes, U64, PLAIN, "[bytes] size; 0 unknown")                                          \
    X(6, addr, U64, DELTA, "address; of create and release the handle")                         \
    X(7, stream, U64, PLAIN, "stream id of a stream-ordered call; UINT64_MAX none")             \
    X(8, correlation, U64, DELTA, "joins with the host call; 0 none")                           \
    X(9, pool, U64, PLAIN, "memory pool it came from; 0 none")

/* Facts about the recording as key and value, e.g. source, clock, memory_sizes, rank, world_size. */
#define PS_META_COLUMNS(X)                                                                      \
    X(1, key, STR, PLAIN, "kebab-case or the foreign key")                                      \
    X(2, value, STR, PLAIN, "text")

/* What was lost or not understood while recording or importing. */
#define PS_LOSS_COLUMNS(X)                                                                      \
    X(1, name, STR, PLAIN, "loss name, kebab-case")                                             \
    X(2, severity, U8, PLAIN, "ps_severity")                                                    \
    X(3, count, U64, PLAIN, "how often")

/* X(symbol, id, name, struct, COLUMNS, doc) */
#define PS_TRACE_TABLES(X)                                                                      \
    X(RANGE, 1, range, ps_range_table, PS_RANGE_COLUMNS, "named host intervals")                \
    X(CALL, 2, call, ps_call_table, PS_CALL_COLUMNS, "runtime and driver calls")                \
    X(KERNEL, 3, kernel, ps_kernel_table, PS_KERNEL_COLUMNS, "device kernels")                  \
    X(MEMCPY, 4, memcpy, ps_memcpy_table, PS_MEMCPY_COLUMNS, "device copies")                   \
    X(MEMSET, 5, memset, ps_memset_table, PS_MEMSET_COLUMNS, "device fills")                    \
    X(COLLECTIVE, 6, collective, ps_collective_table, PS_COLLECTIVE_COLUMNS, "collectives")     \
    X(SYNC, 7, sync, ps_sync_table, PS_SYNC_COLUMNS, "waits")                                   \
    X(MEMORY, 8, memory, ps_memory_table, PS_MEMORY_COLUMNS, "allocator events")                \
    X(SEGMENT, 9, segment, ps_segment_table, PS_SEGMENT_COLUMNS, "final segments")              \
    X(BLOCK, 10, block, ps_block_table, PS_BLOCK_COLUMNS, "final blocks")                       \
    X(DEVICE, 11, device, ps_device_table, PS_DEVICE_COLUMNS, "devices")                        \
    X(THREAD, 12, thread, ps_thread_table, PS_THREAD_COLUMNS, "threads")                        \
    X(META, 13, meta, ps_meta_table, PS_META_COLUMNS, "facts about the recording")              \
    X(LOSS, 14, loss, ps_loss_table, PS_LOSS_COLUMNS, "what was lost")                                    \
    X(DRIVER_MEMORY, 15, driver_memory, ps_driver_memory_table, PS_DRIVER_MEMORY_COLUMNS,       \
      "memory the driver gave")

#endif
