/* Convolution microkernel by VNNI (VPDPBUSD): the sums of one tile and two groups of outputs, in registers. */

#include "internal.h"
#include "x86.h"

#define CACHE_LINE 64
#define VNNI_ROWS 12 /* of a tile: 24 sums, 2 weights, 1 activation in 32 registers */

/* Rows come in pairs at `row_stride`, and the pairs lie anywhere. `list` is the number of steps of the reduction to take,
   and they; `ahead` are a group's weights of a later block, which are prefetched: two lines a step, since some steps are
   left out. */
VNNI INLINE void vnni_tile(const int rows, const Step *s, const uint8_t *in, const int32_t *from, const int8_t *w,
                           const int8_t *ahead, const int32_t *list, int32_t *sums) {
    const size_t d = s->row_stride, next = s->group_bytes;
    const int8_t *const last = ahead + next;
    const uint8_t *p[VNNI_ROWS / 2];
    for (int b = 0; b < (rows + 1) / 2; b++) p[b] = in + from[b];
    __m512i acc[VNNI_ROWS][2];
    for (int r = 0; r < rows; r++) acc[r][0] = acc[r][1] = _mm512_setzero_si512();
#pragma clang loop unroll(disable) /* unrolled, it would load far ahead and spill what it loaded */
    for (const int32_t *end = list + *list; list < end;) {
        const size_t k = *++list;
        const int8_t *v = w + k * QUAD;
        const __m512i w0 = _mm512_load_si512(v), w1 = _mm512_load_si512(v + next);
        const size_t at = s->k_offsets[k];
        _mm_prefetch(ahead, _MM_HINT_T1);
        _mm_prefetch(ahead + CACHE_LINE, _MM_HINT_T1);
        ahead += ahead < last ? 2 * CACHE_LINE : 0;
#pragma clang loop unroll(full)
        for (int r = 0; r < rows; r++) {
            const __m512i a = _mm512_set1_epi32(*(const int32_t *)(p[r / 2] + at + r % 2 * d));
            acc[r][0] = _mm512_dpbusd_epi32(acc[r][0], a, w0);
            acc[r][1] = _mm512_dpbusd_epi32(acc[r][1], a, w1);
            __asm__ volatile("" : : "v"(acc[r][0]), "v"(acc[r][1]) : "memory"); /* else it loads far ahead and spills */
        }
    }
    for (int r = 0; r < rows; r++)
        for (int g = 0; g < 2; g++) _mm512_store_si512(sums + (2 * r + g) * LANES, acc[r][g]);
}

VNNI static void vnni_block(const Step *s, const uint8_t *in, int t, const int8_t *w, const int32_t *lists, int32_t *sums) {
    const int32_t *from = s->input_offsets + t * ((s->rows + 1) / 2);
    const int32_t *list = lists ? lists + t * s->list_capacity : s->full_list;
    const int8_t *ahead = t < 2 ? w + (2 + t) * (size_t)s->group_bytes : w; /* else what is there already */
    switch (s->rows) {
#define ROWS(r) case r: vnni_tile(r, s, in, from, w, ahead, list, sums); break;
        ROWS(1) ROWS(2) ROWS(3) ROWS(4) ROWS(5) ROWS(6) ROWS(7) ROWS(8) ROWS(9) ROWS(10) ROWS(11) ROWS(12)
#undef ROWS
    }
}
