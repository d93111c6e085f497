/* Requantize with AVX-512: 32-bit sums to bytes, rounded as QLinearConv does; then added to the residual. */

#include "x86.h"

/* 16 sums to 16 bytes. */
TARGET INLINE __m128i requantize(const Requantizing *q, const int32_t *sums, int output, const uint8_t *residual) {
    const __m512i zero = _mm512_setzero_si512();
    const __m512 limit = _mm512_set1_ps(511); /* beyond any byte, and within an integer */
    const __m512i sum = _mm512_add_epi32(_mm512_load_si512(sums), _mm512_loadu_si512(q->bias + output));
    __m512 value = _mm512_mul_ps(_mm512_cvtepi32_ps(sum), _mm512_loadu_ps(q->scale + output));
    __m512i byte = _mm512_cvtps_epi32(_mm512_min_ps(value, limit));
    byte = _mm512_max_epi32(_mm512_add_epi32(byte, _mm512_set1_epi32(q->zero_point)), zero);
    if (residual) {
        const __m512 own = _mm512_cvtepi32_ps(_mm512_min_epi32(byte, _mm512_set1_epi32(255)));
        const __m512 other = _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)residual)));
        value = _mm512_fmadd_ps(other, _mm512_set1_ps(q->residual), _mm512_set1_ps(q->shift));
        value = _mm512_fmadd_ps(own, _mm512_set1_ps(q->own), value);
        byte = _mm512_max_epi32(_mm512_cvtps_epi32(_mm512_min_ps(value, limit)), zero);
    }
    return _mm512_cvtusepi32_epi8(byte);
}

TARGET INLINE void finish(const Requantizing *q, const int32_t *sums, int count, uint8_t *out, const uint8_t *residual) {
    for (int o = 0; o < count; o += LANES, sums += LANES)
        _mm_storeu_si128((__m128i *)(out + o), requantize(q, sums, o, residual ? residual + o : NULL));
}
