/* Requantize with AVX-512: 32-bit sums of a tile to bytes, with an optional residual. */

#include "internal.h"
#include "x86.h"

/* 16 sums to 16 bytes, rounded as QLinearConv does; then added to the residual as QLinearAdd does. */
VNNI INLINE __m128i requantize(const Step *s, __m512i sum, __m512i bias, __m512 scale, const uint8_t *residual) {
    const __m512i zero = _mm512_setzero_si512();
    __m512 value = _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_add_epi32(sum, bias)), scale);
    value = _mm512_min_ps(value, _mm512_set1_ps(511)); /* beyond any byte, and within an integer */
    __m512i byte = _mm512_max_epi32(_mm512_add_epi32(_mm512_cvtps_epi32(value), _mm512_set1_epi32(s->zero_point)), zero);
    if (residual) {
        __m512 own = _mm512_cvtepi32_ps(_mm512_min_epi32(byte, _mm512_set1_epi32(255)));
        __m512 other = _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)residual)));
        value = _mm512_fmadd_ps(other, _mm512_set1_ps(s->scale_residual), _mm512_set1_ps(s->shift));
        value = _mm512_fmadd_ps(own, _mm512_set1_ps(s->scale_own), value);
        value = _mm512_min_ps(value, _mm512_set1_ps(511));
        byte = _mm512_max_epi32(_mm512_cvtps_epi32(value), zero);
    }
    return _mm512_cvtusepi32_epi8(byte);
}

/* Sums [rows][groups][16] of a tile to their output places. */
VNNI INLINE void write_tile(const Step *s, const int32_t *sums, const int32_t *to, int first, const int groups,
                            uint8_t *out, const uint8_t *residual) {
    __m512i bias[4];
    __m512 scale[4];
    for (int g = 0; g < groups; g++) {
        bias[g] = _mm512_loadu_si512(s->bias + first + LANES * g);
        scale[g] = _mm512_loadu_ps(s->scale + first + LANES * g);
    }
    for (int r = 0; r < s->rows; r++, sums += groups * LANES) {
        if (to[r] < 0) continue;
        size_t at = (size_t)to[r] + first;
        for (int g = 0; g < groups; g++) {
            __m128i bytes = requantize(s, _mm512_load_si512(sums + LANES * g), bias[g], scale[g],
                                       residual ? residual + at + LANES * g : NULL);
            _mm_storeu_si128((__m128i *)(out + at + LANES * g), bytes);
        }
    }
}
