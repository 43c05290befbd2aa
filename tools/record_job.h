/* SPDX-License-Identifier: MIT
 *
 * The job under a recording: started, its signals passed on, its end awaited.
 */
#ifndef PS_TOOLS_RECORD_JOB_H
#define PS_TOOLS_RECORD_JOB_H

#include <signal.h>
#include <sys/types.h>

#include "control.h"

typedef struct ps_record_job {
    pid_t pid;
    sigset_t before; /* signal mask to go back to */
} ps_record_job;

/** How a job ended. */
typedef struct ps_record_end {
    int exit_status; /* when it exited */
    int signal;      /* that ended it; 0 when it exited */
} ps_record_end;

/**
 * Starts a command with the environment as it is now.
 *
 * @param argv  ended by NULL
 * @return PS_OK · PS_NOT_FOUND, PS_IO the command cannot be run
 */
ps_code ps_record_job_start(char *const *argv, ps_record_job *out, ps_error *err) PS_MUST_USE;

/**
 * Waits for the job. Signals to this process go on to the job, but for
 * SIGUSR1, which resumes the recording, and SIGUSR2, which pauses it.
 *
 * @param control  NULL: nothing is recorded, SIGUSR1 and SIGUSR2 go to the job, too
 */
ps_record_end ps_record_job_wait(const ps_record_job *job, ps_control *control);

#endif
