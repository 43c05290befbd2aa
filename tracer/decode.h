/* SPDX-License-Identifier: MIT
 *
 * One activity record of CUPTI becomes rows of a trace.
 *
 *   record ──decode──► call, kernel, memcpy, memset, sync, range, driver_memory, device
 *
 * Rows go into a chunk that the caller writes and empties; texts are interned
 * per chunk, found by the address CUPTI keeps them at for the whole process.
 */
#ifndef PS_TRACER_DECODE_H
#define PS_TRACER_DECODE_H

#include "trace/trace.h"

/** What an API record's callback id means, as cuptiGetCallbackName says; NULL unknown. Text lives on. */
typedef const char *(*ps_call_name_fn)(void *context, ps_call_api api, uint32_t callback_id);

typedef struct ps_decoder ps_decoder;

/**
 * @param base_ns       Unix time of row time 0; every time is made relative to it
 * @param name_of       names of calls; borrowed, with its context, for the decoder's life
 * @return NULL when out of memory
 */
ps_decoder *ps_decoder_create(ps_ns base_ns, ps_call_name_fn name_of, void *context) PS_MUST_USE;

void ps_decoder_destroy(ps_decoder *self);

/** Forgets interned texts: call whenever the chunk's strings were cleared. */
void ps_decoder_new_chunk(ps_decoder *self);

/**
 * Adds the rows of one record.
 *
 * Records of unknown kinds, too short or with a time that cannot be are
 * counted as losses of the chunk, never an error.
 *
 * @param chunk   receives the rows
 * @param record  `bytes` bytes: up to the next record, or the end of the buffer
 * @return PS_OK · PS_NOMEM · PS_LIMIT the chunk is full
 */
ps_code ps_decode_record(ps_decoder *self, ps_trace *chunk, const unsigned char *record,
                         size_t bytes, ps_error *err) PS_MUST_USE;

/**
 * Adds the waits that were held back until the event they wait for was known,
 * resolved as far as it is. Call before a chunk is written because of time.
 */
ps_code ps_decoder_settle(ps_decoder *self, ps_trace *chunk, ps_error *err) PS_MUST_USE;

#endif
