/* SPDX-License-Identifier: MIT
 *
 * Tables of measured runs, and the options in their rows. What must hold of a
 * table that is read: known metrics, figures above 0, ranges in order, a cell
 * for every column; of options that can be split: words that lie within the
 * text they came from.
 */
#include "fuzz.h"

#include <string.h>

#include "base/memory.h"
#include "shell_words.h"
#include "validate_truth.h"

static void split(const char *text)
{
    ps_error err = {0};
    ps_shell_words words;
    size_t bytes = 0;
    const ps_code code = ps_shell_words_split(text, &words, &err);
    if (code != PS_OK) {
        fuzz_require(err.code == code && err.message[0] != '\0');
        return;
    }
    for (int i = 0; i < words.count; i++) {
        bytes += strlen(words.word[i]);
    }
    fuzz_require(bytes <= strlen(text));
    ps_shell_words_fini(&words);
}

static void check_row(const ps_truth *truth, size_t i)
{
    const ps_truth_row *row = &truth->row[i];
    fuzz_require((unsigned)row->metric < PS_METRIC_COUNT);
    fuzz_require(row->measured <= row->measured_high);
    if (ps_metric_kind_of(row->metric) == PS_METRIC_VERDICT) {
        fuzz_require(row->measured_high <= 1);
    } else {
        fuzz_require(row->measured > 0 && row->measured_high < INT64_MAX);
    }
    for (size_t c = 0; c < truth->column_count; c++) {
        fuzz_require(ps_truth_cell(truth, i, c) != NULL);
    }
    split(ps_strings_text(truth->strings, row->options));
}

/* The bytes as options themselves, so that quotes are reached without a table around them. */
static void split_bytes(const uint8_t *data, size_t size)
{
    char *text = ps_calloc(size + 1, 1);
    if (text != NULL) {
        memcpy(text, data, size);
        split(text);
        ps_free(text);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    split_bytes(data, size);
    ps_error err = {0};
    ps_truth truth;
    const ps_code code = ps_truth_read_memory("fuzz", data, size, &truth, &err);
    if (code != PS_OK) {
        fuzz_require(err.code == code && err.message[0] != '\0');
        return 0;
    }
    fuzz_require(truth.row_count > 0 && truth.cell_count == truth.row_count * truth.column_count);
    for (size_t i = 0; i < truth.row_count; i++) {
        check_row(&truth, i);
    }
    ps_truth_fini(&truth);
    return 0;
}
