/* SPDX-License-Identifier: MIT
 *
 * A small job for the stand-in: what a recording of it must hold is known.
 *
 *   standin_job STEPS STEP_US [--threads N] [--leak-free] [--fork] [--exit N] [--os-exit]
 *               [--die SIGNAL] [--devices N] [--abandon]
 *
 * Every thread has two streams, two buffers on the device and one on the host. A step is
 *
 *   first stream   copy to the device, fill, kernel, event ─┐
 *   second stream                             wait for it ──┴─ kernel, copy to the host, event
 *
 * then a wait for the last event and one for the first stream, beside an allocation that is
 * given back. At the end every thread waits for the device; --leak-free gives everything back.
 * Thread i uses device i modulo N. Prints "result N", which is the same with and without a
 * recording; with --abandon it ends when all threads together have done half of STEPS, still at work.
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "standin/runtime.h"

enum { THREADS_MAX = 16, BUFFER_BYTES = 1 << 20, SCRATCH_BYTES = 3 << 20, HOST_BYTES = 1 << 16 };

typedef struct options {
    long steps, step_us, threads, devices, status, signal;
    bool is_leak_free, forks, exits_at_once, abandons;
} options;

typedef struct worker {
    const options *options;
    void *stream[2], *event[2], *device[2], *host;
    uint64_t result;
    pthread_t thread;
} worker;

static worker workers[THREADS_MAX];
static atomic_long steps_done; /* of all threads */

/* Addresses that stand for the host stubs of kernels. */
static const char forward_stub, backward_stub;

static void expect(int error, const char *call)
{
    if (error != STANDIN_SUCCESS) {
        (void)fprintf(stderr, "job: %s: %s\n", call, cudaGetErrorName(error));
        exit(EXIT_FAILURE);
    }
}
#define CALL(function, arguments) expect(function arguments, #function)

static void set_up(worker *self)
{
    for (int i = 0; i < 2; i++) {
        CALL(cudaStreamCreateWithFlags, (&self->stream[i], 1));
        CALL(cudaEventCreateWithFlags, (&self->event[i], 2));
        CALL(cudaMalloc, (&self->device[i], BUFFER_BYTES));
    }
    CALL(cudaHostAlloc, (&self->host, HOST_BYTES, 0));
}

static void clean_up(worker *self)
{
    for (int i = 0; i < 2; i++) {
        CALL(cudaStreamDestroy, (self->stream[i]));
        CALL(cudaEventDestroy, (self->event[i]));
        CALL(cudaFree, (self->device[i]));
    }
    CALL(cudaFreeHost, (self->host));
}

static void launch(const char *stub, void *stream)
{
    const standin_dim3 grid = {.x = 64, .y = 2, .z = 1}, block = {.x = 256, .y = 1, .z = 1};
    CALL(cudaLaunchKernel, (stub, grid, block, NULL, 1024, stream));
}

static void step(worker *self, long index)
{
    unsigned char *host = self->host;
    void *first = self->stream[0], *second = self->stream[1], *scratch;
    memset(host, (int)index, HOST_BYTES);
    CALL(cudaMalloc, (&scratch, SCRATCH_BYTES));
    CALL(cudaMemcpyAsync, (self->device[0], host, HOST_BYTES, STANDIN_HOST_TO_DEVICE, first));
    CALL(cudaMemsetAsync, (self->device[1], 0, BUFFER_BYTES, first));
    launch(&forward_stub, first);
    CALL(cudaEventRecord, (self->event[0], first));
    CALL(cudaStreamWaitEvent, (second, self->event[0], 0));
    launch(&backward_stub, second);
    CALL(cudaMemcpyAsync, (host, self->device[1], HOST_BYTES / 2, STANDIN_DEVICE_TO_HOST, second));
    CALL(cudaEventRecord, (self->event[1], second));
    CALL(cudaEventQuery, (self->event[1]));
    CALL(cudaEventSynchronize, (self->event[1]));
    CALL(cudaStreamSynchronize, (first));
    CALL(cudaFree, (scratch));
    CALL(cudaGetLastError, ());
    self->result = self->result * 31 + host[0] + host[HOST_BYTES - 1];
}

