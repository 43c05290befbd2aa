/* SPDX-License-Identifier: MIT
 *
 * The file container that traces, plans and workloads share.
 *
 *   ┌────────┬───────┬───────┬─ ─ ─┬───────┬─────────┐
 *   │ header │ chunk │ chunk │     │ index │ trailer │
 *   └────────┴───────┴───────┴─ ─ ─┴───────┴─────────┘
 *     32 B     independent: 32 B header + zstd frame   24 B, "finished" mark
 *
 * Each chunk holds rows of several tables as columns and its own strings, so
 * it can be decoded alone. A reader without an index (the writer died, the
 * file was cut) walks the chunks from the front, skips damaged ones, and
 * says what was lost. docs/FORMAT.md is the byte-level description;
 * proto/container.proto the schema of the payload.
 */
#ifndef PS_BASE_CONTAINER_H
#define PS_BASE_CONTAINER_H

#include "base/table.h"

/** Rows of one table allowed in one chunk. */
#define PS_CHUNK_MAX_ROWS 1048576u

/** [bytes] one chunk may have when decompressed. */
#define PS_CHUNK_MAX_BYTES ((uint64_t)512 << 20)

/** What kind of artefact a file holds; four letters in its header. */
typedef enum ps_artefact {
    PS_ARTEFACT_TRACE,
    PS_ARTEFACT_PLAN,
    PS_ARTEFACT_WORKLOAD,
    PS_ARTEFACT_COUNT
} ps_artefact;

/** A set of tables with one string table: the content of an artefact in memory. Borrowed pointers. */
typedef struct ps_dataset {
    const ps_table_spec *specs;
    size_t table_count;
    ps_table_head *const *tables; /* table_count pointers, in the order of specs */
    ps_strings *strings;
} ps_dataset;

/* ---- writing ---- */

typedef struct ps_container_writer ps_container_writer;

/**
 * Creates a temporary file beside `path`; it becomes `path` at finish.
 *
 * @return PS_OK · PS_IO · PS_NOMEM
 */
ps_code ps_container_create(const char *path, ps_artefact artefact, ps_container_writer **out,
                            ps_error *err) PS_MUST_USE;

/**
 * Creates a file that grows under its own name, each chunk complete on disk before the call that
 * wrote it returns: when the writer dies the chunks stay, and a reader salvages them.
 *
 * @param level  zstd level, 1 (fastest) to 19
 * @return PS_OK · PS_IO · PS_NOMEM
 */
ps_code ps_container_create_live(const char *path, ps_artefact artefact, int level,
                                 ps_container_writer **out, ps_error *err) PS_MUST_USE;

/** [bytes] written so far. */
uint64_t ps_container_written_bytes(const ps_container_writer *self);

/** Appends all rows of the dataset as one chunk; a dataset without rows writes nothing. */
ps_code ps_container_write(ps_container_writer *self, const ps_dataset *data,
                           ps_error *err) PS_MUST_USE;

/** Writes index and trailer, syncs and renames. The writer is gone afterwards, also on failure. */
ps_code ps_container_finish(ps_container_writer *self, ps_error *err) PS_MUST_USE;

/** Removes the temporary file and the writer; a live file stays as it is. NULL is fine. */
void ps_container_abandon(ps_container_writer *self);

/* ---- reading ---- */

typedef struct ps_container_reader ps_container_reader;

/** How the file was found. */
typedef struct ps_container_state {
    bool is_finished;        /* index and trailer are there and agree */
    uint32_t damaged_chunks; /* chunks whose bytes do not decode */
    uint64_t cut_bytes;      /* bytes at the end that hold no whole chunk */
    uint64_t file_bytes;
    uint16_t version_major, version_minor;
} ps_container_state;

/**
 * Opens a file and finds its chunks, by the index or else by walking.
 *
 * @return PS_OK (also for a cut file) · PS_IO · PS_BAD_INPUT not our magic, a directory, empty ·
 *         PS_UNSUPPORTED another artefact or a newer major version
 */
ps_code ps_container_open(const char *path, ps_artefact artefact, ps_container_reader **out,
                          ps_error *err) PS_MUST_USE;

/** Like ps_container_open over borrowed memory. */
ps_code ps_container_open_memory(const void *bytes, size_t count, ps_artefact artefact,
                                 ps_container_reader **out, ps_error *err) PS_MUST_USE;

size_t ps_container_chunk_count(const ps_container_reader *self);

/**
 * Appends the rows of one chunk to the dataset, strings translated to its ids.
 * A chunk that does not decode is PS_CORRUPT and leaves the dataset untouched.
 */
ps_code ps_container_read(ps_container_reader *self, size_t chunk, const ps_dataset *into,
                          ps_error *err) PS_MUST_USE;

/** Appends every decodable chunk; damaged ones are counted in the state, not fatal. */
ps_code ps_container_read_all(ps_container_reader *self, const ps_dataset *into,
                              ps_error *err) PS_MUST_USE;

ps_container_state ps_container_get_state(const ps_container_reader *self);

void ps_container_close(ps_container_reader *self);

/** True when the file begins like one of ours; *artefact tells which. Reads 32 bytes. */
bool ps_container_sniff(const unsigned char *head, size_t head_bytes, ps_artefact *artefact);

#endif
