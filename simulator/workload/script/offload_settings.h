/* SPDX-License-Identifier: MIT
 *
 * Settings of the policies whose optimizer lives on the host: LSP-Offload with the names of its
 * released code, and ZeRO-Offload.
 */
#ifndef PS_WORKLOAD_OFFLOAD_SETTINGS_H
#define PS_WORKLOAD_OFFLOAD_SETTINGS_H

#include "workload/eager/eager.h"

/** LSP-Offload's. Delays count linear modules; all is what the released code has by default. */
typedef struct ps_lsp_settings {
    bool sends_whole;    /* compress=false: gradients travel as they are, in 32 bits */
    bool is_zero;        /* its baseline: the host's work waits for the next forward pass */
    bool is_ideal;       /* the published schedule: a thread beside the host's, no checks */
    const char *modules; /* names with commas between: alone trained; NULL: all, and the rest too */
    int64_t compress_size; /* d: a gradient of m x n becomes one of d x d */
    int64_t nnz;           /* r: numbers in each column of a projector */
    int64_t check_freq;    /* steps from one fit of the projectors to the next; 0: never */
    int64_t fit_steps;     /* of one fit, on each gradient */
    int64_t fcfs_point;    /* linears from this one on are served first come, first served */
    int64_t fcfs_process_delay, fcfs_h2d_delay, fcfs_upd_delay;
    int64_t lcfs_d2h_delay, lcfs_process_delay, lcfs_h2d_delay;
} ps_lsp_settings;

/** ZeRO-Offload's. */
typedef struct ps_zero_offload_settings {
    bool is_delayed;   /* the host updates beside the next step's forward and backward */
    bool has_transfer; /* given; else gradients and parameters travel in the weights' type */
    ps_dtype transfer;
} ps_zero_offload_settings;

typedef struct ps_offload_settings {
    ps_lsp_settings lsp;
    ps_zero_offload_settings zero;
} ps_offload_settings;

/** Projectors of 1024 with 8 numbers a column, fitted in 100 steps, and no delay. */
ps_offload_settings ps_offload_settings_default(void);

#endif
