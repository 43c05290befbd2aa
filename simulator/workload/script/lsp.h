/* SPDX-License-Identifier: MIT
 *
 * LSP-Offload on one GPU: the gradient of each linear module's weight (in x out) becomes one of
 * d x d on the device, the host's Adam turns that into a difference of d x d, and the device adds
 * it to the weight, spread to in x out again. Everything else is trained as without it.
 *
 *   CMP  left @ x in the forward pass that backward needs; its product with gradient @ right in it
 *   OFF  d x d, 32 bits, to a pinned buffer        UPD  Adam of the host, in place
 *   UPL  the difference to the device              APP  weight += left.T @ difference @ right
 *
 *   BWD of l  ->  OFF  ->  UPD  ->  UPL  ->  APP  ->  FWD of l in the next step
 *
 * Each micro-batch is an update of the linear modules. Where the four stand in the program says
 * lsp_schedule.c.
 */
#ifndef PS_WORKLOAD_LSP_H
#define PS_WORKLOAD_LSP_H

#include "workload/model/model.h"

typedef struct ps_lsp ps_lsp;

/** Says why a recipe cannot be run so. PS_OK · PS_USAGE */
ps_code ps_lsp_check(const ps_recipe *recipe, ps_error *err) PS_MUST_USE;

/**
 * Gives a loaded model its projectors, the host's buffers and states, and its function for linear
 * modules.
 *
 * @param m  outlives it
 * @return PS_OK · PS_USAGE no linear module · PS_NOMEM · what the sink says
 */
ps_code ps_lsp_create(ps_model *m, ps_lsp **out, ps_error *err) PS_MUST_USE;

/** NULL is fine. */
void ps_lsp_destroy(ps_lsp *self);

/* Both: a NULL policy is fine, and does nothing. */

/** Before the forward pass of step `number`, from 0: projectors are fitted where it is time. */
void ps_lsp_begin_step(ps_lsp *self, int64_t number);

/** After backward. */
void ps_lsp_end_backward(ps_lsp *self);

#endif
