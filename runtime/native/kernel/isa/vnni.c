/* AVX-512 VNNI: VPDPBUSD of 512 bits, and VPDPWSSD for Winograd's products of 16 bits. */

#ifdef __x86_64__

#include "x86.h"

#define TARGET WITH("avx512f,avx512bw,avx512vl,avx512vnni")
#define ROWS 6 /* 24 sums, 6 activations, a weight in 32 registers */
#define WIDTH 64
#define VECTOR 16
#define MAX_VECTORS 4
#define PRODUCTS 4
#define STEP_BYTES 128
#define UNROLL 2
#define UNIT_BYTES 4

#include "finish_avx512.h"

typedef __m512i Sums, Activations, Weights;

TARGET INLINE Sums initial_sums(const Step *s, const int32_t *list, int row) {
    (void)s, (void)list, (void)row;
    return _mm512_setzero_si512();
}

TARGET INLINE void store_sums(int32_t *to, Sums sums) { _mm512_store_si512(to, sums); }

TARGET INLINE Activations broadcast(const uint8_t *p, size_t at) { return _mm512_set1_epi32(load_32(p + at)); }

TARGET INLINE void pin(Sums *sums) { __asm__ volatile("" : "+v"(*sums) : : "memory"); }

TARGET INLINE Weights load_weights(const int8_t *w) { return _mm512_load_si512(w); }

TARGET INLINE Sums multiply(Sums sums, Activations a, Weights w) { return _mm512_dpbusd_epi32(sums, a, w); }

TARGET INLINE Sums multiply_unit(Sums sums, Activations a, const int8_t *w, const int last) {
    (void)last;
    return _mm512_dpwssd_epi32(sums, a, _mm512_load_si512(w));
}

#include "../templates/tile.h"

/* Pruned networks have layers of 32 outputs more than a multiple of 64. */
#define TILE(r) \
    case r: \
        if (part->outputs == WIDTH) multiply_tile(r, 4, s, part->in, from, part->weights, list, sums); \
        else multiply_tile(r, 2, s, part->in, from, part->weights, list, sums); \
        break;

TARGET INLINE void sums_of(int rows, const Step *s, const Part *part, const int32_t *list, const int32_t *from,
                           int32_t *sums) {
    switch (rows) { TILE(1) TILE(2) TILE(3) TILE(4) TILE(5) TILE(6) }
}

#include "../templates/block.h"
#include "layers_avx512.h"
#include "../resize.h"

#undef PRODUCTS
#define PRODUCTS 2
#define WINOGRAD_ROWS 6 /* 12 sums, 6 activations, a weight: more would leave the nearest cache with their sums */
#define WINOGRAD_VECTORS 2
#define FUSED_CHANNELS 128
#include "../templates/pairs_in_memory.h"
#include "../templates/winograd.h"

const Variant VNNI = {
    .blocks = {space_to_depth, convolve, max_pool_avx512, class_scores, build_nonzero_list, widen, winograd_input, winograd},
    .shape = block_shape,
    .resize = resize_avx2,
};

#endif
