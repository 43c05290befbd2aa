/* SPDX-License-Identifier: MIT
 *
 * The command: finds the verb, reads its command line, runs it, and turns the
 * outcome into one sentence on standard error and an exit status.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "cli/help.h"
#include "cli/text.h"
#include "cli/verb.h"

static const ps_verb *const verbs[] = {
#define X(name) &ps_verb_##name,
#include "verbs.def"
#undef X
    NULL,
};

const ps_verb *const *ps_verbs(void)
{
    return verbs;
}

ps_code ps_verbs_find(const char *name, const ps_verb **out, ps_error *err)
{
    const ps_verb *best = NULL;
    unsigned best_distance = PS_TEXT_FAR;
    for (const ps_verb *const *verb = verbs; *verb != NULL; verb++) {
        const unsigned distance = ps_text_distance(name, (*verb)->name);
        if (distance == 0) {
            *out = *verb;
            return PS_OK;
        }
        if (distance < best_distance) {
            best = *verb;
            best_distance = distance;
        }
    }
    if (best != NULL && ps_text_is_near(best_distance, best->name)) {
        return ps_fail(err, PS_USAGE, "there is no verb \"%.64s\"; did you mean %s?", name,
                       best->name);
    }
    return ps_fail(err, PS_USAGE, "there is no verb \"%.64s\"", name);
}

/*
 * A file opened while standard output is closed would get its number, and
 * text would go into that file. So the three numbers are taken first; writing
 * to one that was closed then fails, as it should.
 */
static bool take_standard_streams(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF && open("/dev/null", O_RDONLY) != fd) {
            return false;
        }
    }
    return true;
}

static ps_code run_verb(const ps_verb *verb, int argc, char *const *argv, ps_output *out,
                        ps_error *err)
{
    ps_args args;
    ps_code code = ps_args_parse(&args, verb->options, verb->operands, argc, argv, err);
    if (code != PS_OK) {
        ps_error_note(err, "%s", verb->name);
        return code;
    }
    if (ps_args_has(&args, "help")) {
        ps_help_verb(out, verb);
    } else {
        code = verb->run(&args, out, err);
    }
    ps_args_fini(&args);
    return code;
}

static ps_code run(int argc, char *const *argv, const ps_verb **verb, ps_output *out, ps_error *err)
{
    if (argc < 2) {
        return ps_fail(err, PS_USAGE, "a verb is missing");
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        ps_help_overview(out);
        return PS_OK;
    }
    if (strcmp(argv[1], "--version") == 0) {
        ps_output_print(out, "peakstep %s\n", PS_VERSION);
        return PS_OK;
    }
    PS_TRY(ps_verbs_find(argv[1], verb, err));
    return run_verb(*verb, argc - 2, argv + 2, out, err);
}

/* A job that was ended by a signal: so is the command, for whoever waits for it. */
static int pass_on(const ps_output *out)
{
    if (out->end_signal == 0) {
        return out->exit_status;
    }
    (void)signal(out->end_signal, SIG_DFL);
    (void)raise(out->end_signal);
    return 128 + out->end_signal; /* a signal that ends nobody by default */
}

static void report(ps_code code, const ps_verb *verb, const ps_error *err)
{
    char text[2048];
    ps_error_format(err, text, sizeof text);
    ps_talk("%s", text);
    if (code == PS_USAGE && verb != NULL) {
        ps_talk("\"peakstep help %s\" tells more", verb->name);
    } else if (code == PS_USAGE) {
        ps_talk("\"peakstep help\" lists the verbs");
    }
}

int main(int argc, char **argv)
{
    ps_error err = {0};
    ps_output out;
    const ps_verb *verb = NULL;
    if (!take_standard_streams()) {
        return ps_code_exit_status(PS_IO);
    }
    /* a reader that goes away is a failed write, not a death without a word */
    (void)signal(SIGPIPE, SIG_IGN);
    ps_output_init(&out, stdout);
    ps_code code = run(argc, argv, &verb, &out, &err);
    ps_error write_err = {0};
    const ps_code written = ps_output_finish(&out, &write_err);
    if (code == PS_OK && written != PS_OK) {
        code = written;
        err = write_err;
    }
    if (code == PS_OK) {
        return pass_on(&out);
    }
    report(code, verb, &err);
    return ps_code_exit_status(code);
}
