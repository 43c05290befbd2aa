/* SPDX-License-Identifier: MIT
 *
 * The doors of the injected library.
 *
 *   CUDA_INJECTION64_PATH   the driver calls InitializeInjection during cuInit
 *   NVTX_INJECTION64_PATH   NVTX calls InitializeInjectionNvtx2 at its first use
 *   LD_PRELOAD              the constructor waits for the driver to appear
 *   the start-up hook       calls the functions of hook_api.h
 */
#include <dlfcn.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include "cupti_api.h"
#include "session.h"
#include "settings.h"

#define EXPORTED __attribute__((visibility("default")))

/* libcupti of CUDA 13.0.0 dies in its NVTX entry; 13.0 Update 1 is 130001 */
#define CUPTI_WITH_BROKEN_NVTX 130000u

EXPORTED int InitializeInjection(void);
EXPORTED int InitializeInjectionNvtx2(void *get_export_table);

int InitializeInjection(void)
{
    (void)ps_session_begin_device();
    return 1; /* a job without a recording is still a job */
}

int InitializeInjectionNvtx2(void *get_export_table)
{
    ps_cupti_api cupti;
    const ps_settings settings = ps_settings_read();
    if (ps_cupti_load(settings.cupti, &cupti, NULL) != PS_OK ||
        cupti.version == CUPTI_WITH_BROKEN_NVTX) {
        return 0;
    }
    int (*entry)(void *);
    void *address = dlsym(cupti.library, "InitializeInjectionNvtx2");
    memcpy(&entry, &address, sizeof entry);
    return address != NULL ? entry(get_export_table) : 0;
}

/* ---- preloaded ---- */

#define WATCH_PERIOD_NS 20000000

static void *watch(void *unused)
{
    const struct timespec period = {.tv_nsec = WATCH_PERIOD_NS};
    void *driver = NULL;
    (void)unused;
    while (driver == NULL) {
        (void)nanosleep(&period, NULL);
        driver = dlopen("libcuda.so.1", RTLD_LAZY | RTLD_NOLOAD);
    }
    (void)ps_session_begin_device();
    return NULL;
}

__attribute__((constructor)) static void on_load(void)
{
    const ps_settings settings = ps_settings_read();
    pthread_t thread;
    if (settings.folder != NULL && settings.watches_driver &&
        pthread_create(&thread, NULL, watch, NULL) == 0) {
        (void)pthread_detach(thread);
    }
}
