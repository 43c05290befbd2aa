/* SPDX-License-Identifier: MIT
 *
 * Device memory that no tensor is in: the context, what libraries load, the
 * buffers of collectives, and the workspaces that cuBLAS gets from the
 * framework's own allocator.
 */
#ifndef PS_COST_BEYOND_H
#define PS_COST_BEYOND_H

#include "cluster/catalogue.h"
#include "plan/plan.h"

/** The program around the tensors; zero-initialise for one training process on one GPU. */
typedef struct ps_beyond_setup {
    const char *software;    /* catalogue entry of class software; NULL: the default one */
    const char *blas_config; /* CUBLAS_WORKSPACE_CONFIG; NULL: not set */
    uint32_t blas_handles;   /* threads times streams that multiply matrices; 0: two, the program's
                                thread and backward's */
    uint32_t groups;         /* process groups that communicate on the GPU */
    uint32_t group_ranks;    /* ranks in each; 1 or less: none communicates */
} ps_beyond_setup;

/** Outside the framework's allocator but for the workspaces, which are inside. */
typedef struct ps_beyond {
    uint64_t context_bytes;    /* before the first kernel */
    uint64_t loaded_bytes;     /* modules and libraries once a step has run */
    uint64_t collective_bytes; /* of all process groups */
    uint64_t workspace_bytes;  /* of one handle and stream, inside the allocator */
    uint32_t workspaces;       /* how many of them */
    uint64_t host_page_bytes;  /* pages of pinned host memory; 0: not known */
    uint64_t page_entry_bytes; /* of the device's page tables, for each */
    ps_basis basis;            /* measured when context and loading are */
} ps_beyond;

/**
 * What lies beyond tensors on one GPU.
 *
 * @return PS_OK · PS_NOT_FOUND software that the catalogue does not know, a GPU without
 *         context-memory · PS_USAGE a blas_config that does not parse
 */
ps_code ps_beyond_memory(const ps_catalogue *catalogue, ps_hardware_id gpu,
                         const ps_beyond_setup *setup, ps_beyond *out, ps_error *err) PS_MUST_USE;

/** Sum of what lies outside the allocator; saturates. */
uint64_t ps_beyond_outside(const ps_beyond *self);

/**
 * Page tables: all pinned host memory is mapped for the device, and the entries lie in the device's
 * memory. Not in ps_beyond_outside. Saturates.
 *
 * @param pinned_bytes  of host memory that is pinned, as the framework rounds it
 * @return bytes of device memory; 0 where the software's figures are not known
 */
uint64_t ps_beyond_tables(const ps_beyond *self, uint64_t pinned_bytes);

/**
 * Workspace of one cuBLAS handle and stream as PyTorch chooses it.
 *
 * @param capability    compute capability as in the catalogue, "9.0"
 * @param is_wide_rule  majors 9, 10 and 12 get the large one, not 9.0 alone (newest PyTorch)
 * @param config        CUBLAS_WORKSPACE_CONFIG, pairs of ":SIZE_KiB:COUNT"; NULL: not set
 * @param bytes         written on PS_OK
 * @return PS_OK · PS_USAGE a config of another form
 */
ps_code ps_blas_workspace(const char *capability, bool is_wide_rule, const char *config,
                          uint64_t *bytes, ps_error *err) PS_MUST_USE;

#endif
