/* SPDX-License-Identifier: MIT
 *
 * The words of a memory snapshot: keys of its dicts and the names they take as
 * values. They are interned first and in this order, so the id of a text in
 * the file equals the constant.
 */
#ifndef PS_IMPORT_SNAPSHOT_WORDS_H
#define PS_IMPORT_SNAPSHOT_WORDS_H

/* clang-format off */
/* X(symbol, text) */
#define PS_SNAPSHOT_WORDS(X)                                            \
    /* the whole */                                                     \
    X(SEGMENTS, "segments")                                             \
    X(DEVICE_TRACES, "device_traces")                                   \
    X(ALLOCATOR_SETTINGS, "allocator_settings")                         \
    X(EXTERNAL_ANNOTATIONS, "external_annotations")                     \
    /* events */                                                        \
    X(ACTION, "action")                                                 \
    X(ADDR, "addr")                                                     \
    X(SIZE, "size")                                                     \
    X(STREAM, "stream")                                                 \
    X(TIME_US, "time_us")                                               \
    X(DEVICE_FREE, "device_free")                                       \
    X(POOL_ID, "pool_id")                                               \
    X(FRAMES, "frames")                                                 \
    X(ALLOC, "alloc")                                                   \
    X(FREE_REQUESTED, "free_requested")                                 \
    X(FREE_COMPLETED, "free_completed")                                 \
    X(SEGMENT_ALLOC, "segment_alloc")                                   \
    X(SEGMENT_FREE, "segment_free")                                     \
    X(SEGMENT_MAP, "segment_map")                                       \
    X(SEGMENT_UNMAP, "segment_unmap")                                   \
    X(OOM, "oom")                                                       \
    X(SNAPSHOT, "snapshot")                                             \
    /* frames */                                                        \
    X(FILENAME, "filename")                                             \
    X(NAME, "name")                                                     \
    X(LINE, "line")                                                     \
    /* segments and blocks */                                           \
    X(DEVICE, "device")                                                 \
    X(ADDRESS, "address")                                               \
    X(TOTAL_SIZE, "total_size")                                         \
    X(ALLOCATED_SIZE, "allocated_size")                                 \
    X(ACTIVE_SIZE, "active_size")                                       \
    X(REQUESTED_SIZE, "requested_size")                                 \
    X(SEGMENT_TYPE, "segment_type")                                     \
    X(SEGMENT_POOL_ID, "segment_pool_id")                               \
    X(IS_EXPANDABLE, "is_expandable")                                   \
    X(BLOCKS, "blocks")                                                 \
    X(STATE, "state")                                                   \
    X(HISTORY, "history")                                               \
    X(REAL_SIZE, "real_size")                                           \
    X(SMALL, "small")                                                   \
    X(LARGE, "large")                                                   \
    X(INACTIVE, "inactive")                                             \
    X(ACTIVE_ALLOCATED, "active_allocated")                             \
    X(ACTIVE_PENDING_FREE, "active_pending_free")                       \
    X(ACTIVE_AWAITING_FREE, "active_awaiting_free")                     \
    /* settings */                                                      \
    X(ALLOC_CONF, "PYTORCH_CUDA_ALLOC_CONF")                            \
    X(MAX_SPLIT_SIZE, "max_split_size")                                 \
    X(GC_THRESHOLD, "garbage_collection_threshold")                     \
    X(EXPANDABLE_SEGMENTS, "expandable_segments")                       \
    X(ROUNDUP_DIVISIONS, "roundup_power2_divisions")                    \
    /* sizes in MiB from which rounding divisions hold, ascending */     \
    X(SIZE_1, "1")                                                      \
    X(SIZE_2, "2")                                                      \
    X(SIZE_4, "4")                                                      \
    X(SIZE_8, "8")                                                      \
    X(SIZE_16, "16")                                                    \
    X(SIZE_32, "32")                                                    \
    X(SIZE_64, "64")                                                    \
    X(SIZE_128, "128")                                                  \
    X(SIZE_256, "256")                                                  \
    X(SIZE_512, "512")                                                  \
    X(SIZE_1024, "1024")                                                \
    X(SIZE_2048, "2048")                                                \
    X(SIZE_4096, "4096")                                                \
    X(SIZE_8192, "8192")                                                \
    X(SIZE_16384, "16384")                                              \
    X(SIZE_32768, "32768")                                              \
    /* annotations */                                                   \
    X(STAGE, "stage")                                                   \
    X(START, "START")                                                   \
    X(END, "END")
/* clang-format on */

typedef enum ps_snapshot_word {
    PS_WORD_EMPTY = 0, /* the empty text always has id 0 */
#define PS_SNAPSHOT_WORD_ENUM(sym, text) PS_WORD_##sym,
    PS_SNAPSHOT_WORDS(PS_SNAPSHOT_WORD_ENUM)
#undef PS_SNAPSHOT_WORD_ENUM
} ps_snapshot_word;

#endif
