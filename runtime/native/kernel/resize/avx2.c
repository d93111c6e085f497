/* Bilinear resize with AVX2. */

#ifdef __x86_64__

#include "../resize.h"
#include "../isa/x86.h"

#define RESIZE resize_avx2
#define TARGET WITH("avx2")
#define LANES_128 2
#define VECTOR(operation) _mm256_##operation

typedef __m256i Vector;

/* Bytes of two pixels, as 16-bit integers: red and red, green and green, ... */
#define COLOUR_BY_COLOUR                                                                                                  \
    _mm256_setr_epi8(0, -1, 4, -1, 1, -1, 5, -1, 2, -1, 6, -1, 3, -1, 7, -1, 0, -1, 4, -1, 1, -1, 5, -1, 2, -1, 6, -1, 3, \
                     -1, 7, -1)

TARGET INLINE __m128i load_64(const uint8_t *from) { return _mm_loadl_epi64((const __m128i *)(const void *)from); }

TARGET INLINE Vector two_pixels(const uint8_t *const *lines, size_t at) {
    return _mm256_inserti128_si256(_mm256_castsi128_si256(load_64(lines[0] + at)), load_64(lines[1] + at), 1);
}

TARGET INLINE Vector load(const uint8_t *from) { return _mm256_loadu_si256((const __m256i *)(const void *)from); }

TARGET INLINE void store(uint8_t *to, Vector bytes) { _mm256_storeu_si256((__m256i *)(void *)to, bytes); }

#include "x86.h"
#include "pairs.h"

#endif
