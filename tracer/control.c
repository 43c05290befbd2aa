/* SPDX-License-Identifier: MIT
 *
 * The page shared by `record` and what it observes.
 */
#include "control.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PATH_BYTES 4096

static ps_code path_of(const char *folder, char path[PATH_BYTES], ps_error *err)
{
    const int length = snprintf(path, PATH_BYTES, "%s/%s", folder, PS_CONTROL_FILE);
    return length < PATH_BYTES ? PS_OK
                               : ps_fail(err, PS_LIMIT, "the path %.64s... is too long", folder);
}

static ps_code map(int fd, ps_control **out, ps_error *err)
{
    void *page = mmap(NULL, sizeof **out, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (page == MAP_FAILED) {
        return ps_fail_errno(err, errno, "cannot map the control page");
    }
    *out = page;
    return PS_OK;
}

ps_code ps_control_create(const char *folder, ps_control **out, ps_error *err)
{
    char path[PATH_BYTES];
    PS_TRY(path_of(folder, path, err));
    const int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) {
        return ps_fail_errno(err, errno, "cannot create %s", path);
    }
    /* without space behind it, the first write to the page would kill the writer */
    const int full = posix_fallocate(fd, 0, sizeof **out);
    ps_code code =
        full == 0 ? map(fd, out, err) : ps_fail_errno(err, full, "cannot write %s", path);
    (void)close(fd);
    if (code == PS_OK) {
        (*out)->magic = PS_CONTROL_MAGIC;
    }
    return code;
}

ps_code ps_control_open(const char *folder, ps_control **out, ps_error *err)
{
    char path[PATH_BYTES];
    PS_TRY(path_of(folder, path, err));
    const int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0) {
        return ps_fail_errno(err, errno, "cannot open %s", path);
    }
    const off_t bytes = lseek(fd, 0, SEEK_END);
    ps_control *page = NULL;
    ps_code code = bytes >= (off_t)sizeof *page
                       ? map(fd, &page, err)
                       : ps_fail(err, PS_BAD_INPUT, "%s is not a control page", path);
    (void)close(fd);
    if (code == PS_OK && page->magic != PS_CONTROL_MAGIC) {
        ps_control_close(page);
        code = ps_fail(err, PS_BAD_INPUT, "%s is not a control page", path);
    }
    if (code == PS_OK) {
        *out = page;
    }
    return code;
}

void ps_control_close(ps_control *self)
{
    if (self != NULL) {
        (void)munmap(self, sizeof *self);
    }
}

void ps_control_report(ps_control *self, const char *sentence)
{
    uint32_t none = 0;
    if (self == NULL || !atomic_compare_exchange_strong(&self->has_problem, &none, 1)) {
        return;
    }
    (void)snprintf(self->problem, sizeof self->problem, "%s", sentence);
    atomic_store(&self->has_problem, 2);
}

const char *ps_control_problem(const ps_control *self)
{
    return atomic_load(&self->has_problem) == 2 ? self->problem : NULL;
}
