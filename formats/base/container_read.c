/* SPDX-License-Identifier: MIT
 *
 * Container reader: finds the chunks by the index, or by walking the file
 * when the writer did not finish it, and hands them out one at a time.
 *
 * Walking trusts a chunk header only when its CRC holds; between two good
 * chunks it searches byte by byte for the next header, so damage costs the
 * chunks it touches and no others. The payload's own zstd checksum is
 * verified when the chunk is read.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/chunk_codec.h"
#include "base/container_layout.h"
#include "base/memory.h"
#include "container.pb-c.h"

#define MAX_CHUNKS ((size_t)1 << 24)

/* Decoded bytes allowed per file byte, plus a floor: constant columns cost no bytes on disk, so a
 * small file could otherwise claim any number of rows. Real traces decode to 10-40 times their size. */
#define DECODE_RATIO 4096u
#define DECODE_FLOOR_BYTES ((uint64_t)64 << 20)

typedef struct chunk_place {
    uint64_t payload_offset, stored_bytes, raw_bytes;
} chunk_place;

/* Rows of one table in the whole file, as the index says: room is made for them once. */
typedef struct table_total {
    uint32_t id;
    uint64_t rows;
} table_total;

#define MAX_TOTALS 32

struct ps_container_reader {
    const unsigned char *bytes;
    void *mapped; /* to unmap; NULL for borrowed memory */
    chunk_place *chunks;
    size_t chunk_count, chunk_capacity;
    ps_container_state state;
    ps_chunk_decoder *decoder;
    uint64_t budget;
    table_total total[MAX_TOTALS];
    size_t total_count;
};

bool ps_container_sniff(const unsigned char *head, size_t head_bytes, ps_artefact *artefact)
{
    if (head_bytes < PS_HEADER_BYTES || memcmp(head, PS_FILE_MAGIC, 8) != 0) {
        return false;
    }
    *artefact = PS_ARTEFACT_TRACE;
    for (int i = 0; i < PS_ARTEFACT_COUNT; i++) {
        if (memcmp(head + 8, ps_artefact_letters((ps_artefact)i), 4) == 0) {
            *artefact = (ps_artefact)i;
        }
    }
    return true;
}

static ps_code check_header(ps_container_reader *self, ps_artefact artefact, ps_error *err)
{
    const unsigned char *head = self->bytes;
    const char *wanted = ps_artefact_letters(artefact);
    if (self->state.file_bytes < PS_HEADER_BYTES || memcmp(head, PS_FILE_MAGIC, 8) != 0) {
        return ps_fail_at(err, PS_BAD_INPUT, 0, "not a peakstep file: expected the %u-byte header",
                          PS_HEADER_BYTES);
    }
    if (ps_crc32(head, 28) != ps_get_u32(head + 28)) {
        return ps_fail_at(err, PS_CORRUPT, 28, "the file header's checksum does not hold");
    }
    self->state.version_major = (uint16_t)(head[12] | head[13] << 8);
    self->state.version_minor = (uint16_t)(head[14] | head[15] << 8);
    if (self->state.version_major != PS_VERSION_MAJOR) {
        return ps_fail_at(err, PS_UNSUPPORTED, 12, "format version %u, this program reads %u",
                          self->state.version_major, PS_VERSION_MAJOR);
    }
    if (memcmp(head + 8, wanted, 4) != 0) {
        return ps_fail_at(err, PS_UNSUPPORTED, 8, "the file is a \"%.4s\", expected a \"%s\"",
                          (const char *)head + 8, wanted);
    }
    return PS_OK;
}

typedef struct chunk_header {
    uint32_t kind;
    uint64_t raw_bytes, stored_bytes;
} chunk_header;

/* A believable chunk header whose payload lies inside the file. */
static bool parse_chunk_header(const ps_container_reader *self, uint64_t offset, chunk_header *out)
{
    const uint64_t size = self->state.file_bytes;
    if (offset > size || size - offset < PS_CHUNK_HEADER_BYTES) {
        return false;
    }
    const unsigned char *head = self->bytes + offset;
    if (memcmp(head, PS_CHUNK_MAGIC, 4) != 0 || ps_crc32(head, 28) != ps_get_u32(head + 28)) {
        return false;
    }
    out->kind = ps_get_u32(head + 4);
    out->raw_bytes = ps_get_u64(head + 8);
    out->stored_bytes = ps_get_u64(head + 16);
    return out->stored_bytes <= size - offset - PS_CHUNK_HEADER_BYTES;
}

