/* SPDX-License-Identifier: MIT
 *
 * A trace described: its file read and summed up, and the words of the page.
 */
#include "base/checked.h"
#include "info.h"
#include "info_trace_parts.h"

const char *ps__range_category_word(size_t category)
{
    /* names users know from the profiler, in the order of ps_range_category */
    static const char *const words[PS_RANGE_CATEGORY_COUNT] = {
        "other",    "cpu_op",   "user_annotation", "python_function", "gpu_user_annotation",
        "overhead", "profiler",
    };
    return words[category];
}

const char *ps__call_api_word(size_t api)
{
    static const char *const words[PS_CALL_API_COUNT] = {"cuda_runtime", "cuda_driver"};
    return words[api];
}

const char *ps__device_kind_word(ps_device_kind kind)
{
    switch (kind) {
    case PS_DEVICE_HOST:
        return "host";
    case PS_DEVICE_CUDA:
        return "cuda";
    case PS_DEVICE_HIP:
        return "hip";
    case PS_DEVICE_OTHER:
        break;
    }
    return "other";
}

uint64_t ps__thousandths_per_event(const ps_trace_page *self)
{
    const uint64_t events = self->summary->count.total;
    return events == 0 ? 0 : (ps_mul_div_u64(self->state->file_bytes, 2000, events) + 1) / 2;
}

ps_code ps_info_trace(const char *path, bool as_json, ps_output *out, ps_error *err)
{
    ps_container_state state;
    ps_trace_summary summary;
    ps_trace *trace;
    PS_TRY(ps_artefact_read_trace(path, &trace, &state, err));
    ps_code code = ps_trace_summarise(trace, &summary, err);
    if (code == PS_OK) {
        const ps_trace_page self = {path, trace, &summary, &state};
        code =
            as_json ? ps__trace_page_json(&self, out, err) : ps__trace_page_print(&self, out, err);
        ps_trace_summary_fini(&summary);
    }
    ps_trace_destroy(trace);
    return code;
}
