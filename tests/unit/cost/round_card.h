/* SPDX-License-Identifier: MIT
 *
 * A GPU with round figures, so that every time can be worked out by hand:
 * 10 multiprocessors, 100 TFLOP/s in 16 bits and 10 in 32, memory 1 TB/s, of
 * which 10 MB stay in a cache four times as fast and 20 MB no more; a kernel
 * takes 1 us at least, and nothing else costs anything.
 */
#ifndef PS_TESTS_ROUND_CARD_H
#define PS_TESTS_ROUND_CARD_H

#include "support/test.h"

#include <string.h>

#include "cost/cost.h"

/* clang-format off */
static const char round_csv[] =
    "device,quantity,value,unit,origin\n"
    "round,class,gpu,,given: test\n"
    "round,memory,16,GiB,given: test\n"
    "round,memory-bandwidth,1000,GB/s,given: test\n"
    "round,fp32-rate,10,TFLOP/s,given: test\n"
    "round,fp16-rate,100,TFLOP/s,given: test\n"
    "round,bf16-rate,0,TFLOP/s,given: test\n"
    "round,h2d,10,GB/s,given: test\n"
    "round,d2h,10,GB/s,given: test\n"
    "round,context-memory,512,MiB,measured: test\n"
    "round,compute-capability,9.0,,given: test\n"
    "round,sm-count,10,,given: test\n"
    "round,matmul-share,1,,given: test\n"
    "round,stream-share,1,,given: test\n"
    "round,l2-size,20,MB,given: test\n"
    "round,l2-share,0.5,,given: test\n"
    "round,l2-fade,2,,given: test\n"
    "round,l2-speed,4,,given: test\n"
    "round,clock-share,1,,given: test\n"
    "round,sustained-share,1,,given: test\n"
    "round,kernel-floor,1,us,given: test\n"
    "round,vector-share,1,,given: test\n"
    "round,unaligned-share,0.5,,given: test\n"
    "round,overlap-loss,0,,given: test\n"
    "round,tile-half,0,,given: test\n"
    "round,tile-fixed,0,ns,given: test\n"
    "round,vector-tile-fixed,0,ns,given: test\n"
    "round,step-depth,64,B,given: test\n"
    "round,step-latency,0,ns,given: test\n"
    "round,vector-step-latency,0,ns,given: test\n"
    "round,split-fixed,0,ns,given: test\n"
    "round,contiguous-rate,1000000,,given: test\n"
    "round,strided-rate,100,,given: test\n"
    "round,rows-rate,200,,given: test\n"
    "round,reduction-rate,400,,given: test\n"
    "round,strided-fixed,0,ns,given: test\n"
    "round,rows-fixed,3,us,given: test\n"
    "round,reduction-fixed,5,us,given: test\n"
    "round,attention-forward-share,1,,given: test\n"
    "round,attention-backward-share,0.5,,given: test\n"
    "round,attention-half,0,,given: test\n"
    "round,attention-fixed,0,ns,given: test\n"
    "round,attention-rows,128,,given: test\n";
/* clang-format on */

/** Model of the round GPU with more rows of the catalogue, or "", and measured shapes, or NULL. */
static inline ps_cost_model *round_model(const char *rows, const char *shapes)
{
    ps_error err = {0};
    char text[4096];
    ps_hardware_id id;
    ps_cost_model *model = NULL;
    ps_catalogue *catalogue = ps_catalogue_create_empty();
    assert_non_null(catalogue);
    assert_ok(&err,
              ps_catalogue_read_memory(catalogue, "round.csv", round_csv, strlen(round_csv), &err));
    (void)snprintf(text, sizeof text, "device,quantity,value,unit,origin\n%s", rows);
    assert_ok(&err, ps_catalogue_read_memory(catalogue, "more.csv", text, strlen(text), &err));
    assert_ok(&err, ps_catalogue_find(catalogue, PS_HARDWARE_GPU, "round", &id, &err));
    const ps_cost_options options = {.shapes_csv = shapes,
                                     .shapes_bytes = shapes != NULL ? strlen(shapes) : 0};
    assert_ok(&err, ps_cost_create(catalogue, id, &options, &model, &err));
    ps_catalogue_destroy(catalogue);
    return model;
}

static inline ps_cost_time time_of(const ps_cost_model *model, ps_cost_op op)
{
    ps_error err = {0};
    ps_cost_time out = {.dur_ns = -1};
    assert_ok(&err, ps_cost_op_time(model, &op, &out, &err));
    return out;
}

static inline ps_ns ns_of(const ps_cost_model *model, ps_cost_op op)
{
    return time_of(model, op).dur_ns;
}

/** Durations round up once, so a time worked out by hand may be 1 ns short. */
static inline void is_about(ps_ns found, ps_ns expected)
{
    if (found < expected || found > expected + 1) {
        fail_msg("%lld ns, not %lld ns", (long long)found, (long long)expected);
    }
}

#endif
