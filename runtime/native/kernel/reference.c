/* Scalar reference convolution and requantize, in plain C for every CPU: bit for bit what the other variants answer.

   It reads each layout: what differs is in the step (`rows`, `run`, `products`, `unit`, `weight_bytes`, `weight_zero`). */

#include <math.h>

#include "internal.h"

#define WIDTH GROUP /* outputs of a block */
#define MAX_ROWS 16       /* of a tile, in any layout */

/* The nearest integer, a half to the even one, of a value that is clamped to -512..511: no zero point and no byte is
   larger. Adding 1.5 * 2^23 leaves no room for a fraction. */
static int32_t nearest(float value) {
    value = value < 511 ? value : 511;
    value = value > -512 ? value : -512;
    const volatile float shifted = value + 12582912.0f;
    return (int32_t)(shifted - 12582912.0f);
}

static int32_t clamp(int32_t value) { return value < 0 ? 0 : value > 255 ? 255 : value; }

/* A sum to a byte, rounded as QLinearConv does; then added to the residual as QLinearAdd does. */
uint8_t requantize_reference(const Requantizing *q, int32_t sum, int output, const uint8_t *residual) {
    const float value = (float)(int32_t)((uint32_t)sum + (uint32_t)q->bias[output]) * q->scale[output];
    const int32_t byte = clamp(nearest(value) + q->zero_point);
    if (!residual) return (uint8_t)byte;
    const float other = fmaf((float)*residual, q->residual, q->shift);
    return (uint8_t)clamp(nearest(fmaf((float)byte, q->own, other)));
}

/* A weight of 8 or 16 bits, without what the layout adds to it. */
static int weight_at(const Step *s, const void *weights, size_t at) {
    if (s->weight_bytes == 2) return ((const int16_t *)weights)[at];
    return (int8_t)(((const uint8_t *)weights)[at] - s->weight_zero);
}

/* `unit` weights [lanes][unit] as [unit][32], by output: from one group or from two. */
static void unpack_weights(const Step *s, const int8_t *w, int first, int16_t unpacked[][WIDTH]) {
    for (int o = 0; o < WIDTH; o++)
        for (int i = 0; i < s->unit; i++)
            unpacked[i][o] = (int16_t)weight_at(s, w + o / s->lanes * (size_t)s->group_bytes,
                                                (size_t)first * s->lanes + o % s->lanes * s->unit + i);
}

/* Activations times their weights, added to the sums of one row. A product of two bytes fits 16 bits. */
static void multiply_unit(const Step *s, int32_t sums[WIDTH], const uint8_t *a, int16_t w[][WIDTH]) {
    for (int i = 0; i < s->unit; i++) {
        const int16_t activation = s->activation_bytes == 2 ? ((const int16_t *)(const void *)a)[i] : a[i];
        if (!activation) continue;
        for (int o = 0; o < WIDTH; o++) sums[o] += (int16_t)(activation * w[i][o]);
    }
}

/* The sums [rows][32] of a tile, over the listed steps of the reduction. */
static void multiply_tile(const Step *s, const uint8_t *const *row, const int8_t *w, const int32_t *list,
                          int32_t sums[][WIDTH]) {
    memset(sums, 0, s->rows * sizeof *sums);
    for (const int32_t *end = list + *list; list < end;) {
        const int32_t k = *++list;
        if (k == s->k_steps) continue; /* that makes the list's length even: it has no weights */
        for (int q = 0; q < s->products; q += s->unit) {
            int16_t unpacked[8][WIDTH];
            unpack_weights(s, w + (size_t)k * s->lanes * s->products * s->weight_bytes, q, unpacked);
            for (int r = 0; r < s->rows; r++) multiply_unit(s, sums[r], row[r] + s->k_offsets[k] + q * s->activation_bytes, unpacked);
        }
    }
}

/* Block `i` of a convolution: one tile of one photo, two groups of outputs. */
static void convolve(const Step *s, const Job *job, int i) {
    const Part part = part_of(s, job, (BlockShape){1, WIDTH}, i);
    const int32_t *const list = list_of(s, job, i, part.tile);
    const int32_t *const from = s->input_offsets + part.tile * ((s->rows + s->run - 1) / s->run);
    const uint8_t *row[MAX_ROWS];
    int32_t sums[MAX_ROWS][WIDTH];
    for (int r = 0; r < s->rows; r++) row[r] = part.in + from[r / s->run] + r % s->run * s->row_stride;
    multiply_tile(s, row, part.weights, list, sums);
    const Requantizing q = requantizing(s, part.first);
    for (int r = 0; r < s->rows; r++) {
        const int32_t to = s->output_offsets[part.tile * s->rows + r];
        for (int o = 0; to >= 0 && o < WIDTH; o++) {
            const int32_t at = to + part.first + o;
            part.out[at] = requantize_reference(&q, sums[r][o], o, part.residual ? part.residual + at : NULL);
        }
    }
}

static BlockShape shape(const Step *s) {
    (void)s;
    return (BlockShape){1, WIDTH};
}

/* Whether the bytes of a step are not 0 in some row of a tile. */
static int any_nonzero(const Step *s, const uint8_t *in, const int32_t *from) {
    for (int r = 0; r < s->rows; r++)
        for (int i = 0; i < s->products; i++)
            if (in[from[r] + i]) return 1;
    return 0;
}

static void build_nonzero_list(const Step *s, const Job *job, int i) {
    const int photo = i / s->tiles, t = i % s->tiles;
    const uint8_t *in = job->buffers[s->input] + photo * job->sizes[s->input];
    int32_t *list = (int32_t *)(void *)(job->buffers[s->output] + photo * job->sizes[s->output]) + t * s->list_capacity;
    list[0] = 0;
    for (int step = 0; step < s->chunk * s->k_steps; step++) {
        const int at = s->k_offsets[step / s->chunk] + step % s->chunk * s->products;
        if (any_nonzero(s, in + at, s->input_offsets + t * s->rows)) list[++list[0]] = step;
    }
    if (list[0] % 2) list[++list[0]] = s->chunk * s->k_steps;
}

const Variant REFERENCE = {
    .blocks = {space_to_depth, convolve, max_pool, class_scores, build_nonzero_list, widen,
               NULL, winograd_reference},
    .shape = shape,
    .resize = resize_reference,
};
