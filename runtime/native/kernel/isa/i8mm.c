/* ARM's matrix products (USMMLA): two rows of 8 activations times two outputs of 8 weights, to 2 x 2 sums. */

#ifdef __aarch64__

#define TARGET __attribute__((target("i8mm")))
#define ROWS 6 /* in 3 pairs: 24 sums, 3 activations and a weight in 32 registers */
#define WIDTH 16
#define PRODUCTS 8
#define STEP_BYTES 256 /* of the weights of 32 outputs */
#define UNIT_BYTES 8
#define PAIRS (WIDTH / 2) /* of outputs */

#include "finish_neon.h"

/* The sums of a tile. Behind its list lie the activations of the listed steps, by pairs of rows. */
TARGET INLINE void multiply_tile(const int pairs, const int8_t *w, const int32_t *list, const uint8_t *gathered,
                                 int32_t *sums) {
    int32x4_t acc[ROWS / 2][PAIRS];
    for (int p = 0; p < pairs; p++)
        for (int o = 0; o < PAIRS; o++) acc[p][o] = vdupq_n_s32(0);
    const int32_t *const end = list + 1 + *list;
#pragma clang loop unroll(disable) /* unrolled, it would load far ahead and spill what it loaded */
    for (list++; list < end; list += 2, gathered += 2 * ROWS * PRODUCTS) {
        const size_t k[2] = {list[0], list[1]};
        uint8x16_t ahead;
#pragma clang loop unroll(full)
        for (int half = 0; half < 2; half++) {
            const int8_t *const step = w + k[half] * STEP_BYTES;
            uint8x16_t a[ROWS / 2];
#pragma clang loop unroll(full)
            for (int p = 0; p < pairs; p++) {
                const int early = half && !p; /* loaded with the last one of the step before, by one instruction */
                a[p] = early ? ahead : vld1q_u8(gathered + (half * ROWS + 2 * p) * PRODUCTS);
                if (!half && p == pairs - 1) ahead = vld1q_u8(gathered + ROWS * PRODUCTS);
            }
#pragma clang loop unroll(full)
            for (int o = 0; o < PAIRS; o++) {
                const int8x16_t weights = vld1q_s8(step + o * 2 * UNIT_BYTES);
#pragma clang loop unroll(full)
                for (int p = 0; p < pairs; p++) {
                    acc[p][o] = vusmmlaq_s32(acc[p][o], a[p], weights);
                    if (o % 2) __asm__ volatile("" : "+w"(acc[p][o - 1]), "+w"(acc[p][o]) : : "memory"); /* as in templates/tile.h */
                }
            }
        }
    }
    for (int p = 0; p < pairs; p++)
        for (int o = 0; o < PAIRS; o += 2) {
            const int64x2_t a = vreinterpretq_s64_s32(acc[p][o]), b = vreinterpretq_s64_s32(acc[p][o + 1]);
            vst1q_s32(sums + 2 * p * WIDTH + 2 * o, vreinterpretq_s32_s64(vuzp1q_s64(a, b)));
            vst1q_s32(sums + (2 * p + 1) * WIDTH + 2 * o, vreinterpretq_s32_s64(vuzp2q_s64(a, b)));
        }
}

TARGET INLINE void sums_of(int rows, const Step *s, const Part *part, const int32_t *list, const int32_t *from,
                           int32_t *sums) {
    const int8_t *const w = part->weights + part->first % GROUP * UNIT_BYTES;
    const uint8_t *const gathered = (const uint8_t *)(list + s->gathered);
    (void)from;
    switch ((rows + 1) / 2) {
    case 1: multiply_tile(1, w, list, gathered, sums); break;
    case 2: multiply_tile(2, w, list, gathered, sums); break;
    default: multiply_tile(3, w, list, gathered, sums); break;
    }
}

/* The steps in which some activation of the rows is not 0, from `list` on, and their activations [steps][rows][8]; `together`
   steps lie at each offset. Returns how many there are. */
TARGET INLINE int gather(const Step *s, const uint8_t *const *row, const int together, int32_t *list, uint8_t *gathered) {
    const int32_t *const offsets = s->k_offsets;
    size_t count = 0;
    for (int k = 0, chunks = s->k_steps; k < chunks; k++) {
        const size_t at = offsets[k];
        uint64_t steps[ROWS][2];
        for (int r = 0; r < ROWS; r++) memcpy(steps[r], row[r] + at, together * sizeof steps[r][0]);
#pragma clang loop unroll(full)
        for (int step = 0; step < together; step++) {
            uint64_t rows[ROWS], any = 0;
            for (int r = 0; r < ROWS; r++) any |= rows[r] = steps[r][step];
            memcpy(gathered + count * sizeof rows, rows, sizeof rows);
            list[count] = k * together + step;
            count += any != 0;
        }
    }
    return (int)count;
}

TARGET static void build_nonzero_list(const Step *s, const Job *job, int i) {
    const int photo = i / s->tiles, t = i % s->tiles;
    const uint8_t *in = job->buffers[s->input] + photo * job->sizes[s->input];
    int32_t *const lists = (int32_t *)(void *)(job->buffers[s->output] + photo * job->sizes[s->output]);
    int32_t *const list = lists + t * (size_t)s->list_capacity;
    uint8_t *const gathered = (uint8_t *)(list + s->gathered);
    const uint8_t *row[ROWS];
    for (int r = 0; r < ROWS; r++) row[r] = in + s->input_offsets[t * s->rows + (r < s->rows ? r : s->rows - 1)];
    const int count = s->chunk == 2 ? gather(s, row, 2, list + 1, gathered) : gather(s, row, 1, list + 1, gathered);
    list[1 + count] = s->chunk * s->k_steps; /* a step without weights, so that the length is even */
    list[0] = count + count % 2;
}

#include "../templates/block.h"
#include "../resize.h"

const Variant I8MM = {
    .blocks = {space_to_depth, convolve, max_pool, class_scores, build_nonzero_list},
    .shape = one_tile,
    .resize = resize_neon,
};

#endif
