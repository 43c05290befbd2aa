/* SPDX-License-Identifier: MIT
 *
 * A config.json: what is read can be looked up, and every refusal names the
 * file in one sentence.
 */
#include <string.h>

#include "fuzz.h"
#include "workload/config/config.h"

/* Paths that the corpus holds, so that look-ups meet values of every kind. */
static const char *const keys[] = {
    "model_type",        "hidden_size",         "num_heads",           "rope_scaling",
    "rope_scaling.type", "rope_scaling.factor", "layer_types",         "layer_types.0",
    "attention_types",   "attention_types.0.1", "text_config.dropout", "absent",
};

static void look_up(const ps_model_config *config, const char *key)
{
    ps_error err = {0};
    int64_t whole = -1;
    double number = -1;
    bool truth = false;
    const char *text = "none";
    size_t count = 0;
    ps_code code = ps_config_int(config, key, 5, 1, 1 << 20, &whole, &err);
    fuzz_require(code == PS_OK ? whole >= 1 && whole <= 1 << 20
                               : code == PS_BAD_INPUT && strncmp(err.message, "f: ", 3) == 0);
    code = ps_config_number(config, key, 0.5, 0, 1, &number, &err);
    fuzz_require(code == PS_OK ? number >= 0 && number <= 1 : code == PS_BAD_INPUT);
    code = ps_config_text(config, key, "none", &text, &err);
    fuzz_require(code == PS_OK ? strlen(text) < PS_CONFIG_MAX_BYTES : code == PS_BAD_INPUT);
    code = ps_config_bool(config, key, true, &truth, &err);
    fuzz_require(code == PS_OK || code == PS_BAD_INPUT);
    code = ps_config_count(config, key, &count, &err);
    fuzz_require(code == PS_OK || code == PS_BAD_INPUT);
    fuzz_require((ps_config_origin(config, key) != NULL) == ps_config_has(config, key));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ps_error err = {0};
    ps_model_config *config = NULL;
    const ps_code code = ps_model_config_read_memory("f", data, size, &config, &err);
    if (code != PS_OK) {
        fuzz_require(code != PS_INTERNAL && err.message[0] == 'f');
        return 0;
    }
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        look_up(config, keys[i]);
    }
    ps_model_config_destroy(config);
    return 0;
}
