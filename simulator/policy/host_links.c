/* SPDX-License-Identifier: MIT
 *
 * Slots, uplinks and host memory of a plan by other bandwidths.
 */
#include "policy/host_links.h"

#include <ctype.h>
#include <string.h>

#define NS_PER_S UINT64_C(1000000000)

typedef enum part {
    PART_OTHER = 0,
    PART_SLOT_IN,
    PART_SLOT_OUT,
    PART_SLOT_BOTH,
    PART_UP,
    PART_DOWN,
    PART_MEMORY,
    PART_PINNED,
    PART_THREADS,
    PART_NETWORK,
} part;

/* ---- names ---- */

/* Skips a word and the number behind it; NULL when the text does not begin so. */
static const char *skip(const char *text, const char *word)
{
    const size_t length = strlen(word);
    if (text == NULL || strncmp(text, word, length) != 0) {
        return NULL;
    }
    for (text += length; isdigit((unsigned char)*text); text++) {
    }
    return text;
}

/* What a link is, by its name as a cluster gives it (cluster_links.c). */
static part part_of(const ps_plan *plan, size_t link)
{
    static const struct {
        const char *owner, *direction;
        part is;
    } parts[] = {{"gpu", ".slot.in", PART_SLOT_IN},     {"gpu", ".slot.out", PART_SLOT_OUT},
                 {"gpu", ".slot.both", PART_SLOT_BOTH}, {"switch", ".up", PART_UP},
                 {"switch", ".down", PART_DOWN},        {"memory", "", PART_MEMORY},
                 {"memory", ".pinned", PART_PINNED},    {"gpu", ".threads", PART_THREADS},
                 {"network", ".out", PART_NETWORK},     {"network", ".in", PART_NETWORK}};
    const char *name = ps_strings_text(plan->strings, plan->link.name[link]);
    const char *of_node = skip(name, "node");
    if (of_node == NULL || *of_node != '.') {
        return PART_OTHER;
    }
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        const char *rest = skip(of_node + 1, parts[i].owner);
        if (rest != NULL && strcmp(rest, parts[i].direction) == 0) {
            return parts[i].is;
        }
    }
    return PART_OTHER;
}

/* Least bandwidth of a part; 0: the plan has none. */
static uint64_t rate_of(const ps_plan *plan, part wanted)
{
    uint64_t least = 0;
    for (size_t i = 0; i < plan->link.head.count; i++) {
        const uint64_t rate = plan->link.bytes_per_s[i];
        if (part_of(plan, i) == wanted && (least == 0 || rate < least)) {
            least = rate;
        }
    }
    return least;
}

bool ps_host_links_has_slots(const ps_plan *plan)
{
    return rate_of(plan, PART_SLOT_IN) > 0 || rate_of(plan, PART_SLOT_OUT) > 0;
}

bool ps_host_links_has_memory(const ps_plan *plan)
{
    return rate_of(plan, PART_MEMORY) > 0;
}

ps_slot_rates ps_host_links_slots(const ps_plan *plan)
{
    const uint64_t in = rate_of(plan, PART_SLOT_IN), out = rate_of(plan, PART_SLOT_OUT);
    const uint64_t both = rate_of(plan, PART_SLOT_BOTH);
    ps_slot_rates slots = {.in_bytes_per_s = in > 0 ? in : out,
                           .out_bytes_per_s = out > 0 ? out : in};
    /* nothing crosses it: two directions that do not disturb one another */
    slots.both_bytes_per_s = both > 0 ? both : slots.in_bytes_per_s + slots.out_bytes_per_s;
    return slots;
}

uint64_t ps_host_links_memory(const ps_plan *plan)
{
    return rate_of(plan, PART_MEMORY);
}

/* ---- slots ---- */

static uint64_t in_ratio(uint64_t rate, uint64_t to, uint64_t from)
{
    const uint64_t scaled = from > 0 ? ps_mul_div_u64(rate, to, from) : rate;
    return scaled > 0 ? scaled : 1;
}

