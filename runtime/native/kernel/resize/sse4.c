/* Bilinear resize with SSE4.1. */

#ifdef __x86_64__

#include "../resize.h"
#include "../isa/x86.h"

#define RESIZE resize_sse4
#define TARGET WITH("sse4.1")
#define LANES_128 1
#define VECTOR(operation) _mm_##operation

typedef __m128i Vector;

/* Bytes of two pixels, as 16-bit integers: red and red, green and green, ... */
#define COLOUR_BY_COLOUR _mm_setr_epi8(0, -1, 4, -1, 1, -1, 5, -1, 2, -1, 6, -1, 3, -1, 7, -1)

TARGET INLINE Vector two_pixels(const uint8_t *const *lines, size_t at) {
    return _mm_loadl_epi64((const __m128i *)(const void *)(lines[0] + at));
}

TARGET INLINE Vector load(const uint8_t *from) { return _mm_loadu_si128((const __m128i *)(const void *)from); }

TARGET INLINE void store(uint8_t *to, Vector bytes) { _mm_storeu_si128((__m128i *)(void *)to, bytes); }

#include "x86.h"
#include "pairs.h"


#endif