static ps_code add_chunk(ps_container_reader *self, uint64_t offset, const chunk_header *header,
                         ps_error *err)
{
    PS_TRY(ps_grow((void **)&self->chunks, &self->chunk_capacity, self->chunk_count + 1, MAX_CHUNKS,
                   sizeof *self->chunks, err));
    self->chunks[self->chunk_count++] = (chunk_place){
        .payload_offset = offset + PS_CHUNK_HEADER_BYTES,
        .stored_bytes = header->stored_bytes,
        .raw_bytes = header->raw_bytes,
    };
    return PS_OK;
}

static void add_total(ps_container_reader *self, uint32_t id, uint32_t rows)
{
    size_t i = 0;
    while (i < self->total_count && self->total[i].id != id) {
        i++;
    }
    if (i == MAX_TOTALS) {
        return;
    }
    if (i == self->total_count) {
        self->total[self->total_count++] = (table_total){.id = id};
    }
    self->total[i].rows += rows;
}

static ps_code add_indexed_chunks(ps_container_reader *self, const Peakstep__Index *index,
                                  bool *complete, ps_error *err)
{
    *complete = true;
    for (size_t i = 0; i < index->n_entries && *complete; i++) {
        chunk_header header;
        *complete = parse_chunk_header(self, index->entries[i]->offset, &header) &&
                    header.kind == PS_CHUNK_DATA;
        if (*complete) {
            PS_TRY(add_chunk(self, index->entries[i]->offset, &header, err));
            for (size_t t = 0; t < index->entries[i]->n_tables; t++) {
                add_total(self, index->entries[i]->tables[t]->id,
                          index->entries[i]->tables[t]->rows);
            }
        }
    }
    return PS_OK;
}

/* True when trailer and index are there and name only good chunks. */
static ps_code read_index(ps_container_reader *self, bool *found, ps_error *err)
{
    const uint64_t size = self->state.file_bytes;
    *found = false;
    if (size < PS_HEADER_BYTES + PS_TRAILER_BYTES) {
        return PS_OK;
    }
    const unsigned char *tail = self->bytes + size - PS_TRAILER_BYTES;
    if (memcmp(tail + 16, PS_TRAILER_MAGIC, 8) != 0 ||
        ps_crc32(tail, 12) != ps_get_u32(tail + 12)) {
        return PS_OK;
    }
    chunk_header header;
    const uint64_t offset = ps_get_u64(tail);
    if (!parse_chunk_header(self, offset, &header) || header.kind != PS_CHUNK_INDEX) {
        return PS_OK;
    }
    const unsigned char *packed = self->bytes + offset + PS_CHUNK_HEADER_BYTES;
    if (ps_crc32(packed, (size_t)header.stored_bytes) != header.raw_bytes) {
        return PS_OK;
    }
    Peakstep__Index *index = peakstep__index__unpack(NULL, (size_t)header.stored_bytes, packed);
    if (index == NULL) {
        return PS_OK;
    }
    const bool same_count = index->n_entries == ps_get_u32(tail + 8);
    const ps_code code = same_count ? add_indexed_chunks(self, index, found, err) : PS_OK;
    peakstep__index__free_unpacked(index, NULL);
    return code;
}

static uint64_t next_magic(const ps_container_reader *self, uint64_t from)
{
    const uint64_t size = self->state.file_bytes;
    while (from < size) {
        const unsigned char *hit =
            memchr(self->bytes + from, PS_CHUNK_MAGIC[0], (size_t)(size - from));
        if (hit == NULL) {
            break;
        }
        const uint64_t at = (uint64_t)(hit - self->bytes);
        if (size - at >= 4 && memcmp(hit, PS_CHUNK_MAGIC, 4) == 0) {
            return at;
        }
        from = at + 1;
    }
    return size;
}

static ps_code walk_chunks(ps_container_reader *self, ps_error *err)
{
    uint64_t offset = PS_HEADER_BYTES;
    uint64_t good_end = PS_HEADER_BYTES;
    self->chunk_count = 0;
    while (offset < self->state.file_bytes) {
        chunk_header header;
        if (!parse_chunk_header(self, offset, &header)) {
            offset = next_magic(self, offset + 1);
            continue;
        }
        if (header.kind == PS_CHUNK_DATA) {
            /* a gap before this chunk held something that was one */
            self->state.damaged_chunks += offset > good_end ? 1 : 0;
            PS_TRY(add_chunk(self, offset, &header, err));
        }
        offset += PS_CHUNK_HEADER_BYTES + header.stored_bytes;
        good_end = offset;
    }
    self->state.cut_bytes = self->state.file_bytes - good_end;
    return PS_OK;
}

static ps_code find_chunks(ps_container_reader *self, ps_artefact artefact, ps_error *err)
{
    PS_TRY(check_header(self, artefact, err));
    PS_TRY(read_index(self, &self->state.is_finished, err));
    if (!self->state.is_finished) {
        PS_TRY(walk_chunks(self, err));
    }
    self->decoder = ps_chunk_decoder_create();
    self->budget = DECODE_FLOOR_BYTES + self->state.file_bytes * DECODE_RATIO;
    return self->decoder == NULL ? ps_fail_nomem(err) : PS_OK;
}

