/* SPDX-License-Identifier: MIT
 *
 * The steady step as JSON.
 */
#include "result/result_json.h"

static void put_path(ps_result_writer *w, const ps_result_steady *steady)
{
    ps__put_key(w, "critical_path_ns");
    (void)yajl_gen_map_open(w->gen);
    for (int i = 0; i < PS_RESOURCE_COUNT; i++) {
        ps__put_int(w, ps_resource_name((ps_resource)i), (uint64_t)steady->path_ns[i]);
    }
    (void)yajl_gen_map_close(w->gen);
}

static void put_lanes(ps_result_writer *w, const ps_result_steady *steady)
{
    const ps_plan *plan = w->result->plan;
    ps__put_key(w, "lanes");
    (void)yajl_gen_array_open(w->gen);
    for (size_t i = 0; i < steady->lane_count; i++) {
        const ps_result_lane *lane = &steady->lane[i];
        const ps_ns idle = steady->end_ns - steady->begin_ns - lane->busy_ns - lane->waiting_ns;
        (void)yajl_gen_map_open(w->gen);
        ps__put_str(w, "name", plan->lane.name[lane->lane]);
        ps__put_known(w, "rank", lane->device > 0 ? plan->device.rank[lane->device - 1] : 0,
                      lane->device > 0);
        ps__put_int(w, "busy_ns", (uint64_t)lane->busy_ns);
        ps__put_int(w, "waiting_ns", (uint64_t)lane->waiting_ns);
        ps__put_int(w, "idle_ns", idle > 0 ? (uint64_t)idle : 0);
        (void)yajl_gen_map_close(w->gen);
    }
    (void)yajl_gen_array_close(w->gen);
}

static void put_links(ps_result_writer *w, const ps_result_steady *steady)
{
    const ps_plan *plan = w->result->plan;
    ps__put_key(w, "links");
    (void)yajl_gen_array_open(w->gen);
    for (size_t i = 0; i < steady->link_count; i++) {
        const ps_result_link *link = &steady->link[i];
        (void)yajl_gen_map_open(w->gen);
        ps__put_str(w, "name", plan->link.name[link->link]);
        ps__put_int(w, "bytes_per_s", plan->link.bytes_per_s[link->link]);
        ps__put_int(w, "bytes", link->bytes);
        ps__put_int(w, "share_millionths", link->share_millionths);
        (void)yajl_gen_map_close(w->gen);
    }
    (void)yajl_gen_array_close(w->gen);
}

static void put_break_even(ps_result_writer *w)
{
    bool is_known = false;
    for (int i = 0; i < PS_BREAK_EVEN_COUNT; i++) {
        is_known = is_known || w->result->break_even[i].is_known;
    }
    if (!is_known) {
        return;
    }
    ps__put_key(w, "break_even");
    (void)yajl_gen_map_open(w->gen);
    for (int i = 0; i < PS_BREAK_EVEN_COUNT; i++) {
        const ps_result_break_even *of = &w->result->break_even[i];
        if (!of->is_known) {
            continue;
        }
        ps__put_key(w, ps_break_even_name((ps_break_even_of)i));
        (void)yajl_gen_map_open(w->gen);
        ps__put_int(w, "bytes_per_s", of->now_bytes_per_s);
        ps__put_int(w, "least_bytes_per_s", of->least_bytes_per_s);
        ps__put_int(w, "endless_step_time_ns", (uint64_t)of->endless_ns);
        (void)yajl_gen_map_close(w->gen);
    }
    (void)yajl_gen_map_close(w->gen);
}

void ps__put_steady(ps_result_writer *w)
{
    const ps_result_steady *steady = &w->result->steady;
    if (!steady->is_known) {
        return;
    }
    ps__put_key(w, "steady_step");
    (void)yajl_gen_map_open(w->gen);
    ps__put_int(w, "begin_ns", (uint64_t)steady->begin_ns);
    ps__put_int(w, "end_ns", (uint64_t)steady->end_ns);
    ps__put_text(w, "limit", ps_resource_name(steady->limit));
    put_path(w, steady);
    put_lanes(w, steady);
    put_links(w, steady);
    (void)yajl_gen_map_close(w->gen);
    put_break_even(w);
}
