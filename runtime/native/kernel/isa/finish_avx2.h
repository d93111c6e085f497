/* Requantize with AVX2 and FMA: 32-bit sums to bytes, rounded as QLinearConv does; then added to the residual. */

#include "x86.h"

/* 8 sums to 8 integers 0..255. */
TARGET INLINE __m256i requantize(const Requantizing *q, const int32_t *sums, int output, const uint8_t *residual) {
    const __m256i zero = _mm256_setzero_si256(), most = _mm256_set1_epi32(255);
    const __m256 limit = _mm256_set1_ps(511); /* beyond any byte, and within an integer */
    const __m256i sum = _mm256_add_epi32(_mm256_load_si256((const __m256i *)sums),
                                         _mm256_loadu_si256((const __m256i *)(q->bias + output)));
    __m256 value = _mm256_mul_ps(_mm256_cvtepi32_ps(sum), _mm256_loadu_ps(q->scale + output));
    __m256i byte = _mm256_cvtps_epi32(_mm256_min_ps(value, limit));
    byte = _mm256_min_epi32(_mm256_max_epi32(_mm256_add_epi32(byte, _mm256_set1_epi32(q->zero_point)), zero), most);
    if (!residual) return byte;
    const __m256 other = _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)residual)));
    value = _mm256_fmadd_ps(other, _mm256_set1_ps(q->residual), _mm256_set1_ps(q->shift));
    value = _mm256_fmadd_ps(_mm256_cvtepi32_ps(byte), _mm256_set1_ps(q->own), value);
    byte = _mm256_cvtps_epi32(_mm256_min_ps(value, limit));
    return _mm256_min_epi32(_mm256_max_epi32(byte, zero), most);
}

TARGET INLINE void finish(const Requantizing *q, const int32_t *sums, int count, uint8_t *out, const uint8_t *residual) {
    for (int o = 0; o < count; o += LANES, sums += LANES) {
        const __m256i a = requantize(q, sums, o, residual ? residual + o : NULL);
        const __m256i b = requantize(q, sums + 8, o + 8, residual ? residual + o + 8 : NULL);
        const __m256i pairs = _mm256_permute4x64_epi64(_mm256_packus_epi32(a, b), 0xd8);
        const __m128i bytes = _mm_packus_epi16(_mm256_castsi256_si128(pairs), _mm256_extracti128_si256(pairs, 1));
        _mm_storeu_si128((__m128i *)(out + o), bytes);
    }
}