static uint64_t least_of(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static void set_links(ps_plan *plan, const ps_slot_rates *to, const ps_slot_rates *from)
{
    for (size_t i = 0; i < plan->link.head.count; i++) {
        uint64_t *rate = &plan->link.bytes_per_s[i];
        switch (part_of(plan, i)) {
        case PART_SLOT_IN:
            *rate = to->in_bytes_per_s;
            break;
        case PART_SLOT_OUT:
            *rate = to->out_bytes_per_s;
            break;
        case PART_SLOT_BOTH:
            *rate = to->both_bytes_per_s;
            break;
        case PART_UP:
            *rate = in_ratio(*rate, to->out_bytes_per_s, from->out_bytes_per_s);
            break;
        case PART_DOWN:
            *rate = in_ratio(*rate, to->in_bytes_per_s, from->in_bytes_per_s);
            break;
        case PART_OTHER:
        case PART_MEMORY:
        case PART_PINNED:
        case PART_THREADS:
        case PART_NETWORK:
            break;
        }
    }
}

/* A formula of other figures is still one. */
static void note_change(ps_plan *plan, size_t task)
{
    uint8_t *basis = &plan->task.basis[task];
    *basis = (uint8_t)(*basis == PS_BASIS_MEASURED ? PS_BASIS_SCALED : *basis);
}

/* A copy over its links, or one of a batch, whose length is told without them. */
static void set_copy(ps_plan *plan, size_t task, const ps_slot_rates *to)
{
    ps_plan_task_table *tasks = &plan->task;
    const uint64_t slot =
        tasks->copy_kind[task] == PS_COPY_DTOH ? to->out_bytes_per_s : to->in_bytes_per_s;
    uint64_t *rate = &tasks->rate_bytes_per_s[task];
    if (*rate > 0) {
        *rate = tasks->memory_kind[task] == PS_MEMORY_PAGEABLE ? least_of(*rate, slot) : slot;
        note_change(plan, task);
        return;
    }
    const uint64_t moving = ps_mul_div_u64(tasks->bytes[task], NS_PER_S, slot);
    if (moving < INT64_MAX && (ps_ns)moving > tasks->dur_ns[task]) {
        tasks->dur_ns[task] = (ps_ns)moving;
        note_change(plan, task);
    }
}

static bool is_host_copy(const ps_plan *plan, size_t task)
{
    return plan->task.kind[task] == PS_TASK_MEMCPY && (plan->task.copy_kind[task] == PS_COPY_HTOD ||
                                                       plan->task.copy_kind[task] == PS_COPY_DTOH);
}

/* Exchanges inside a node: between nodes ports decide, which are as they were. */
static void set_exchanges(ps_plan *plan, const ps_slot_rates *to, const ps_slot_rates *from)
{
    const ps_plan_transfer_table *transfer = &plan->transfer;
    for (size_t first = 0, end; first < transfer->head.count; first = end) {
        const uint32_t task = transfer->task[first];
        const bool is_exchange = plan->task.kind[task] == PS_TASK_EXCHANGE;
        bool crosses_slot = false, crosses_network = false;
        for (end = first; end < transfer->head.count && transfer->task[end] == task; end++) {
            const part is = is_exchange ? part_of(plan, transfer->link[end]) : PART_OTHER;
            crosses_slot = crosses_slot || is == PART_SLOT_IN || is == PART_SLOT_OUT;
            crosses_network = crosses_network || is == PART_NETWORK;
        }
        uint64_t *rate = &plan->task.rate_bytes_per_s[task];
        if (*rate > 0 && crosses_slot && !crosses_network) {
            *rate = in_ratio(*rate, to->in_bytes_per_s, from->in_bytes_per_s);
            note_change(plan, task);
        }
    }
}

ps_code ps_host_links_set_slots(ps_plan *plan, const ps_slot_rates *to, ps_error *err)
{
    const ps_slot_rates from = ps_host_links_slots(plan);
    if (!ps_host_links_has_slots(plan)) {
        return ps_fail(err, PS_USAGE, "nothing of the plan crosses the slot of a GPU");
    }
    set_exchanges(plan, to, &from);
    set_links(plan, to, &from);
    for (size_t i = 0; i < plan->task.head.count; i++) {
        if (is_host_copy(plan, i)) {
            set_copy(plan, i, to);
        }
    }
    return PS_OK;
}

/* ---- memory and threads ---- */

/* Threads keep what their cores stream; where that is not known, they have all of memory. */
static uint64_t threads_by(uint64_t rate, uint64_t from, uint64_t to)
{
    return rate == from ? to : rate;
}

ps_code ps_host_links_set_memory(ps_plan *plan, uint64_t bytes_per_s, ps_error *err)
{
    const uint64_t from = ps_host_links_memory(plan);
    if (from == 0) {
        return ps_fail(err, PS_USAGE, "nothing of the plan reads or writes the memory of a host");
    }
    for (size_t i = 0; i < plan->link.head.count; i++) {
        const part is = part_of(plan, i);
        uint64_t *rate = &plan->link.bytes_per_s[i];
        *rate = is == PART_MEMORY    ? bytes_per_s
                : is == PART_PINNED  ? in_ratio(*rate, bytes_per_s, from)
                : is == PART_THREADS ? threads_by(*rate, from, bytes_per_s)
                                     : *rate;
    }
    for (size_t i = 0; i < plan->task.head.count; i++) {
        uint64_t *rate = &plan->task.rate_bytes_per_s[i];
        if (ps_plan_task_is_of_threads(plan, i) && *rate > 0) {
            *rate = threads_by(*rate, from, bytes_per_s);
            note_change(plan, i);
        }
    }
    return PS_OK;
}

uint64_t ps_host_links_threads(const ps_plan *plan)
{
    return rate_of(plan, PART_THREADS);
}

ps_code ps_host_links_set_threads(ps_plan *plan, uint64_t bytes_per_s, ps_error *err)
{
    if (ps_host_links_threads(plan) == 0) {
        return ps_fail(err, PS_USAGE, "nothing of the plan is computed by a host");
    }
    for (size_t i = 0; i < plan->link.head.count; i++) {
        if (part_of(plan, i) == PART_THREADS) {
            plan->link.bytes_per_s[i] = bytes_per_s;
        }
    }
    for (size_t i = 0; i < plan->task.head.count; i++) {
        if (ps_plan_task_is_of_threads(plan, i) && plan->task.rate_bytes_per_s[i] > 0) {
            plan->task.rate_bytes_per_s[i] = bytes_per_s;
            note_change(plan, i);
        }
    }
    return PS_OK;
}
