/* AVX-512: list of nonzero steps of the reduction (activation sparsity), and max pooling. */

#include "x86.h"

/* Each tile's list of the steps in which some activation of its rows is not 0; a chunk is 16 steps of 4 bytes. */
TARGET static void build_nonzero_list(const Step *s, const Job *job, int i) {
    const int photo = i / s->tiles, t = i % s->tiles;
    const uint8_t *in = job->buffers[s->input] + photo * job->sizes[s->input];
    int32_t *list = (int32_t *)(job->buffers[s->output] + photo * job->sizes[s->output]) + t * s->list_capacity, count = 0;
    const int32_t *from = s->input_offsets + t * s->rows;
    __m512i steps = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    for (int k = 0; k < s->k_steps; k++, steps = _mm512_add_epi32(steps, _mm512_set1_epi32(16))) {
        __m512i any = _mm512_setzero_si512();
        for (int r = 0; r < s->rows; r++) any = _mm512_or_si512(any, _mm512_loadu_si512(in + from[r] + s->k_offsets[k]));
        const __mmask16 wanted = _mm512_test_epi32_mask(any, any);
        _mm512_storeu_si512(list + 1 + count, _mm512_maskz_compress_epi32(wanted, steps));
        count += __builtin_popcount(wanted);
    }
    list[1 + count] = 16 * s->k_steps; /* a step without weights, so that the length is even */
    list[0] = count + count % 2;
}

/* The maximum of 3 x 3 places; padding is 0, the smallest byte. */
TARGET static void max_pool_avx512(const Step *s, const Job *job, int i) {
    const int photo = i / s->tiles, t = i % s->tiles;
    const uint8_t *in = job->buffers[s->input] + photo * job->sizes[s->input] + s->input_offsets[t];
    uint8_t *out = job->buffers[s->output] + photo * job->sizes[s->output];
    for (int r = 0; r < s->rows; r++, in += s->row_stride) {
        const int32_t at = s->output_offsets[t * s->rows + r];
        for (int c = 0; at >= 0 && c < s->channels; c += 32) {
            __m256i most = _mm256_loadu_si256((const __m256i *)(in + s->k_offsets[0] + c));
            for (int k = 1; k < s->k_steps; k++)
                most = _mm256_max_epu8(most, _mm256_loadu_si256((const __m256i *)(in + s->k_offsets[k] + c)));
            _mm256_storeu_si256((__m256i *)(out + at + c), most);
        }
    }
}
