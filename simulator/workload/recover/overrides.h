/* SPDX-License-Identifier: MIT
 *
 * What a person knows better than the recovery, as a CSV file of three fields:
 *
 *   what,selector,value
 *   step,range=train_step,
 *   phase,range=my_backward,backward
 *   phase,time=1.2ms..3.4ms,forward
 *   block,range=*DecoderLayer*,
 *   role,size=8519680,workspace
 *   role,label=*my_fused_loss*,temporary
 *   role,born=backward,gradient
 *   scaling,size=6553600,batch-sequence
 *   scaling,label=*rope*,sequence
 *
 * A `range` selector takes names as recorded, with * for any text. Times count
 * from the first event of the trace and carry a unit. Of several rows that
 * select the same thing the last one holds. The first line may be the header.
 */
#ifndef PS_RECOVER_OVERRIDES_H
#define PS_RECOVER_OVERRIDES_H

#include "workload/recover/structure.h"

typedef enum ps_override_what {
    PS_OVERRIDE_STEP,
    PS_OVERRIDE_PHASE,
    PS_OVERRIDE_BLOCK,
    PS_OVERRIDE_ROLE,
    PS_OVERRIDE_SCALING,
} ps_override_what;

typedef enum ps_override_by {
    PS_OVERRIDE_BY_RANGE,
    PS_OVERRIDE_BY_TIME,
    PS_OVERRIDE_BY_SIZE,
    PS_OVERRIDE_BY_LABEL,
    PS_OVERRIDE_BY_BIRTH,
} ps_override_by;

typedef struct ps_override {
    ps_override_what what;
    ps_override_by by;
    char *pattern;          /* of a range or label; owned */
    ps_ns start_ns, end_ns; /* of a time: from the first event */
    uint64_t bytes;         /* of a size */
    ps_phase phase;         /* of a birth; value of a phase */
    ps_role role;           /* value of a role */
    uint32_t growth;        /* value of a scaling: ps_growth */
    uint32_t line;
} ps_override;

typedef struct ps_overrides {
    ps_override *row;
    size_t count, capacity;
} ps_overrides;

/**
 * Reads the text of a file.
 *
 * @param name  what messages call it
 * @param out   release with ps_overrides_fini; written only on PS_OK
 * @return PS_OK · PS_BAD_INPUT with name and line · PS_NOMEM
 */
ps_code ps_overrides_read(const char *name, const char *text, size_t bytes, ps_overrides *out,
                          ps_error *err) PS_MUST_USE;

/** ps_overrides_read of a file. PS_IO when it cannot be read. */
ps_code ps_overrides_read_file(const char *path, ps_overrides *out, ps_error *err) PS_MUST_USE;

void ps_overrides_fini(ps_overrides *self);

/** True when `text` is `pattern`, in which * stands for any text. */
bool ps_pattern_matches(const char *pattern, const char *text);

#endif
