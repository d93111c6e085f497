/* Chunks of activations on x86 (templates/lists.h). */

typedef __m128i Chunk;

TARGET INLINE Chunk load_chunk(const uint8_t *p) { return _mm_loadu_si128((const __m128i *)p); }
