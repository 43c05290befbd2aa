/* SPDX-License-Identifier: MIT
 *
 * ZO2 from inside (private to this folder).
 *
 *   zo2.c         the run, and the order of a step
 *   zo2_module.c  two passes through one module
 *   zo2_block.c   blocks come and go
 *   zo2_memory.c  queues, and memory that is taken and given back
 *   zo2_update.c  parameters move in place
 *   zo2_check.c   what cannot be
 */
#ifndef PS_WORKLOAD_ZO2_PARTS_H
#define PS_WORKLOAD_ZO2_PARTS_H

#include "workload/eager/ops_host.h"
#include "workload/script/zo2.h"

enum { PS_ZO2_SIDES = 2 };

#define PS_ZO2_NO_BLOCK (-1)

struct ps_zo2 {
    ps_model *m;
    const ps_dual_ops *ops;
    const ps_zo2_settings *with;
    ps_zo2_driver driver;
    ps_dtype host_dtype; /* of what crosses */
    ps_tensor *host; /* per parameter, while it lies there; of a bucket the first one's holds all */
    size_t *by_block; /* numbers of parameters, those of a block together, in order */
    size_t *begin;    /* of each block in it, and its end; block 0 is none */
    int64_t leaving;  /* block whose memory waits for its offload; PS_ZO2_NO_BLOCK: none */
    int64_t steps;    /* done so far */
    bool is_pinned;   /* what lies on the host */
    /* while a step runs */
    ps_dual_pass pass[PS_ZO2_SIDES];
    ps_tensor shared[PS_DUAL_SLOTS], beside[PS_ZO2_SIDES];
    bool updates; /* modules get the update of the step before */
};

/** Some parameters, by their numbers. */
typedef struct ps_zo2_listed {
    const size_t *parameter;
    size_t count;
} ps_zo2_listed;

/** Those of a block. */
ps_zo2_listed ps_zo2_list_block(const ps_zo2 *self, int64_t index);

/** The host waits until a queue is empty; nothing where there is one queue alone. */
void ps_zo2_wait(ps_zo2 *self, ps_eager_lane lane);

/** What follows goes to a queue, or to the one that there is. */
void ps_zo2_enter(ps_zo2 *self, ps_eager_lane lane);

/** module.to(device), module.to("cpu") of a block, as the settings say; of one that stays nothing. */
void ps_zo2_upload(ps_zo2 *self, int64_t index);
void ps_zo2_offload(ps_zo2 *self, int64_t index);

/** Device memory is about to be taken for a tensor of a block. */
void ps_zo2_ask_driver(ps_zo2 *self);

/** Device memory of a parameter goes: now, or when its copy is done; the driver waits for all. */
void ps_zo2_release(ps_zo2 *self, ps_tensor parameter);

/** Memory of the block that left last, once its copies are done. */
void ps_zo2_let_go(ps_zo2 *self);

/** Both passes through a block, and the update of its parameters alone. */
void ps_zo2_run_block(ps_zo2 *self, int64_t index);
void ps_zo2_update_block(ps_zo2 *self, int64_t index);

/** Both passes through modules and functions outside blocks, and the update alone. */
void ps_zo2_run_stages(ps_zo2 *self, const ps_dual_stage *stage, size_t count);
void ps_zo2_update_stages(ps_zo2 *self, const ps_dual_stage *stage, size_t count);

#endif
