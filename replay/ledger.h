/* SPDX-License-Identifier: MIT
 *
 * The memory of a run: carries out allocator requests on the backend and
 * keeps the books, in plan bytes and in real bytes.
 *
 *   plan bytes  buffer.bytes as in the plan: comparable with the simulated peak
 *   real bytes  the same divided by the memory scale, rounded up: what is taken
 *
 * At the origin it holds what the plan says was live then: the buffers of
 * blocks and those of role BEFORE, and base_live_bytes as one piece a device.
 */
#ifndef PS_REPLAY_LEDGER_H
#define PS_REPLAY_LEDGER_H

#include "replay/replay.h"

typedef struct ps_replay_ledger {
    const ps_plan *plan;
    uint64_t memory_scale;
    const ps_backend_ops *ops; /* NULL: books only, nothing is taken */
    ps_backend *backend;
    ps_backend_memory *buffers; /* per buffer; bytes 0: not held */
    bool *is_live;              /* per buffer: its free has not been requested */
    ps_backend_memory *bases;   /* per device: the unnamed live bytes */
    uint64_t *live_bytes, *held_bytes, *real_bytes; /* per device */
    ps_replay_device *devices;                      /* per device; borrowed */
} ps_replay_ledger;

/**
 * Starts empty books.
 * @param devices  one zeroed record per device of the plan; borrowed until fini
 */
ps_code ps_replay_ledger_init(ps_replay_ledger *self, const ps_plan *plan, uint64_t memory_scale,
                              ps_replay_device *devices, ps_error *err) PS_MUST_USE;

/** From now on memory is really taken. Before the origin is taken. */
void ps_replay_ledger_attach(ps_replay_ledger *self, const ps_backend_ops *ops,
                             ps_backend *backend);

/** Takes what was live at the origin. PS_OK · PS_DEVICE_FULL. */
ps_code ps_replay_ledger_open(ps_replay_ledger *self, ps_error *err) PS_MUST_USE;

/** Carries out one request. One caller at a time per device. PS_OK · PS_DEVICE_FULL. */
ps_code ps_replay_ledger_apply(ps_replay_ledger *self, uint32_t memop, ps_error *err) PS_MUST_USE;

/** Gives everything back and ends the books; safe on a zeroed ledger. */
void ps_replay_ledger_fini(ps_replay_ledger *self);

/**
 * Real bytes a run will take at most, without running it.
 *
 * @param peak_bytes  receives one peak per device
 * @return PS_OK · PS_NOMEM · PS_LIMIT the sum of a device's buffers exceeds 64 bits
 */
ps_code ps_replay_ledger_forecast(const ps_plan *plan, uint64_t memory_scale, uint64_t *peak_bytes,
                                  ps_error *err) PS_MUST_USE;

#endif
