/* NEON, which each ARM64 processor has: 16-bit products added to 32-bit sums (SMLAL), one activation at a time. */

#ifdef __aarch64__

#define TARGET
#define ROWS 3 /* 24 sums, 3 activations and a weight in 32 registers */
#define MOST_ROWS ROWS
#define WIDTH 32
#define VECTOR 8
#define MAX_VECTORS 4
#define PRODUCTS 1
#define STEP_BYTES 32
#define UNROLL 2
#define UNIT_BYTES 1

#include "finish_neon.h"

typedef struct {
    int32x4_t low, high;
} Sums;
typedef int16x4_t Activations;
typedef int16x8_t Weights, Channels;

INLINE Sums initial_sums(const Step *s, const int32_t *list, int row) {
    (void)s, (void)list, (void)row;
    return (Sums){vdupq_n_s32(0), vdupq_n_s32(0)};
}

INLINE void store_sums(int32_t *to, Sums sums) {
    vst1q_s32(to, sums.low);
    vst1q_s32(to + 4, sums.high);
}

INLINE Activations broadcast(const uint8_t *p, size_t at) { return vreinterpret_s16_u8(vset_lane_u8(p[at], vdup_n_u8(0), 0)); }

INLINE void pin(Sums *sums) { __asm__ volatile("" : "+w"(sums->low), "+w"(sums->high) : : "memory"); }

INLINE Weights load_weights(const int8_t *w) { return vmovl_s8(vld1_s8(w)); }

INLINE Sums multiply(Sums sums, Activations a, Weights w) {
    sums.low = vmlal_lane_s16(sums.low, vget_low_s16(w), a, 0);
    sums.high = vmlal_high_lane_s16(sums.high, w, a, 0);
    return sums;
}

INLINE Channels load_channels(const int16_t *p) { return vld1q_s16(p); }

INLINE Activations broadcast_unit(Channels c, const int k) { return vdup_n_s16(c[k]); } /* no instruction: a lane of `c` */

INLINE Sums multiply_unit(Sums sums, Activations a, const int8_t *w, const int last) {
    (void)last;
    return multiply(sums, a, vld1q_s16((const int16_t *)(const void *)w));
}

#include "chunks_neon.h"

/* Each byte that is not 0 leaves its bit; the bits of 8 bytes are added up. */
INLINE unsigned nonzero_steps(Chunk chunk) {
    static const uint8_t BITS[16] = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
    const uint8x16_t bits = vandq_u8(vtstq_u8(chunk, chunk), vld1q_u8(BITS));
    return vaddv_u8(vget_low_u8(bits)) | (unsigned)vaddv_u8(vget_high_u8(bits)) << 8;
}

#include "../templates/tile.h"
#include "../templates/tiles_of_three.h"
#include "../templates/block.h"
#include "../templates/lists.h"
#include "../resize.h"
#include "../templates/winograd.h"

const Variant NEON = {
    .blocks = {space_to_depth, convolve, max_pool, class_scores, build_nonzero_list, NULL, winograd_input, winograd},
    .shape = block_shape,
    .resize = resize_neon,
};

#endif
