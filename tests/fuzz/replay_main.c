/* SPDX-License-Identifier: MIT
 *
 * Runs a fuzz target without a fuzzer: fuzz_NAME_replay PATH...
 *
 * A PATH is a file or a folder of files. Every file is given to the target
 * whole, cut after every byte (at MAX_CUTS evenly spaced places when it is
 * longer), and in MUTATIONS damaged forms. The damage depends only on the seed
 * and the file, so a failure repeats: PS_FUZZ_SEED sets the seed. Each input
 * lies in a block of exactly its size, so that a sanitizer sees one byte too
 * far.
 */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz.h"

#define MAX_CUTS 1024u
#define MUTATIONS 256u
#define DEFAULT_SEED 1u

static uint64_t seed = DEFAULT_SEED;

/* What is running now; read when the process dies. */
static char current[600];

void __sanitizer_set_death_callback(void (*callback)(void)) __attribute__((weak));

static void tell_current(void)
{
    static const char head[] = "\nwhile replaying ";
    (void)!write(STDERR_FILENO, head, sizeof head - 1);
    (void)!write(STDERR_FILENO, current, strlen(current));
    (void)!write(STDERR_FILENO, "\n", 1);
}

static void on_fatal_signal(int number)
{
    tell_current();
    (void)signal(number, SIG_DFL);
    (void)raise(number);
}

static void watch_for_death(void)
{
    if (__sanitizer_set_death_callback != NULL) {
        __sanitizer_set_death_callback(tell_current);
        return;
    }
    const int fatal[] = {SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV};
    for (size_t i = 0; i < sizeof fatal / sizeof fatal[0]; i++) {
        (void)signal(fatal[i], on_fatal_signal);
    }
}

/* splitmix64 */
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static size_t pick(uint64_t *state, size_t below)
{
    return below == 0 ? 0 : (size_t)(next_random(state) % below);
}

static void *allocate(size_t bytes)
{
    void *block = malloc(bytes);
    if (block == NULL && bytes > 0) {
        (void)fprintf(stderr, "out of memory\n");
        exit(EXIT_FAILURE);
    }
    return block;
}

/* One run on a copy of exactly `size` bytes. */
static void run_once(const char *name, const char *what, size_t number, const uint8_t *data,
                     size_t size)
{
    (void)snprintf(current, sizeof current, "%s, %s %zu, PS_FUZZ_SEED=%llu", name, what, number,
                   (unsigned long long)seed);
    uint8_t *copy = allocate(size);
    if (size > 0) {
        memcpy(copy, data, size);
    }
    (void)LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}

/* Damages data in place and returns its new size: bytes changed, a range repeated or taken out. */
static size_t mutate(uint8_t *data, size_t size, uint64_t *rng)
{
    const size_t hits = 1 + pick(rng, 4);
    for (size_t i = 0; i < hits && size > 0; i++) {
        const size_t at = pick(rng, size);
        const size_t count = 1 + pick(rng, size - at);
        switch (next_random(rng) % 6) {
        case 0:
            data[at] ^= (uint8_t)(1u << pick(rng, 8));
            break;
        case 1:
            data[at] = (uint8_t)next_random(rng);
            break;
        case 2:
            data[at] = (next_random(rng) & 1) != 0 ? 0xff : 0;
            break;
        case 3:
            memset(data + at, (int)(next_random(rng) & 0xff), count < 16 ? count : 16);
            break;
        case 4:
            memmove(data + at, data + pick(rng, size - count + 1), count);
            break;
        default:
            memmove(data + at, data + at + count, size - at - count);
            size -= count;
            break;
        }
    }
    return size;
}

static uint64_t hash_of(const uint8_t *data, size_t size)
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (size_t i = 0; i < size; i++) {
        hash = (hash ^ data[i]) * 0x100000001b3u;
    }
    return hash;
}

static void replay_bytes(const char *name, const uint8_t *data, size_t size)
{
    run_once(name, "whole", size, data, size);
    const size_t cuts = size < MAX_CUTS ? size : MAX_CUTS;
    for (size_t i = 0; i < cuts; i++) {
        const size_t keep = size / cuts * i + size % cuts * i / cuts;
        run_once(name, "cut after byte", keep, data, keep);
    }
    uint64_t rng = seed ^ hash_of(data, size);
    uint8_t *work = allocate(size);
    for (size_t i = 0; i < MUTATIONS && size > 0; i++) {
        memcpy(work, data, size);
        run_once(name, "mutation", i, work, mutate(work, size, &rng));
    }
    free(work);
}

static bool replay_file(const char *path, const struct stat *info)
{
    const size_t size = (size_t)info->st_size;
    uint8_t *data = allocate(size);
    FILE *file = fopen(path, "rb");
    const bool is_read = file != NULL && fread(data, 1, size, file) == size;
    if (file != NULL) {
        (void)fclose(file);
    }
    if (is_read) {
        replay_bytes(path, data, size);
    } else {
        (void)fprintf(stderr, "cannot read %s: %s\n", path, strerror(errno));
    }
    free(data);
    return is_read;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int is_visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

/* Files replayed, or -1. */
static int replay_path(const char *path)
{
    struct stat info;
    if (stat(path, &info) != 0) {
        (void)fprintf(stderr, "cannot find %s: %s\n", path, strerror(errno));
        return -1;
    }
    if (!S_ISDIR(info.st_mode)) {
        return replay_file(path, &info) ? 1 : -1;
    }
    struct dirent **entries;
    const int count = scandir(path, &entries, is_visible, by_name);
    int done = count < 0 ? -1 : 0;
    for (int i = 0; i < count; i++) {
        char file[512];
        const int length = snprintf(file, sizeof file, "%s/%s", path, entries[i]->d_name);
        const bool fits = length > 0 && (size_t)length < sizeof file;
        if (done >= 0) {
            done = fits && stat(file, &info) == 0 && replay_file(file, &info) ? done + 1 : -1;
        }
        free(entries[i]);
    }
    if (count >= 0) {
        free(entries);
    }
    return done;
}

int main(int argc, char **argv)
{
    const char *given = getenv("PS_FUZZ_SEED");
    if (given != NULL) {
        seed = strtoull(given, NULL, 10);
    }
    watch_for_death();
    int total = 0;
    for (int i = 1; i < argc; i++) {
        const int files = replay_path(argv[i]);
        if (files < 0) {
            return EXIT_FAILURE;
        }
        total += files;
    }
    (void)printf("%d files, each whole, cut and in %u mutations, seed %llu\n", total, MUTATIONS,
                 (unsigned long long)seed);
    return total > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
