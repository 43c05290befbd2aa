/* SPDX-License-Identifier: MIT
 *
 * Keys and values of a result.
 */
#include "result/result_json.h"

#include <string.h>

void ps__put_key(ps_result_writer *w, const char *name)
{
    (void)yajl_gen_string(w->gen, (const unsigned char *)name, strlen(name));
}

void ps__put_text(ps_result_writer *w, const char *name, const char *text)
{
    ps__put_key(w, name);
    if (text == NULL || text[0] == '\0') {
        (void)yajl_gen_null(w->gen);
    } else {
        (void)yajl_gen_string(w->gen, (const unsigned char *)text, strlen(text));
    }
}

void ps__put_str(ps_result_writer *w, const char *name, ps_str id)
{
    ps__put_text(w, name, ps_strings_text(w->result->plan->strings, id));
}

/* yajl's integers are signed 64-bit; sizes above that do not exist, but must not turn negative. */
void ps__put_int(ps_result_writer *w, const char *name, uint64_t value)
{
    ps__put_key(w, name);
    (void)yajl_gen_integer(w->gen, value > INT64_MAX ? INT64_MAX : (long long)value);
}

void ps__put_known(ps_result_writer *w, const char *name, uint64_t value, bool is_known)
{
    if (is_known) {
        ps__put_int(w, name, value);
    } else {
        ps__put_key(w, name);
        (void)yajl_gen_null(w->gen);
    }
}

void ps__put_bool(ps_result_writer *w, const char *name, bool value)
{
    ps__put_key(w, name);
    (void)yajl_gen_bool(w->gen, value);
}
