/* SPDX-License-Identifier: MIT
 *
 * Bytes of one chunk before compression, a Chunk of container.proto: the part
 * of the decoder that a fuzzer of whole files can hardly reach through zstd.
 */
#include <zstd.h>

#include "base/memory.h"
#include "recode.h"

#define BUDGET_BYTES ((uint64_t)8 << 20)

static void decode_trace(ps_chunk_decoder *decoder, const uint8_t *frame, size_t bytes, size_t size)
{
    ps_error err = {0};
    uint64_t budget = BUDGET_BYTES;
    ps_table_head *tables[PS_TRACE_TABLE_COUNT];
    ps_trace *trace = ps_trace_create();
    fuzz_require(trace != NULL);
    const ps_dataset into = dataset_of_trace(trace, tables);
    const ps_code code = ps_chunk_decode(decoder, frame, bytes, size, &budget, &into, &err);
    fuzz_require(budget <= BUDGET_BYTES);
    if (code == PS_OK) {
        recode_trace(trace);
    } else {
        fuzz_require(count_rows(&into) == 0);
    }
    ps_trace_destroy(trace);
}

static void decode_plan(ps_chunk_decoder *decoder, const uint8_t *frame, size_t bytes, size_t size)
{
    ps_error err = {0};
    uint64_t budget = BUDGET_BYTES;
    ps_table_head *tables[PS_PLAN_TABLE_COUNT];
    ps_plan *plan = ps_plan_create();
    fuzz_require(plan != NULL);
    const ps_dataset into = dataset_of_plan(plan, tables);
    if (ps_chunk_decode(decoder, frame, bytes, size, &budget, &into, &err) == PS_OK) {
        const ps_code code = ps_plan_check(plan, &err);
        fuzz_require(code == PS_OK || code == PS_CHECK_FAILED);
        recode_plan(plan);
    }
    ps_plan_destroy(plan);
}

static void decode_workload(ps_chunk_decoder *decoder, const uint8_t *frame, size_t bytes,
                            size_t size)
{
    ps_error err = {0};
    uint64_t budget = BUDGET_BYTES;
    ps_table_head *tables[PS_WORKLOAD_TABLE_COUNT];
    ps_workload *workload = ps_workload_create();
    fuzz_require(workload != NULL);
    const ps_dataset into = dataset_of_workload(workload, tables);
    if (ps_chunk_decode(decoder, frame, bytes, size, &budget, &into, &err) == PS_OK) {
        const ps_code code = ps_workload_check(workload, &err);
        fuzz_require(code == PS_OK || code == PS_CHECK_FAILED);
        recode_workload(workload);
    }
    ps_workload_destroy(workload);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const size_t bound = ZSTD_compressBound(size);
    uint8_t *frame = ps_calloc(bound, 1);
    ps_chunk_decoder *decoder = ps_chunk_decoder_create();
    fuzz_require(frame != NULL && decoder != NULL);
    const size_t bytes = ZSTD_compress(frame, bound, data, size, 1);
    fuzz_require(!ZSTD_isError(bytes));
    decode_trace(decoder, frame, bytes, size);
    decode_plan(decoder, frame, bytes, size);
    decode_workload(decoder, frame, bytes, size);
    ps_chunk_decoder_destroy(decoder);
    ps_free(frame);
    return 0;
}
