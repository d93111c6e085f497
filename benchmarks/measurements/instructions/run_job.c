/* Run one inference from a file, on an emulated processor, with sanitizers or with another C library:

   run_job BLOB RELOCATIONS GAPS START [counted] prints the blob from START on.

   BLOB is memory that begins with an Inference; its pointers are offsets into the blob, and RELOCATIONS says where they
   lie. GAPS are the first byte and the end of what nobody may touch: AddressSanitizer is told of them. With `counted` it
   runs a second time, between the marks that count_instructions.c looks for. */

#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "api.h"

#ifdef __SANITIZE_ADDRESS__ /* sanitizer/asan_interface.h, which ziglang has not */
void __asan_poison_memory_region(const volatile void *address, size_t size);
void __asan_unpoison_memory_region(const volatile void *address, size_t size);
#endif

enum { MARK = 9999 };

/* A job, and what makes probabilities [photos][classes] of its scores. */
typedef struct {
    Job job;
    int32_t classes, places;
    float temperature;
    const float *bias; /* [classes] */
    float *probabilities;
} Inference;

static void *read_file(const char *name, size_t *size) {
    FILE *file = fopen(name, "rb");
    if (!file || fseek(file, 0, SEEK_END)) exit(2);
    *size = (size_t)ftell(file);
    rewind(file);
    void *content = aligned_alloc(64, (*size + 63) / 64 * 64);
    if (!content || fread(content, 1, *size, file) != *size) exit(2);
    fclose(file);
    return content;
}

static void guard(char *blob, const int64_t *gaps, size_t size, int poison) {
    for (size_t i = 0; i < size / sizeof *gaps; i += 2) {
#ifdef __SANITIZE_ADDRESS__
        if (poison) __asan_poison_memory_region(blob + gaps[i], gaps[i + 1] - gaps[i]);
        else __asan_unpoison_memory_region(blob + gaps[i], gaps[i + 1] - gaps[i]);
#else
        (void)blob, (void)poison;
#endif
    }
}

static void infer(Inference *inference, ThreadPool *pool) {
    Job *job = &inference->job;
    if (dandelion_run(job, pool)) exit(3);
    dandelion_probabilities(job->scores, job->photos, inference->classes, inference->places, inference->bias,
                            inference->temperature, inference->probabilities);
}

int main(int count, char **arguments) {
    if (count < 5) return 2;
    size_t size, relocations_size, gaps_size;
    char *blob = read_file(arguments[1], &size);
    int64_t *relocations = read_file(arguments[2], &relocations_size), *gaps = read_file(arguments[3], &gaps_size);
    for (size_t i = 0; i < relocations_size / sizeof *relocations; i++)
        *(uintptr_t *)(void *)(blob + relocations[i]) += (uintptr_t)blob;
    Inference *inference = (void *)blob;
#ifndef PLAIN_TILES /* of tests/runtime/native/tiles.h, which stand for AMX */
    if (!dandelion_has_isa(inference->job.isa)) return 5;
#endif
    guard(blob, gaps, gaps_size, 1);
    ThreadPool *pool = dandelion_pool_create(1);
    infer(inference, pool);
    if (pool) dandelion_pool_destroy(pool);
    if (count > 5) {
        syscall(MARK, 0);
        infer(inference, NULL);
        syscall(MARK, 1);
    }
    guard(blob, gaps, gaps_size, 0);
    const size_t start = (size_t)atol(arguments[4]);
    if (fwrite(blob + start, 1, size - start, stdout) != size - start) return 4;
    free(relocations);
    free(gaps);
    free(blob);
    return 0;
}
