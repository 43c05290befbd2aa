/* SPDX-License-Identifier: MIT
 *
 * Figures of a configuration, one after the other.
 */
#include "workload/model/shape_reader.h"

#include <string.h>

#define LARGEST_SIZE ((int64_t)1 << 31)

static const char *const activation_word[] = {
#define PS_ACTIVATION_WORD(sym, word) word,
    PS_ACTIVATIONS(PS_ACTIVATION_WORD)
#undef PS_ACTIVATION_WORD
};

int64_t ps_shape_size(ps_shape_reader *self, const char *key, int64_t fallback)
{
    int64_t value = fallback;
    if (self->code == PS_OK) {
        self->code =
            fallback == 0
                ? ps_config_need_int(self->config, key, 1, LARGEST_SIZE, &value, self->err)
                : ps_config_int(self->config, key, fallback, 1, LARGEST_SIZE, &value, self->err);
    }
    return value;
}

int64_t ps_shape_size_or(ps_shape_reader *self, const char *key, const char *other,
                         int64_t fallback)
{
    return ps_shape_size(self, ps_config_has(self->config, key) ? key : other, fallback);
}

bool ps_shape_flag(ps_shape_reader *self, const char *key, bool fallback)
{
    bool value = fallback;
    if (self->code == PS_OK) {
        self->code = ps_config_bool(self->config, key, fallback, &value, self->err);
    }
    return value;
}

double ps_shape_share(ps_shape_reader *self, const char *key, double fallback)
{
    double value = fallback;
    if (self->code == PS_OK) {
        self->code = ps_config_number(self->config, key, fallback, 0.0, 1.0, &value, self->err);
    }
    return value;
}

const char *ps_shape_text(ps_shape_reader *self, const char *key, const char *fallback)
{
    const char *value = fallback;
    if (self->code == PS_OK) {
        self->code = ps_config_text(self->config, key, fallback, &value, self->err);
    }
    return value;
}

ps_activation ps_shape_activation_named(ps_shape_reader *self, const char *key, const char *word)
{
    for (size_t i = 0; i < PS_ACTIVATION_COUNT; i++) {
        if (strcmp(activation_word[i], word) == 0) {
            return (ps_activation)i;
        }
    }
    if (self->code == PS_OK) {
        self->code = ps_fail(self->err, PS_BAD_INPUT,
                             "%s: \"%s\" is \"%s\", which is no activation that is known",
                             ps_model_config_name(self->config), key, word);
    }
    return PS_ACTIVATION_RELU;
}

ps_activation ps_shape_activation(ps_shape_reader *self, const char *key, const char *fallback)
{
    return ps_shape_activation_named(self, key, ps_shape_text(self, key, fallback));
}

void ps_shape_refuse(ps_shape_reader *self, const char *const *flags, size_t count)
{
    for (size_t i = 0; i < count && self->code == PS_OK; i++) {
        if (ps_shape_flag(self, flags[i], false)) {
            self->code = ps_fail(self->err, PS_BAD_INPUT, "%s: %s is not modelled",
                                 ps_model_config_name(self->config), flags[i]);
        }
    }
}

void ps_shape_divides(ps_shape_reader *self, const char *whole_name, int64_t whole,
                      const char *parts_name, int64_t parts)
{
    if (self->code == PS_OK) {
        self->code =
            ps_config_check_divides(self->config, whole_name, whole, parts_name, parts, self->err);
    }
}

void ps_shape_refuse_flag(ps_shape_reader *self, const char *key)
{
    if (ps_shape_flag(self, key, false) && self->code == PS_OK) {
        self->code = ps_fail(self->err, PS_BAD_INPUT, "%s: \"%s\" is true, which is not modelled",
                             ps_model_config_name(self->config), key);
    }
}

bool ps_shape_outputs(ps_shape_reader *self)
{
    ps_shape_refuse_flag(self, "output_attentions");
    ps_shape_refuse_flag(self, "output_hidden_states");
    return ps_shape_flag(self, "use_cache", true);
}
