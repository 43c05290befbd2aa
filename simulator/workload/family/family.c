/* SPDX-License-Identifier: MIT
 *
 * The families there are.
 */
#include <string.h>

#include "workload/model/model.h"

#define FAMILY(name) extern const ps_family ps_family_##name;
#include "workload/family/families.def"
#undef FAMILY

static const ps_family *const families[] = {
#define FAMILY(name) &ps_family_##name,
#include "workload/family/families.def"
#undef FAMILY
};

const ps_family *ps_family_at(size_t index)
{
    return index < sizeof families / sizeof families[0] ? families[index] : NULL;
}

const ps_family *ps_family_find(const char *model_type)
{
    for (size_t i = 0; i < sizeof families / sizeof families[0]; i++) {
        if (strcmp(families[i]->model_type, model_type) == 0) {
            return families[i];
        }
    }
    return NULL;
}

ps_code ps_family_of(const ps_model_config *config, const ps_family **out, ps_error *err)
{
    const char *model_type;
    PS_TRY(ps_config_text(config, "model_type", NULL, &model_type, err));
    if (model_type == NULL) {
        return ps_fail(err, PS_BAD_INPUT, "%s: no \"model_type\" says what kind of model it is",
                       ps_model_config_name(config));
    }
    *out = ps_family_find(model_type);
    if (*out == NULL) {
        return ps_fail(err, PS_NOT_FOUND,
                       "%s: \"model_type\" is \"%s\", a kind of model that is not known",
                       ps_model_config_name(config), model_type);
    }
    return PS_OK;
}
