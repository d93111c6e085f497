/* What the kernel's own files share: constants of the layout, the functions of an instruction set, a block's work. */

#ifndef DANDELION_KERNEL_INTERNAL_H
#define DANDELION_KERNEL_INTERNAL_H

#include <stdatomic.h>
#include <string.h>

#include "api.h"

#define LANES 16          /* the least of outputs that are computed together */
#define GROUP 32          /* a multiple of which the outputs of a convolution are, filled up */
#define KINDS 8           /* of steps */
#define PRECISION_BITS 22 /* of the weights of a resize */

#define INLINE static inline __attribute__((always_inline))

/* Work of one step that threads share: the next block that nobody has taken, and how many are done. */
typedef struct {
    _Alignas(64) atomic_int next;
    atomic_int done;
} Progress;

/* One block of a step: the part of its work that one thread takes at a time. */
typedef void Block(const Step *s, const Job *job, int i);

typedef void Resize(const uint8_t *in, int32_t width, int32_t height, const Taps *across, const Taps *vertical,
                    int32_t vertical_first, uint8_t *between, uint8_t *out);

/* Tiles and outputs that a block of a convolution takes at most. */
typedef struct {
    int tiles, outputs;
} BlockShape;

/* An instruction set: its function for each kind of step. */
typedef struct {
    Block *blocks[KINDS];               /* NULL: a step of that kind has no work of its own */
    BlockShape (*shape)(const Step *s); /* of a convolution's blocks */
    Resize *resize;
    void (*configure)(int rows), (*release)(void); /* around convolutions of tiles of so many rows; or NULL */
} Variant;

extern const Variant REFERENCE, SSE4, AVX2, AVXVNNI, AVXVNNI_EVEX, VNNI, AMX, NEON, DOTPROD, I8MM;

Block space_to_depth, max_pool, class_scores, widen; /* portable */
Block winograd_reference;                            /* scalar */
Resize resize_reference;

/* Of VPDPBUSD of 256 bits, whether the processor has the encoding of AVX-VNNI; else it has that of AVX-512. */
int encodes_avx_vnni(void);

void run_steps(const Job *job, Progress *progress);
int pool_run(ThreadPool *pool, Job *job, Progress *progress);

/* Spin a little, then give the core away. */
void spin_wait(int spins);

/* What a block of a convolution reads and writes: of one photo, `tiles` from `tile` on, `outputs` from `first` on. */
typedef struct {
    const uint8_t *in, *residual; /* residual: NULL if none is added */
    uint8_t *out;
    const int8_t *weights;
    int photo, tile, tiles, first, outputs;
} Part;

/* Outputs vary slowest, so that one group's weights serve all photos. */
INLINE Part part_of(const Step *s, const Job *job, BlockShape shape, int i) {
    const int across = (s->tiles + shape.tiles - 1) / shape.tiles, tile = i % across * shape.tiles;
    const int photo = i / across % job->photos, first = i / across / job->photos * shape.outputs;
    const int left = s->outputs - first;
    return (Part){
        .in = job->buffers[s->input] + photo * job->sizes[s->input],
        .residual = s->residual < 0 ? NULL : job->buffers[s->residual] + photo * job->sizes[s->residual],
        .out = job->buffers[s->output] + photo * job->sizes[s->output],
        .weights = (const int8_t *)s->weights + first / s->lanes * (size_t)s->group_bytes,
        .photo = photo,
        .tile = tile,
        .tiles = s->tiles - tile < shape.tiles ? s->tiles - tile : shape.tiles,
        .first = first,
        .outputs = left < shape.outputs ? left : shape.outputs,
    };
}

/* What makes bytes of a row's sums, from a block's first output on: a copy, which no store of a byte can change. */
typedef struct {
    const int32_t *bias;
    const float *scale;
    int32_t zero_point;
    float own, residual, shift;
} Requantizing;

INLINE Requantizing requantizing(const Step *s, int first) {
    return (Requantizing){s->bias + first, s->scale + first, s->zero_point, s->scale_own, s->scale_residual, s->shift};
}

uint8_t requantize_reference(const Requantizing *q, int32_t sum, int output, const uint8_t *residual);

/* Inputs a side of a tile of WINOGRAD, for 2 or 4 outputs of a kernel of 3 x 3, and for 3 of one of 4 x 4. */
INLINE int patch_of(int side) { return side == 2 ? 4 : 6; }

/* A photo's input transformed for Winograd's convolution, [tiles][places of a patch][channels] from `tile` on. */
INLINE int16_t *transformed(const Step *s, uint8_t *photo, int tile) {
    const size_t patch = patch_of(s->side);
    return (int16_t *)(void *)photo + tile * patch * patch * s->channels;
}

/* 1 / 9 among the integers modulo 2^32. */
#define NINTH 954437177u

/* The list of steps of the reduction that a tile takes: their number, and they. */
INLINE const int32_t *list_of(const Step *s, const Job *job, int i, int tile) {
    const int buffer = s->nonzero_list, photo = i / s->tiles % job->photos;
    if (buffer < 0) return s->full_list;
    return (const int32_t *)(const void *)(job->buffers[buffer] + photo * job->sizes[buffer]) + tile * s->list_capacity;
}

#endif
