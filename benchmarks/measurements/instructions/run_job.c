/* Run one job from a file, for a processor that is emulated: run_job BLOB RELOCATIONS START prints the blob from START on.

   BLOB is memory that begins with an Inference; its pointers are offsets into the blob, and RELOCATIONS says where they
   lie. It runs twice: the second time between the marks that count_instructions.c looks for. */

#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "api.h"

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

static void infer(Inference *inference, ThreadPool *pool) {
    Job *job = &inference->job;
    if (dandelion_run(job, pool)) exit(3);
    dandelion_probabilities(job->scores, job->photos, inference->classes, inference->places, inference->bias,
                            inference->temperature, inference->probabilities);
}

int main(int count, char **arguments) {
    if (count != 4) return 2;
    size_t size, relocations_size;
    char *blob = read_file(arguments[1], &size);
    const int64_t *relocations = read_file(arguments[2], &relocations_size);
    for (size_t i = 0; i < relocations_size / sizeof *relocations; i++)
        *(uintptr_t *)(void *)(blob + relocations[i]) += (uintptr_t)blob;
    ThreadPool *pool = dandelion_pool_create(1);
    infer((void *)blob, pool);
    if (pool) dandelion_pool_destroy(pool);
    syscall(MARK, 0);
    infer((void *)blob, NULL);
    syscall(MARK, 1);
    const size_t start = (size_t)atol(arguments[3]);
    return fwrite(blob + start, 1, size - start, stdout) == size - start ? 0 : 4;
}
