/* SPDX-License-Identifier: MIT
 *
 * Writing a result as JSON (private to this folder).
 */
#ifndef PS_RESULT_RESULT_JSON_H
#define PS_RESULT_RESULT_JSON_H

#include <yajl/yajl_gen.h>

#include "result/result.h"

typedef struct ps_result_writer {
    yajl_gen gen;
    const ps_result *result;
} ps_result_writer;

void ps__put_key(ps_result_writer *w, const char *name);

/** NULL and "" are null. */
void ps__put_text(ps_result_writer *w, const char *name, const char *text);
void ps__put_str(ps_result_writer *w, const char *name, ps_str id);
void ps__put_int(ps_result_writer *w, const char *name, uint64_t value);
void ps__put_known(ps_result_writer *w, const char *name, uint64_t value, bool is_known);
void ps__put_bool(ps_result_writer *w, const char *name, bool value);

/** The keys of a step's or a run's time on a device. */
void ps__put_time(ps_result_writer *w, const char *name, const ps_result_time *time);

/** "steady_step" and "break_even", where they are known. */
void ps__put_steady(ps_result_writer *w);

#endif
