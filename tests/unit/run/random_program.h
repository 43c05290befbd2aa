/* SPDX-License-Identifier: MIT
 *
 * Random recordings with true causes: a small machine of host threads and
 * streams runs a random program and writes down what happened.
 *
 *   a kernel starts when it has been launched, its stream is free and the
 *   event its stream was told to wait for has happened; a synchronisation
 *   returns when its work is done; a copy of pageable memory blocks; a launch
 *   blocks while the queue is full
 *
 * All times are multiples of PROGRAM_QUANTUM, longer than any clock noise
 * that lowering allows for: nothing that it may round away occurs.
 */
#ifndef PS_TESTS_RANDOM_PROGRAM_H
#define PS_TESTS_RANDOM_PROGRAM_H

#include "make_trace.h"

#define PROGRAM_QUANTUM ((ps_ns)8000)
#define PROGRAM_MAX_THREADS 3u
#define PROGRAM_MAX_STREAMS 4u

/** What the machine is like. */
typedef struct program_shape {
    unsigned threads, streams;
    unsigned actions;
    unsigned queue;     /* unfinished launches a stream takes; 0: any number */
    unsigned turn;      /* actions after which the next thread has its turn; 0: side by side */
    bool launches_only; /* nothing but launches, so that the queue fills */
} program_shape;

/** The recording; the same for the same seed. Owned by the caller. */
ps_trace *random_program(const program_shape *shape, uint64_t seed);

#endif
