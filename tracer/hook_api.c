/* SPDX-License-Identifier: MIT
 *
 * The hook's functions, exported from the injected library.
 */
#include "hook_api.h"

#include <sys/syscall.h>
#include <unistd.h>

#include "session.h"

#pragma GCC visibility push(default)

uint32_t peakstep_hook_abi(void)
{
    return PS_HOOK_ABI;
}

int peakstep_is_recording(void)
{
    ps_session_begin();
    return ps_session_is_recording() ? 1 : 0;
}

void peakstep_step(uint64_t index)
{
    ps_session_begin();
    ps_session_step(index);
}

void peakstep_range(const char *name, uint32_t category, int64_t start_ns, int64_t end_ns)
{
    static _Thread_local uint32_t tid;
    ps_marks *marks = ps_session_is_recording() ? ps_session_marks() : NULL;
    if (marks == NULL || name == NULL || category > PS_RANGE_PROFILER) {
        return;
    }
    if (tid == 0) {
        tid = (uint32_t)syscall(SYS_gettid);
    }
    const ps_ns base_ns = ps_session_base_ns();
    ps_marks_range(marks, name, (ps_range_category)category, tid, start_ns - base_ns,
                   end_ns - base_ns);
}

void peakstep_fact(const char *key, const char *value)
{
    ps_session_begin();
    ps_marks *marks = ps_session_marks();
    if (marks != NULL && key != NULL && value != NULL) {
        ps_marks_fact(marks, key, value);
    }
}

void peakstep_loss(const char *name, uint64_t count)
{
    ps_marks *marks = ps_session_marks();
    if (marks != NULL && name != NULL) {
        ps_marks_loss(marks, name, count);
    }
}

#pragma GCC visibility pop
