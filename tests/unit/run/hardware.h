/* SPDX-License-Identifier: MIT
 *
 * A small hardware catalogue with round figures, so that what a what-if does
 * can be worked out by hand.
 */
#ifndef PS_TESTS_HARDWARE_H
#define PS_TESTS_HARDWARE_H

#include "support/test.h"

#include <string.h>

#include "cluster/catalogue.h"
#include "policy/whatif.h"

/* Host links: 10 GB/s each way on Oldcard, both together 15; a copy takes 10 us to start. */
/* clang-format off */
static const char hardware_csv[] =
    "device,quantity,value,unit,origin\n"
    "family-gpu,class,family,,given: test\n"
    "family-gpu,host-both-factor,1.5,,given: test\n"
    "family-gpu,copy-latency,10,us,given: test\n"
    "Oldcard,class,gpu,,given: test\n"
    "Oldcard,like,family-gpu,,given: test\n"
    "Oldcard,memory,16,GiB,given: test\n"
    "Oldcard,memory-bandwidth,1000,GB/s,given: test\n"
    "Oldcard,fp32-rate,10,TFLOP/s,given: test\n"
    "Oldcard,fp16-rate,100,TFLOP/s,given: test\n"
    "Oldcard,bf16-rate,100,TFLOP/s,given: test\n"
    "Oldcard,h2d,10,GB/s,given: test\n"
    "Oldcard,d2h,10,GB/s,given: test\n"
    "Oldcard,context-memory,512,MiB,measured: test\n"
    "eager-1,class,software,,given: test\n"
    "eager-1,eager-modules,100,MiB,given: test\n"
    "Newcard,class,gpu,,given: test\n"
    "Newcard,like,family-gpu,,given: test\n"
    "Newcard,memory,32,GiB,given: test\n"
    "Newcard,memory-bandwidth,2000,GB/s,given: test\n"
    "Newcard,fp32-rate,40,TFLOP/s,given: test\n"
    "Newcard,fp16-rate,500,TFLOP/s,given: test\n"
    "Newcard,bf16-rate,800,TFLOP/s,given: test\n"
    "Newcard,h2d,40,GB/s,given: test\n"
    "Newcard,d2h,20,GB/s,given: test\n"
    "Newcard,context-memory,1,GiB,given: test\n"
    "Plaincard,class,gpu,,given: test\n"
    "Plaincard,like,family-gpu,,given: test\n"
    "Plaincard,memory,8,GiB,given: test\n"
    "Plaincard,memory-bandwidth,500,GB/s,given: test\n"
    "Plaincard,fp32-rate,5,TFLOP/s,given: test\n"
    "Plaincard,fp16-rate,50,TFLOP/s,given: test\n"
    "Plaincard,bf16-rate,0,TFLOP/s,given: test\n"
    "Plaincard,h2d,5,GB/s,given: test\n"
    "Plaincard,d2h,5,GB/s,given: test\n"
    "Plaincard,context-memory,256,MiB,given: test\n";
/* clang-format on */

/** Tells what the change comes to; the error text stays in *err. */
static inline ps_code try_change(ps_plan *plan, const ps_whatif *change, ps_error *err)
{
    ps_catalogue *catalogue = ps_catalogue_create_empty();
    assert_non_null(catalogue);
    assert_ok(err, ps_catalogue_read_memory(catalogue, "hardware.csv", hardware_csv,
                                            strlen(hardware_csv), err));
    const ps_code code = ps_whatif_apply(plan, catalogue, change, err);
    ps_catalogue_destroy(catalogue);
    return code;
}

/** Applies a change; the plan must be valid afterwards. */
static inline void apply_change(ps_plan *plan, const ps_whatif *change)
{
    ps_error err = {0};
    assert_ok(&err, try_change(plan, change, &err));
    assert_ok(&err, ps_plan_check(plan, &err));
}

/** Asserts that a change is refused with words that contain `part`. */
static inline void is_refused(ps_plan *plan, const ps_whatif *change, ps_code code,
                              const char *part)
{
    ps_error err = {0};
    assert_int_equal(try_change(plan, change, &err), code);
    if (strstr(err.message, part) == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", err.message, part);
    }
}

#endif