static void pause_us(long us)
{
    const struct timespec length = {.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000};
    (void)nanosleep(&length, NULL);
}

static void *work(void *argument)
{
    worker *self = argument;
    const options *wanted = self->options;
    CALL(cudaSetDevice, ((int)((self - workers) % wanted->devices)));
    set_up(self);
    for (long i = 0; i < wanted->steps; i++) {
        if (wanted->signal != 0 && i == wanted->steps / 2) {
            (void)raise((int)wanted->signal);
        }
        step(self, i);
        atomic_fetch_add(&steps_done, 1);
        pause_us(wanted->step_us);
    }
    CALL(cudaDeviceSynchronize, ());
    if (wanted->is_leak_free) {
        clean_up(self);
    }
    return NULL;
}

/* A child that uses nothing of the device, and ends as any program. */
static void fork_child(void)
{
    int status = -1;
    const pid_t child = fork();
    if (child == 0) {
        exit(EXIT_SUCCESS);
    }
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0) {
        (void)fprintf(stderr, "job: the child ended with status %d\n", status);
        exit(EXIT_FAILURE);
    }
}

static long number(const char *text)
{
    char *end;
    const long value = text == NULL ? -1 : strtol(text, &end, 10);
    if (value < 0 || *end != '\0') {
        (void)fprintf(stderr, "job: %s is not a number\n", text == NULL ? "nothing" : text);
        exit(EXIT_FAILURE);
    }
    return value;
}

static options read_options(char **argument)
{
    options self = {.threads = 1, .devices = 1};
    self.steps = number(*argument);
    self.step_us = number(self.steps >= 0 ? *++argument : NULL);
    while (*++argument != NULL) {
        if (strcmp(*argument, "--leak-free") == 0) {
            self.is_leak_free = true;
        } else if (strcmp(*argument, "--fork") == 0) {
            self.forks = true;
        } else if (strcmp(*argument, "--os-exit") == 0) {
            self.exits_at_once = true;
        } else if (strcmp(*argument, "--threads") == 0) {
            self.threads = number(*++argument);
        } else if (strcmp(*argument, "--abandon") == 0) {
            self.abandons = true;
        } else if (strcmp(*argument, "--devices") == 0) {
            self.devices = number(*++argument);
        } else if (strcmp(*argument, "--exit") == 0) {
            self.status = number(*++argument);
        } else if (strcmp(*argument, "--die") == 0) {
            self.signal = number(*++argument);
        } else {
            (void)fprintf(stderr, "job: %s?\n", *argument);
            exit(EXIT_FAILURE);
        }
    }
    return self;
}

static void start_workers(const options *wanted)
{
    for (long i = 0; i < wanted->threads && i < THREADS_MAX; i++) {
        workers[i].options = wanted;
        if (pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0) {
            (void)fprintf(stderr, "job: no thread\n");
            exit(EXIT_FAILURE);
        }
    }
}

int main(int argc, char **argv)
{
    static options wanted;
    uint64_t result = 0;
    wanted = read_options(argc > 1 ? argv + 1 : argv + argc);
    void **module = __cudaRegisterFatBinary(NULL);
    __cudaRegisterFunction(module, &forward_stub, NULL, "job_forward");
    __cudaRegisterFunction(module, &backward_stub, NULL, "job_backward");
    start_workers(&wanted);
    if (wanted.forks) {
        fork_child();
    }
    if (wanted.abandons) {
        while (atomic_load(&steps_done) < wanted.steps / 2) {
            pause_us(wanted.step_us);
        }
        return (int)wanted.status;
    }
    for (long i = 0; i < wanted.threads && i < THREADS_MAX; i++) {
        (void)pthread_join(workers[i].thread, NULL);
        result += workers[i].result;
    }
    (void)printf("result %llu\n", (unsigned long long)result);
    (void)fflush(stdout);
    if (wanted.exits_at_once) {
        _exit((int)wanted.status);
    }
    return (int)wanted.status;
}
