/* Chunks of activations on ARM (lists.h). */

typedef uint8x16_t Chunk;

TARGET INLINE Chunk load_chunk(const uint8_t *p) { return vld1q_u8(p); }

TARGET INLINE Chunk load_step(const uint8_t *p) {
    uint32_t four;
    memcpy(&four, p, sizeof four);
    return vreinterpretq_u8_u32(vsetq_lane_u32(four, vdupq_n_u32(0), 0));
}
