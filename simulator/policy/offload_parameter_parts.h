/* SPDX-License-Identifier: MIT
 *
 * Parameters of a recorded job's blocks that lie in the host (private to this
 * folder).
 *
 *   runs        forward passes of blocks, by name      offload_parameter_runs.c
 *   weights     of a run, by what operators were given offload_parameter_shapes.c
 *               or by the model's own allocations      offload_parameter_buffers.c
 *   trained     those that an optimizer writes         offload_parameter_trained.c
 *   shared      those that several blocks work with    offload_parameter_shared.c,
 *                                                      offload_parameter_apart.c
 *   sweeps      what changes them without backward     offload_parameter_sweeps.c
 *   uses        forward, backward, optimizer; places   offload_parameter_uses.c
 *   moments     what happens when                      offload_parameters.c
 *   copies      with their waits and memory            offload_parameter_copies.c
 */
#ifndef PS_POLICY_OFFLOAD_PARAMETER_PARTS_H
#define PS_POLICY_OFFLOAD_PARAMETER_PARTS_H

#include "base/idmap.h"
#include "policy/gradients.h"
#include "policy/offload_parts.h"

/** Stands for the block of a use that all blocks take part in. */
#define PS_OFFLOAD_EVERY_BLOCK (UINT32_MAX - 1)

/** One parameter of one block. */
typedef struct ps_block_parameter {
    uint64_t bytes;
    uint64_t matrix; /* ps__shape_hash of one of two dimensions or more; 0: of fewer, or unknown */
    uint32_t buffer; /* of the plan; NONE: part of what was resident before the recording */
    bool is_trained; /* something recorded writes it */
    bool is_updated; /* the host's optimizer does, in place of the recorded one */
    bool stays;      /* some block may share it: nothing tells which */
    bool goes;       /* it lies in the host */
} ps_block_parameter;

typedef struct ps_offload_block {
    ps_str name;         /* as the structure has it; pieces that repeat are named alike in steps */
    size_t first, count; /* of the parameters */
} ps_offload_block;

/** Weights that several blocks share are a block of their own, behind those of the model. */
typedef struct ps_offload_share {
    uint32_t block; /* of the weights */
    uint32_t user;  /* a block of the model that works with them */
} ps_offload_share;

/** Parameters are needed on the device. */
typedef struct ps_offload_use {
    uint32_t block; /* or EVERY_BLOCK: those that are written */
    uint32_t step;
    ps_phase phase;
    ps_ns begin_ns, end_ns; /* of the trace's clock, on the host */
    bool writes;
} ps_offload_use;

/** What happens at a place, in this order at one moment. */
typedef enum ps_offload_moment_kind {
    PS_OFFLOAD_USE_ENDS,
    PS_OFFLOAD_USE_BEGINS,
    PS_OFFLOAD_AHEAD, /* of later uses parameters are brought */
} ps_offload_moment_kind;

typedef struct ps_offload_moment {
    ps_offload_moment_kind kind;
    uint32_t use;
    ps_ns at_ns;
    ps_offload_place place; /* `behind` is NONE, and not waited for, at the end of the recording */
} ps_offload_moment;

typedef struct ps_offload_parameters {
    ps_block_parameter *parameter;
    size_t parameter_count, parameter_capacity;
    ps_offload_block *block;
    size_t block_count, block_capacity;
    size_t model_blocks; /* those that are of the model come first */
    ps_offload_share *share;
    size_t share_count, share_capacity;
    ps_offload_use *use; /* ascending by begin */
    size_t use_count, use_capacity;
    ps_offload_moment *moment; /* in the order of the program */
    size_t moment_count, moment_capacity;
    uint32_t compute;        /* lane */
    uint64_t stream;         /* whose memory they get */
    uint64_t resident_bytes; /* on the device before the recording, of those that go */
    size_t step_count;
    const char *how; /* the sizes are known; static text */
} ps_offload_parameters;

/** A forward pass of a block, or what recomputes it. */
typedef struct ps_offload_run {
    uint32_t block, step;
    uint32_t row; /* of the structure's blocks */
    ps_phase phase;
    ps_ns begin_ns, end_ns;     /* of the use of parameters */
    ps_ns back_ns, back_end_ns; /* of their use in backward; none: back_end_ns is 0 */
} ps_offload_run;

/** Everything the stages share. */
typedef struct ps_parameter_search {
    const ps_plan *plan;
    const ps_trace *trace;
    const ps_structure *structure;
    const ps_offload *change;
    ps_offload_stream stream;
    ps_offload_run *run; /* ascending in time */
    size_t run_count, run_capacity;
    ps_idmap run_of_sequence; /* autograd's numbers of operators that have weights */
    ps_offload_parameters *out;
} ps_parameter_search;

/** Forward passes of blocks, as many in every step. PS_OK · PS_USAGE · PS_NOMEM */
ps_code ps__offload_find_runs(ps_parameter_search *self, ps_error *err) PS_MUST_USE;

/**
 * Weights that operators inside the runs were given, and when; `has_any` tells whether there are.
 *
 * @return PS_OK · PS_USAGE steps whose blocks have other weights · PS_NOMEM
 */
ps_code ps__offload_weights_of_shapes(ps_parameter_search *self, bool *has_any,
                                      ps_error *err) PS_MUST_USE;

/** Parameters that the recording allocates: those that repeat as blocks do. Likewise. */
ps_code ps__offload_weights_of_buffers(ps_parameter_search *self, bool *has_any,
                                       ps_error *err) PS_MUST_USE;

/** Which of them an optimizer writes, and which go. PS_OK · PS_USAGE · PS_BAD_INPUT · PS_NOMEM */
ps_code ps__offload_find_trained(ps_parameter_search *self, ps_error *err) PS_MUST_USE;

