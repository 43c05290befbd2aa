/* SPDX-License-Identifier: MIT
 *
 * How much memory this process can take from the machine.
 */
#ifndef PS_REPLAY_HOST_MEMORY_H
#define PS_REPLAY_HOST_MEMORY_H

#include "base/status.h"

/**
 * Memory that is free or can be freed without swapping, and inside the limits
 * of the process's control group (a container's limit, above all: beyond it
 * the process is killed, not refused).
 *
 * @return PS_OK · PS_IO, PS_UNSUPPORTED the system does not say
 */
ps_code ps_replay_host_memory(uint64_t *bytes, ps_error *err) PS_MUST_USE;

#endif
