/* What the kernel's own files share: constants of the layout, one function for each step and instruction set. */

#ifndef DANDELION_KERNEL_INTERNAL_H
#define DANDELION_KERNEL_INTERNAL_H

#include <stdatomic.h>

#include "api.h"

#define LANES 16         /* output channels of a group: one vector of 32-bit sums */
#define DEPTH 64         /* products of a step of the reduction with AMX */
#define QUAD (LANES * 4) /* bytes of weights that one VPDPBUSD takes */
#define PRECISION_BITS 22 /* of the weights of a resize */

#define INLINE static inline __attribute__((always_inline))

/* Work of one step that threads share: the next block that nobody has taken, and how many are done. */
typedef struct {
    _Alignas(64) atomic_int next;
    atomic_int done;
} Progress;

/* One block of a step: the part of its work that one thread takes at a time. */
typedef void Block(const Step *s, const Job *job, int i);

Block space_to_depth;
Block convolve_reference, max_pool_reference, class_scores_reference, build_nonzero_list_reference;

typedef void Resize(const uint8_t *in, int32_t width, int32_t height, const Taps *across, const Taps *vertical,
                    int32_t vertical_first, uint8_t *between, uint8_t *out);

Resize resize_reference;

#ifdef __x86_64__
Block convolve_x86, max_pool_avx512, class_scores_avx512, build_nonzero_list_avx512;
Resize resize_avx512;
void amx_configure(int rows);
void amx_release(void);
#endif

void run_steps(const Job *job, Progress *progress);
int pool_run(ThreadPool *pool, Job *job, Progress *progress);

/* Spin a little, then give the core away. */
void spin_wait(int spins);

/* Tiles and groups of outputs that a block of a convolution takes. */
typedef struct {
    int tiles, groups;
} BlockShape;

/* Few tiles mean that reading the weights decides, so a block takes more of either. */
INLINE BlockShape block_shape(const Step *s, int amx) {
    if (!amx) return (BlockShape){1, 2};
    if (s->tiles == 1 && s->outputs % (4 * LANES) == 0) return (BlockShape){1, 4};
    if (s->tiles == 4) return (BlockShape){4, 1};
    return (BlockShape){2, 2};
}

#endif