/**
 * Weights that blocks of the model share, by the gradients of a backward pass; those that are found
 * get blocks of their own, those that nothing tells apart stay. PS_OK · PS_NOMEM
 */
ps_code ps__offload_find_shared(ps_parameter_search *self, const ps_gradients *gradients,
                                ps_error *err) PS_MUST_USE;

/**
 * Lists the parameters anew, shared ones in blocks of their own.
 *
 * @param owner  per parameter: the one whose tensor it is, or PS_OFFLOAD_NONE: its own
 */
ps_code ps__offload_set_apart(ps_parameter_search *self, const uint32_t *owner,
                              ps_error *err) PS_MUST_USE;

/** A block is the one that is used, or has weights that this one shares. */
bool ps__offload_block_is_of(const ps_offload_parameters *of, uint32_t block, uint32_t user);

/** Uses in the order of the program, with their places. PS_OK · PS_USAGE · PS_NOMEM */
ps_code ps__offload_find_uses(ps_parameter_search *self, ps_error *err) PS_MUST_USE;

/** Appends a parameter to a block, to which the newest ones belong if any do. */
ps_code ps__offload_add_parameter(ps_parameter_search *self, uint32_t block,
                                  ps_block_parameter what, ps_error *err) PS_MUST_USE;

/** Appends a use, unless it launches nothing. */
ps_code ps__offload_add_use(ps_parameter_search *self, ps_offload_use use,
                            ps_error *err) PS_MUST_USE;

/** A phase of that kind is recorded. */
bool ps__offload_has_phase(const ps_structure *of, ps_phase phase);

/**
 * Uses of a job without backward that changes parameters in place, block after block (MeZO), and
 * marks them as trained.
 *
 * @return PS_OK, also when there are none · PS_USAGE parameters change in another order · PS_NOMEM
 */
ps_code ps__offload_find_sweeps(ps_parameter_search *self, ps_error *err) PS_MUST_USE;

/** Row of the first range that starts at a moment or later. */
size_t ps__offload_first_range(const ps_trace *trace, ps_ns at_ns);

/**
 * Finds the blocks of a recording, their parameters, and where they are used.
 *
 * @param plan  as recorded
 * @param out   release with ps__offload_parameters_fini; written only on PS_OK
 * @return PS_OK · PS_USAGE a recording that cannot be changed so: what it lacks · PS_BAD_INPUT ·
 *         PS_NOMEM
 */
ps_code ps__offload_parameters_find(const ps_plan *plan, const ps_offload *change,
                                    ps_offload_parameters *out, ps_error *err) PS_MUST_USE;

void ps__offload_parameters_fini(ps_offload_parameters *self);

/** Where a block's parameters are, while rows are added. */
typedef struct ps_streamed_block {
    bool is_here, is_awaited;
    size_t open;          /* uses that have begun and not ended */
    bool is_dirty;        /* written since it came */
    bool is_leaving;      /* no longer here, but its memory is: a copy back may still read it */
    uint32_t upload;      /* newest copy to the device */
    uint32_t offload;     /* newest copy back, or NONE */
    uint32_t has_awaited; /* task of the stream that waited for that copy, or NONE */
} ps_streamed_block;

/** A plan whose parameters are being moved. */
typedef struct ps_parameter_streaming {
    ps_offload_building *b;
    const ps_offload_parameters *what;
    ps_streamed_block *block;
    uint32_t *pinned;      /* per parameter: buffer in host memory */
    uint32_t *device;      /* per parameter: present buffer on the device */
    uint32_t leaving;      /* newest copy back whose memory is still there, or NONE */
    uint32_t freed;        /* newest one whose memory has gone since an upload came, or NONE */
    uint32_t freed_behind; /* task of the stream that waits for it, or NONE */
    uint32_t upload_awaits, offload_awaits; /* newest task that the lane has awaited, or NONE */
    uint64_t up_bytes, down_bytes, host_bytes;
} ps_parameter_streaming;

/** The optimizer of the recording writes it, and it lies in the host. */
bool ps__parameter_is_written(const ps_parameter_streaming *self, size_t parameter);

/** [bytes] that a tensor counts for on a device: of its block, where the plan's sizes are of blocks. */
uint64_t ps__offload_device_bytes(const ps_plan *plan, uint64_t bytes);

/** Another buffer for a parameter. */
ps_code ps__parameter_buffer(const ps_parameter_streaming *self, size_t parameter,
                             ps_memory_kind memory, uint32_t *out, ps_error *err) PS_MUST_USE;

/** Brings a block's parameters to new memory, where they are not on the device yet. */
ps_code ps__parameters_bring(ps_parameter_streaming *self, uint32_t block,
                             const ps_offload_moment *at, ps_error *err) PS_MUST_USE;

/** Copies back what was written of a block, whose memory is then leaving. */
ps_code ps__parameters_offload(ps_parameter_streaming *self, uint32_t block,
                               const ps_offload_moment *at, ps_error *err) PS_MUST_USE;

struct ps_offload_optimizer;

/**
 * Parameters that the host's optimizer writes need not go back to the device when it has: they come
 * with their blocks. Of parameters of one size before the recording it does not matter which is
 * taken to be which.
 *
 * @return PS_OK · PS_USAGE a parameter without a gradient of its own
 */
ps_code ps__offload_parameters_join(ps_offload_parameters *self,
                                    struct ps_offload_optimizer *optimizer,
                                    ps_error *err) PS_MUST_USE;

/** Moves parameters; the building's plan still has what the places name. PS_OK · PS_USAGE · PS_NOMEM */
ps_code ps__offload_parameters(ps_offload_building *b, const ps_offload_parameters *what,
                               ps_error *err) PS_MUST_USE;

#endif
