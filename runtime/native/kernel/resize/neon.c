/* Bilinear resize with NEON. */

#ifdef __aarch64__

#include <arm_neon.h>

#include "../resize.h"

#define RESIZE resize_neon
#define TARGET
#define LANES_128 1

typedef struct {
    int32x4_t high, low;
} Sums;
typedef int16x4_t Weights;

INLINE Sums initial_sums(void) { return (Sums){vdupq_n_s32(0), vdupq_n_s32(1 << (PRECISION_BITS - 1))}; }

INLINE Weights load_weights(const int16_t words[4]) { return vld1_s16(words); }

INLINE void add_products(Sums *s, int16x4_t a, int16x4_t b, Weights w) {
    s->high = vmlal_lane_s16(vmlal_lane_s16(s->high, a, w, 0), b, w, 1);
    s->low = vmlal_lane_s16(vmlal_lane_s16(s->low, a, w, 2), b, w, 3);
}

INLINE int16x8_t widened(uint8x8_t bytes) { return vreinterpretq_s16_u16(vmovl_u8(bytes)); }

INLINE void add_eight(Sums s[2], uint8x8_t a, uint8x8_t b, Weights w) {
    const int16x8_t upper = widened(a), lower = widened(b);
    add_products(s, vget_low_s16(upper), vget_low_s16(lower), w);
    add_products(s + 1, vget_high_s16(upper), vget_high_s16(lower), w);
}

INLINE void add_pixels(Sums *s, const uint8_t *const *lines, size_t at, Weights w) {
    const int16x8_t pixels = widened(vld1_u8(lines[0] + at));
    add_products(s, vget_low_s16(pixels), vget_high_s16(pixels), w);
}

INLINE void add_lines(Sums s[4], const uint8_t *upper, const uint8_t *lower, Weights w) {
    const uint8x16_t a = vld1q_u8(upper), b = vld1q_u8(lower);
    add_eight(s, vget_low_u8(a), vget_low_u8(b), w);
    add_eight(s + 2, vget_high_u8(a), vget_high_u8(b), w);
}

INLINE int16x4_t total(Sums s) {
    return vqmovn_s32(vshrq_n_s32(vaddq_s32(vshlq_n_s32(s.high, LOW_BITS), s.low), PRECISION_BITS));
}

INLINE void store_bytes(uint8_t *to, const Sums s[4]) {
    const int16x8_t first = vcombine_s16(total(s[0]), total(s[1])), second = vcombine_s16(total(s[2]), total(s[3]));
    vst1q_u8(to, vqmovun_high_s16(vqmovun_s16(first), second));
}

#include "pairs.h"

#endif
