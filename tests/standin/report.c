/* SPDX-License-Identifier: MIT
 *
 * Tells the stand-in for CUPTI, when it is in the process, what is called and
 * what work that makes. Calls within calls are not told.
 */
#include <dlfcn.h>
#include <stdatomic.h>
#include <string.h>

#include "standin/standin.h"

/* Calls between two looks for a library that may come later. */
enum { LOOK_PERIOD = 64 };

typedef struct scope {
    unsigned depth;
    uint32_t id, correlation;
    uint64_t start_ns;
} scope;

static const standin_cupti *_Atomic door;
static _Atomic uint32_t correlations;
static _Thread_local scope current;

void standin_look_for_cupti(void)
{
    static const char *const sonames[] = {"libcupti.so.13", "libcupti.so.12", "libcupti.so.11.8"};
    for (size_t i = 0; door == NULL && i < sizeof sonames / sizeof *sonames; i++) {
        void *library = dlopen(sonames[i], RTLD_LAZY | RTLD_NOLOAD);
        if (library != NULL) {
            door = dlsym(library, STANDIN_DOOR); /* NULL: a real one */
        }
    }
}

const standin_cupti *standin_door(void)
{
    return door;
}

uint32_t standin_correlation(void)
{
    return current.correlation;
}

void standin_enter(uint32_t id)
{
    standin_start();
    if (current.depth++ == 0) {
        const uint32_t correlation = ++correlations;
        if (door == NULL && correlation % LOOK_PERIOD == 0) {
            standin_look_for_cupti();
        }
        current.id = id;
        current.correlation = correlation;
        current.start_ns = standin_now_ns();
    }
}

int standin_leave(int error)
{
    const standin_cupti *to = door;
    if (--current.depth == 0 && to != NULL) {
        const standin_called call = {.id = current.id,
                                     .correlation = current.correlation,
                                     .result = (uint32_t)error,
                                     .start_ns = current.start_ns,
                                     .end_ns = standin_now_ns()};
        to->called(&call);
    }
    return error;
}

standin_driver_call standin_enter_driver(uint32_t id, const char *name, const void *parameters)
{
    standin_driver_call call = {.id = id,
                                .correlation = ++correlations,
                                .name = name,
                                .parameters = parameters,
                                .start_ns = standin_now_ns()};
    const standin_cupti *to = door;
    if (to != NULL) {
        to->driver_begin(&call);
    }
    return call;
}

int standin_leave_driver(standin_driver_call *call, int error)
{
    const standin_cupti *to = door;
    if (to != NULL) {
        to->driver_end(call, (uint32_t)error, standin_now_ns());
    }
    return error;
}
