/* SPDX-License-Identifier: MIT
 *
 * Kind of an input file, and its loss counters.
 */
#include "artefact.h"

#include <inttypes.h>

#include "cli/table.h"
#include "import/import.h"
#include "trace/words.h"

#define HEAD_BYTES 32u

ps_artefact ps_artefact_of(const char *path)
{
    unsigned char head[HEAD_BYTES];
    ps_artefact artefact = PS_ARTEFACT_TRACE;
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        return artefact;
    }
    const size_t got = fread(head, 1, sizeof head, file);
    (void)fclose(file);
    return ps_container_sniff(head, got, &artefact) ? artefact : PS_ARTEFACT_TRACE;
}

/* Whether an importer knows the file. */
static bool is_importable(const char *path)
{
    const unsigned char *head = NULL;
    size_t head_bytes = 0;
    ps_source *source = NULL;
    bool is_known = false;
    if (ps_source_open(path, &source, NULL) == PS_OK &&
        ps_source_peek(source, PS_IMPORT_PROBE_BYTES, &head, &head_bytes, NULL) == PS_OK) {
        is_known = ps_import_detect(head, head_bytes) != NULL;
    }
    ps_source_close(source);
    return is_known;
}

ps_code ps_artefact_read_trace(const char *path, ps_trace **out, ps_container_state *state,
                               ps_error *err)
{
    const ps_code code = ps_trace_read(path, out, state, err);
    if (code == PS_BAD_INPUT && is_importable(path)) {
        return ps_fail(err, PS_BAD_INPUT,
                       "%s is a recording of another tool; import it first: "
                       "peakstep import %s -o NAME.pstrace",
                       path, path);
    }
    return code;
}

static const char *severity_word(uint8_t severity)
{
    switch ((ps_severity)severity) {
    case PS_SEVERITY_INFO:
        return "info";
    case PS_SEVERITY_LOSS:
        return "loss";
    case PS_SEVERITY_ERROR:
        return "error";
    }
    return "unknown";
}

static const char *meaning_of(const char *name)
{
    const char *meaning = ps_loss_meaning(name);
    return meaning == NULL ? "not known to this version" : meaning;
}

ps_code ps_losses_print(ps_loss_view losses, ps_output *out, ps_error *err)
{
    static const ps_grid_column columns[] = {
        {"count", true}, {"severity", false}, {"name", false}, {"meaning", false}};
    ps_grid grid;
    if (losses.count == 0) {
        return PS_OK;
    }
    ps_output_print(out, "\nLosses\n");
    ps_grid_init(&grid, columns, sizeof columns / sizeof columns[0]);
    for (size_t i = 0; i < losses.count; i++) {
        const char *name = ps_strings_text(losses.strings, losses.name[i]);
        ps_grid_cell(&grid, "%" PRIu64, losses.times[i]);
        ps_grid_cell(&grid, "%s", severity_word(losses.severity[i]));
        ps_grid_cell(&grid, "%s", name);
        ps_grid_cell(&grid, "%s", meaning_of(name));
    }
    return ps_grid_print(&grid, out, 2, err);
}

void ps_losses_json(ps_loss_view losses, ps_json *json)
{
    ps_json_array(json, "losses");
    for (size_t i = 0; i < losses.count; i++) {
        const char *name = ps_strings_text(losses.strings, losses.name[i]);
        ps_json_object(json, NULL);
        ps_json_text(json, "name", name);
        ps_json_text(json, "severity", severity_word(losses.severity[i]));
        ps_json_u64(json, "count", losses.times[i]);
        ps_json_text(json, "meaning", meaning_of(name));
        ps_json_end(json);
    }
    ps_json_end(json);
}
