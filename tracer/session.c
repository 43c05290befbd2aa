/* SPDX-License-Identifier: MIT
 *
 * The one recording of this process.
 */
#include "session.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "device_level.h"
#include "recorder.h"
#include "settings.h"

#define PATH_BYTES 4096

/* Fast: the writer must keep up with any job, and `record` compresses again, better, afterwards. */
#define LIVE_LEVEL 1

static struct {
    pthread_mutex_t lock; /* begin, end, step */
    ps_settings settings;
    ps_recorder *recorder;
    ps_device_level *device;
    ps_control *control;
    ps_ns base_ns;
    pid_t pid;
    _Atomic bool has_begun, has_ended, is_inside, was_refused;
} session = {.lock = PTHREAD_MUTEX_INITIALIZER};

static ps_ns unix_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (ps_ns)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void report(const ps_error *err)
{
    char sentence[PS_CONTROL_PROBLEM_BYTES];
    ps_error_format(err, sentence, sizeof sentence);
    ps_control_report(session.control, sentence);
}

static void note_start(void)
{
    char text[32];
    ps_marks *marks = ps_recorder_marks(session.recorder);
    (void)snprintf(text, sizeof text, "%lld", (long long)session.base_ns);
    ps_marks_fact(marks, PS_META_BASE_TIME, text);
    (void)snprintf(text, sizeof text, "%ld", (long)session.pid);
    ps_marks_fact(marks, "pid", text);
    ps_marks_fact(marks, PS_META_SOURCE, "tracer");
    ps_marks_fact(marks, PS_META_CLOCK, "unix-ns");
}

/* A child of fork: threads are gone, files belong to the parent, the job must not notice. */
static void after_fork_in_child(void)
{
    session.has_ended = true;
    session.is_inside = false;
    session.recorder = NULL;
    session.device = NULL;
}

static void begin(void)
{
    ps_error err = {0};
    char path[PATH_BYTES];
    session.settings = ps_settings_read();
    if (session.settings.folder == NULL) {
        session.has_ended = true;
        return;
    }
    session.pid = getpid();
    session.base_ns = unix_ns();
    if (ps_control_open(session.settings.folder, &session.control, &err) != PS_OK) {
        session.has_ended = true; /* `record` is not there: the variables were inherited */
        return;
    }
    (void)snprintf(path, sizeof path, "%s/%ld.device.pstrace", session.settings.folder,
                   (long)session.pid);
    /* a program that ran in this process before, and made way for this one by exec */
    const bool replaces = access(path, F_OK) == 0;
    const ps_recorder_options options = {.path = path,
                                         .base_ns = session.base_ns,
                                         .budget_bytes = session.settings.budget_bytes,
                                         .max_bytes = session.settings.max_bytes,
                                         .level = LIVE_LEVEL,
                                         .control = session.control};
    if (ps_recorder_start(&options, &session.recorder, &err) != PS_OK) {
        report(&err);
        session.has_ended = true;
        return;
    }
    note_start();
    ps_marks_loss(ps_recorder_marks(session.recorder), "replaced-recordings", replaces);
    session.is_inside = !session.settings.has_steps || session.settings.first_step == 0;
    (void)pthread_atfork(NULL, NULL, after_fork_in_child);
    (void)atexit(ps_session_end);
}

void ps_session_begin(void)
{
    if (session.has_begun) {
        return;
    }
    (void)pthread_mutex_lock(&session.lock);
    if (!session.has_begun) {
        begin();
        session.has_begun = true;
    }
    (void)pthread_mutex_unlock(&session.lock);
}

static void begin_device(void)
{
    ps_error err = {0};
    if (ps_device_level_start(session.recorder, session.base_ns, ps_session_is_recording,
                              session.settings.cupti, &session.device, &err) != PS_OK) {
        report(&err);
        ps_marks_fact(ps_recorder_marks(session.recorder), "device-records", "missing");
        session.was_refused = true;
        return;
    }
    /* the driver is loaded by now: this runs before the driver's own end */
    (void)atexit(ps_session_end);
    if (!session.is_inside) {
        ps_device_level_pause(session.device, true);
    }
}

bool ps_session_begin_device(void)
{
    ps_session_begin();
    (void)pthread_mutex_lock(&session.lock);
    if (!session.has_ended && session.settings.wants_device && session.device == NULL &&
        !session.was_refused) {
        begin_device();
    }
    const bool records = session.device != NULL && !session.was_refused;
    (void)pthread_mutex_unlock(&session.lock);
    return records;
}

bool ps_session_is_recording(void)
{
    return session.has_begun && !session.has_ended && session.is_inside &&
           atomic_load(&session.control->is_paused) == 0;
}

/* Both the wanted steps and the pause of the user decide; the device level follows. */
static void follow(void)
{
    if (session.device != NULL && !session.was_refused) {
        ps_device_level_pause(session.device, !ps_session_is_recording());
    }
}

void ps_session_step(uint64_t index)
{
    if (!session.has_begun || session.has_ended) {
        return;
    }
    (void)pthread_mutex_lock(&session.lock);
    if (session.settings.has_steps) {
        session.is_inside =
            index >= session.settings.first_step && index < session.settings.end_step;
    }
    follow();
    (void)pthread_mutex_unlock(&session.lock);
}

ps_marks *ps_session_marks(void)
{
    return session.has_begun && !session.has_ended ? ps_recorder_marks(session.recorder) : NULL;
}

ps_ns ps_session_base_ns(void)
{
    return session.base_ns;
}

void ps_session_end(void)
{
    if (!session.has_begun || session.has_ended || session.pid != getpid()) {
        return;
    }
    (void)pthread_mutex_lock(&session.lock);
    session.has_ended = true;
    if (session.device != NULL) {
        ps_device_level_stop(session.device);
    }
    ps_recorder_stop(session.recorder);
    (void)pthread_mutex_unlock(&session.lock);
}
