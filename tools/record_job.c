/* SPDX-License-Identifier: MIT
 *
 * Starting, serving and awaiting the job.
 */
#include "record_job.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Signals that people and schedulers send to end, stop or nudge a job. */
static const int passed_on[] = {SIGHUP,  SIGINT,  SIGQUIT, SIGTERM,
                                SIGUSR1, SIGUSR2, SIGCONT, SIGWINCH};

static void watched_set(sigset_t *out)
{
    (void)sigemptyset(out);
    (void)sigaddset(out, SIGCHLD);
    for (size_t i = 0; i < sizeof passed_on / sizeof passed_on[0]; i++) {
        (void)sigaddset(out, passed_on[i]);
    }
}

/* In the child: as if started without us, or the reason through the pipe. */
static _Noreturn void become(char *const *argv, const sigset_t *mask, int report)
{
    (void)signal(SIGPIPE, SIG_DFL);
    (void)sigprocmask(SIG_SETMASK, mask, NULL);
    (void)execvp(argv[0], argv);
    const int reason = errno;
    (void)!write(report, &reason, sizeof reason);
    _exit(127);
}

/* Nothing comes through the pipe when the command runs: it was closed by exec. */
static ps_code await_start(ps_record_job *self, int report, const char *command, ps_error *err)
{
    int reason = 0;
    ssize_t got;
    do {
        got = read(report, &reason, sizeof reason);
    } while (got < 0 && errno == EINTR);
    (void)close(report);
    if (got != (ssize_t)sizeof reason) {
        return PS_OK;
    }
    (void)waitpid(self->pid, NULL, 0);
    (void)sigprocmask(SIG_SETMASK, &self->before, NULL);
    return ps_fail_errno(err, reason, "cannot run %s", command);
}

ps_code ps_record_job_start(char *const *argv, ps_record_job *out, ps_error *err)
{
    int report[2];
    sigset_t watched;
    if (pipe(report) != 0) {
        return ps_fail_errno(err, errno, "cannot run %s", argv[0]);
    }
    (void)fcntl(report[1], F_SETFD, FD_CLOEXEC);
    (void)fcntl(report[0], F_SETFD, FD_CLOEXEC);
    watched_set(&watched);
    (void)sigprocmask(SIG_BLOCK, &watched, &out->before);
    out->pid = fork();
    if (out->pid == 0) {
        become(argv, &out->before, report[1]);
    }
    const int reason = errno;
    (void)close(report[1]);
    if (out->pid < 0) {
        (void)close(report[0]);
        (void)sigprocmask(SIG_SETMASK, &out->before, NULL);
        return ps_fail_errno(err, reason, "cannot run %s", argv[0]);
    }
    return await_start(out, report[0], argv[0], err);
}

/* A terminal's Ctrl-C reaches the whole group by itself: once is enough. */
static bool comes_from_terminal(const siginfo_t *info)
{
    return info->si_code == SI_KERNEL;
}

static void serve(const ps_record_job *job, const siginfo_t *info, ps_control *control)
{
    if (control != NULL && (info->si_signo == SIGUSR1 || info->si_signo == SIGUSR2)) {
        atomic_store(&control->is_paused, info->si_signo == SIGUSR2);
    } else if (!comes_from_terminal(info)) {
        (void)kill(job->pid, info->si_signo);
    }
}

static bool has_ended(pid_t pid, ps_record_end *end)
{
    int status;
    const pid_t got = waitpid(pid, &status, WNOHANG);
    if (got == 0 || (got < 0 && errno == EINTR)) {
        return false;
    }
    *end = (ps_record_end){.exit_status = got == pid && WIFEXITED(status) ? WEXITSTATUS(status) : 0,
                           .signal = got == pid && WIFSIGNALED(status) ? WTERMSIG(status) : 0};
    return true;
}

ps_record_end ps_record_job_wait(const ps_record_job *job, ps_control *control)
{
    sigset_t watched;
    siginfo_t info;
    ps_record_end end = {0};
    watched_set(&watched);
    while (!has_ended(job->pid, &end)) {
        if (sigwaitinfo(&watched, &info) > 0 && info.si_signo != SIGCHLD) {
            serve(job, &info, control);
        }
    }
    /* what comes from here on is for us again */
    (void)sigprocmask(SIG_SETMASK, &job->before, NULL);
    return end;
}
