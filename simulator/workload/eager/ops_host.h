/* SPDX-License-Identifier: MIT
 *
 * What a program does with the host's memory, its cores and disks, and waiting
 * for that or for a lane.
 */
#ifndef PS_WORKLOAD_OPS_HOST_H
#define PS_WORKLOAD_OPS_HOST_H

#include "workload/eager/eager.h"

/* ---- work ---- */

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

/* ---- waiting ---- */

/** `lane` goes on when `awaited` has done all it has been given so far. */
void ps_op_join(ps_eager *self, ps_eager_lane lane, ps_eager_lane awaited);

/** The host waits for all a lane has been given so far; for a worker: until it has done its work. */
void ps_op_wait(ps_eager *self, ps_eager_lane lane);

/** An event: the mark is that of what the lane has been given last, none where it has nothing yet. */
void ps_op_mark(ps_eager *self, ps_eager_lane lane, uint32_t mark);

/** The host waits for the last run that has the mark; nothing where none has it yet. */
void ps_op_wait_mark(ps_eager *self, uint32_t mark);

/** `lane` goes on when the last run that has the mark is done; at once where none has it yet. */
void ps_op_join_mark(ps_eager *self, ps_eager_lane lane, uint32_t mark);

#endif
