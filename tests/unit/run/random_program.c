/* SPDX-License-Identifier: MIT
 *
 * Random recordings with true causes.
 */
#include "random_program.h"

#define Q PROGRAM_QUANTUM
#define MAX_LIVE 64
#define BASE_BYTES (64 * MIB)
#define ADDR 0x7f0000000000u

typedef struct machine {
    const program_shape *shape;
    ps_trace *trace;
    uint64_t rng;
    ps_ns clock[PROGRAM_MAX_THREADS];
    ps_ns free_at[PROGRAM_MAX_STREAMS];    /* end of the last work given */
    ps_ns held_until[PROGRAM_MAX_STREAMS]; /* by an event it waits for */
    ps_ns *ends[PROGRAM_MAX_STREAMS];      /* of all its work, for the queue */
    size_t given[PROGRAM_MAX_STREAMS];
    ps_ns event_at; /* when the newest recorded event happens */
    unsigned event_stream;
    uint64_t event_correlation;
    uint64_t correlation;
    struct {
        uint64_t bytes, addr;
        ps_ns at;
    } live[MAX_LIVE];
    size_t live_count;
    uint64_t next_addr;
    ps_ns step_begin;
    unsigned steps, turn_of, turn_left;
} machine;

static ps_ns some(machine *m, unsigned least, unsigned most)
{
    return Q * (ps_ns)(least + next_random(&m->rng) % (most - least + 1));
}

static bool chance(machine *m, unsigned one_in)
{
    return next_random(&m->rng) % one_in == 0;
}

static place place_of(unsigned stream)
{
    return (place){0, 7 + stream};
}

static ps_ns later(ps_ns a, ps_ns b)
{
    return a > b ? a : b;
}

/* When work called for at `call` runs on a stream. */
static span give(machine *m, unsigned stream, ps_ns call, unsigned longest)
{
    ps_ns start = later(call + some(m, 1, 3), m->free_at[stream] + some(m, 0, 2));
    start = later(start, m->held_until[stream]);
    const span at = {start, start + some(m, 0, longest)};
    m->held_until[stream] = 0;
    m->free_at[stream] = at.end;
    m->ends[stream][m->given[stream]++] = at.end;
    return at;
}

/* A launch returns when the queue has room. */
static ps_ns launch_return(const machine *m, unsigned stream, ps_ns earliest)
{
    const size_t given = m->given[stream], queue = m->shape->queue;
    return queue != 0 && given > queue ? later(earliest, m->ends[stream][given - 1 - queue] + Q)
                                       : earliest;
}

static void launch(machine *m, unsigned thread)
{
    const unsigned stream = (unsigned)(next_random(&m->rng) % m->shape->streams);
    const ps_ns call = m->clock[thread];
    const span at = give(m, stream, call, 20);
    const ps_ns end = launch_return(m, stream, call + Q);
    m->correlation++;
    put_call(m->trace, thread + 1, (span){call, end}, "cudaLaunchKernel", m->correlation);
    if (chance(m, 6)) { /* the driver's own call inside */
        put_call(m->trace, thread + 1, (span){call + Q / 4, call + Q / 2}, "cuLaunchKernel",
                 ++m->correlation);
    }
    if (chance(m, 10)) {
        put_fill(m->trace, place_of(stream), at, m->correlation);
    } else if (chance(m, 10)) {
        put_collective(m->trace, place_of(stream), at, m->correlation);
    } else {
        put_kernel(m->trace, place_of(stream), at, "k", m->correlation);
    }
    m->clock[thread] = end;
}

static void copy(machine *m, unsigned thread)
{
    const unsigned stream = (unsigned)(next_random(&m->rng) % m->shape->streams);
    const ps_ns call = m->clock[thread];
    const span at = give(m, stream, call, 12);
    const bool blocks = chance(m, 2);
    const cargo what = {chance(m, 2) ? PS_COPY_HTOD : PS_COPY_DTOH,
                        blocks ? PS_MEMORY_PAGEABLE : PS_MEMORY_PINNED, next_random(&m->rng) % MIB};
    const ps_ns end = blocks ? later(call + Q, at.end + some(m, 0, 1)) : call + Q;
    m->correlation++;
    put_call(m->trace, thread + 1, (span){call, end}, "cudaMemcpyAsync", m->correlation);
    put_copy(m->trace, place_of(stream), at, what, m->correlation);
    m->clock[thread] = end;
}

static void record_event(machine *m, unsigned thread)
{
    const ps_ns call = m->clock[thread];
    m->event_stream = (unsigned)(next_random(&m->rng) % m->shape->streams);
    m->event_at = m->free_at[m->event_stream];
    m->event_correlation = ++m->correlation;
    put_call(m->trace, thread + 1, (span){call, call + Q}, "cudaEventRecord", m->correlation);
    m->clock[thread] += Q;
}

static void wait_for_event(machine *m, unsigned thread)
{
    const ps_ns call = m->clock[thread];
    const unsigned stream = (unsigned)(next_random(&m->rng) % m->shape->streams);
    m->held_until[stream] = later(m->held_until[stream], m->event_at);
    put_call(m->trace, thread + 1, (span){call, call + Q}, "cudaStreamWaitEvent", ++m->correlation);
    if (chance(m, 2)) { /* some recorders write it down, others do not */
        put_stream_wait(m->trace, place_of(stream), m->correlation,
                        place_of(m->event_stream).stream, m->event_correlation);
    }
    m->clock[thread] += Q;
}

