/* AVX-VNNI: VPDPBUSD of 256 bits, and VPDPWSSD for Winograd's products of 16 bits. isa/avxvnni_evex.c compiles it with EVEX,
   for AVX-512 VL. */

#ifdef __x86_64__

#include "x86.h"

#ifdef EVEX
#define VARIANT AVXVNNI_EVEX
#define TARGET WITH("avx2,fma,avx512f,avx512vl,avx512vnni")
#define dot _mm256_dpbusd_epi32
#define dot_16 _mm256_dpwssd_epi32
#else
#define VARIANT AVXVNNI
#define TARGET WITH("avx2,fma,avxvnni")
#define dot _mm256_dpbusd_avx_epi32
#define dot_16 _mm256_dpwssd_avx_epi32
#endif
#define ROWS 3 /* 12 sums, 3 activations and a weight in 16 registers */
#define MOST_ROWS ROWS
#define WIDTH 32
#define VECTOR 8
#define MAX_VECTORS 4
#define PRODUCTS 4
#define STEP_BYTES 128
#define UNROLL 2
#define UNIT_BYTES 4

#include "finish_avx2.h"

typedef __m256i Sums, Activations, Weights;

TARGET INLINE Sums initial_sums(const Step *s, const int32_t *list, int row) {
    (void)s, (void)list, (void)row;
    return _mm256_setzero_si256();
}

TARGET INLINE void store_sums(int32_t *to, Sums sums) { _mm256_store_si256((__m256i *)to, sums); }

TARGET INLINE Activations broadcast(const uint8_t *p, size_t at) { return _mm256_set1_epi32(load_32(p + at)); }

TARGET INLINE void pin(Sums *sums) { __asm__ volatile("" : "+x"(*sums) : : "memory"); }

TARGET INLINE Weights load_weights(const int8_t *w) { return _mm256_load_si256((const __m256i *)w); }

TARGET INLINE Sums multiply(Sums sums, Activations a, Weights w) { return dot(sums, a, w); }

TARGET INLINE Sums multiply_unit(Sums sums, Activations a, const int8_t *w, const int last) {
    (void)last;
    return dot_16(sums, a, load_weights(w));
}

#include "chunks_x86.h"

TARGET INLINE unsigned nonzero_steps(Chunk chunk) {
    return ~(unsigned)_mm_movemask_ps(_mm_castsi128_ps(_mm_cmpeq_epi32(chunk, _mm_setzero_si128()))) & 15;
}

#include "../templates/tile.h"
#include "../templates/tiles_of_three.h"
#include "../templates/block.h"
#include "../templates/lists.h"
#include "../resize.h"

#undef PRODUCTS
#define PRODUCTS 2
#include "../templates/pairs_in_memory.h"
#include "../templates/winograd.h"

const Variant VARIANT = {
    .blocks = {space_to_depth, convolve, max_pool, class_scores, build_nonzero_list, widen, winograd_input, winograd},
    .shape = block_shape,
    .resize = resize_avx2,
};

#endif
