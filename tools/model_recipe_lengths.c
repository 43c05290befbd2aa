/* SPDX-License-Identifier: MIT
 *
 * Lengths of a recipe's batches: listed, or drawn like lines of running text.
 */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "model_recipe_parts.h"
#include "workload/script/lengths.h"

#define MAX_LENGTH 16777216
#define MAX_LENGTHS 4096u

static ps_code read_list(const char *text, ps_model_recipe *out, ps_error *err)
{
    size_t count = 0;
    for (const char *at = text; count < MAX_LENGTHS;) {
        char *end;
        const long long length = strtoll(at, &end, 10);
        if (end == at || length < 1 || length > MAX_LENGTH || (*end != ',' && *end != '\0')) {
            return ps_fail(err, PS_USAGE,
                           "--lengths \"%s\": expected whole numbers from 1 to %d between commas, "
                           "or draw",
                           text, MAX_LENGTH);
        }
        out->lengths[count++] = length;
        if (*end == '\0') {
            out->recipe.length_count = count;
            return PS_OK;
        }
        at = end + 1;
    }
    return ps_fail(err, PS_USAGE, "--lengths: more than %u lengths", MAX_LENGTHS);
}

ps_code ps__recipe_read_lengths(const ps_args *args, ps_model_recipe *out, ps_error *err)
{
    ps_recipe *r = &out->recipe;
    const char *text = ps_args_text(args, "lengths");
    if (text == NULL) {
        return PS_OK;
    }
    const bool is_drawn = strcmp(text, "draw") == 0;
    if (is_drawn && r->steps == 0) {
        return ps_fail(err, PS_USAGE, "--lengths draw: --hift needs --steps, one length for each");
    }
    const size_t drawn = (size_t)(r->steps * r->accumulate);
    out->lengths = ps_calloc(is_drawn ? drawn : MAX_LENGTHS, sizeof *out->lengths);
    if (out->lengths == NULL) {
        return ps_fail_nomem(err);
    }
    r->lengths = out->lengths;
    if (!is_drawn) {
        return read_list(text, out, err);
    }
    r->length_count = drawn;
    ps_lengths_draw(ps_args_quantity(args, "seed"), r->batch, r->length, out->lengths, drawn);
    return PS_OK;
}
