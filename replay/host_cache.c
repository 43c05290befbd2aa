/* SPDX-License-Identifier: MIT
 *
 * Kept mappings in one list a size. The links lie in the kept memory itself,
 * so keeping never fails.
 */
#include "replay/host_cache.h"

#include <pthread.h>
#include <sys/mman.h>

#include "base/idmap.h"
#include "base/memory.h"

/* At the beginning of a kept mapping. */
typedef struct kept {
    struct kept *next;
} kept;

struct ps_host_cache {
    pthread_mutex_t lock;
    ps_idmap list_of_size;
    kept **list; /* heads, in order of the sizes' first return */
    size_t *list_bytes;
    size_t list_count, list_capacity, bytes_capacity;
    uint64_t limit_bytes, kept_bytes, out_bytes;
    size_t page_bytes;
};

#define MAX_SIZES ((size_t)1 << 20)

ps_host_cache *ps_host_cache_create(uint64_t limit_bytes, size_t page_bytes)
{
    ps_host_cache *self = ps_calloc(1, sizeof *self);
    if (self == NULL) {
        return NULL;
    }
    self->limit_bytes = limit_bytes;
    self->page_bytes = page_bytes;
    ps_idmap_init(&self->list_of_size);
    if (pthread_mutex_init(&self->lock, NULL) != 0) {
        ps_free(self);
        return NULL;
    }
    return self;
}

static void give_back(ps_host_cache *self)
{
    for (size_t i = 0; i < self->list_count; i++) {
        while (self->list[i] != NULL) {
            kept *block = self->list[i];
            self->list[i] = block->next;
            (void)munmap(block, self->list_bytes[i]);
        }
    }
    self->kept_bytes = 0;
}

void ps_host_cache_destroy(ps_host_cache *self)
{
    if (self == NULL) {
        return;
    }
    give_back(self);
    ps_idmap_fini(&self->list_of_size);
    ps_free(self->list);
    ps_free(self->list_bytes);
    (void)pthread_mutex_destroy(&self->lock);
    ps_free(self);
}

/* Kept memory of this size; else room is made for a fresh mapping. */
static void *take_kept(ps_host_cache *self, size_t bytes)
{
    (void)pthread_mutex_lock(&self->lock);
    const uint32_t at = ps_idmap_get(&self->list_of_size, bytes);
    kept *block = at == PS_IDMAP_NONE ? NULL : self->list[at];
    if (block != NULL) {
        self->list[at] = block->next;
        self->kept_bytes -= bytes;
    } else if (self->kept_bytes + self->out_bytes + bytes > self->limit_bytes) {
        give_back(self);
    }
    self->out_bytes += bytes;
    (void)pthread_mutex_unlock(&self->lock);
    return block;
}

static void *map_fresh(ps_host_cache *self, size_t bytes)
{
    void *mapped = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapped == MAP_FAILED) {
        (void)pthread_mutex_lock(&self->lock);
        self->out_bytes -= bytes;
        (void)pthread_mutex_unlock(&self->lock);
        return NULL;
    }
    for (size_t at = 0; at < bytes; at += self->page_bytes) {
        ((volatile unsigned char *)mapped)[at] = 1; /* volatile: a page counts only when written */
    }
    return mapped;
}

void *ps_host_cache_take(ps_host_cache *self, size_t bytes)
{
    void *block = take_kept(self, bytes);
    return block != NULL ? block : map_fresh(self, bytes);
}

/* The list of a size, made at its first return; PS_IDMAP_NONE when there is no memory for one. */
static uint32_t list_for(ps_host_cache *self, size_t bytes)
{
    const uint32_t at = ps_idmap_get(&self->list_of_size, bytes);
    if (at != PS_IDMAP_NONE) {
        return at;
    }
    const size_t need = self->list_count + 1;
    void *list = self->list, *list_bytes = self->list_bytes;
    if (ps_grow(&list, &self->list_capacity, need, MAX_SIZES, sizeof *self->list, NULL) != PS_OK) {
        return PS_IDMAP_NONE;
    }
    self->list = list;
    if (ps_grow(&list_bytes, &self->bytes_capacity, need, MAX_SIZES, sizeof *self->list_bytes,
                NULL) != PS_OK) {
        return PS_IDMAP_NONE;
    }
    self->list_bytes = list_bytes;
    if (ps_idmap_put(&self->list_of_size, bytes, (uint32_t)self->list_count, NULL) != PS_OK) {
        return PS_IDMAP_NONE;
    }
    self->list[self->list_count] = NULL;
    self->list_bytes[self->list_count] = bytes;
    return (uint32_t)self->list_count++;
}

void ps_host_cache_put(ps_host_cache *self, void *block, size_t bytes)
{
    (void)pthread_mutex_lock(&self->lock);
    self->out_bytes -= bytes;
    const uint32_t at = list_for(self, bytes);
    if (at == PS_IDMAP_NONE) {
        (void)munmap(block, bytes);
    } else {
        kept *link = block;
        link->next = self->list[at];
        self->list[at] = link;
        self->kept_bytes += bytes;
    }
    (void)pthread_mutex_unlock(&self->lock);
}
