/* SPDX-License-Identifier: MIT
 *
 * A model's life: its lists, what its forward pass returns, what it refuses.
 */
#include "workload/model/model.h"

#include "base/memory.h"
#include "workload/eager/eager_parts.h"
#include "workload/model/model_parts.h"

#define MAX_ITEMS ((size_t)1 << 24)

bool ps_model_grow(ps_model *m, void **list, size_t *capacity, size_t count, size_t item_bytes)
{
    if (ps_grow(list, capacity, count + 1, MAX_ITEMS, item_bytes, NULL) != PS_OK) {
        ps_eager_fail(m->e, PS_NOMEM, "out of memory");
        return false;
    }
    return true;
}

void ps_model_fini(ps_model *m)
{
    ps_free(m->parameter);
    ps_free(m->shape);
    ps_free(m->frozen);
    ps_free(m->every);
    ps_free(m->every_shape);
    ps_free(m->buffer);
    ps_free(m->buffer_block);
    ps_free(m->linear);
}

ps_code ps_model_check_positions(const ps_model *m, int64_t positions, ps_error *err)
{
    const ps_recipe *r = m->recipe;
    int64_t longest = r->lengths == NULL ? r->length : 0;
    for (size_t i = 0; r->lengths != NULL && i < r->length_count; i++) {
        longest = r->lengths[i] > longest ? r->lengths[i] : longest;
    }
    if (longest > positions) {
        return ps_fail(err, PS_BAD_INPUT,
                       "the model has positions for %lld tokens, fewer than a sequence of %lld",
                       (long long)positions, (long long)longest);
    }
    return PS_OK;
}

bool ps_model_is_of_2023(const ps_model *m)
{
    return m->recipe->policy == PS_TRAIN_POLICY_GEMINI;
}

/* ---- outputs ---- */

void ps_output_keep(ps_model *m, ps_model_output *out, ps_tensor owned)
{
    if (ps_model_grow(m, (void **)&out->kept, &out->kept_capacity, out->kept_count,
                      sizeof *out->kept)) {
        out->kept[out->kept_count++] = owned;
    }
}

void ps_output_drop(ps_model *m, ps_model_output *out)
{
    ps_eager_clear(m->e, &out->loss);
    ps_eager_clear(m->e, &out->logits);
    for (size_t i = 0; i < out->kept_count; i++) {
        ps_eager_clear(m->e, &out->kept[i]);
    }
    ps_free(out->kept);
    *out = (ps_model_output){0};
}
