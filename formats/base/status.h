/* SPDX-License-Identifier: MIT
 *
 * Result codes and the error record that every fallible function fills.
 *
 * A function that can fail returns ps_code and takes `ps_error *err` last.
 * The record is fixed-size and owned by the caller, so running out of memory
 * can be reported too. Layers on the way out add one context frame each; the
 * command prints frames from the most general to the most precise.
 */
#ifndef PS_BASE_STATUS_H
#define PS_BASE_STATUS_H

#include <stdbool.h>
#include <stdint.h>

/* X(symbol, number, name, exit status of the command) */
#define PS_CODE_MAP(X)                        \
    X(PS_OK, 0, "ok", 0)                      \
    X(PS_NOMEM, 1, "out-of-memory", 4)        \
    X(PS_LIMIT, 2, "limit-exceeded", 3)       \
    X(PS_IO, 3, "io-error", 4)                \
    X(PS_BAD_INPUT, 10, "bad-input", 3)       \
    X(PS_TRUNCATED, 11, "truncated", 3)       \
    X(PS_CORRUPT, 12, "corrupt", 3)           \
    X(PS_UNSUPPORTED, 13, "unsupported", 3)   \
    X(PS_USAGE, 20, "usage", 2)               \
    X(PS_NOT_FOUND, 21, "not-found", 2)       \
    X(PS_DEVICE_FULL, 30, "device-full", 1)   \
    X(PS_CHECK_FAILED, 31, "check-failed", 1) \
    X(PS_DEADLOCK, 32, "deadlock", 3)         \
    X(PS_NO_DEVICE, 40, "no-device", 4)       \
    X(PS_INTERNAL, 50, "internal", 5)

typedef enum ps_code {
#define PS_CODE_ENUM(sym, num, name, status) sym = num,
    PS_CODE_MAP(PS_CODE_ENUM)
#undef PS_CODE_ENUM
} ps_code;

#define PS_ERROR_MESSAGE_BYTES 480
#define PS_ERROR_FRAMES 6
#define PS_ERROR_FRAME_BYTES 160

/** What went wrong and where. Zero-initialise before first use: {0}. */
typedef struct ps_error {
    ps_code code;
    int os_errno;          /* errno when the system refused, else 0 */
    bool has_offset;       /* offset_bytes is meaningful */
    uint64_t offset_bytes; /* position in the input, uncompressed bytes */
    unsigned frame_count;  /* context lines in frame[], innermost first */
    char message[PS_ERROR_MESSAGE_BYTES];
    char frame[PS_ERROR_FRAMES][PS_ERROR_FRAME_BYTES];
} ps_error;

#if defined(__GNUC__)
#define PS_MUST_USE __attribute__((warn_unused_result))
#define PS_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#define PS_MUST_USE
#define PS_PRINTF(fmt, args)
#endif

/**
 * Records a failure. `err` may be NULL. Always returns `code`, so that a
 * function can end with `return ps_fail(err, PS_BAD_INPUT, "...")`.
 */
ps_code ps_fail(ps_error *err, ps_code code, const char *fmt, ...) PS_PRINTF(3, 4);

/** Like ps_fail, and notes the byte offset in the (uncompressed) input. */
ps_code ps_fail_at(ps_error *err, ps_code code, uint64_t offset_bytes, const char *fmt, ...)
    PS_PRINTF(4, 5);

/** Like ps_fail with the text of `os_errno` appended. Code is PS_IO, or PS_NOMEM for ENOMEM. */
ps_code ps_fail_errno(ps_error *err, int os_errno, const char *fmt, ...) PS_PRINTF(3, 4);

/** Reports that an allocation failed; allocates nothing. */
ps_code ps_fail_nomem(ps_error *err);

/** Adds a context line ("importing a.json"); dropped silently past PS_ERROR_FRAMES. */
void ps_error_note(ps_error *err, const char *fmt, ...) PS_PRINTF(2, 3);

/** Kebab-case name of a code, "unknown" outside the map. Static storage. */
const char *ps_code_name(ps_code code);

/** Exit status of the command for a code: 0, 1 check said no, 2 usage, 3 input, 4 environment, 5 bug. */
int ps_code_exit_status(ps_code code);

/** One line "frame: frame: message (at byte N)" into buf, always terminated. */
void ps_error_format(const ps_error *err, char *buf, unsigned long buf_bytes);

#define PS_TRY(call)                        \
    do {                                    \
        const ps_code ps_try_code = (call); \
        if (ps_try_code != PS_OK) {         \
            return ps_try_code;             \
        }                                   \
    } while (0)

#endif
