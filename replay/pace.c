/* SPDX-License-Identifier: MIT
 *
 * Sleeping and polling, see pace.h.
 */
#include "replay/pace.h"

#include <sched.h>
#include <sys/prctl.h>
#include <time.h>

#define NS_PER_S 1000000000

/* [ns] one sleep at most, so that a run given up ends soon. */
#define MAX_SLEEP_NS ((ps_ns)20 * 1000 * 1000)

/* Calibration: the largest of a few wake-ups would be an accident, their median is the rule. */
#define TRIAL_COUNT 7
#define TRIAL_SLEEP_NS ((ps_ns)100 * 1000)
#define MIN_SPIN_NS ((ps_ns)20 * 1000)
#define MAX_SPIN_NS ((ps_ns)300 * 1000)

/* [ns] timer slack: how much the kernel may delay a wake-up to save power; its default is 50 us. */
#define SLACK_NS 1000UL

ps_ns ps_replay_clock_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (ps_ns)now.tv_sec * NS_PER_S + now.tv_nsec;
}

static void sleep_until(ps_ns moment_ns)
{
    const struct timespec at = {.tv_sec = (time_t)(moment_ns / NS_PER_S),
                                .tv_nsec = (long)(moment_ns % NS_PER_S)};
    (void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
}

ps_replay_pace ps_replay_pace_calibrate(void)
{
    ps_ns late[TRIAL_COUNT];
    const int slack = prctl(PR_GET_TIMERSLACK);
    ps_replay_pace_enter();
    for (int i = 0; i < TRIAL_COUNT; i++) {
        const ps_ns moment = ps_replay_clock_ns() + TRIAL_SLEEP_NS;
        sleep_until(moment);
        const ps_ns this_late = ps_replay_clock_ns() - moment;
        int at = i;
        for (; at > 0 && late[at - 1] > this_late; at--) {
            late[at] = late[at - 1];
        }
        late[at] = this_late;
    }
    if (slack >= 0) {
        (void)prctl(PR_SET_TIMERSLACK, (unsigned long)slack);
    }
    ps_ns spin = 2 * late[TRIAL_COUNT / 2];
    spin = spin < MIN_SPIN_NS ? MIN_SPIN_NS : spin;
    return (ps_replay_pace){.spin_ns = spin > MAX_SPIN_NS ? MAX_SPIN_NS : spin};
}

void ps_replay_pace_enter(void)
{
    (void)prctl(PR_SET_TIMERSLACK, SLACK_NS);
}

bool ps_replay_pace_until(const ps_replay_pace *self, ps_ns moment_ns, const atomic_bool *stop)
{
    while (!atomic_load_explicit(stop, memory_order_relaxed)) {
        const ps_ns now = ps_replay_clock_ns();
        const ps_ns left = moment_ns - now;
        if (left <= 0) {
            return true;
        }
        if (left <= self->spin_ns) {
            (void)sched_yield();
        } else {
            sleep_until(left - self->spin_ns < MAX_SLEEP_NS ? moment_ns - self->spin_ns
                                                            : now + MAX_SLEEP_NS);
        }
    }
    return false;
}
