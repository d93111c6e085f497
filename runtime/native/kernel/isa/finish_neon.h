/* Requantize with NEON: 32-bit sums to bytes, rounded as QLinearConv does; then added to the residual. */

#include <arm_neon.h>

#include "../internal.h"

/* 4 sums to 4 integers, whose bytes are what saturating makes of them; `residual` are 4 bytes, widened. Conversions and the
   addition of the zero point saturate, too. */
TARGET INLINE int32x4_t requantize(const Requantizing *q, const int32_t *sums, int output, const uint32x4_t *residual) {
    const int32x4_t zero = vdupq_n_s32(0), most = vdupq_n_s32(255);
    const int32x4_t sum = vaddq_s32(vld1q_s32(sums), vld1q_s32(q->bias + output));
    float32x4_t value = vmulq_f32(vcvtq_f32_s32(sum), vld1q_f32(q->scale + output));
    int32x4_t byte = vqaddq_s32(vcvtnq_s32_f32(value), vdupq_n_s32(q->zero_point));
    if (!residual) return byte;
    byte = vminq_s32(vmaxq_s32(byte, zero), most);
    value = vfmaq_f32(vdupq_n_f32(q->shift), vcvtq_f32_u32(*residual), vdupq_n_f32(q->residual));
    value = vfmaq_f32(value, vcvtq_f32_s32(byte), vdupq_n_f32(q->own));
    return vcvtnq_s32_f32(value);
}

TARGET INLINE void finish(const Requantizing *q, const int32_t *sums, int count, uint8_t *out, const uint8_t *residual) {
#pragma clang loop unroll(full)
    for (int o = 0; o < count; o += 8, sums += 8) {
        uint32x4_t added[2];
        if (residual) {
            const uint16x8_t wide = vmovl_u8(vld1_u8(residual + o));
            added[0] = vmovl_u16(vget_low_u16(wide));
            added[1] = vmovl_u16(vget_high_u16(wide));
        }
        const int32x4_t a = requantize(q, sums, o, residual ? &added[0] : NULL);
        const int32x4_t b = requantize(q, sums + 4, o + 4, residual ? &added[1] : NULL);
        vst1_u8(out + o, vqmovn_u16(vcombine_u16(vqmovun_s32(a), vqmovun_s32(b))));
    }
}
