/* Bilinear resize with AVX-512, bit for bit as Pillow's Resample.c: `resize.c` is the same in scalar C. */

#ifdef __x86_64__

#include <string.h>

#include "internal.h"
#include "x86.h"

WITH("avx512f,avx512bw,avx512vl") static inline __m128i to_bytes(__m512i sums) { return _mm512_cvtusepi32_epi8(_mm512_srai_epi32(sums, PRECISION_BITS)); }

static inline int32_t pixel(const uint8_t *at) {
    int32_t value;
    memcpy(&value, at, 4);
    return value;
}

/* Four lines at once: [4][width][4] to [4][outputs][4]; a line may be named twice. */
WITH("avx512f,avx512bw,avx512vl") static void along(const uint8_t *const in[4], uint8_t *const out[4], const Taps *taps) {
    for (int x = 0; x < taps->outputs; x++) {
        const int32_t *weights = taps->weights + (size_t)x * taps->max_taps;
        const size_t from = 4 * (size_t)taps->first[x];
        __m512i sums = _mm512_set1_epi32(1 << (PRECISION_BITS - 1));
        for (int t = 0; t < taps->count[x]; t++) {
            const size_t at = from + 4 * t;
            __m128i bytes = _mm_setr_epi32(pixel(in[0] + at), pixel(in[1] + at), pixel(in[2] + at), pixel(in[3] + at));
            sums = _mm512_add_epi32(sums, _mm512_mullo_epi32(_mm512_cvtepu8_epi32(bytes), _mm512_set1_epi32(weights[t])));
        }
        const __m128i bytes = to_bytes(sums);
        const int32_t pixels[4] = {_mm_extract_epi32(bytes, 0), _mm_extract_epi32(bytes, 1), _mm_extract_epi32(bytes, 2),
                                   _mm_extract_epi32(bytes, 3)};
        for (int line = 0; line < 4; line++) memcpy(out[line] + 4 * x, pixels + line, 4);
    }
}

/* One line of the result: [count lines from the first][bytes] to [bytes]. */
WITH("avx512f,avx512bw,avx512vl") static void down(const uint8_t *in, size_t bytes, uint8_t *out, const int32_t *weights, int count) {
    for (size_t at = 0; at < bytes; at += 16) {
        const __mmask16 inside = bytes - at < 16 ? (__mmask16)((1u << (bytes - at)) - 1) : (__mmask16)0xffff;
        __m512i sums = _mm512_set1_epi32(1 << (PRECISION_BITS - 1));
        for (int t = 0; t < count; t++) {
            const __m128i line = _mm_maskz_loadu_epi8(inside, in + t * bytes + at);
            sums = _mm512_add_epi32(sums, _mm512_mullo_epi32(_mm512_cvtepu8_epi32(line), _mm512_set1_epi32(weights[t])));
        }
        _mm_mask_storeu_epi8(out + at, inside, to_bytes(sums));
    }
}

WITH("avx512f,avx512bw,avx512vl") static void all_along(const uint8_t *in, int width, int lines, uint8_t *out, const Taps *taps) {
    for (int y = 0; y < lines; y += 4) {
        const uint8_t *read[4];
        uint8_t *made[4];
        for (int i = 0; i < 4; i++) {
            const size_t line = y + i < lines ? y + i : lines - 1;
            read[i] = in + line * 4 * width;
            made[i] = out + line * 4 * taps->outputs;
        }
        along(read, made, taps);
    }
}

WITH("avx512f,avx512bw,avx512vl") static void all_down(const uint8_t *in, int width, uint8_t *out, const Taps *taps) {
    const size_t bytes = 4 * (size_t)width;
    for (int y = 0; y < taps->outputs; y++)
        down(in + taps->first[y] * bytes, bytes, out + y * bytes, taps->weights + (size_t)y * taps->max_taps, taps->count[y]);
}

WITH("avx512f,avx512bw,avx512vl") void resize_avx512(const uint8_t *in, int32_t width, int32_t height, const Taps *across, const Taps *vertical,
                             int32_t vertical_first, uint8_t *between, uint8_t *out) {
    if (vertical_first) {
        all_down(in, width, between, vertical);
        all_along(between, width, vertical->outputs, out, across);
    } else {
        all_along(in, width, height, between, across);
        all_down(between, across->outputs, out, vertical);
    }
}

#endif
