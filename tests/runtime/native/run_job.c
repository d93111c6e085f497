/* Run one job from a file, on an emulated processor or with sanitizers:

   run_job BLOB RELOCATIONS GAPS START CLASSES PLACES prints the blob from START on, then the probabilities.

   BLOB is memory that begins with a Job; its pointers are offsets into the blob, and RELOCATIONS says where they lie. GAPS
   are the first and the last of bytes that nobody may touch: AddressSanitizer is told of them. */

#include <stdio.h>
#include <stdlib.h>

#include "api.h"

#ifdef __SANITIZE_ADDRESS__ /* sanitizer/asan_interface.h, which ziglang has not */
void __asan_poison_memory_region(const volatile void *address, size_t size);
void __asan_unpoison_memory_region(const volatile void *address, size_t size);
#endif

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

static void guard(char *blob, const char *name, int poison) {
    size_t size;
    int64_t *gaps = read_file(name, &size);
    for (size_t i = 0; i < size / sizeof *gaps; i += 2) {
#ifdef __SANITIZE_ADDRESS__
        if (poison) __asan_poison_memory_region(blob + gaps[i], gaps[i + 1] - gaps[i]);
        else __asan_unpoison_memory_region(blob + gaps[i], gaps[i + 1] - gaps[i]);
#else
        (void)blob, (void)poison;
#endif
    }
    free(gaps);
}

int main(int count, char **arguments) {
    if (count != 7) return 2;
    size_t size, relocations_size;
    char *blob = read_file(arguments[1], &size);
    int64_t *relocations = read_file(arguments[2], &relocations_size);
    for (size_t i = 0; i < relocations_size / sizeof *relocations; i++)
        *(uintptr_t *)(void *)(blob + relocations[i]) += (uintptr_t)blob;
    Job *const job = (Job *)(void *)blob;
#ifndef PLAIN_TILES /* of tiles.h, which stand for AMX */
    if (!dandelion_has_isa(job->isa)) return 5;
#endif
    const int classes = atoi(arguments[5]), places = atoi(arguments[6]);
    float *probabilities = calloc((size_t)job->photos * classes, sizeof(float));
    ThreadPool *pool = dandelion_pool_create(1);
    guard(blob, arguments[3], 1);
    if (!probabilities || dandelion_run(job, pool)) return 3;
    dandelion_probabilities(job->scores, job->photos, classes, places, job->scores, 1.3f, probabilities);
    guard(blob, arguments[3], 0);
    const size_t start = (size_t)atol(arguments[4]), made = (size_t)job->photos * classes;
    if (pool) dandelion_pool_destroy(pool);
    if (fwrite(blob + start, 1, size - start, stdout) != size - start) return 4;
    if (fwrite(probabilities, sizeof(float), made, stdout) != made) return 4;
    free(probabilities);
    free(relocations);
    free(blob);
    return 0;
}
