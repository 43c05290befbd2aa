/* SPDX-License-Identifier: MIT
 *
 * Memory over time in block characters: allocated solid, reserved as a shade
 * behind it, one column a bin, eight steps a character.
 */
#include "simulate_text.h"

#include "base/units.h"

#define ROWS 8u
#define STEPS 8u

static const char *const eighths[STEPS + 1] = {" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};

static uint64_t highest(const ps_result_device *device)
{
    uint64_t top = 0;
    for (size_t i = 0; i < PS_RESULT_CHART_BINS; i++) {
        top = device->chart_allocated[i] > top ? device->chart_allocated[i] : top;
        top = device->chart_reserved[i] > top ? device->chart_reserved[i] : top;
    }
    return top;
}

/* Height of a value in eighths of a character over the whole chart. */
static unsigned height(uint64_t value, uint64_t top)
{
    return (unsigned)ps_mul_div_u64(value, ROWS * STEPS, top);
}

static const char *cell(unsigned row, unsigned allocated, unsigned reserved)
{
    const unsigned below = row * STEPS;
    if (allocated > below) {
        return eighths[allocated - below >= STEPS ? STEPS : allocated - below];
    }
    return reserved > below ? "░" : " ";
}

void ps_simulate_chart(const ps_result *result, const ps_result_device *device, ps_output *out)
{
    char text[PS_QUANTITY_TEXT_BYTES];
    const uint64_t top = highest(device);
    if (top == 0 || result->makespan_ns == 0) {
        return;
    }
    ps_output_print(out, "\n  memory over time (█ allocated, ░ reserved), top %s\n",
                    ps_quantity_format(PS_UNIT_SIZE, top, text));
    for (unsigned row = ROWS; row-- > 0;) {
        ps_output_print(out, "  │");
        for (size_t i = 0; i < PS_RESULT_CHART_BINS; i++) {
            ps_output_print(out, "%s",
                            cell(row, height(device->chart_allocated[i], top),
                                 height(device->chart_reserved[i], top)));
        }
        ps_output_print(out, "\n");
    }
    ps_output_print(out, "  └");
    for (size_t i = 0; i < PS_RESULT_CHART_BINS; i++) {
        ps_output_print(out, "─");
    }
    ps_output_print(out, "\n   0%*s\n", (int)PS_RESULT_CHART_BINS - 1,
                    ps_time_format(result->makespan_ns, text));
}