static void synchronise(machine *m, unsigned thread)
{
    const ps_ns call = m->clock[thread];
    const unsigned stream = (unsigned)(next_random(&m->rng) % m->shape->streams);
    const bool all = chance(m, 3);
    ps_ns done = m->free_at[stream];
    for (unsigned s = 0; all && s < m->shape->streams; s++) {
        done = later(done, m->free_at[s]);
    }
    const ps_ns end = later(call + Q, done + some(m, 0, 1));
    put_call(m->trace, thread + 1, (span){call, end},
             all ? "cudaDeviceSynchronize" : "cudaStreamSynchronize", ++m->correlation);
    m->clock[thread] = end;
}

static void use_memory(machine *m, unsigned thread)
{
    const ps_ns now = m->clock[thread];
    size_t row;
    if (m->live_count < MAX_LIVE && !chance(m, 3)) {
        const uint64_t bytes = 512 * (1 + next_random(&m->rng) % 8192);
        row = put_alloc(m->trace, now, bytes, m->next_addr);
        m->live[m->live_count].bytes = bytes;
        m->live[m->live_count].addr = m->next_addr;
        m->live[m->live_count++].at = now;
        m->next_addr += 16 * MIB;
    } else if (m->live_count > 0) {
        const size_t i = next_random(&m->rng) % m->live_count;
        if (m->live[i].at >= now) {
            return; /* another thread, which is ahead, allocated it */
        }
        row = put_free(m->trace, now, m->live[i].bytes, m->live[i].addr);
        m->live[i] = m->live[--m->live_count];
    } else { /* something from before */
        row = put_free(m->trace, now, 512, m->next_addr);
        m->next_addr += 16 * MIB;
    }
    m->trace->memory.tid[row] = thread + 1;
}

static void mark_step(machine *m)
{
    const ps_ns now = m->clock[0];
    put_step(m->trace, (span){m->step_begin, now}, ++m->steps);
    m->step_begin = now;
}

static unsigned next_thread(machine *m)
{
    const program_shape *shape = m->shape;
    if (shape->turn == 0) { /* the one that is furthest behind */
        unsigned thread = 0;
        for (unsigned t = 1; t < shape->threads; t++) {
            thread = m->clock[t] < m->clock[thread] ? t : thread;
        }
        return thread;
    }
    if (m->turn_left-- == 0) {
        const unsigned last = m->turn_of;
        m->turn_of = (last + 1) % shape->threads;
        m->turn_left = shape->turn;
        m->clock[m->turn_of] = m->clock[last] + some(m, 0, 4);
    }
    return m->turn_of;
}

static void act(machine *m)
{
    static void (*const actions[])(machine * m, unsigned thread) = {
        launch,         launch,      launch,     copy,       record_event,
        wait_for_event, synchronise, use_memory, use_memory, use_memory};
    const unsigned thread = next_thread(m);
    m->clock[thread] += chance(m, 2) && !m->shape->launches_only ? some(m, 0, 4) : 0;
    const bool marks = thread == 0 && chance(m, 12);
    if (marks) {
        mark_step(m);
    }
    /* a call of its own behind each mark: a mark between a thread's last call and its hand-over
     * counts as the end of that call */
    if (marks || (m->shape->launches_only && !chance(m, 20))) {
        launch(m, thread);
    } else {
        actions[next_random(&m->rng) % (sizeof actions / sizeof actions[0])](m, thread);
    }
}

/* Totals as an allocator would have stated them, in order of time. */
static void state_totals(ps_trace *trace)
{
    ps_error err = {0};
    uint64_t total = BASE_BYTES;
    ps_memory_table *memory = &trace->memory;
    put_fact(trace, PS_META_MEMORY_SIZES, "block");
    assert_ok(&err, ps_table_sort(&ps_trace_specs()[PS_TABLE_MEMORY], &memory->head,
                                  &ps_trace_specs()[PS_TABLE_MEMORY].columns[0], &err));
    for (size_t row = 0; row < memory->head.count; row++) {
        total = memory->action[row] == PS_ACTION_ALLOC ? total + memory->bytes[row]
                                                       : total - memory->bytes[row];
        memory->total_allocated[row] = total + 1;
    }
}

ps_trace *random_program(const program_shape *shape, uint64_t seed)
{
    machine m = {.shape = shape,
                 .trace = trace_new(),
                 .rng = seed * 2654435761u + 99,
                 .next_addr = ADDR,
                 .turn_left = shape->turn};
    for (unsigned s = 0; s < shape->streams; s++) {
        m.ends[s] = calloc(shape->actions + 1, sizeof *m.ends[s]);
        assert_non_null(m.ends[s]);
    }
    put_call(m.trace, MAIN_THREAD, (span){0, Q}, "cudaGetDevice", 0);
    m.clock[0] = Q;
    for (unsigned i = 0; i < shape->actions; i++) {
        act(&m);
    }
    mark_step(&m);
    state_totals(m.trace);
    for (unsigned s = 0; s < shape->streams; s++) {
        free(m.ends[s]);
    }
    return m.trace;
}
