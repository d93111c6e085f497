/* ARM's dot products (UDOT), of unsigned bytes: 128 is added to the weights, and taken off the sums again. */

#ifdef __aarch64__

#define TARGET __attribute__((target("dotprod")))
#define ROWS 3 /* 24 sums, 3 activations and a weight in 32 registers */
#define MOST_ROWS ROWS
#define WIDTH 32
#define VECTOR 4
#define MAX_VECTORS 8
#define PRODUCTS 4
#define STEP_BYTES 128
#define UNROLL 2
#define UNIT_BYTES 4
#define ROW_SUMS

#include "finish_neon.h"

typedef uint32x4_t Sums;
typedef uint8x8_t Activations;
typedef uint8x16_t Weights;

/* What 128 times the activations add: their sums are behind the list. */
TARGET INLINE Sums initial_sums(const Step *s, const int32_t *list, int row) {
    return vdupq_n_u32(-128u * (uint32_t)list[s->list_capacity - MOST_ROWS + row]);
}

TARGET INLINE void store_sums(int32_t *to, Sums sums) { vst1q_s32(to, vreinterpretq_s32_u32(sums)); }

TARGET INLINE Activations broadcast(const uint8_t *p, size_t at) {
    uint8x8_t four;
    __asm__("ldr %s0, [%1, %2]" : "=w"(four) : "r"(p), "r"(at) : "memory"); /* else it would fill all lanes */
    return four;
}

TARGET INLINE void pin(Sums *sums) { __asm__ volatile("" : "+w"(*sums) : : "memory"); }

TARGET INLINE Weights load_weights(const int8_t *w) { return vld1q_u8((const uint8_t *)w); }

TARGET INLINE Sums multiply(Sums sums, Activations a, Weights w) { return vdotq_lane_u32(sums, w, a, 0); }

#include "chunks_neon.h"

TARGET INLINE unsigned nonzero_steps(Chunk chunk) {
    static const uint32_t BITS[4] = {1, 2, 4, 8};
    const uint32x4_t words = vreinterpretq_u32_u8(chunk);
    return vaddvq_u32(vandq_u32(vtstq_u32(words, words), vld1q_u32(BITS)));
}

typedef uint32x4_t RowSum;

TARGET INLINE RowSum add_chunk(RowSum sum, Chunk chunk) { return vdotq_u32(sum, chunk, vdupq_n_u8(1)); }

TARGET INLINE int32_t total(RowSum sum) { return (int32_t)vaddvq_u32(sum); }

#include "../templates/tile.h"

#define DENSE 16 /* products of a step where few activations are 0: a register of four times as many */

/* As `multiply_tile` of templates/tile.h. */
TARGET INLINE void multiply_dense(const int rows, const Step *s, const uint8_t *in, const int32_t *from, const int8_t *w,
                                  const int32_t *list, int32_t *sums) {
    const int32_t *const offsets = s->k_offsets;
    const uint8_t *p[ROWS];
    for (int r = 0; r < rows; r++) p[r] = in + from[r];
    Sums acc[ROWS][MAX_VECTORS];
    for (int r = 0; r < rows; r++)
        for (int v = 0; v < MAX_VECTORS; v++) acc[r][v] = initial_sums(s, list, r);
#pragma clang loop unroll(disable)
    for (const int32_t *end = list + *list; list < end;) {
        const size_t k = *++list;
        const size_t at = offsets[k];
        const int8_t *const step = w + k * (DENSE / PRODUCTS) * STEP_BYTES;
        uint8x16_t a[ROWS];
        for (int r = 0; r < rows; r++) a[r] = vld1q_u8(p[r] + at);
#define EVERY(counter, count) _Pragma("clang loop unroll(full)") for (int counter = 0; counter < count; counter++)
#define QUAD(lane) \
        EVERY(v, MAX_VECTORS) { \
            const Weights weights = load_weights(step + (lane * MAX_VECTORS + v) * VECTOR * UNIT_BYTES); \
            EVERY(r, rows) acc[r][v] = vdotq_laneq_u32(acc[r][v], weights, a[r], lane); \
            if (v % 2) EVERY(r, rows) pin(&acc[r][v - 1]), pin(&acc[r][v]); \
        }
        QUAD(0) QUAD(1) QUAD(2) QUAD(3)
    }
    for (int r = 0; r < rows; r++)
        for (int v = 0; v < MAX_VECTORS; v++) store_sums(sums + r * WIDTH + v * VECTOR, acc[r][v]);
}

#define TILE(r) \
    case r: \
        if (s->products == DENSE) multiply_dense(r, s, part->in, from, part->weights, list, sums); \
        else multiply_tile(r, MAX_VECTORS, s, part->in, from, part->weights, list, sums); \
        break;

TARGET INLINE void sums_of(int rows, const Step *s, const Part *part, const int32_t *list, const int32_t *from,
                           int32_t *sums) {
    switch (rows) { TILE(1) TILE(2) TILE(3) }
}

#include "../templates/block.h"
#include "../templates/lists.h"
#include "../resize.h"

const Variant DOTPROD = {
    .blocks = {space_to_depth, convolve, max_pool, class_scores, build_nonzero_list},
    .shape = one_tile,
    .resize = resize_neon,
};

#endif
