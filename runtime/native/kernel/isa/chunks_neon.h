/* Chunks of activations on ARM (templates/lists.h). */

typedef uint8x16_t Chunk;

TARGET INLINE Chunk load_chunk(const uint8_t *p) { return vld1q_u8(p); }
