/* SPDX-License-Identifier: MIT
 *
 * What ps_engine_run demands of its columns before it starts.
 */
#ifndef PS_ENGINE_INPUT_H
#define PS_ENGINE_INPUT_H

#include "engine/engine.h"

/** PS_OK · PS_BAD_INPUT with the first row that is wrong, in words. */
ps_code ps_engine_input_check(const ps_engine_input *input, ps_error *err) PS_MUST_USE;

#endif