static ps_code start(ps_container_reader *self, ps_artefact artefact, ps_container_reader **out,
                     ps_error *err)
{
    const ps_code code = find_chunks(self, artefact, err);
    if (code != PS_OK) {
        ps_container_close(self);
        return code;
    }
    *out = self;
    return PS_OK;
}

ps_code ps_container_open_memory(const void *bytes, size_t count, ps_artefact artefact,
                                 ps_container_reader **out, ps_error *err)
{
    ps_container_reader *self = ps_calloc(1, sizeof *self);
    if (self == NULL) {
        return ps_fail_nomem(err);
    }
    self->bytes = bytes;
    self->state.file_bytes = count;
    return start(self, artefact, out, err);
}

static ps_code map_file(ps_container_reader *self, int fd, const char *path, ps_error *err)
{
    struct stat info;
    if (fstat(fd, &info) != 0) {
        return ps_fail_errno(err, errno, "cannot read %s", path);
    }
    if (!S_ISREG(info.st_mode)) {
        return ps_fail(err, PS_BAD_INPUT, "%s is not a regular file", path);
    }
    if (info.st_size == 0) {
        return ps_fail_at(err, PS_BAD_INPUT, 0, "%s is empty", path);
    }
    self->state.file_bytes = (uint64_t)info.st_size;
    void *mapped = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (mapped == MAP_FAILED) {
        return ps_fail_errno(err, errno, "cannot map %s", path);
    }
    self->mapped = mapped;
    self->bytes = mapped;
    return PS_OK;
}

ps_code ps_container_open(const char *path, ps_artefact artefact, ps_container_reader **out,
                          ps_error *err)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return ps_fail_errno(err, errno, "cannot open %s", path);
    }
    ps_container_reader *self = ps_calloc(1, sizeof *self);
    ps_code code = self == NULL ? ps_fail_nomem(err) : map_file(self, fd, path, err);
    (void)close(fd);
    if (code != PS_OK) {
        ps_container_close(self);
        return code;
    }
    code = start(self, artefact, out, err);
    if (code != PS_OK) {
        ps_error_note(err, "reading %s", path);
    }
    return code;
}

size_t ps_container_chunk_count(const ps_container_reader *self)
{
    return self->chunk_count;
}

ps_code ps_container_read(ps_container_reader *self, size_t chunk, const ps_dataset *into,
                          ps_error *err)
{
    const chunk_place *place = &self->chunks[chunk];
    const ps_code code =
        ps_chunk_decode(self->decoder, self->bytes + place->payload_offset,
                        (size_t)place->stored_bytes, place->raw_bytes, &self->budget, into, err);
    if (code != PS_OK && err != NULL && !err->has_offset) {
        err->has_offset = true;
        err->offset_bytes = place->payload_offset;
    }
    return code;
}

/* What the index promises is only a hint: never more room than the chunks could fill. */
static ps_code reserve_totals(const ps_container_reader *self, const ps_dataset *into,
                              ps_error *err)
{
    const uint64_t most = (uint64_t)self->chunk_count * PS_CHUNK_MAX_ROWS;
    for (size_t i = 0; i < self->total_count; i++) {
        for (size_t t = 0; t < into->table_count; t++) {
            const ps_table_spec *spec = &into->specs[t];
            const uint64_t bytes = self->total[i].rows * spec->column_count * sizeof(uint64_t);
            if (spec->id == self->total[i].id && self->total[i].rows <= most &&
                bytes <= self->budget) {
                PS_TRY(ps_table_reserve(spec, into->tables[t],
                                        into->tables[t]->count + (size_t)self->total[i].rows, err));
            }
        }
    }
    return PS_OK;
}

ps_code ps_container_read_all(ps_container_reader *self, const ps_dataset *into, ps_error *err)
{
    PS_TRY(reserve_totals(self, into, err));
    for (size_t i = 0; i < self->chunk_count; i++) {
        const ps_code code = ps_container_read(self, i, into, err);
        if (code == PS_CORRUPT) {
            self->state.damaged_chunks++;
        } else if (code != PS_OK) {
            return code;
        }
    }
    return PS_OK;
}

ps_container_state ps_container_get_state(const ps_container_reader *self)
{
    return self->state;
}

void ps_container_close(ps_container_reader *self)
{
    if (self == NULL) {
        return;
    }
    if (self->mapped != NULL) {
        (void)munmap(self->mapped, (size_t)self->state.file_bytes);
    }
    ps_chunk_decoder_destroy(self->decoder);
    ps_free(self->chunks);
    ps_free(self);
}
