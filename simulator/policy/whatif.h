/* SPDX-License-Identifier: MIT
 *
 * What-ifs on a recorded plan: the same program on other hardware or under
 * another allocator. Each is a change of the plan; the run knows nothing of
 * it, and a saved plan carries it.
 */
#ifndef PS_POLICY_WHATIF_H
#define PS_POLICY_WHATIF_H

#include "cluster/catalogue.h"
#include "plan/plan.h"
#include "policy/data_parallel.h"
#include "policy/offload.h"
#include "policy/rank_change.h"
#include "policy/whatif_scale.h"

/** What to change; zero-initialised: nothing. */
typedef struct ps_whatif {
    const char *gpu;                  /* catalogue name of another GPU; NULL: as recorded */
    uint64_t pcie_bytes_per_s;        /* host link, each direction; 0: as recorded, or of `gpu` */
    uint64_t host_memory_bytes_per_s; /* of a socket's memory; 0: as planned */
    uint64_t host_capacity_bytes;     /* of a node's memory; 0: as planned */
    uint64_t memory_bytes;            /* device capacity; 0: as recorded, or of `gpu` */
    uint64_t base_bytes;              /* memory outside the allocator, with has_base */
    bool has_base;
    const char *software;  /* catalogue entry for driver and libraries; NULL: the default one */
    const char *allocator; /* native, expandable, exact; NULL: as recorded */
    /* PYTORCH_CUDA_ALLOC_CONF in place of the recorded one: "" PyTorch's defaults; NULL as recorded */
    const char *allocator_conf;
    const char *const *allocator_option; /* "KEY=VALUE" in PyTorch's words */
    size_t allocator_option_count;
    const char *cache; /* recovered, empty, steady; NULL: recovered where possible and valid */
    const ps_whatif_scale *scale;          /* another batch or sequence; NULL: as recorded */
    const ps_data_parallel *data_parallel; /* several GPUs in place of one; NULL: as recorded */
    const ps_offload *offload;             /* tensors that wait in the host; NULL: as recorded */
    const ps_rank_change *rank_change;     /* another number of several; NULL: as recorded */
} ps_whatif;

/**
 * Completes what the recording does not say from the catalogue (capacity,
 * memory outside the allocator) and applies the changes.
 *
 * @param plan  changed; unusable after a failure
 * @return PS_OK · PS_NOT_FOUND unknown GPU or figure · PS_USAGE a setting that does not parse, an
 *         unknown allocator or cache state · PS_NOMEM
 */
ps_code ps_whatif_apply(ps_plan *plan, const ps_catalogue *catalogue, const ps_whatif *change,
                        ps_error *err) PS_MUST_USE;

#endif
