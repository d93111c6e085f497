/* AVX-512: list of nonzero reduction steps (activation sparsity), max pooling, class scores. */

#ifdef __x86_64__

#include "internal.h"
#include "x86.h"

/* Activation sparsity: each tile's list of the reduction steps in which some activation of its rows is not 0.
   `k_offsets` are of 16 steps of 4 bytes each. */
VNNI void build_nonzero_list_avx512(const Step *s, const Job *job, int i) {
    const int photo = i / s->tiles, t = i % s->tiles;
    const uint8_t *in = job->buffers[s->input] + photo * job->sizes[s->input];
    int32_t *list = (int32_t *)(job->buffers[s->output] + photo * job->sizes[s->output]) + t * s->list_capacity, count = 0;
    const int32_t *from = s->input_offsets + t * ((s->rows + 1) / 2);
    __m512i steps = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    for (int k = 0; k < s->k_steps; k++, steps = _mm512_add_epi32(steps, _mm512_set1_epi32(16))) {
        __m512i any = _mm512_setzero_si512();
        for (int r = 0; r < s->rows; r++)
            any = _mm512_or_si512(any, _mm512_loadu_si512(in + from[r / 2] + r % 2 * s->row_stride + s->k_offsets[k]));
        const __mmask16 wanted = _mm512_test_epi32_mask(any, any);
        _mm512_storeu_si512(list + 1 + count, _mm512_maskz_compress_epi32(wanted, steps));
        count += __builtin_popcount(wanted);
    }
    list[0] = count;
}

/* The maximum of 3 x 3 places; padding is 0, the smallest byte. */
VNNI void max_pool_avx512(const Step *s, const Job *job, int i) {
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

/* Each class's score at one place: the FP32 classifier as a pointwise (1 x 1) convolution. */
VNNI void class_scores_avx512(const Step *s, const Job *job, int i) {
    const int photo = i / s->tiles, t = i % s->tiles;
    const uint8_t *in = job->buffers[s->input] + photo * job->sizes[s->input] + s->input_offsets[t];
    float *scores = job->scores + (size_t)photo * s->scores_per_photo + t;
    for (int o = 0; o < s->outputs; o++, scores += s->tiles) {
        const float *w = s->scale + (size_t)o * s->channels;
        __m512 sum = _mm512_setzero_ps();
        for (int c = 0; c < s->channels; c += LANES) {
            __m512 a = _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(in + c))));
            sum = _mm512_fmadd_ps(a, _mm512_loadu_ps(w + c), sum);
        }
        *scores = _mm512_reduce_add_ps(sum);
    }
}

#endif
