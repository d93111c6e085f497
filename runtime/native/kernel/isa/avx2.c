/* AVX2: pairs of 16-bit products (VPMADDWD), which cannot saturate: weights and
   activations are 16-bit integers in memory. */

#ifdef __x86_64__

#include "x86.h"

#define TARGET WITH("avx2,fma")
#define ROWS 3 /* 12 sums, 3 activations and a product in 16 registers */
#define MOST_ROWS ROWS
#define WIDTH 32
#define VECTOR 8
#define MAX_VECTORS 4
#define PRODUCTS 2
#define STEP_BYTES 128
#define UNROLL 2
#define UNIT_BYTES 4

#include "finish_avx2.h"

typedef __m256i Sums, Activations;
typedef const __m256i *Weights;

TARGET INLINE Sums initial_sums(const Step *s, const int32_t *list, int row) {
    (void)s, (void)list, (void)row;
    return _mm256_setzero_si256();
}

TARGET INLINE void store_sums(int32_t *to, Sums sums) { _mm256_store_si256((__m256i *)to, sums); }

TARGET INLINE Activations broadcast(const uint8_t *p, size_t at) { return _mm256_set1_epi32(load_32(p + at)); }

TARGET INLINE void pin(Sums *sums) { __asm__ volatile("" : "+x"(*sums) : : "memory"); }

TARGET INLINE Weights load_weights(const int8_t *w) { return (Weights)w; }

/* The weights are an operand in memory: a register for them there is not, and the compiler would make one. */
TARGET INLINE Sums multiply(Sums sums, Activations a, Weights w) {
    __m256i product;
    __asm__("vpmaddwd %2, %1, %0" : "=x"(product) : "x"(a), "m"(*w));
    return _mm256_add_epi32(sums, product);
}

/* Both at once, else the compiler would add to the product, and spill the sums. */
TARGET INLINE Sums multiply_unit(Sums sums, Activations a, const int8_t *w, const int last) {
    __m256i product;
    (void)last;
    __asm__("vpmaddwd %3, %2, %1\n\tvpaddd %1, %0, %0" : "+x"(sums), "=&x"(product) : "x"(a), "m"(*(const __m256i *)w));
    return sums;
}

#include "chunks_x86.h"

/* A pair that is not 0, of 8: PACKSSWB makes bytes of what compares. */
TARGET INLINE unsigned nonzero_steps(Chunk chunk) {
    const __m128i zero = _mm_setzero_si128(), none = _mm_cmpeq_epi16(chunk, zero);
    return ~(unsigned)_mm_movemask_epi8(_mm_packs_epi16(none, none)) & 255;
}

#include "../templates/tile.h"
#include "../templates/tiles_of_three.h"
#include "../templates/block.h"
#include "../templates/lists.h"
#include "../resize.h"
#include "../templates/pairs_in_memory.h"
#include "../templates/winograd.h"

const Variant AVX2 = {
    .blocks = {space_to_depth, convolve, max_pool, class_scores, build_nonzero_list, widen, winograd_input, winograd},
    .shape = block_shape,
    .resize = resize_avx2,
};

#endif
