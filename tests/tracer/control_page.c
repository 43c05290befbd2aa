/* SPDX-License-Identifier: MIT
 *
 * The part of `record` that the tracer needs, and a look at what came back.
 *
 *   control_page create FOLDER     makes FOLDER's control page
 *   control_page problem FOLDER    prints the sentence that the tracer left there, if any
 */
#include <stdio.h>
#include <string.h>

#include "control.h"

static int fail(const ps_error *err)
{
    char text[512];
    ps_error_format(err, text, sizeof text);
    (void)fprintf(stderr, "control_page: %s\n", text);
    return 1;
}

int main(int argc, char **argv)
{
    ps_error err = {0};
    ps_control *page = NULL;
    if (argc != 3) {
        return 2;
    }
    if (strcmp(argv[1], "create") == 0) {
        return ps_control_create(argv[2], &page, &err) == PS_OK ? 0 : fail(&err);
    }
    if (ps_control_open(argv[2], &page, &err) != PS_OK) {
        return fail(&err);
    }
    const char *problem = ps_control_problem(page);
    if (problem != NULL) {
        (void)puts(problem);
    }
    return 0;
}
