/* SSE4.1: pairs of 16-bit products (PMADDWD), from 8-bit weights that are widened as they are loaded. */

#ifdef __x86_64__

#include <math.h>

#include "x86.h"

#define TARGET WITH("sse4.1")
#define ROWS 3 /* 12 sums, 3 activations, a weight in 16 registers */
#define MOST_ROWS ROWS
#define WIDTH 16
#define VECTOR 4
#define MAX_VECTORS 4
#define PRODUCTS 2
#define STEP_BYTES 64
#define UNROLL 1
#define UNIT_BYTES 2
#define KEPT 0

typedef __m128i Sums, Activations, Weights;
typedef const int16_t *Channels;

TARGET INLINE Sums initial_sums(const Step *s, const int32_t *list, int row) {
    (void)s, (void)list, (void)row;
    return _mm_setzero_si128();
}

TARGET INLINE void store_sums(int32_t *to, Sums sums) { _mm_store_si128((__m128i *)to, sums); }

/* Two bytes as two 16-bit integers, 4 times. */
TARGET INLINE Activations broadcast(const uint8_t *p, size_t at) {
    __m128i words;
    __asm__("pmovzxbw %1, %0" : "=x"(words) : "m"(*(const uint64_t(*)[1])(p + at))); /* else two more shuffles are made of it */
    return _mm_shuffle_epi32(words, 0);
}

TARGET INLINE Channels load_channels(const int16_t *p) { return p; }

/* From memory, else the compiler would keep four pairs in a register that there is not. */
TARGET INLINE Activations broadcast_unit(Channels p, const int k) {
    const __m128i *const pairs = (const __m128i *)p;
    __m128i a;
    switch (k) {
    case 0: __asm__("pshufd $0x00, %1, %0" : "=x"(a) : "m"(*pairs)); break;
    case 1: __asm__("pshufd $0x55, %1, %0" : "=x"(a) : "m"(*pairs)); break;
    case 2: __asm__("pshufd $0xaa, %1, %0" : "=x"(a) : "m"(*pairs)); break;
    default: __asm__("pshufd $0xff, %1, %0" : "=x"(a) : "m"(*pairs)); break;
    }
    return a;
}

TARGET INLINE void pin(Sums *sums) { (void)sums; } /* all registers are in use as it is */

TARGET INLINE Weights load_weights(const int8_t *w) { return _mm_cvtepi8_epi16(_mm_loadl_epi64((const __m128i *)w)); }

TARGET INLINE Sums multiply(Sums sums, Activations a, Weights w) { return _mm_add_epi32(sums, _mm_madd_epi16(w, a)); }

/* The same for sums in memory: of 16 registers none is left for them. */
TARGET INLINE void multiply_kept(Sums *sums, Activations a, Weights w) {
    __m128i product = _mm_madd_epi16(w, a);
    __asm__("paddd %0, %1\n\tmovdqa %1, %0" : "+m"(*sums), "+x"(product));
}

/* As with AVX2. */
TARGET INLINE Sums multiply_unit(Sums sums, Activations a, const int8_t *w, const int last) {
    const __m128i *const weights = (const __m128i *)w;
    __m128i product;
    if (last) __asm__("pmaddwd %2, %1\n\tpaddd %1, %0" : "+x"(sums), "+x"(a) : "m"(*weights));
    else
        __asm__("movdqa %2, %1\n\tpmaddwd %3, %1\n\tpaddd %1, %0"
                : "+x"(sums), "=&x"(product)
                : "x"(a), "m"(*weights));
    return sums;
}

/* a * b + c, rounded once, for a from 0 to 255: the product of a byte and a float is exact in double precision, and so is the
   sum where `exact_in_double` is true. */
TARGET INLINE __m128 multiply_add(__m128 a, float b, __m128 c) {
    const __m128d factor = _mm_set1_pd(b);
    const __m128d low = _mm_add_pd(_mm_mul_pd(_mm_cvtps_pd(a), factor), _mm_cvtps_pd(c));
    const __m128d high = _mm_add_pd(_mm_mul_pd(_mm_cvtps_pd(_mm_movehl_ps(a, a)), factor), _mm_cvtps_pd(_mm_movehl_ps(c, c)));
    return _mm_movelh_ps(_mm_cvtpd_ps(low), _mm_cvtpd_ps(high));
}

/* Whether a value is 0, or of so many bits before and behind the binary point that sums of such values times a byte fit the 53
   bits of a double: its last bit is worth 2^-42 or more, and 255 of it are below 2^10. */
INLINE int fits(float value) { return value == 0 || (fabsf(value) >= 0x1p-19f && fabsf(value) < 0x1p2f); }

INLINE int exact_in_double(const Requantizing *q) {
    const float shift = fabsf(q->shift);
    return fits(q->own) && fits(q->residual) && (shift == 0 || (shift >= 0x1p-19f && shift < 0x1p9f));
}

/* 4 sums to 4 integers 0..255. */
TARGET INLINE __m128i requantize(const Requantizing *q, const int32_t *sums, int output, const uint8_t *residual) {
    const __m128i zero = _mm_setzero_si128(), most = _mm_set1_epi32(255);
    const __m128 limit = _mm_set1_ps(511); /* beyond any byte, and within an integer */
    const __m128i sum = _mm_add_epi32(_mm_load_si128((const __m128i *)sums), _mm_loadu_si128((const __m128i *)(q->bias + output)));
    const __m128 value = _mm_mul_ps(_mm_cvtepi32_ps(sum), _mm_loadu_ps(q->scale + output));
    __m128i byte = _mm_cvtps_epi32(_mm_min_ps(value, limit));
    byte = _mm_min_epi32(_mm_max_epi32(_mm_add_epi32(byte, _mm_set1_epi32(q->zero_point)), zero), most);
    if (!residual) return byte;
    const __m128 other = _mm_cvtepi32_ps(_mm_cvtepu8_epi32(_mm_cvtsi32_si128(load_32(residual))));
    const __m128 added = multiply_add(other, q->residual, _mm_set1_ps(q->shift));
    byte = _mm_cvtps_epi32(_mm_min_ps(multiply_add(_mm_cvtepi32_ps(byte), q->own, added), limit));
    return _mm_min_epi32(_mm_max_epi32(byte, zero), most);
}

TARGET INLINE void finish(const Requantizing *q, const int32_t *sums, int count, uint8_t *out, const uint8_t *residual) {
    if (residual && !exact_in_double(q)) {
        for (int o = 0; o < count; o++) out[o] = requantize_reference(q, sums[o], o, residual + o);
        return;
    }
    for (int o = 0; o < count; o += 8, sums += 8) {
        const __m128i a = requantize(q, sums, o, residual ? residual + o : NULL);
        const __m128i b = requantize(q, sums + 4, o + 4, residual ? residual + o + 4 : NULL);
        const __m128i pairs = _mm_packus_epi32(a, b);
        _mm_storel_epi64((__m128i *)(out + o), _mm_packus_epi16(pairs, pairs));
    }
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
#include "../templates/winograd.h"

const Variant SSE4 = {
    .blocks = {space_to_depth, convolve, max_pool, class_scores, build_nonzero_list, NULL, winograd_input, winograd},
    .shape = block_shape,
    .resize = resize_sse4,
};

#endif
